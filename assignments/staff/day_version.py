"""The version of a restaurant's day: it changes with every commit that changes what its page shows."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from assignments.concurrency.sql import rows
from assignments.coordination import availability

UTC = ZoneInfo("UTC")
REACH = timedelta(hours=36)
"""How far from the date's start and end, in UTC, its service day may reach in any time zone."""


RECENT = timedelta(minutes=2)
"""For how long what somebody did is news."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DayVersion:
    """The version of a day. ``has_news``: whether staff have done something just now. ``queued``: parties at the door.

    ``version`` changes whenever the day does. ``printed``: the moment whose evening the last day sheet shows.
    """

    version: str
    is_frozen: bool
    has_news: bool
    printed: datetime | None = None
    queued: int = 0


def day_version(restaurant_ref: str, day: date, *, now: datetime) -> DayVersion:
    """Return the version of a restaurant's day. One query on indexes, however many other days there are.

    It covers each row that the day shows together with the transaction that wrote it last, and the floor as the last
    pass saw it. A growing number would miss changes, because a transaction that began earlier may commit later.
    """
    noon = datetime.combine(day, time(12), tzinfo=UTC)
    ((version, is_frozen, has_news, printed, queued),) = rows(
        _VERSION,
        restaurant=restaurant_ref,
        day=day,
        first=day - timedelta(days=1),
        last=day + timedelta(days=1),
        start=noon - REACH,
        until=noon + REACH,
        now=now,
        recently=now - RECENT,
        waits_since=now - availability.QUEUE_LASTS,
    )
    return DayVersion(version=version, is_frozen=is_frozen, has_news=has_news, printed=printed, queued=queued)


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
      WHERE restaurant_ref = %(restaurant)s AND lifted_at IS NULL AND starts_at < %(until)s
        AND (ends_at IS NULL OR ends_at > %(start)s)),
    (SELECT string_agg(id || ':' || xmin::text, ',' ORDER BY id) FROM assignments_tableplace
      WHERE restaurant_ref = %(restaurant)s),
    (SELECT string_agg(id::text, ',') FROM assignments_frozenevening
      WHERE restaurant_ref = %(restaurant)s AND service_date = %(day)s),
    (SELECT fingerprint FROM assignments_floorseen WHERE restaurant_ref = %(restaurant)s),
    printed.at,
    door.parties)),
    EXISTS (SELECT FROM assignments_frozenevening
             WHERE restaurant_ref = %(restaurant)s AND service_date = %(day)s),
    EXISTS (SELECT FROM assignments_staffaction
             WHERE restaurant_ref = %(restaurant)s AND service_date = %(day)s AND at > %(recently)s),
    printed.at,
    door.count
  FROM (SELECT max(at) AS at FROM assignments_staffaction
         WHERE restaurant_ref = %(restaurant)s AND service_date = %(day)s AND what = 'printed') AS printed,
       (SELECT count(*) AS count, 'door ' || string_agg(id::text, ',' ORDER BY id) AS parties
          FROM assignments_queuedparty
         WHERE restaurant_ref = %(restaurant)s AND left_at IS NULL AND joined_at > %(waits_since)s) AS door
"""
