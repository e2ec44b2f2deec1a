"""Checking this app's promises on stored data: by SQL that trusts no constraint, and by asking the host. Reads only."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

from django.db import connection

from assignments import conf
from assignments.concurrency import transactions
from assignments.coordination import adoption, host_changes
from assignments.error_logging import log_error
from assignments.integration import floor_cache
from assignments.integration.host import Host, HostBooking
from assignments.integration.planners import NOBODY, routes_of
from assignments.integration.project_host import configured
from assignments.lifecycle import ledger
from assignments.maintenance import reconcile
from assignments.maintenance.host_reading import Reading
from assignments.models import Assignment, HostMark, State

logger = logging.getLogger("assignments.promise_check")

TOLD_WITHIN_HOURS = 24
"""A message is tried for a day; one that is older and has not arrived will not."""
DECIDED_WITHIN_SECONDS = 300
"""Nothing waits for more than 75 s once a fault is over; what is due for so long shows that no pass has taken it up."""
HOLDS_GO_SECONDS = 300
"""Expired holds are removed by the next pass; one that stays so long shows that none ran, or that it failed there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """A promise that does not hold for a booking. ``promise``: its name; ``detail``: what was found."""

    promise: str
    booking_ref: str
    detail: str


CHECKS: Mapping[str, str] = {
    "no table is double-booked": """
SELECT one.booking_ref, 'table ' || one.table_ref || ' is also booking ' || other.booking_ref || '''s'
  FROM assignments_allocation AS one
  JOIN assignments_allocation AS other
    ON other.restaurant_ref = one.restaurant_ref AND other.table_ref = one.table_ref
   AND other.id <> one.id AND other.blocked && one.blocked
 WHERE one.ends_at > assignments_now() - %(days)s * interval '1 day'
   AND other.ends_at > assignments_now() - %(days)s * interval '1 day'
   AND (one.expires_at IS NULL OR one.expires_at > assignments_now())
   AND (other.expires_at IS NULL OR other.expires_at > assignments_now())
""",
    "no booking is lost": """
SELECT assignment.booking_ref,
       CASE WHEN state = 'confirmed' THEN 'confirmed without a table' ELSE state || ' without a due date' END
  FROM assignments_assignment AS assignment
 WHERE starts_at > assignments_now() - %(days)s * interval '1 day'
   AND CASE WHEN state = 'confirmed'
            THEN stage NOT IN ('left', 'no_show')
                 AND NOT EXISTS (SELECT FROM assignments_allocation AS seated
                                  WHERE seated.booking_ref = assignment.booking_ref AND seated.kind = 'seating')
            ELSE state NOT IN ('failed', 'manual_review', 'cancelled') AND due_at IS NULL END
""",
    "a booking has one outcome": """
SELECT booking_ref, 'it has ' || count(DISTINCT (restaurant_ref, starts_at)) || ' seatings at once'
  FROM assignments_allocation
 WHERE kind = 'seating' AND ended_at IS NULL AND ends_at > assignments_now() - %(days)s * interval '1 day'
 GROUP BY booking_ref
HAVING count(DISTINCT (restaurant_ref, starts_at)) > 1
 UNION ALL
SELECT assignment.booking_ref, state || ', and has tables'
  FROM assignments_assignment AS assignment
 WHERE state IN ('failed', 'cancelled') AND starts_at > assignments_now()
   AND EXISTS (SELECT FROM assignments_allocation AS seated
                WHERE seated.booking_ref = assignment.booking_ref AND seated.kind = 'seating' AND seated.ended_at IS NULL)
""",
    "an outcome has a reason": """
SELECT booking_ref, state || ' without a reason'
  FROM assignments_assignment
 WHERE state IN ('failed', 'manual_review', 'cancelled') AND reason = ''
   AND starts_at > assignments_now() - %(days)s * interval '1 day'
""",
    "the history is one chain to the state": """
SELECT linked.booking_ref,
       CASE WHEN linked.source <> linked.before THEN 'version ' || linked.version || ' goes on from ' || linked.source
                                                     || ' after ' || linked.before
            ELSE 'the state is ' || linked.state || ' after ' || linked.target END
  FROM (SELECT row.booking_ref, row.version, row.source, row.target, assignment.state,
               lag(row.target) OVER chain AS before,
               lead(row.id) OVER chain IS NULL AS is_last
          FROM assignments_assignment AS assignment
          JOIN assignments_statetransition AS row ON row.assignment_id = assignment.id
         WHERE assignment.starts_at > assignments_now() - %(days)s * interval '1 day'
        WINDOW chain AS (PARTITION BY assignment.id ORDER BY row.version)) AS linked
 WHERE linked.source <> linked.before OR (linked.is_last AND linked.target <> linked.state)
 UNION ALL
SELECT booking_ref, 'the state is ' || state || ' without any history'
  FROM assignments_assignment AS assignment
 WHERE state <> 'created'
   AND starts_at > assignments_now() - %(days)s * interval '1 day'
   AND NOT EXISTS (SELECT FROM assignments_statetransition AS row WHERE row.assignment_id = assignment.id)
""",
    "the host is told of everything": """
SELECT booking_ref, 'no message of version ' || version || ' (' || name || ')'
  FROM assignments_statetransition AS told
 WHERE at > assignments_now() - least(%(days)s, %(outbox_days)s) * interval '1 day'
   AND name IN ('confirm', 'reseat', 'restore', 'send_to_review', 'fail', 'cancel', 'reopen')
   AND NOT EXISTS (SELECT FROM assignments_outboxmessage AS message
                    WHERE message.booking_ref = told.booking_ref
                      AND message.payload->>'correlation_id' = told.correlation_id::text)
 UNION ALL
SELECT booking_ref, CASE WHEN set_aside_at IS NULL THEN 'message ' || id || ' has waited for more than a day'
                         ELSE 'message ' || id || ' was set aside' END
  FROM assignments_outboxmessage
 WHERE delivered_at IS NULL
   AND (set_aside_at IS NOT NULL OR created_at < assignments_now() - %(told_hours)s * interval '1 hour')
""",
    "tables belong to bookings": """
SELECT DISTINCT booking_ref, 'has tables, but no assignment'
  FROM assignments_allocation AS allocation
 WHERE kind = 'seating' AND NOT EXISTS
       (SELECT FROM assignments_assignment AS assignment WHERE assignment.booking_ref = allocation.booking_ref)
""",
    "holds end": """
SELECT DISTINCT booking_ref, 'a hold has been over for more than five minutes'
  FROM assignments_allocation
 WHERE kind = 'hold' AND expires_at < assignments_now() - %(holds_seconds)s * interval '1 second'
""",
    "a batch that ended is cleared up": """
SELECT unnest(booking_refs), 'a process ended while it decided this booking, and no pass has counted it'
  FROM assignments_batchmark
 WHERE created_at < assignments_now() - %(holds_seconds)s * interval '1 second'
""",
}
"""SQL by promise; each row is a booking for which it does not hold, and what was found. Parameters: see ``violations``."""

