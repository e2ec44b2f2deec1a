"""The exceptions of this app. The first line of a docstring is the default message."""

from collections.abc import Iterable
from typing import Any


class AssignmentsError(Exception):
    """Table assignment failed."""

    def __init__(self, message: str | None = None, **context: Any) -> None:
        self.context = context
        super().__init__(message or (self.__doc__ or "").splitlines()[0])


class BookingNotFoundError(AssignmentsError):
    """The host does not know this booking."""


class AssignmentNotFoundError(AssignmentsError):
    """No assignment has been requested for this booking."""


class InvalidBookingError(AssignmentsError):
    """The host returned a booking that cannot be planned."""


class StaleAssignmentError(AssignmentsError):
    """The assignment has changed since it was read; read it again and decide again."""

    def __init__(self, booking_refs: Iterable[str]) -> None:
        self.booking_refs = tuple(booking_refs)
        super().__init__(
            f"The assignment of booking {', '.join(self.booking_refs)} has changed since it was read; read it again "
            f"and decide again."
        )


class ChangedMeanwhileError(AssignmentsError):
    """The booking's assignment has changed since it was shown; check it and decide again."""


class TransitionRefusedError(AssignmentsError):
    """The state machine has no such transition."""


class TableTakenError(AssignmentsError):
    """One of the tables is already occupied at this time."""


class TablesRefusedError(AssignmentsError):
    """These tables may not be assigned to this booking."""

    def __init__(self, message: str, refusals: tuple[Any, ...]) -> None:
        self.refusals = refusals
        super().__init__(message)


class HostRefusedError(AssignmentsError):
    """The booking project's database refuses these tables for this booking; see its constraints."""


class MovesRefusedError(AssignmentsError):
    """The host raised when it was told that confirmed bookings change tables. Nobody may be moved then."""


class NoTableFreeError(AssignmentsError):
    """No table is free for these guests now.

    ``wait_minutes``: in how many minutes there will be one; None if not within three hours. ``table_refs``: tables that are
    free if staff pass over what is ``against`` them; empty if there are none.
    """

    def __init__(
        self,
        message: str,
        wait_minutes: int | None,
        *,
        table_refs: tuple[str, ...] = (),
        against: Iterable[Any] = (),
    ) -> None:
        self.wait_minutes = wait_minutes
        self.table_refs = table_refs
        self.against = tuple(against)
        super().__init__(message)


class ClosureNotFoundError(AssignmentsError):
    """There is no such closure."""


class ClosureLiftedError(AssignmentsError):
    """The closure has been lifted already; add a new one."""


class HoldExpiredError(AssignmentsError):
    """The hold has expired or was released; place a new one."""


class LockContentionError(AssignmentsError):
    """Another process is working on this booking or restaurant-day; try again."""


class BookingBusyError(AssignmentsError):
    """The host's booking is being edited right now; try again."""


class DayBusyError(BookingBusyError):
    """Another process is working on this restaurant-day, and the caller's transaction has waited long enough."""


class CallbackTooSlowError(AssignmentsError):
    """A callback of the host took longer than ``CALLBACK_SECONDS``."""


class NestedTransactionError(AssignmentsError, RuntimeError):
    """This runs and retries its own transaction; call it outside of any other, after commit."""


class BrokenTransactionError(AssignmentsError):
    """A database error was suppressed in this transaction, so it cannot be committed; check the host's callbacks."""


class TimeBudgetExceededError(AssignmentsError):
    """The time budget ran out before a decision; the booking stays pending."""
