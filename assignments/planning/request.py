"""A request to the planner."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatingRequest:
    """A booking, as input for planning.

    ``starts_at``: aware datetime. ``ends_at``: if the host has it, replaces the turn time.
    ``zone_ref``: the required zone. ``pinned_table_refs``: the required tables.
    ``requested_at``: time of the request. Earlier requests come first.
    ``current_table_refs``: the tables that the booking has, if it is asked what else it could have.
    ``needs``: features that each of its tables must have; ``wishes``: those that they had better have.
    ``promised_party``: the covers that it has been promised a seat for at this very start, which pacing cannot take back.
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
