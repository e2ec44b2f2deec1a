"""Every error that this app raises on purpose. The first line of a docstring is the default message."""

from collections.abc import Iterable
from typing import Any


class AssignmentsError(Exception):
    """Something went wrong while assigning a table."""

    def __init__(self, message: str | None = None, **context: Any) -> None:
        self.context = context
        super().__init__(message or (self.__doc__ or "").splitlines()[0])


class BookingNotFoundError(AssignmentsError):
    """The host does not know this booking."""


class AssignmentNotFoundError(AssignmentsError):
    """No assignment was ever requested for this booking."""


class InvalidBookingError(AssignmentsError):
    """The host gave a booking that cannot be planned."""


class StaleAssignmentError(AssignmentsError):
    """Somebody else changed the assignment meanwhile; read it again and decide anew."""

    def __init__(self, booking_refs: Iterable[str]) -> None:
        self.booking_refs = tuple(booking_refs)
        super().__init__(
            f"Somebody else changed the assignment of booking {', '.join(self.booking_refs)} meanwhile; "
            "read it again and decide anew."
        )


class ChangedMeanwhileError(AssignmentsError):
    """Somebody changed the booking's assignment since it was looked at; look again, and decide anew."""


class TransitionRefusedError(AssignmentsError):
    """The state machine has no such transition."""


class TableTakenError(AssignmentsError):
    """One of the tables is already taken over this time."""


class TablesRefusedError(AssignmentsError):
    """These tables may not be assigned to this booking."""

    def __init__(self, message: str, refusals: tuple[Any, ...]) -> None:
        self.refusals = refusals
        super().__init__(message)


class HoldExpiredError(AssignmentsError):
    """The hold has expired or was released; take a new one."""


class LockContentionError(AssignmentsError):
    """Somebody else is working on this booking or this restaurant-day; try again."""


class BookingBusyError(AssignmentsError):
    """The host's booking is being edited right now; try again."""


class NestedTransactionError(AssignmentsError, RuntimeError):
    """This runs a transaction of its own, and again if it loses a race: call it outside of one, after commit."""


class BrokenTransactionError(AssignmentsError):
    """A database error was swallowed in this transaction, so nothing of it can be stored: look at the host's callbacks."""


class TimeBudgetExceededError(AssignmentsError):
    """The time budget was used up before a decision; the booking stays pending."""
