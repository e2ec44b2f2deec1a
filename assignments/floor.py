"""Public names for a host that builds floors itself: tables, joins, services and turn times."""

from assignments.planning.floor import (
    EVERY_WEEKDAY,
    CalendarEntry,
    Floor,
    InvalidFloorError,
    Join,
    Pacing,
    ServicePeriod,
    Table,
    TurnTime,
    adjacency,
)

__all__ = [
    "EVERY_WEEKDAY",
    "CalendarEntry",
    "Floor",
    "InvalidFloorError",
    "Join",
    "Pacing",
    "ServicePeriod",
    "Table",
    "TurnTime",
    "adjacency",
]
