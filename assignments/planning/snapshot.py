"""The snapshot: all input of a decision."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow


@dataclass(frozen=True, kw_only=True, slots=True)
class Occupied:
    """A table occupied for ``[blocked_from, blocked_until)``, with buffers, and its booking.

    ``closed``: it is closed then, and no booking has it. ``party`` (covers) sits for ``[starts_at, ends_at)``; known
    only if the floor's pacing counts them. ``is_wish``: the booking asks for it, and pacing counts it beside what the
    booking has until then.
    """

    table_ref: str
    blocked_from: datetime
    blocked_until: datetime
    booking_ref: str | None = None
    closed: bool = False
    party: int = 0
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    is_wish: bool = False


def occupied_by(
    booking_ref: str, table_refs: Iterable[str], window: SeatingWindow, *, party: int = 0, is_wish: bool = False
) -> list[Occupied]:
    """Return the occupied tables of a booking. ``party``: its covers, if the floor's pacing counts them."""
    return [
        Occupied(
            table_ref=ref,
            blocked_from=window.blocked_from,
            blocked_until=window.blocked_until,
            booking_ref=booking_ref,
            party=party,
            starts_at=window.starts_at if party else None,
            ends_at=window.ends_at if party else None,
            is_wish=is_wish,
        )
        for ref in table_refs
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Movable:
    """A confirmed party that has not been told its table, and may be moved. It never loses its promised seat.

    ``window``: the promised stay. ``party``: covers. ``zone_ref``: the requested zone, if any. ``needs`` and
    ``wishes``: as requested. ``table_refs``: its current tables, which are in ``occupied`` as well, under its ref.
    """

    booking_ref: str
    table_refs: tuple[str, ...]
    window: SeatingWindow
    party: int
    zone_ref: str | None = None
    needs: frozenset[str] = frozenset()
    wishes: frozenset[str] = frozenset()

    def request(self) -> SeatingRequest:
        """Return a request for what it was promised."""
        return SeatingRequest(
            booking_ref=self.booking_ref,
            starts_at=self.window.starts_at,
            ends_at=self.window.ends_at,
            party=self.party,
            zone_ref=self.zone_ref,
            needs=self.needs,
            wishes=self.wishes,
        )


DEFAULT_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "optimal_fit": 40.0,
        "adjacency": 20.0,
        "zone_preference": 15.0,
        "load_balancing": 10.0,
        "historical_success": 5.0,
        "wishes": 12.0,
        "keep_free": 1.5,
        "priority": 6.0,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanningRules:
    """The limits and weights of a decision.

    Counts are seats and tables. ``min_lead_minutes``: minutes before the start. ``grace_minutes``: how long ago a start
    may be to count as now. ``weights``: see ``scoring``. ``is_paced``: whether the floor's pacing holds.
    """

    max_spare_seats: int = 4
    max_tables: int = 3
    min_lead_minutes: int = 0
    max_party: int = 1000
    ranked_plans: int = 5
    weights: Mapping[str, float] = field(default_factory=lambda: DEFAULT_WEIGHTS)
    grace_minutes: int = 0
    is_paced: bool = True

    def by_staff(self) -> "PlanningRules":
        """Return the rules for staff, walk-ins included, without a minimum lead time."""
        return replace(self, min_lead_minutes=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """Floor, occupancy, request and time. The same snapshot always gives the same decision.

    ``occupied`` does not contain the request's own tables, which it may keep. It contains tables that are closed.

    ``success``: by table ref, the share (0..1) of past seatings that were kept. A table without an entry is neutral.
    """

    floor: Floor
    occupied: tuple[Occupied, ...]
    request: SeatingRequest
    now: datetime
    rules: PlanningRules = field(default_factory=PlanningRules)
    success: Mapping[str, float] = field(default_factory=dict)

    @property
    def closures(self) -> tuple[Occupied, ...]:
        """Return the tables that are closed, and when."""
        return tuple(each for each in self.occupied if each.closed)
