"""Waking: when capacity becomes free, bookings that wait for it are tried again, in the order in which they asked.

Waking is a mark, not a transition: a try that seats nobody changes only the mark and a counter (docs/living-evening.md
rule 5).
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import connection
from psycopg.types.range import TimestamptzRange

from assignments.concurrency import locks, transactions
from assignments.exceptions import DayBusyError
from assignments.models import Assignment
from assignments.outcome import CoordinatorReason
from assignments.planning.reasons import Reason
from assignments.telemetry import correlation, events
from assignments.telemetry.event_catalogue import STATE_MACHINE

CAME_AFTER_ALL = "came_after_all"
"""Reason code: guests are there, and have no tables here: somebody else has theirs, or nobody knows where they sit."""
EDIT_UNMET = "edit_unmet"
"""Reason code: the guest asks for something that cannot be met, and keeps the old tables until staff decide."""
OVERLAPPING = "overlapping"
"""Reason code: guests stay into the time of the next booking at their table. Both of them wait for staff."""
TABLE_OUT_OF_SERVICE = "table_out_of_service"
"""Reason code: the booking's table cannot be used any more."""
TABLES_CHANGED_BY_HOST = "tables_changed_by_host"
"""Reason code: the host has given the booking other tables."""

LONGEST_STAY = timedelta(hours=24)
"""A booking that starts longer ago than this cannot use a table that becomes free."""
LONGEST_BUFFER = timedelta(hours=24)
"""Longest time for which a floor may block a table before its guests come, or after they have left."""


class Freed(StrEnum):
    """The kind of capacity that becomes free."""

    TABLES = "tables"
    """Tables: a cancellation, a move, an early departure, an expired hold, a lifted closure."""
    HOURS = "hours"
    """Opening hours: an edited service period or calendar."""
    FLOOR = "floor"
    """The floor offers more: another table or join, more seats, or a setting."""


_TAKEN = frozenset(
    {
        Reason.CLOSED,
        Reason.NO_CAPACITY,
        Reason.PACING,
        Reason.PINNED_TABLES_TAKEN,
        CoordinatorReason.CONFIRMED_BY_HOST,
        CoordinatorReason.TABLE_TAKEN,
        EDIT_UNMET,
        OVERLAPPING,
        TABLES_CHANGED_BY_HOST,
        TABLE_OUT_OF_SERVICE,
    }
)

CURES: Mapping[Freed, frozenset[str]] = {
    Freed.TABLES: _TAKEN,
    Freed.HOURS: _TAKEN | {Reason.OUTSIDE_SERVICE, Reason.SERVICE_OVERRUN},
    Freed.FLOOR: _TAKEN
    | {Reason.NO_TABLES, Reason.NO_FIT, Reason.NEEDS, Reason.PARTY_TOO_LARGE, Reason.PINNED_TABLES_UNFIT},
}
"""Reasons for a review that each kind of freed capacity can cure."""

PATIENCE_SECONDS = 0.5
"""How long a caller's transaction waits for rows that another transaction has, besides its waits for days and rows."""

NEAR = timedelta(hours=12)
"""How far around what becomes free a booking starts that a planner may be refusing for want of it at this moment."""

_DELETE = "deleted AS (DELETE FROM assignments_allocation WHERE id = ANY(%(deleted)s)),"
_WAITS = """
(state = 'manual_review' AND wake_at IS NULL AND reason = ANY(%(reasons)s)
 OR state IN ('created', 'capacity_verified', 'assignment_pending') AND due_at > assignments_now())
"""
"""Nobody tries the booking again soon, unless it is woken."""
_IS_BEING_DECIDED = """
((starts_at <@ %(near)s OR asked_starts_at <@ %(near)s)
 AND (state = 'manual_review' AND wake_at IS NOT NULL
      OR state IN ('created', 'capacity_verified', 'assignment_pending') AND due_at <= assignments_now()))
"""
"""A planner may have begun to decide the booking, by what was taken before."""
_CANDIDATES = f"""
SELECT id, state, reason, due_at, wake_at FROM assignments_assignment
 WHERE (restaurant_ref = %(restaurant)s AND starts_at > %(first)s
        AND starts_at < %(last)s::timestamptz + %(buffer)s * interval '1 hour'
        AND starts_at > assignments_now() - %(hours)s * interval '1 hour'
        AND (asked_starts_at IS NULL OR reason <> 'edit_unmet')
        OR asked_restaurant_ref = %(restaurant)s AND asked_starts_at > %(first)s
        AND asked_starts_at < %(last)s::timestamptz + %(buffer)s * interval '1 hour'
        AND asked_starts_at > assignments_now() - %(hours)s * interval '1 hour')
   AND ({_WAITS} OR {_IS_BEING_DECIDED})
"""  # noqa: S608  (our own text)
_WAKE = f"""
woken AS (
UPDATE assignments_assignment
   SET wake_at = CASE WHEN state = 'manual_review' THEN coalesce(wake_at, assignments_now()) END,
       due_at = CASE WHEN state <> 'manual_review' THEN least(due_at, assignments_now()) END
 WHERE id = ANY(ARRAY(SELECT id FROM locked WHERE {_WAITS}))
RETURNING booking_ref, restaurant_ref, state, reason),
told AS (
INSERT INTO assignments_outboxmessage (topic, booking_ref, payload, attempts, last_error)
SELECT 'booking.woken', booking_ref,
       jsonb_build_object('restaurant_ref', restaurant_ref, 'state', state, 'reason', reason,
                          'freed', %(freed)s::text, 'correlation_id', %(correlation)s::text), 0, ''
  FROM woken WHERE state = 'manual_review')
SELECT (SELECT count(*) FROM woken),
"""  # noqa: S608  (our own text)
_ALL = f"WITH {{deleted}} locked AS ({_CANDIDATES} ORDER BY id FOR UPDATE), {_WAKE} 0"
_FREE = f"""
WITH {{deleted}} locked AS ({_CANDIDATES} ORDER BY id FOR UPDATE SKIP LOCKED),
{_WAKE} (SELECT count(*) FROM ({_CANDIDATES}) AS candidates) - (SELECT count(*) FROM locked)
"""  # noqa: S608  (our own text)
"""Wakes those that no other transaction has, and counts the others."""


