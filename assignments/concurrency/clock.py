"""One source of "now" for Python and SQL, which tests and demonstrations can move.

SQL asks ``assignments_now()``, Python ``now()`` or ``transactions.database_now()``. All of them follow ``shifted`` and
``at``, so a whole evening can be played in seconds. A moved clock still ticks.

It is moved only for the current thread and its connection. The offset is a setting of PostgreSQL that ends with the
transaction (``assignments.clock_offset``, in seconds), so that no other client of a pooler ever sees it. While the
clock is moved, each transaction takes one query more.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from psycopg.pq import TransactionStatus

from assignments import conf
from assignments.models.moment import moved, process_now

_SET = "SET LOCAL assignments.clock_offset = '{seconds}'"
"""A SET is no query yet: after it the isolation level can still be set."""

_telling: ContextVar[bool] = ContextVar("telling", default=False)


def offset() -> timedelta:
    """Return how far this thread's clock is moved; zero unless it is."""
    return moved.by


def now() -> datetime:
    """Return the time by this process's clock, aware, in UTC. Decisions of the database use its own clock."""
    return process_now()


@contextmanager
def shifted(by: timedelta) -> Iterator[None]:
    """Move the clock by this much, in addition to any earlier move.

    Raises ImproperlyConfigured unless ``ASSIGNMENTS["MOVABLE_CLOCK"]`` is set, which belongs in development and tests only.
    """
    if not conf.settings().MOVABLE_CLOCK:
        raise ImproperlyConfigured(
            f"The clock cannot be moved here: {conf.NAME}['MOVABLE_CLOCK'] is off. Set it in development and tests only."
        )
    before = moved.by
    moved.by = before + by
    try:
        _tell_open_transaction()
        with connection.execute_wrapper(_tell_transaction):
            yield
    finally:
        moved.by = before
        _tell_open_transaction()


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Move the clock to ``moment`` (aware), from which it ticks on. Raises as ``shifted`` does."""
    with shifted(moment - now()):
        yield


def _tell_transaction(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run a statement, telling its transaction the offset first if needed."""
    if _telling.get() or _status() != TransactionStatus.IDLE:
        return execute(sql, params, many, context)
    if connection.in_atomic_block or not connection.get_autocommit():
        _tell()  # The transaction's first statement.
        return execute(sql, params, many, context)
    with transaction.atomic():
        _tell()
        return execute(sql, params, many, context)


def _tell_open_transaction() -> None:
    if _status() == TransactionStatus.INTRANS:
        _tell()


def _tell() -> None:
    before = _telling.set(True)
    try:
        with connection.cursor() as cursor:
            cursor.execute(_SET.format(seconds=offset().total_seconds()))
    finally:
        _telling.reset(before)


def _status() -> TransactionStatus | None:
    if connection.connection is None or connection.connection.closed:
        return None
    return TransactionStatus(connection.connection.info.transaction_status)
