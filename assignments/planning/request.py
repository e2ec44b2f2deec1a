"""A request to the planner."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatingRequest:
    """A booking, as input for planning.

    ``starts_at``: aware datetime. ``ends_at``: aware datetime; replaces the turn time if the host has it. ``zone_ref``:
    the required zone. ``pinned_table_refs``: the required tables. ``requested_at``: when it was requested; earlier
    requests come first. ``current_table_refs``: the tables that the booking has, when other tables are sought for it.
    ``needs``: features that each of its tables must have. ``wishes``: features that they should have if possible.
    ``promised_party``: covers with a promise for exactly this start, which pacing cannot take back.
    """

    booking_ref: str
    starts_at: datetime
    party: int
    ends_at: datetime | None = None
    zone_ref: str | None = None
    requested_at: datetime | None = None
    pinned_table_refs: tuple[str, ...] = ()
    current_table_refs: tuple[str, ...] = ()
    promised_party: int = 0
    needs: frozenset[str] = frozenset()
    wishes: frozenset[str] = frozenset()
