"""The version of a restaurant's day: differs as soon as anything that its page shows has been committed."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from assignments.concurrency.sql import rows

UTC = ZoneInfo("UTC")
REACH = timedelta(hours=36)
"""How far from the date's start and end, in UTC, its service day may reach in any time zone."""


def day_version(restaurant_ref: str, day: date, *, now: datetime) -> str:
    """Return the version. One query by indexes, whatever the number of other days.

    It names each row that the day shows together with the transaction that wrote it last. Numbers that only grow would
    miss a change: a transaction that began earlier may commit later.
    """
    noon = datetime.combine(day, time(12), tzinfo=UTC)
    ((found,),) = rows(
        _VERSION,
        restaurant=restaurant_ref,
        day=day,
        first=day - timedelta(days=1),
        last=day + timedelta(days=1),
        start=noon - REACH,
        until=noon + REACH,
        now=now,
    )
    return str(found)


_VERSION = """
SELECT md5(concat_ws('|',
    (SELECT string_agg(id || ':' || xmin::text, ',' ORDER BY id) FROM assignments_assignment
      WHERE restaurant_ref = %(restaurant)s AND service_date BETWEEN %(first)s AND %(last)s
        AND (service_date = %(day)s OR service_rule IS NULL)),
    (SELECT string_agg(id || ':' || xmin::text, ',' ORDER BY id) FROM assignments_allocation
      WHERE int8range(hashtextextended(restaurant_ref, 0), hashtextextended(restaurant_ref, 0), '[]')
            && int8range(hashtextextended(%(restaurant)s, 0), hashtextextended(%(restaurant)s, 0), '[]')
        AND restaurant_ref = %(restaurant)s AND blocked && tstzrange(%(start)s, %(until)s)
        AND (expires_at IS NULL OR expires_at > %(now)s)),
    (SELECT string_agg(id || ':' || xmin::text, ',' ORDER BY id) FROM assignments_closure
      WHERE restaurant_ref = %(restaurant)s AND lifted_at IS NULL AND starts_at < %(until)s),
    (SELECT string_agg(id::text, ',') FROM assignments_frozenevening
      WHERE restaurant_ref = %(restaurant)s AND service_date = %(day)s)))
"""
