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
SELECT table_ref, avg((tried.id = last_of.id AND assignment.state = 'confirmed')::int)::float
  FROM assignments_attempt AS tried
  JOIN assignments_assignment AS assignment ON assignment.id = tried.assignment_id
  JOIN LATERAL (SELECT max(id) AS id FROM assignments_attempt AS other
                 WHERE other.assignment_id = tried.assignment_id AND other.outcome = 'confirmed') AS last_of ON true
 CROSS JOIN unnest(tried.table_refs) AS table_ref
 WHERE assignment.restaurant_ref = %(restaurant)s AND assignment.state <> 'cancelled'
   AND tried.outcome = 'confirmed' AND tried.at > assignments_now() - %(days)s * interval '1 day'
 GROUP BY table_ref
HAVING count(*) >= %(least)s
"""


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
