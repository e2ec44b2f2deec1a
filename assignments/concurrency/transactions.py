"""Short transactions that are retried after a conflict."""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from psycopg.pq import TransactionStatus

from assignments import conf
from assignments.concurrency import clock
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
from assignments.models.allocation import NOT_WHILE_CLOSED

logger = logging.getLogger("assignments.transactions")

_T = TypeVar("_T")

EXCLUSION_VIOLATION = "23P01"
DEADLOCK = "40P01"
SERIALIZATION_FAILURE = "40001"
LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
_LOST_RACES = (TableTakenError, StaleAssignmentError, BookingBusyError)
RETRYABLE = frozenset({DEADLOCK, SERIALIZATION_FAILURE, LOCK_NOT_AVAILABLE})
"""SQLSTATEs of conflicts that a retry can resolve.

The ledger's own 23P01 is a TableTakenError; any other is not retried.
"""

IDLE_TIMEOUT_MS = 4000
"""How long a transaction of ours may be idle. PostgreSQL then ends it, and nobody waits any longer for its locks."""
THINKING_TIMEOUT_MS = 60_000
"""The same where a planner thinks while the transaction is open, and nobody waits for its locks."""

SET_LIMITS = (
    "set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true),"
    " set_config('idle_in_transaction_session_timeout', %s, true)"
)
"""Columns of a SELECT that limits its transaction; its parameters are ``Limits.values``."""
SETS_IDLE_TIMEOUT = "SET LOCAL idle_in_transaction_session_timeout = "
"""The same in a statement without parameters; the limits of statements and locks belong beside it."""

repeated: Counter[str] = Counter()
"""Retries of transactions in this process, by SQLSTATE."""


def database_now() -> datetime:
    """Return the time of the database clock, which decides what is due."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0] + clock.offset()  # type: ignore[no-any-return]


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of a Django database error, or None."""
    return getattr(error.__cause__, "sqlstate", None)


def is_lost_race(error: BaseException) -> bool:
    """Return whether the error is a conflict that a retry can resolve."""
    return isinstance(error, _LOST_RACES) or sqlstate(error) in RETRYABLE


def is_overlap(error: BaseException) -> bool:
    """Return whether the ledger refused the write: the tables are taken, or closed."""
    diagnostics = getattr(error.__cause__, "diag", None)
    refused_by = {NO_OVERLAP_CONSTRAINT, NOT_WHILE_CLOSED}
    return sqlstate(error) == EXCLUSION_VIOLATION and diagnostics.constraint_name in refused_by  # type: ignore[union-attr]


def is_database_away(error: BaseException) -> bool:
    """Return whether the database itself is unavailable, so that continuing is pointless.

    Call it after the failed transaction has ended. Errors of another database of the host do not count.
    """
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return connection.connection is None or not connection.is_usable()


def require_intact() -> None:
    """Raise BrokenTransactionError if this transaction can no longer be committed.

    That is so if, for example, a host's callback caught a database error and continued. PostgreSQL then turns COMMIT
    into a rollback without an error. Makes no query.
    """
    status = connection.connection.info.transaction_status if connection.connection is not None else None
    if connection.needs_rollback or status == TransactionStatus.INERROR:
        raise BrokenTransactionError


def guard_commit_hooks() -> None:
    """Make the commit hooks robust against each other. Call it at the end of the transaction.

    Otherwise a host's hook (a mail, a task) that raises would prevent all later ones and look like a failed
    transaction, although everything was stored.
    """
    waiting: list[Any] = connection.run_on_commit  # the stubs declare two of an entry's three values
    connection.run_on_commit = [(sids, partial(_run_hook, hook), robust) for sids, hook, robust in waiting]  # type: ignore[misc]


