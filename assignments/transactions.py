"""Transactions of our own: short, whole, and run again when they lose a race."""

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from psycopg.pq import TransactionStatus

from assignments import conf
from assignments.exceptions import (
    BookingBusyError,
    BrokenTransactionError,
    NestedTransactionError,
    StaleAssignmentError,
    TableTakenError,
    TimeBudgetExceededError,
)
from assignments.models import NO_OVERLAP_CONSTRAINT

_T = TypeVar("_T")

EXCLUSION_VIOLATION = "23P01"
DEADLOCK = "40P01"
SERIALIZATION_FAILURE = "40001"
LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
_LOST_RACES = (TableTakenError, StaleAssignmentError, BookingBusyError)
RETRYABLE = frozenset({DEADLOCK, SERIALIZATION_FAILURE, LOCK_NOT_AVAILABLE})
"""SQLSTATEs of lost races. The ledger's own 23P01 is a TableTakenError; anybody else's is no race that passes."""

retries: Counter[str] = Counter()
"""How often a transaction of this process was run again, by SQLSTATE."""


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE behind a Django database error, or None."""
    return getattr(error.__cause__, "sqlstate", None)


def is_lost_race(error: BaseException) -> bool:
    """Whether running the same transaction again may well succeed: somebody else was faster, no more."""
    return isinstance(error, _LOST_RACES) or sqlstate(error) in RETRYABLE


def is_overlap(error: BaseException) -> bool:
    """Whether the ledger's exclusion constraint refused the write."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return sqlstate(error) == EXCLUSION_VIOLATION and diagnostics.constraint_name == NO_OVERLAP_CONSTRAINT  # type: ignore[union-attr]


def is_database_away(error: BaseException) -> bool:
    """Whether the database itself cannot be reached any more, so that going on is of no use.

    Ask after the failed transaction has ended. An error of a host's other database is the host's, not this.
    """
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return connection.connection is None or not connection.is_usable()


def require_intact() -> None:
    """Raise BrokenTransactionError when what was written in this transaction could not be committed any more.

    Somebody in it (a host's callback) caught a database error and went on: PostgreSQL then answers COMMIT with a rollback,
    without an error. Costs no query.
    """
    status = connection.connection.info.transaction_status if connection.connection is not None else None
    if connection.needs_rollback or status == TransactionStatus.INERROR:
        raise BrokenTransactionError


def run(work: Callable[[], _T], *, deadline: float | None = None) -> _T:
    """Run ``work`` in a transaction of its own, and again (at most ``TRANSACTION_RETRIES`` times) when it lost a race.

    ``deadline`` is a ``time.monotonic()`` moment: past it a lost race is not run again, and a statement that the
    database cancelled raises TimeBudgetExceededError. Raises NestedTransactionError inside another transaction:
    only a whole transaction can be run again; and BrokenTransactionError, see ``require_intact``.
    """
    tries = conf.settings().TRANSACTION_RETRIES
    for number in range(tries + 1):
        has_begun = False
        try:
            with transaction.atomic(durable=True):
                has_begun = True
                result = work()
                require_intact()
                return result
        except RuntimeError as error:
            if has_begun:
                raise
            raise NestedTransactionError from error
        except (DatabaseError, *_LOST_RACES) as error:
            if deadline is not None and sqlstate(error) == QUERY_CANCELED:
                raise TimeBudgetExceededError from error
            out_of_time = deadline is not None and time.monotonic() >= deadline
            if not is_lost_race(error) or number == tries or out_of_time:
                raise
            retries[sqlstate(error) or type(error).__name__] += 1
        time.sleep(random.uniform(0.005, 0.02) * (number + 1))
    raise AssertionError("unreachable")


def require_transaction() -> None:
    """Raise unless the caller has a transaction open: what follows must commit together with the caller's change."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("This must run inside the caller's transaction.atomic() block.")
