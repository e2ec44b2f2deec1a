"""How often seatings at each table were kept: the input of the strategy ``historical_success``."""

import time
from collections.abc import Mapping

from assignments import conf
from assignments.concurrency.sql import prepared_rows

MIN_SEATINGS = 20
"""A table with fewer seatings than this has no record worth weighing: it stays neutral."""
KEPT_SECONDS = 600.0

_kept: dict[str, tuple[float, Mapping[str, float]]] = {}

_QUERY = """
SELECT table_ref, avg((tried.id = tried.last_id AND tried.state = 'confirmed')::int)::float
  FROM (SELECT tried.id, tried.at, tried.table_refs, assignment.state,
               max(tried.id) OVER (PARTITION BY tried.assignment_id) AS last_id
          FROM assignments_assignment AS assignment
          JOIN assignments_attempt AS tried ON tried.assignment_id = assignment.id
         WHERE assignment.restaurant_ref = %(restaurant)s AND assignment.state <> 'cancelled'
           AND assignment.service_date >= (assignments_now() - %(days)s * interval '1 day')::date - 2
           AND tried.outcome = 'confirmed') AS tried
 CROSS JOIN unnest(tried.table_refs) AS table_ref
 WHERE tried.at > assignments_now() - %(days)s * interval '1 day'
 GROUP BY table_ref
HAVING count(*) >= %(least)s
"""
"""No booking is seated days after its service, so the service days bound what is read, however long the history."""


def success_of(restaurant_ref: str) -> Mapping[str, float]:
    """Return by table ref the share (0..1) of its seatings in the last 90 days that were kept.

    Not kept are seatings that were moved by staff, edited away, or freed because the table broke; a guest's
    cancellation says nothing about the table. One query; the result is cached in this process for ten minutes.
    """
    now = time.monotonic()
    kept = _kept.get(restaurant_ref)
    if kept and now - kept[0] < KEPT_SECONDS:
        return kept[1]
    success = dict(prepared_rows(_QUERY, restaurant=restaurant_ref, days=conf.EVIDENCE_DAYS, least=MIN_SEATINGS))
    _kept[restaurant_ref] = (now, success)
    return success


def forget() -> None:
    """Clear the cache, for tests."""
    _kept.clear()
