"""The outcome of a planner's decision on one booking."""

from dataclasses import dataclass
from enum import StrEnum

from assignments.planning.reasons import Reason

__all__ = ["Change", "CoordinatorReason", "Extension", "Kind", "Noop", "Outcome", "Reason", "noop"]


class Kind(StrEnum):
    """The kind of an outcome."""

    CONFIRMED = "confirmed"
    """The booking has its tables."""
    RETRY = "retry"
    """It has none yet, and is tried again after ``delay_seconds``."""
    MANUAL_REVIEW = "manual_review"
    """Staff decide: it is in the review queue."""
    NOOP = "noop"
    """Nothing was done, for one of the reasons of ``Noop``."""
    FAILED = "failed"
    """It cannot be planned as it is: the booking itself has to be corrected."""


class Noop(StrEnum):
    """Reasons for doing nothing."""

    PIPELINE_DISABLED = "pipeline_disabled"
    LOCK_CONTENTION = "lock_contention"
    BOOKING_NOT_FOUND = "booking_not_found"
    TERMINAL_STATE = "terminal_state"


class CoordinatorReason(StrEnum):
    """Reasons from the coordinator, in addition to those in ``assignments.planning.reasons``.

    After any but the first three and the last, the booking is retried.
    """

    INVALID_BOOKING = "invalid_booking"
    CONFIRMED_BY_HOST = "confirmed_by_host"
    STARTED_UNDECIDED = "started_undecided"
    CIRCUIT_OPEN = "circuit_open"
    BOOKING_BUSY = "booking_busy"
    BOOKING_MOVED = "booking_moved"
    TABLE_TAKEN = "table_taken"
    INVALID_FLOOR = "invalid_floor"
    TIME_BUDGET_EXCEEDED = "time_budget_exceeded"
    UNEXPECTED_ERROR = "unexpected_error"
    REFUSED_BY_HOST = "refused_by_host"
    POISONOUS = "poisonous"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One of confirmed(strategy, tables), retry(reason, delay), manual_review(reason), noop(reason), failed(reason).

    ``delay_seconds``: seconds until the next try, for a retry. ``decision_ms``: planning time in milliseconds.
    ``unexpected``: an unexpected error led to it; the run continues, and ends with exit code 1. ``passed``: bookings
    that asked earlier and could have had the tables that staff gave to this one.
    """

    booking_ref: str
    kind: Kind
    planner: str = ""
    reason: str = ""
    detail: str = ""
    strategy: str = ""
    table_refs: tuple[str, ...] = ()
    delay_seconds: float = 0.0
    decision_ms: float = 0.0
    party: int = 0
    unexpected: bool = False
    passed: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.kind:
            case Kind.CONFIRMED:
                what = f"confirmed at {' + '.join(self.table_refs)} ({self.strategy})"
            case Kind.RETRY:
                what = f"retry in {self.delay_seconds:.1f} s ({self.reason})"
            case _:
                what = f"{self.kind.value} ({self.reason})"
        return f"{self.booking_ref}: {what}"


def noop(booking_ref: str, reason: Noop, *, planner: str = "", detail: str = "") -> Outcome:
    return Outcome(booking_ref=booking_ref, kind=Kind.NOOP, planner=planner, reason=reason, detail=detail)


def unstored(booking_ref: str, error_type: str, *, planner: str) -> Outcome:
    """Return the outcome of a booking after an error that could not be stored: it is unchanged, and still due."""
    return Outcome(
        booking_ref=booking_ref,
        kind=Kind.RETRY,
        planner=planner,
        reason=CoordinatorReason.UNEXPECTED_ERROR,
        detail=error_type,
        unexpected=True,
    )


class Change(StrEnum):
    """The effect of a change in the host, as ``api.booking_changed`` returns it."""

    NOTHING = "nothing"
    """The promise stands: the guest asks for nothing else."""
    REQUESTED = "requested"
    """The booking waits for a table, and is due."""
    KEPT = "kept"
    """The guests stay at their tables, for what they ask for now."""
    MOVED = "moved"
    """The guests have other tables, for what they ask for now."""
    TO_STAFF = "to_staff"
    """It cannot be met, or not without staff. The guests keep the tables that they have until staff decide."""
    RESTORED = "restored"
    """The guests have withdrawn their change, so staff need not decide."""
    CANCELLED = "cancelled"
    """The booking no longer needs a table."""
    LATER = "later"
    """Another process is working on the restaurant-day: the next pass follows the change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extension:
    """The effect of a longer or shorter stay, as ``api.extend`` returns it.

    ``passed``: bookings that asked earlier and could have had the tables that these guests, or those who make way for
    them, have now.
    """

    change: Change
    passed: tuple[str, ...] = ()
