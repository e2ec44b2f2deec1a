"""Locks between planners. All are released at the end of the transaction.

Only transaction-level advisory locks are used, because session locks fail behind a transaction pooler. Lock order:
restaurants sorted, restaurant-days sorted, then assignment rows. The coordinator only *tries* locks. Calls from staff and
host wait for them, at most ``LOCK_TIMEOUT_MS``.

A restaurant's lock is shared by all processes that seat somebody there. A change of closures or the calendar takes it
exclusively, so that nobody is seated by the earlier ones.
"""

import time
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection

from assignments import conf
from assignments.concurrency import transactions
from assignments.concurrency.circuit_breaker import CLOSED, Reading, name_for
from assignments.concurrency.transactions import Limits
from assignments.exceptions import AssignmentNotFoundError, DayBusyError
from assignments.models import Assignment
from assignments.models.prepared import prepared_cursor

PERMIT = "assignments:permit:"
"""Prefix of permit keys, followed by the restaurant's ref, a colon and the permit's number."""
ASKED_AGAIN_SECONDS = 0.02
"""Pause before a row is asked for again that another transaction has."""


def _restaurant_key(restaurant_ref: str) -> str:
    return f"assignments:restaurant:{restaurant_ref}"


def _day_key(restaurant_ref: str, service_date: date) -> str:
    return f"assignments:day:{restaurant_ref}:{service_date.isoformat()}"


def _permit_key(restaurant_ref: str) -> str:
    return f"{PERMIT}{restaurant_ref}:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Result of ``try_enter``. ``now``: database time. ``slot``: the permit's number, from 1.

    ``day_locked``: whether the day is locked, and nobody changes the restaurant's closures or calendar.
    ``was_taken_for_dead``: whether the batch mark was gone, so that a death was counted for its bookings.
    """

    now: datetime
    day_locked: bool
    slot: int | None
    breaker: Reading = CLOSED
    was_taken_for_dead: bool = False

    @property
    def granted(self) -> bool:
        return self.day_locked and self.slot is not None


def try_enter(
    restaurant_ref: str,
    service_date: date,
    *,
    statement_timeout_ms: int | None = None,
    mark: uuid.UUID | None = None,
) -> Entry:
    """Try to lock a restaurant-day, its restaurant (shared) and one of the restaurant's permits, without waiting.

    The same query sets the transaction's timeouts, deletes the batch's mark, and reads the restaurant's breaker. Every
    decision starts with it.
    """
    settings = conf.settings()
    with prepared_cursor() as cursor:
        cursor.execute(
            f"""
            WITH unmarked AS (DELETE FROM assignments_batchmark WHERE id = %s RETURNING id)
            SELECT {transactions.SET_LIMITS},
                   (SELECT count(*) FROM unmarked),
                   assignments_now(),
                   pg_try_advisory_xact_lock_shared(hashtextextended(%s, 0))
                   AND pg_try_advisory_xact_lock(hashtextextended(%s, 0)),
                   (SELECT slot FROM generate_series(1, %s) AS slot
                     WHERE pg_try_advisory_xact_lock(hashtextextended(%s || slot, 0)) LIMIT 1),
                   breaker.failures, breaker.successes, breaker.opened_until
              FROM (VALUES (1)) AS one_row
              LEFT JOIN assignments_breaker AS breaker ON breaker.name = %s
            """,  # noqa: S608  (our own text)
            [
                mark,
                *Limits(statement=statement_timeout_ms).values(),
                _restaurant_key(restaurant_ref),
                _day_key(restaurant_ref, service_date),
                settings.MAX_PARALLEL,
                _permit_key(restaurant_ref),
                name_for(restaurant_ref),
            ],
        )
        _lock, _statement, _idle, unmarked, now, day_locked, slot, *read = cursor.fetchone()
    failures, successes, opened_until = read
    breaker = CLOSED
    if failures is not None:
        breaker = Reading(failures=failures, successes=successes, opened_until=opened_until)
    # A process whose mark is gone was taken for dead, and others have begun its work.
    is_alive = mark is None or bool(unmarked)
    return Entry(
        now=now,
        day_locked=day_locked and is_alive,
        slot=slot,
        breaker=breaker,
        was_taken_for_dead=not is_alive,
    )


def try_days(restaurant_ref: str, days: Iterable[date]) -> bool:
    """Try to lock more days of the restaurant without waiting. Return whether all are locked. One query."""
    keys = [_day_key(restaurant_ref, day) for day in sorted(set(days))]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bool_and(pg_try_advisory_xact_lock(hashtextextended(key, 0))) FROM unnest(%s::text[]) AS key",
            [keys],
        )
        return bool(cursor.fetchone()[0])


def lock_days(days: Iterable[tuple[str, date]]) -> datetime:
    """Lock these restaurant-days in sorted order, waiting if needed, and return the database time.

    Their restaurants are locked first, shared with others that lock days.

    Call it before locking assignment rows, to keep the lock order. In our own transaction the same query limits
    everything that follows: waits for locks, statements, and idleness. In the caller's only this wait is limited.

    Raises AssignmentNotFoundError without days. After ``LOCK_TIMEOUT_MS`` raises OperationalError (SQLSTATE 55P03), which
    ``transactions.run`` retries, and DayBusyError in the caller's transaction, which can go on.
    """
    wanted = sorted(set(days))
    shared = [_restaurant_key(ref) for ref in dict.fromkeys(ref for ref, _day in wanted)]
    keys = [*shared, *(_day_key(ref, day) for ref, day in wanted)]
    if not wanted:
        raise AssignmentNotFoundError
    if not transactions.is_retried():
        return _lock_patiently(keys, shared=len(shared))
    with connection.cursor() as cursor:
        cursor.execute(
            # The timeouts are set first, because a row's values are computed from left to right.
            f"SELECT {transactions.SET_LIMITS},"  # noqa: S608  (our own text)
            "       CASE WHEN position <= %s THEN pg_advisory_xact_lock_shared(hashtextextended(key, 0))::text"
            "            ELSE pg_advisory_xact_lock(hashtextextended(key, 0))::text END,"
            "       clock_timestamp() + assignments_clock_offset()"
            "  FROM unnest(%s::text[]) WITH ORDINALITY AS wanted(key, position) ORDER BY position",
            [*Limits().values(), len(shared), keys],
        )
        rows = cursor.fetchall()
    return rows[-1][4]  # type: ignore[no-any-return]


def _lock_patiently(keys: list[str], *, shared: int) -> datetime:
    """Lock in the caller's transaction, which keeps its own limits. Raises DayBusyError."""
    patience = str(conf.settings().LOCK_TIMEOUT_MS)
    with connection.cursor() as cursor:
        cursor.execute("SELECT assignments_lock(%s::text[], %s, %s)", [keys, shared, patience])
        now = cursor.fetchone()[0]
    if now is None:
        raise DayBusyError("Another process is working on this restaurant-day; try again.")
    return now  # type: ignore[no-any-return]


