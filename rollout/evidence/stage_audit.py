"""Adding up findings and outcomes over a stage, from what the guard has stored of each window."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from rollout.policy.measurements import Outcomes, Seatings

BY_OUTCOME = ("bookings", "confirmed", "review", "infeasible")


def added_up(earlier: Sequence[Mapping[str, Any]], window: int, current: Seatings) -> Seatings:
    """Add up the last audits of the stage's windows with odd numbers, which do not overlap.

    ``earlier``: the rows of WINDOWS. ``current``: the current audit of the window with the number ``window``.
    """
    known = {each.name for each in fields(Seatings)}
    found = current if window % 2 else Seatings()
    for row in earlier:
        found += Seatings(**{name: value for name, value in row["seatings"].items() if name in known})
    return found


def outcomes(earlier: Sequence[Mapping[str, Any]], window: int, current: Outcomes) -> Outcomes:
    """Add up the bookings of these windows by outcome. Attempts and times are not added up."""
    windows = [row["v3"] or {} for row in earlier] + ([asdict(current)] if window % 2 else [])
    return Outcomes(**{name: sum(each.get(name, 0) for each in windows) for name in BY_OUTCOME})


# A window of another length has another start, and does not count.
WINDOWS = """
SELECT seatings, v3
  FROM (SELECT DISTINCT ON (number) number, seatings, v3
          FROM (SELECT id, (measured ->> 'window')::int AS number, measured -> 'seatings' AS seatings,
                       measured -> 'v3' AS v3, (measured ->> 'since')::timestamptz AS since
                  FROM rollout_guardrun
                 WHERE environment = %(environment)s AND stage = %(stage)s AND release = ANY(%(releases)s)
                   AND at >= %(began)s AND measured ->> 'window' IS NOT NULL) AS run
         WHERE number %% 2 = 1 AND number < %(window)s
           AND since = %(began)s + (number - 1) * %(window_minutes)s * interval '1 minute'
         ORDER BY number, id DESC) AS last
"""
"""SQL for what the guard kept of earlier windows of this stage."""
