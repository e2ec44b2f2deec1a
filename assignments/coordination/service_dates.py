"""Correcting the service day of rows of an earlier release, which stored the local date of the start instead.

A row's day is set when an assignment is requested, and only the guest's edit changes it. So each such row is corrected
once, by the first pass that finds it.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from django.db import connection
from django.db.models import Q

from assignments.concurrency import locks, transactions
from assignments.error_logging import log_error
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host
from assignments.models import Assignment
from assignments.models.assignment import SERVICE_RULE
from assignments.planning.service_day import service_date

logger = logging.getLogger("assignments.service_dates")

AT_ONCE = 500
STILL_ON = timedelta(hours=12)
"""A booking that started longer ago than this is over, and stays where it is."""
AT_MOST = 20_000
"""How many rows one pass corrects. What is left is the next one's."""


def correct(host: Host, *, now: datetime, restaurant_ref: str | None = None) -> int:
    """Correct rows that are open, still to come, or began recently. Return the number of rows checked.

    One query where there are none.

    Rows of a restaurant without a valid floor wait for one. Rows that are locked are left to the next pass.
    """
    looked_at = 0
    for rows in _pages(now, restaurant_ref):
        looked_at += len(rows)
        dates = []
        floors = {ref: floor_or_none(ref, host=host) for ref in {row.restaurant_ref for row in rows}}
        for row in rows:
            if floor := floors[row.restaurant_ref]:
                dates.append((row, service_date(floor, row.starts_at)))
        try:
            transactions.run(lambda dates=dates: _store(dates), retries=0)  # type: ignore[misc]
        except Exception as error:
            if not transactions.is_lost_race(error):
                raise
            log_error(logger, error, "Service days could not be corrected; the next pass will try again")
        if looked_at >= AT_MOST:
            break
    return looked_at


def _pages(now: datetime, restaurant_ref: str | None) -> Iterator[Sequence[Assignment]]:
    waiting = Assignment.objects.filter(
        Q(due_at__isnull=False) | Q(starts_at__gt=now - STILL_ON), service_rule__isnull=True
    )
    if restaurant_ref:
        waiting = waiting.filter(restaurant_ref=restaurant_ref)
    after = 0
    while page := list(waiting.filter(pk__gt=after).order_by("pk")[:AT_ONCE]):
        yield page
        if len(page) < AT_ONCE:
            return
        after = page[-1].pk


def _store(dates: Sequence[tuple[Assignment, date]]) -> None:
    """Store these days, with the old and the new days locked. Rows edited in the meantime are left alone."""
    if not dates:
        return
    moved = [(row, day) for row, day in dates if day != row.service_date]
    if moved:
        locks.lock_days((row.restaurant_ref, each) for row, day in moved for each in (row.service_date, day))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE assignments_assignment AS stored
               SET service_date = given.service_date, service_rule = %s
              FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[], %s::date[])
                AS given(id, restaurant_ref, starts_at, service_date)
             WHERE stored.id = given.id AND stored.service_rule IS NULL
               AND stored.restaurant_ref = given.restaurant_ref AND stored.starts_at = given.starts_at
            """,
            [
                SERVICE_RULE,
                [row.pk for row, _day in dates],
                [row.restaurant_ref for row, _day in dates],
                [row.starts_at for row, _day in dates],
                [day for _row, day in dates],
            ],
        )