def lock_rows(booking_refs: Collection[str]) -> list[Assignment]:
    """Lock the rows of these bookings, whose days are locked, and return them by id. One query if none is locked.

    In our own transaction its limits apply. In the caller's, rows that others have locked are tried again, and after
    ``LOCK_TIMEOUT_MS`` DayBusyError is raised, so that the transaction can go on.
    """
    rows = Assignment.objects.filter(booking_ref__in=booking_refs).order_by("id")
    if transactions.is_retried():
        return list(rows.select_for_update())
    until = time.monotonic() + conf.settings().LOCK_TIMEOUT_MS / 1000
    while True:
        found = list(rows.claim())
        if len(found) == len(set(booking_refs)) or len(found) == rows.count():
            return found
        if time.monotonic() >= until:
            raise DayBusyError("Another process is working on this booking; try again.")
        time.sleep(ASKED_AGAIN_SECONDS)


def lock_restaurant(restaurant_ref: str) -> datetime:
    """Lock the restaurant exclusively: wait until no other process plans or seats there. Return the database time.

    Call it before reading anything to change closures or the calendar. ``LOCK_TIMEOUT_MS`` then applies to the rest of
    the transaction if it is ours. After that time raises OperationalError (SQLSTATE 55P03), which ``transactions.run``
    retries, and DayBusyError in the caller's transaction.
    """
    if not transactions.is_retried():
        return _lock_patiently([_restaurant_key(restaurant_ref)], shared=0)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {transactions.SET_LIMITS}", Limits().values())
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))::text, clock_timestamp() + assignments_clock_offset()",
            [_restaurant_key(restaurant_ref)],
        )
        return cursor.fetchone()[1]  # type: ignore[no-any-return]
