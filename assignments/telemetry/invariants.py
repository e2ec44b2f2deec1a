"""What must never be, as SQL: asked of the rows alone, without what forbids it. Takes ``stay_hours``."""

STAY_HOURS = 3
"""A confirmed booking without tables has no end on record: its guests are taken to stay for so long."""

OVERLAPS = """
SELECT count(*)
  FROM (SELECT lower(blocked) < max(upper(blocked)) OVER (
                   PARTITION BY table_ref ORDER BY lower(blocked), id
                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS is_overlap
          FROM assignments_allocation
         WHERE ends_at > now() AND (expires_at IS NULL OR expires_at > now())) AS taken
 WHERE is_overlap
"""
"""Tables taken, by bookings that have not ended, while somebody else has them."""

LOST = """
SELECT (SELECT count(*)
          FROM assignments_assignment AS assignment
         WHERE state = 'confirmed' AND starts_at > now() - %(stay_hours)s * interval '1 hour'
           AND NOT EXISTS (SELECT FROM assignments_allocation AS seated
                            WHERE seated.booking_ref = assignment.booking_ref AND seated.kind = 'seating'))
     + (SELECT count(*)
          FROM assignments_assignment
         WHERE state NOT IN ('confirmed', 'failed', 'manual_review', 'cancelled') AND due_at IS NULL
           AND starts_at > now() - %(stay_hours)s * interval '1 hour')
"""
"""Bookings that have not ended and are confirmed without a table, or wait and are never looked at."""
