"""Why a booking was not given a table, or a set of tables was refused.

Waiting never cures a *hard* reason: no set of tables could ever seat the request as it is. Such a booking goes to
manual review at once. Waiting may cure a *soft* reason (somebody cancels, a worker frees a lock), so the booking is
tried again.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from assignments.planning.text import Text, together


class Reason(StrEnum):
    """Stable codes: stored with every attempt and transition, shown to staff, counted by metrics. Never reuse one."""

    # The request itself is wrong.
    INVALID_PARTY = "invalid_party"
    INVALID_START = "invalid_start"
    STARTS_IN_PAST = "starts_in_past"
    # No set of tables could ever seat the party.
    START_TOO_NEAR = "start_too_near"
    OUTSIDE_SERVICE = "outside_service"
    SERVICE_OVERRUN = "service_overrun"
    NO_TABLES = "no_tables"
    PARTY_TOO_LARGE = "party_too_large"
    NO_FIT = "no_fit"
    NEEDS = "needs"
    CLOSED = "closed"
    PINNED_TABLES_UNFIT = "pinned_tables_unfit"
    # Somebody else sits there, for now.
    NO_CAPACITY = "no_capacity"
    PINNED_TABLES_TAKEN = "pinned_tables_taken"
    PACING = "pacing"
    # Why one set of tables lost (given with a refusal, never an outcome by itself).
    UNKNOWN_TABLE = "unknown_table"
    TABLE_REPEATED = "table_repeated"
    TABLE_INACTIVE = "table_inactive"
    TOO_FEW_SEATS = "too_few_seats"
    TOO_MANY_SPARE_SEATS = "too_many_spare_seats"
    PARTY_OUTSIDE_TABLE_LIMITS = "party_outside_table_limits"
    TOO_MANY_TABLES = "too_many_tables"
    ZONES_DIFFER = "zones_differ"
    NOT_ADJACENT = "not_adjacent"
    WRONG_ZONE = "wrong_zone"
    TABLE_TAKEN = "table_taken"
    MORE_TABLES_THAN_NEEDED = "more_tables_than_needed"
    BUFFER = "buffer"


INVALID_REASONS = frozenset({Reason.INVALID_PARTY, Reason.INVALID_START, Reason.STARTS_IN_PAST})
"""The request is wrong in itself: the assignment fails, and says what has to be mended."""

HARD_REASONS = frozenset(
    {
        Reason.START_TOO_NEAR,
        Reason.OUTSIDE_SERVICE,
        Reason.SERVICE_OVERRUN,
        Reason.NO_TABLES,
        Reason.PARTY_TOO_LARGE,
        Reason.NO_FIT,
        Reason.NEEDS,
        Reason.CLOSED,
        Reason.PINNED_TABLES_UNFIT,
    }
)
"""Waiting cannot help: to manual review at once."""
SOFT_REASONS = frozenset({Reason.NO_CAPACITY, Reason.PINNED_TABLES_TAKEN, Reason.PACING})
"""Waiting may help: tried again, and to manual review after the last try."""

PREFERENCES = frozenset({Reason.TOO_MANY_SPARE_SEATS, Reason.PARTY_OUTSIDE_TABLE_LIMITS, Reason.TOO_MANY_TABLES})
"""Rules for planners that staff may override. Every guest still has a seat, in the right zone, at a free table."""

ABOUT_TIME = frozenset({Reason.OUTSIDE_SERVICE, Reason.SERVICE_OVERRUN, Reason.START_TOO_NEAR, Reason.STARTS_IN_PAST})
"""Rules about the time itself. They do not count against guests who sit already."""

PHYSICAL_REASONS = frozenset({Reason.UNKNOWN_TABLE, Reason.TABLE_REPEATED, Reason.TABLE_TAKEN})
"""Nobody can pass over these: there is no such table, or somebody else has it."""
OVERRIDABLE = frozenset(Reason) - PHYSICAL_REASONS - INVALID_REASONS
"""Everything that staff may override by name."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason, and a sentence that names the values at fault (tables, party, minutes), for staff to read.

    ``because``: the reasons behind this one.
    """

    reason: Reason
    text: Text
    because: tuple["Refusal", ...] = ()

    @property
    def detail(self) -> Text:
        """Return the whole sentence."""
        return together([self.text, *(refusal.detail for refusal in self.because)])

    @property
    def is_hard(self) -> bool:
        return self.reason in HARD_REASONS

    @property
    def is_invalid(self) -> bool:
        return self.reason in INVALID_REASONS

    def to_json(self) -> dict[str, Any]:
        """Return what is stored of the refusal; ``Text.from_json`` reads it."""
        return {
            "reason": self.reason,
            "text": self.text.template,
            "values": dict(self.text.values),
            "because": [refusal.to_json() for refusal in self.because],
        }
