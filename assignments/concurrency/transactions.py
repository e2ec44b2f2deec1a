"""Transactions of our own: short, whole, and run again when they lose a race."""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from psycopg.pq import TransactionStatus

from assignments import conf
from assignments.error_logging import log_error
from assignments.exceptions import (
    BookingBusyError,
    BrokenTransactionError,
    NestedTransactionError,
    StaleAssignmentError,
    TableTakenError,
    TimeBudgetExceededError,
)
from assignments.models import NO_OVERLAP_CONSTRAINT

logger = logging.getLogger("assignments.transactions")

_T = TypeVar("_T")

EXCLUSION_VIOLATION = "23P01"
DEADLOCK = "40P01"
SERIALIZATION_FAILURE = "40001"
LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
_LOST_RACES = (TableTakenError, StaleAssignmentError, BookingBusyError)
RETRYABLE = frozenset({DEADLOCK, SERIALIZATION_FAILURE, LOCK_NOT_AVAILABLE})
"""SQLSTATEs of lost races. The ledger's own 23P01 is a TableTakenError; anybody else's is no race that passes."""

repeated: Counter[str] = Counter()
"""How often a transaction of this process was run again, by SQLSTATE."""


def database_now() -> datetime:
    """The database's clock: it decides what is due."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]


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


def guard_commit_hooks() -> None:
    """Have everything that waits for this commit run whatever another of it does: call it at the transaction's end.

    A host's hook (a mail, a task) that raises would else drop all that come after it, and look like a failed transaction
    when everything was stored.
    """
    waiting: list[Any] = connection.run_on_commit  # the stubs know two of an entry's three values
    connection.run_on_commit = [(sids, partial(_run_hook, hook), robust) for sids, hook, robust in waiting]  # type: ignore[misc]


def _run_hook(hook: Callable[[], object]) -> None:
    try:
        hook()
    except Exception as error:  # noqa: BLE001  (logged by type, never the message: it may name a guest)
        name = getattr(hook, "__qualname__", type(hook).__name__)
        log_error(logger, error, "A hook that waited for the commit, %s, failed", name)


def run(work: Callable[[], _T], *, deadline: float | None = None, retries: int | None = None) -> _T:
    """Run ``work`` in a transaction of its own, and again when it lost a race: at most ``retries`` times, else as often as
    ``TRANSACTION_RETRIES`` says.

    ``deadline`` is a ``time.monotonic()`` moment: past it a lost race is not run again, and a statement that the
    database cancelled raises TimeBudgetExceededError. Raises NestedTransactionError inside another transaction:
    only a whole transaction can be run again; and BrokenTransactionError, see ``require_intact``.
    """
    tries = conf.settings().TRANSACTION_RETRIES if retries is None else retries
    for number in range(tries + 1):
        has_begun = False
        try:
            with transaction.atomic(durable=True):
                has_begun = True
                result = work()
                require_intact()
                guard_commit_hooks()
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
            repeated[sqlstate(error) or type(error).__name__] += 1
        time.sleep(random.uniform(0.005, 0.02) * (number + 1))
    raise AssertionError("unreachable")


def refuse_nesting() -> None:
    """Raise NestedTransactionError inside a transaction: what follows runs transactions of its own."""
    around = connection.atomic_blocks
    # A test case's own transaction is none of the caller's, as to ``atomic(durable=True)``.
    if around and not getattr(around[-1], "_from_testcase", False):
        raise NestedTransactionError


@contextmanager
def read_only() -> Iterator[None]:
    """A transaction in which PostgreSQL refuses every write (ReadOnlySqlTransaction, as InternalError), whoever tries."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute("SELECT 1")  # From here on the transaction cannot be made writable.
        yield


def limit_statements(milliseconds: int, *, lock_timeout_ms: int | None = None) -> None:
    """Have each further statement of the caller's transaction cancelled that takes longer, or waits for a lock longer than
    ``lock_timeout_ms``. Rolling back to a savepoint from before gives the limits from before back."""
    require_transaction()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true)",
            [str(milliseconds), str(milliseconds if lock_timeout_ms is None else lock_timeout_ms)],
        )


def require_transaction() -> None:
    """Raise unless the caller has a transaction open: what follows must commit together with the caller's change."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("This must run inside the caller's transaction.atomic() block.")
