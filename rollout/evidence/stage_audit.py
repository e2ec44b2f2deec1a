"""Adding up the audit's findings over a stage, from what the guard has stored of each window."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from rollout.policy.measurements import Seatings


def added_up(earlier: Sequence[Mapping[str, Any]], window: int, current: Seatings) -> Seatings:
    """Add up the last audits of the stage's windows with odd numbers, which do not overlap.

    ``earlier``: the rows of WINDOWS. ``current``: the current audit of the window with the number ``window``.
    """
    known = {each.name for each in fields(Seatings)}
    found = current if window % 2 else Seatings()
    for row in earlier:
        found += Seatings(**{name: value for name, value in row["seatings"].items() if name in known})
    return found


# A window of another length has another start, and does not count.
WINDOWS = """
SELECT seatings
  FROM (SELECT DISTINCT ON (number) number, seatings
          FROM (SELECT id, (measured ->> 'window')::int AS number, measured -> 'seatings' AS seatings,
                       (measured ->> 'since')::timestamptz AS since
                  FROM rollout_guardrun
                 WHERE environment = %(environment)s AND stage = %(stage)s AND release = ANY(%(releases)s)
                   AND at >= %(began)s AND measured ->> 'window' IS NOT NULL) AS run
         WHERE number %% 2 = 1 AND number < %(window)s
           AND since = %(began)s + (number - 1) * %(window_minutes)s * interval '1 minute'
         ORDER BY number, id DESC) AS last
"""
"""SQL for what the guard kept of earlier windows of this stage."""