WAITS = "nothing waits for long"
HOST_AND_LEDGER = "host and ledger agree"
HOST_APART = "the host shows no table twice"


def violations(*, days: int, restaurant_ref: str | None = None) -> Iterator[Violation]:
    """Yield promises that do not hold, for upcoming bookings and those of the last ``days`` days.

    ``restaurant_ref`` limits the comparison with the host; our own tables are checked for all restaurants. What the
    host raises an error for cannot be compared, and is among the violations.
    """
    given = {
        "days": days,
        "told_hours": TOLD_WITHIN_HOURS,
        "holds_seconds": HOLDS_GO_SECONDS,
        "outbox_days": conf.settings().OUTBOX_DAYS,
    }
    for promise, sql in CHECKS.items():
        with connection.cursor() as cursor:
            cursor.execute(sql, given)
            rows = cursor.fetchall()
        for booking_ref, detail in sorted(rows):
            yield Violation(promise=promise, booking_ref=booking_ref, detail=detail)
    now = transactions.database_now()
    yield from _overdue(now)
    yield from _unreadable_floors(now, restaurant_ref)
    for found in reconcile.reconcile(dry_run=True, restaurant_ref=restaurant_ref):
        detail = f"{found.problem} ({found.error})" if found.error else found.problem
        yield Violation(promise=HOST_AND_LEDGER, booking_ref=found.booking_ref, detail=detail)
    reading = Reading()
    for one, other in shown_twice(restaurant_ref=restaurant_ref, reading=reading):
        detail = f"the host shows it at table {one.table_ref}, and booking {other.booking_ref} as well"
        yield Violation(promise=HOST_APART, booking_ref=one.booking_ref, detail=detail)
    for each in reading.troubles:
        detail = f"the host raised an error for {each.what} ({each.error})"
        yield Violation(promise=HOST_APART, booking_ref=each.booking_ref, detail=detail)


