"""Invariants as SQL that counts violations, independent of the constraints. Parameter: ``stay_hours``."""

STAY_HOURS = 3
"""Assumed duration of a confirmed booking without tables, because its end is not recorded."""

OVERLAPS = """
SELECT count(*)
  FROM (SELECT lower(blocked) < max(upper(blocked)) OVER (
                   PARTITION BY restaurant_ref, table_ref ORDER BY lower(blocked), id
                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS is_overlap
          FROM assignments_allocation
         WHERE ends_at > assignments_now() AND (expires_at IS NULL OR expires_at > assignments_now())) AS taken
 WHERE is_overlap
"""
"""Number of occupied tables that overlap another seating, for bookings that have not ended."""

LOST = """
SELECT (SELECT count(*)
          FROM assignments_assignment AS assignment
         WHERE state = 'confirmed' AND starts_at > assignments_now() - %(stay_hours)s * interval '1 hour'
           AND NOT EXISTS (SELECT FROM assignments_allocation AS seated
                            WHERE seated.booking_ref = assignment.booking_ref AND seated.kind = 'seating'))
     + (SELECT count(*)
          FROM assignments_assignment
         WHERE state NOT IN ('confirmed', 'failed', 'manual_review', 'cancelled') AND due_at IS NULL
           AND starts_at > assignments_now() - %(stay_hours)s * interval '1 hour')
     + coalesce((SELECT unseen FROM assignments_run WHERE last_pass_at IS NOT NULL ORDER BY last_pass_at DESC LIMIT 1), 0)
"""
"""Number of bookings that have not ended and are confirmed without a table, or waiting without a due date.

And of those that have started in the host and are unknown here, as the last pass found: the host is never asked here.
"""

SHARED_SOON = """
SELECT count(DISTINCT seated.booking_ref)
  FROM assignments_allocation AS seated
  JOIN assignments_allocation AS there
    ON there.restaurant_ref = seated.restaurant_ref AND there.table_ref = seated.table_ref
   AND there.booking_ref <> seated.booking_ref AND there.starts_at < seated.starts_at
   AND there.overstays_until > lower(seated.blocked) AND there.ended_at IS NULL
 WHERE seated.kind = 'seating' AND seated.ended_at IS NULL
   AND seated.starts_at > assignments_now() - %(stay_hours)s * interval '1 hour'
   AND seated.starts_at < assignments_now() + interval '2 hours'
"""
"""Number of bookings that begin within two hours at a table at which other guests are still going to sit."""

UNSEATED_SOON = """
SELECT count(*)
  FROM assignments_assignment AS assignment
 WHERE state NOT IN ('failed', 'cancelled') AND stage NOT IN ('left', 'no_show')
   AND starts_at >= assignments_now() AND starts_at < assignments_now() + interval '1 hour'
   AND NOT EXISTS (SELECT FROM assignments_allocation AS seated
                    WHERE seated.booking_ref = assignment.booking_ref AND seated.kind = 'seating'
                      AND seated.ended_at IS NULL)
"""
"""Number of bookings that begin within the hour and have no table."""