def _run_hook(hook: Callable[[], object]) -> None:
    try:
        hook()
    except Exception as error:  # noqa: BLE001  (logged by type, never the message: it may name a guest)
        name = getattr(hook, "__qualname__", type(hook).__name__)
        log_error(logger, error, "The commit hook %s failed", name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Time limits of a transaction in milliseconds; by default those of the settings, and IDLE_TIMEOUT_MS."""

    statement: int | None = None
    lock: int | None = None
    idle: int | None = None

    def values(self) -> list[str]:
        settings = conf.settings()
        return [
            str(self.lock or settings.LOCK_TIMEOUT_MS),
            str(self.statement or settings.STATEMENT_TIMEOUT_MS),
            str(self.idle or IDLE_TIMEOUT_MS),
        ]


@dataclass(kw_only=True)
class _First:
    """Wraps the statements of one transaction of ours, and sets its limits before the first.

    That takes no query if the first statement sets them itself, as those that lock a day do. ``is_retried``: ``run`` has
    opened the transaction. Commit hooks run after it, without this.
    """

    limits: Limits
    is_retried: bool = False
    is_limited: bool = False

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        sets_limits = SET_LIMITS in sql or SETS_IDLE_TIMEOUT in sql
        # A statement that only sets something takes no lock, and isolation must be set before the first query.
        if not self.is_limited and (sets_limits or not sql.startswith("SET ")):
            self.is_limited = True
            if not sets_limits:
                with connection.cursor() as cursor:
                    cursor.execute(f"SELECT {SET_LIMITS}", self.limits.values())
        return execute(sql, params, many, context)


@contextmanager
def atomic(*, limits: Limits = Limits()) -> Iterator[None]:
    """Open a transaction whose first statement limits lock waits, statements and idleness.

    So the transaction of a process that hangs ends by itself, and all others go on. Inside another transaction it is a
    savepoint, and the outer limits apply. All transactions of this app are opened here, or by ``run``.
    """
    if connection.in_atomic_block:
        with transaction.atomic():
            yield
        return
    with transaction.atomic(), connection.execute_wrapper(_First(limits=limits)):
        yield


def _ours() -> _First | None:
    """Return what limits the current transaction, if this app has opened it."""
    return next((each for each in connection.execute_wrappers if isinstance(each, _First)), None)


def run(work: Callable[[], _T], *, deadline: float | None = None, retries: int | None = None) -> _T:
    """Run ``work`` in its own transaction, with its limits, and retry it after a conflict, at most ``retries`` times.

    The default for ``retries`` is ``TRANSACTION_RETRIES``. ``deadline`` is a ``time.monotonic()`` value; after it there
    are no retries, and a cancelled statement raises TimeBudgetExceededError. Raises NestedTransactionError inside
    another transaction, which could not be retried, and BrokenTransactionError (see ``require_intact``).
    """
    tries = conf.settings().TRANSACTION_RETRIES if retries is None else retries
    for number in range(tries + 1):
        has_begun = False
        try:
            first = _First(limits=Limits(), is_retried=True)
            with transaction.atomic(durable=True), connection.execute_wrapper(first):
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


def is_retried() -> bool:
    """Return whether ``run`` has opened the current transaction, so that it may fail, and is then retried."""
    ours = _ours()
    return ours is not None and ours.is_retried


def refuse_nesting() -> None:
    """Raise NestedTransactionError inside a transaction, because what follows runs its own transactions."""
    around = connection.atomic_blocks
    # A test case's transaction does not count as the caller's, as for ``atomic(durable=True)``.
    if around and not getattr(around[-1], "_from_testcase", False):
        raise NestedTransactionError


@contextmanager
def read_only(*, limits: Limits = Limits()) -> Iterator[None]:
    """Open a read-only transaction for planning.

    Any write raises InternalError (ReadOnlySqlTransaction).
    """
    with atomic(limits=replace(limits, idle=limits.idle or THINKING_TIMEOUT_MS)):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute("SELECT 1")  # After a query the transaction can no longer be made writable.
        yield


def limit_statements(milliseconds: int) -> None:
    """Limit the duration and lock waits of further statements in the caller's transaction, and its idleness if it is ours.

    Rolling back to an earlier savepoint restores the earlier limits.
    """
    require_transaction()
    lock, statement, idle = Limits(statement=milliseconds, lock=milliseconds).values()
    with connection.cursor() as cursor:
        if _ours() is not None:
            cursor.execute(f"SELECT {SET_LIMITS}", [lock, statement, idle])
        else:
            cursor.execute(
                "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
                [lock, statement],
            )


def stay_awake() -> None:
    """Make a query during long planning, so that the transaction does not count as idle."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def require_transaction() -> None:
    """Raise unless there is an open transaction, in which the following must commit."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("This must run inside the caller's transaction.atomic() block.")
