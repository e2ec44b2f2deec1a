"""Finding bookings that V3 has given up although the host still wants a table for them.

A refusal is an attempt, and its audit says whether it is right. A booking that V3 cancels, fails or puts off needs none,
so the host is asked whether its guests still want to come.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from assignments.coordination.host_changes import CANCELLED_BY_CALL
from assignments.integration.host import HostBooking
from assignments.integration.project_host import configured
from rollout.flags import bucketing

MOST = 2000
"""Maximum bookings that the host is asked for, latest first."""

GIVEN_UP = f"""
SELECT assignment.booking_ref, assignment.starts_at, assignment.party
  FROM (SELECT DISTINCT ON (assignment_id) assignment_id, actor, at
          FROM assignments_statetransition
         WHERE at >= %(since)s
         ORDER BY assignment_id, version DESC) AS last
  JOIN assignments_assignment AS assignment ON assignment.id = last.assignment_id
 WHERE last.actor NOT LIKE 'staff%%' AND assignment.starts_at > %(now)s
   AND (assignment.state IN ('cancelled', 'failed') AND assignment.reason <> '{CANCELLED_BY_CALL}'
        OR assignment.due_at > %(now)s + interval '1 hour')
   AND (assignment.planner = %(planner)s
        OR assignment.planner = '' AND {bucketing.decides_in_sql("assignment.restaurant_ref")})
 ORDER BY last.at DESC
 LIMIT {MOST}
"""  # noqa: S608  (text of our own)
"""SQL for bookings that were cancelled, failed or put off since ``since``, and not by staff or a call of the host's."""


def count(given_up: Sequence[Mapping[str, Any]]) -> int:
    """Return how many of these rows of GIVEN_UP the host still wants to be seated, as they were."""
    bookings = configured().bookings([row["booking_ref"] for row in given_up]) if given_up else {}
    return sum(_is_wanted(bookings.get(row["booking_ref"]), row) for row in given_up)


def _is_wanted(booking: HostBooking | None, row: Mapping[str, Any]) -> bool:
    if booking is None or not booking.wants_table or booking.is_confirmed or booking.problem or booking.party < 1:
        return False
    return (booking.starts_at, booking.party) == (datetime.fromisoformat(row["starts_at"]), row["party"])
