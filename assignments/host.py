"""Public names for a project's host class. ``ModelHost`` covers the usual case; ``Host`` is the whole protocol."""

from assignments.integration.host import (
    FindsRestaurants,
    Guest,
    Host,
    HostBooking,
    KnowsGuests,
    LimitsUsers,
    Message,
    Move,
    MovesGuests,
    Seating,
)
from assignments.integration.model_host import ModelHost
from assignments.integration.watched import Watch

__all__ = [
    "FindsRestaurants",
    "Guest",
    "Host",
    "HostBooking",
    "KnowsGuests",
    "LimitsUsers",
    "Message",
    "ModelHost",
    "Move",
    "MovesGuests",
    "Seating",
    "Watch",
]
