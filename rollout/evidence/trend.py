"""Reading the trend: verdicts, and the share of bookings that each planner seated, over time. One query."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from assignments.integration.planners import V3
from assignments.outcome import CoordinatorReason
from rollout.evidence.live_decisions import NOT_THE_LEGACY_PLANNER
from rollout.evidence.measuring import latest
from rollout.evidence.sql import at_once

DAYS = 28
HOURS = 48
"""Maximum age of the oldest data for an hourly trend; otherwise it is daily."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """One hour or day (UTC). ``verdicts``: comparisons recorded in it, including pruned ones.

    ``v3`` and ``old``: for each planner, how many final attempts confirmed the booking, and how many there were.
    """

    begins: datetime
    verdicts: Mapping[str, int] = field(default_factory=dict)
    v3: tuple[int, int] = (0, 0)
    old: tuple[int, int] = (0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """The moments with data, earliest first."""

    moments: Sequence[Moment] = ()
    is_hourly: bool = False

    @property
    def has_comparisons(self) -> bool:
        return any(moment.verdicts for moment in self.moments)

    @property
    def has_decisions(self) -> bool:
        return any(moment.v3[1] for moment in self.moments)


def course(now: datetime) -> Course:
    """Return the trend of the last DAYS. Call it inside ``measuring.one_moment``, which limits its time."""
    found = at_once(
        {"unit": "SELECT unit FROM scale", "verdicts": _VERDICTS, "decided": _DECIDED},
        common=_SCALE,
        since=now - timedelta(days=DAYS),
        lately=now - timedelta(hours=HOURS),
        others=NOT_THE_LEGACY_PLANNER,
        planner=V3,
        not_theirs=[CoordinatorReason.CONFIRMED_BY_HOST, CoordinatorReason.STARTED_UNDECIDED],
    )
    verdicts: dict[str, Counter[str]] = {}
    for row in found["verdicts"]:
        verdicts.setdefault(row["begins"], Counter())[row["verdict"]] += int(row["comparisons"])
    decided = {row["begins"]: row for row in found["decided"]}
    return Course(
        moments=[
            Moment(
                begins=datetime.fromisoformat(begins),
                verdicts=verdicts.get(begins, {}),
                v3=_pair(decided.get(begins), "v3"),
                old=_pair(decided.get(begins), "old"),
            )
            for begins in sorted({*verdicts, *decided}, key=datetime.fromisoformat)
        ],
        is_hourly=found["unit"] == [{"unit": "hour"}],
    )


def _pair(row: Mapping[str, int] | None, planner: str) -> tuple[int, int]:
    return (row[f"{planner}_confirmed"], row[f"{planner}_ended"]) if row else (0, 0)


_SCALE = """
WITH scale AS MATERIALIZED (
     SELECT CASE WHEN EXISTS (SELECT FROM rollout_comparison
                               WHERE recorded_at >= %(since)s AND recorded_at < %(lately)s AND verdict <> '')
                   OR EXISTS (SELECT FROM rollout_comparisontally WHERE day >= (%(since)s AT TIME ZONE 'UTC')::date)
                   OR EXISTS (SELECT FROM assignments_attempt WHERE at >= %(since)s AND at < %(lately)s)
                 THEN 'day' ELSE 'hour' END AS unit)
"""

_VERDICTS = f"""
SELECT date_trunc((SELECT unit FROM scale), recorded_at, 'UTC') AS begins, verdict, count(*) AS comparisons
  FROM ({latest("%(since)s")}) AS latest
 GROUP BY 1, 2
 UNION ALL
SELECT day::timestamp AT TIME ZONE 'UTC', verdict, sum(comparisons)
  FROM rollout_comparisontally
 WHERE day >= (%(since)s AT TIME ZONE 'UTC')::date
 GROUP BY 1, 2
"""  # noqa: S608  (text of our own)

# Bookings that the host confirmed itself were not decided by a planner.
_DECIDED = """
SELECT date_trunc((SELECT unit FROM scale), at, 'UTC') AS begins,
       count(*) FILTER (WHERE planner = %(planner)s AND outcome = 'confirmed') AS v3_confirmed,
       count(*) FILTER (WHERE planner = %(planner)s) AS v3_ended,
       count(*) FILTER (WHERE planner <> ALL(%(others)s) AND outcome = 'confirmed') AS old_confirmed,
       count(*) FILTER (WHERE planner <> ALL(%(others)s)) AS old_ended
  FROM assignments_attempt
 WHERE at >= %(since)s AND outcome IN ('confirmed', 'manual_review', 'failed')
   AND reason <> ALL(%(not_theirs)s)
 GROUP BY 1
"""