def wake(
    restaurant_ref: str,
    start: datetime,
    until: datetime,
    *,
    freed: Freed = Freed.TABLES,
    deleting: Sequence[int] = (),
) -> int:
    """Wake bookings that could use what has become free over ``[start, until)``. Return their number. One query.

    Bookings shortly before or after that time may need it for a buffer; the longest possible buffer is assumed, because
    a needless wake does no harm.

    Bookings in review are marked, and the host is told (topic ``booking.woken``); those that would be retried later are
    due now. ``deleting``: keys of ledger rows to delete in the same query, which frees their time.

    A planner may be about to refuse a booking, because it read what is taken before this: it is waited for, and then that
    booking is woken too. In the caller's transaction no statement waits: bookings that a planner has, perhaps on another
    day, are asked for again, and after ``PATIENCE_SECONDS`` DayBusyError is raised, because nobody would wake them later.
    """
    given = {
        "deleted": list(deleting),
        "restaurant": restaurant_ref,
        "first": start - LONGEST_STAY - LONGEST_BUFFER,
        "near": TimestamptzRange(start - NEAR, until + NEAR),
        "last": until,
        "buffer": LONGEST_BUFFER.total_seconds() / 3600,
        "hours": LONGEST_STAY.total_seconds() / 3600,
        "reasons": sorted(str(each) for each in CURES[freed]),
        "freed": freed.value,
        "correlation": str(correlation.id_or_new()),
    }
    sql = _ALL if transactions.is_retried() else _FREE
    woken, missed = _woken(sql.format(deleted=_DELETE if deleting else ""), given)
    asked_until = time.monotonic() + PATIENCE_SECONDS
    while missed:
        if time.monotonic() >= asked_until:
            raise DayBusyError("Another process is working on bookings that wait for these tables; try again.")
        time.sleep(locks.ASKED_AGAIN_SECONDS)
        more, missed = _woken(sql.format(deleted=""), given)
        woken += more
    if woken:
        events.announce(STATE_MACHINE, "seating.woken", restaurant_ref=restaurant_ref, bookings=woken)
    return woken


def _woken(sql: str, given: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many bookings were woken, and how many others must be asked for again."""
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        woken, missed = cursor.fetchone()
    return woken, missed


def let_sleep(assignments: Iterable[Assignment]) -> None:
    """Note that these woken bookings were tried without success. One query, no history."""
    keys = [assignment.pk for assignment in assignments if assignment.wake_at is not None]
    if not keys:
        return
    with connection.cursor() as cursor:
        cursor.execute("UPDATE assignments_assignment SET wake_at = NULL, wakes = wakes + 1 WHERE id = ANY(%s)", [keys])


def stay_awake(assignments: Iterable[Assignment]) -> None:
    """Have the next pass try these bookings in review again, because they gave way to some that asked earlier.

    If those get nothing, no table is freed and nothing would wake these. One query, none without bookings.
    """
    keys = [assignment.pk for assignment in assignments if assignment.reason in CURES[Freed.TABLES]]
    if not keys:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE assignments_assignment SET wake_at = assignments_now() "
            "WHERE id = ANY(%s) AND state = 'manual_review' AND wake_at IS NULL",
            [keys],
        )
