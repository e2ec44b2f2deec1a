"""What is asked of the planner: one party, at one time."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatingRequest:
    """One booking as planning sees it.

    ``starts_at`` is an aware datetime. ``ends_at``, where the host knows it, replaces the turn time.
    ``zone_ref`` locks the party to a zone; ``pinned_table_refs`` to exactly these tables.
    ``requested_at`` is when the guest booked: who asked first is served first.
    """

    booking_ref: str
    starts_at: datetime
    party: int
    ends_at: datetime | None = None
    zone_ref: str | None = None
    requested_at: datetime | None = None
    pinned_table_refs: tuple[str, ...] = ()