def _overdue(now: datetime) -> Iterator[Violation]:
    """Yield undecided bookings and unfollowed changes in the host that have been due for a long time.

    Bookings that the router gives to no planner, because everything is switched off, do not count.
    """
    before = now - timedelta(seconds=DECIDED_WITHIN_SECONDS)
    rows = Assignment.objects.due(before).order_by("restaurant_ref", "booking_ref")
    for _restaurant, group in groupby(rows, key=lambda row: row.restaurant_ref):
        waiting = list(group)
        meant, because = _meant_for_a_planner(waiting)
        for row in meant:
            since = (row.wake_at if row.state == State.MANUAL_REVIEW else row.due_at) or now
            detail = f"it has been due for {_minutes(now - since)} minutes, and {because}"
            yield Violation(promise=WAITS, booking_ref=row.booking_ref, detail=detail)
    for mark in HostMark.objects.filter(created_at__lt=before):
        detail = f"the host changed it {_minutes(now - mark.created_at)} minutes ago, and that was not followed"
        yield Violation(promise=WAITS, booking_ref=mark.booking_ref, detail=detail)


def _meant_for_a_planner(waiting: Sequence[Assignment]) -> tuple[Sequence[Assignment], str]:
    """Return which of these bookings of a restaurant a planner should have decided, and why none has."""
    try:
        routes = routes_of(waiting)
        meant = [row for row in waiting if routes[row.booking_ref].planner != NOBODY]
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        log_error(logger, error, "The router failed for restaurant %s", waiting[0].restaurant_ref, has_place=True)
        return waiting, f"the router raised {type(error).__name__}"
    return meant, "nobody has decided it"


def _unreadable_floors(now: datetime, restaurant_ref: str | None) -> Iterator[Violation]:
    """Yield restaurants with upcoming bookings whose floor the host cannot give: their tables cannot be compared."""
    upcoming = Assignment.objects.filter(starts_at__gt=now - reconcile.LONGEST_DINNER)
    if restaurant_ref:
        upcoming = upcoming.filter(restaurant_ref=restaurant_ref)
    for ref in upcoming.order_by("restaurant_ref").values_list("restaurant_ref", flat=True).distinct():
        try:
            floor_cache.floor_of(ref)
        except Exception as error:
            if transactions.is_database_away(error):
                raise
            log_error(logger, error, "The floor of restaurant %s could not be read", ref)
            detail = f"the floor of restaurant {ref} cannot be read ({type(error).__name__})"
            yield Violation(promise=HOST_AND_LEDGER, booking_ref="", detail=detail)


def _minutes(duration: timedelta) -> int:
    return duration // timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A booking at a table in the host's own rows, over ``[starts_at, ends_at)``."""

    booking_ref: str
    restaurant_ref: str
    table_ref: str
    starts_at: datetime
    ends_at: datetime


def shown_twice(*, restaurant_ref: str | None = None, reading: Reading) -> Iterator[tuple[Shown, Shown]]:
    """Yield pairs of upcoming bookings that the host shows at one table at the same time, each pair in both orders."""
    by_table: dict[tuple[str, str], list[Shown]] = {}
    for each in _shown(transactions.database_now(), restaurant_ref, reading):
        by_table.setdefault((each.restaurant_ref, each.table_ref), []).append(each)
    for _table, rows in sorted(by_table.items()):
        sitting: list[Shown] = []
        for each in sorted(rows, key=lambda row: (row.starts_at, row.booking_ref)):
            sitting = [row for row in sitting if row.ends_at > each.starts_at]
            for other in sitting:
                yield from ((other, each), (each, other))
            sitting.append(each)


def _shown(now: datetime, restaurant_ref: str | None, reading: Reading) -> Iterator[Shown]:
    """Yield the tables that the host shows for bookings that are not over. Three queries per 500 bookings, plus floors."""
    host = configured()
    read = partial(
        host.history, start=now - reconcile.LONGEST_DINNER, until=now + reconcile.FURTHEST, limit=reconcile.CHUNK
    )
    for page in reading.pages(lambda after, ref: read(after=after, restaurant_ref=ref), restaurant_ref):
        yield from reading.of(page, partial(_shown_of, host=host, now=now), ref=lambda booking: booking.ref)


def _shown_of(page: Sequence[HostBooking], *, host: Host, now: datetime) -> Iterator[Shown]:
    with floor_cache.one_reading():
        tables = adoption.given(page, host=host, now=now)
    rows = ledger.seatings_of(list(tables))
    known = {row.booking_ref: row for row in Assignment.objects.filter(booking_ref__in=list(tables))}
    for booking in page:
        assignment, seatings = known.get(booking.ref), rows.get(booking.ref)
        if booking.ref not in tables or (assignment and not seatings and not host_changes.may_be_adopted(assignment)):
            continue
        stay = seatings[0] if seatings else adoption.window_of(booking, host=host)
        for table_ref in tables[booking.ref]:
            yield Shown(
                booking_ref=booking.ref,
                restaurant_ref=booking.restaurant_ref,
                table_ref=table_ref,
                starts_at=stay.starts_at,
                ends_at=stay.ends_at,
            )
