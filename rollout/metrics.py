"""The rollout's metrics: stage, flags, comparisons, and the guard's findings."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from assignments.concurrency.sql import dicts, rows
from assignments.integration import release
from assignments.telemetry import counter_store
from assignments.telemetry.metrics import labels
from assignments.telemetry.metrics.collector import COLLECTOR, gauge
from rollout import conf, routing
from rollout.flags import bucketing, resolution
from rollout.models import Change, ForcedPlanner
from rollout.policy import guardrails
from rollout.policy.verdict import Verdict

COMPARISONS = "rollout_comparisons_total"
WAITING_COUNTED = 10_000
"""Maximum count of comparisons waiting for V3, and of batches waiting for their audit."""

_COMPARED = """
SELECT 'rollout_comparisons_total' AS name,
       ARRAY[CASE WHEN verdict = ANY(%(verdicts)s) THEN verdict ELSE 'other' END] AS labels, count(*) AS value
  FROM rollout_comparison WHERE {rows} AND verdict <> '' GROUP BY 2
"""

COMPARISON = counter_store.Source(
    key="rollout.comparison",
    names=(COMPARISONS,),
    table="rollout_comparison",
    moment="compared_at",
    counted=_COMPARED,
    parameters=lambda: {"verdicts": list(Verdict)},
)


def register() -> None:
    """Collect these metrics at each scrape, and count the legacy planner's outcomes under its own key."""
    counter_store.register(COMPARISON)
    if not conf.problems() and conf.settings().LEGACY_PLANNER:  # the checks report wrong settings
        labels.register_planner(ForcedPlanner.PlannerChoice.LEGACY)
    COLLECTOR.register("rollout", gather)


def gather() -> Iterator[Metric]:
    """Every metric family, in the collector's transaction. Six queries, regardless of the number of comparisons."""
    compared = CounterMetricFamily(
        COMPARISONS, "Decisions of the legacy planner that V3 was compared with, by verdict.", labels=["verdict"]
    )
    found = {each.labels[0]: each.value for each in counter_store.read(COMPARISON.key)}
    for verdict, value in sorted({**dict.fromkeys([str(each) for each in Verdict], 0.0), **found}.items()):
        compared.add_metric([verdict], value)
    yield compared
    as_they_are = resolution.read()
    yield from _flags(as_they_are)
    (current,) = dicts(_CURRENT, environment=conf.settings().ENVIRONMENT, waiting_counted=WAITING_COUNTED)
    yield from _position(current)
    yield from _comparing(current)
    yield GaugeMetricFamily(
        "rollout_v3_oldest_due_age_seconds",
        "Seconds since the oldest due booking that V3 has to decide became due.",
        value=_v3_oldest_due_age(as_they_are, current),
    )
    yield _rollbacks(rows(_CHANGES, environment=conf.settings().ENVIRONMENT, kind=Change.Kind.STAGE))


def _flags(as_they_are: resolution.Flags) -> Iterator[Metric]:
    flags = {"v3": as_they_are.v3.value, "shadow": as_they_are.shadow.value}
    yield gauge("rollout_flag", "1 while the flag is on, from any source.", "flag", flags)
    documentation = "1 while the kill variable is set on the scraped server."
    yield GaugeMetricFamily("rollout_killed", documentation, value=as_they_are.killed)


def _position(current: Mapping[str, Any]) -> Iterator[Metric]:
    here = current["stage"]
    stages = {each.key: each.key == here for each in conf.current_ladder().stages}
    if here is not None and here not in stages:
        stages[labels.OTHER] = True
    yield gauge("rollout_stage", "1 for the current stage of the environment.", "stage", stages)
    percent = current["percent"] or 0
    yield GaugeMetricFamily("rollout_percent", "Percent of restaurants that V3 decides for.", value=percent)
    documentation = "Releases that kept a stage in which V3 decides without evidence of their own."
    yield CounterMetricFamily("rollout_releases_kept_total", documentation, value=current["releases_kept"])
    yield GaugeMetricFamily("rollout_held", "1 while the rollout is paused.", value=bool(current["paused"]))


def _comparing(current: Mapping[str, Any]) -> Iterator[Metric]:
    for name, documentation, value in (
        (
            "rollout_comparisons_waiting",
            f"Decisions waiting for comparison, counted up to {WAITING_COUNTED}.",
            current["waiting"],
        ),
        (
            "rollout_comparisons_oldest_waiting_age_seconds",
            "Seconds that the oldest decision has waited for comparison.",
            current["oldest_waiting_age"],
        ),
        (
            "rollout_last_comparison_timestamp_seconds",
            "Time of the last comparison; 0: never.",
            current["last_comparison"],
        ),
        (
            "rollout_audits_waiting",
            f"Decisions of V3 waiting for their audit, in at most {WAITING_COUNTED} batches.",
            current["audits_waiting"],
        ),
        (
            "rollout_audits_oldest_waiting_age_seconds",
            "Seconds that the oldest decision of V3 has waited for its audit.",
            current["oldest_audit_age"],
        ),
        (
            "rollout_audits_failed",
            "Decisions of V3 whose audit failed in the last day.",
            current["audits_failed"],
        ),
        (
            "rollout_guard_last_run_timestamp_seconds",
            "Time of the last guard run; 0: never.",
            current["last_guard_run"],
        ),
    ):
        yield GaugeMetricFamily(name, documentation, value=value)
    documentation = "1 if the guard's last run of the past hour found the rail breached."
    breached = {rail: rail in current["breached"] for rail in guardrails.RAILS}
    yield gauge("rollout_guard_breaches", documentation, "rail", breached)


def _v3_oldest_due_age(as_they_are: resolution.Flags, current: Mapping[str, Any]) -> float:
    """Return the age of the oldest due booking that V3 decides; zero if there is none. Uses the router's rule."""
    if as_they_are.mode is not resolution.Mode.ACTIVE:
        return 0.0
    legacy = routing.legacy_key()
    percent = current["percent"]
    if percent is not None:
        percent = bucketing.share(current["stage"], percent, knows_release=release.running() in current["releases"])
    waiting = rows(_DUE, legacy=legacy)
    return max(
        (
            age
            for restaurant_ref, forced, age in waiting
            if routing.is_for_v3(
                bucketing.RolloutState(flags=as_they_are, percent=percent, forced_planner=forced),
                restaurant_ref,
                legacy,
            )
        ),
        default=0.0,
    )


def _rollbacks(changes: Sequence[tuple[str, str, str, int]]) -> Metric:
    places = {stage.key: place for place, stage in enumerate(conf.current_ladder().stages)}
    counts = {"guard": 0, "person": 0, "release": 0}
    for actor, before, after, times in changes:
        is_down = before in places and after in places and places[after] < places[before]
        if actor == "guard" or is_down:
            counts[actor or "person"] += times
    family = CounterMetricFamily(
        "rollout_rollbacks_total", "Rollbacks of the environment, by who decided them.", labels=["by"]
    )
    for by, times in counts.items():
        family.add_metric([by], times)
    return family


_CURRENT = """
WITH position AS (SELECT stage, percent, paused, same || release AS releases
                    FROM rollout_position WHERE environment = %(environment)s),
     waiting AS (
     SELECT count(*) AS comparisons, min(recorded_at) AS oldest
       FROM (SELECT recorded_at FROM rollout_comparison
              WHERE verdict = '' ORDER BY id LIMIT %(waiting_counted)s) AS waiting),
     unaudited AS (
     SELECT coalesce(sum(attempts), 0)::int AS decisions, min(at) AS oldest
       FROM (SELECT attempts, at FROM rollout_frozenbatch
              WHERE audited_at IS NULL ORDER BY at LIMIT %(waiting_counted)s) AS unaudited),
     looked AS (
     SELECT at, breaches FROM rollout_guardrun WHERE environment = %(environment)s ORDER BY at DESC LIMIT 1)
SELECT (SELECT stage FROM position) AS stage,
       (SELECT percent FROM position) AS percent,
       (SELECT paused FROM position) AS paused,
       (SELECT releases FROM position) AS releases,
       (SELECT count(*) FROM rollout_change
         WHERE environment = %(environment)s AND kind = 'release' AND evidence ->> 'kept' = 'true') AS releases_kept,
       waiting.comparisons AS waiting,
       coalesce(greatest(extract(epoch FROM assignments_now() - waiting.oldest), 0), 0)::float AS oldest_waiting_age,
       unaudited.decisions AS audits_waiting,
       coalesce(greatest(extract(epoch FROM assignments_now() - unaudited.oldest), 0), 0)::float AS oldest_audit_age,
       (SELECT count(*) FROM rollout_audit
         WHERE audited_at > assignments_now() - interval '1 day' AND error <> '') AS audits_failed,
       coalesce(extract(epoch FROM (SELECT max(compared_at) FROM rollout_comparison)), 0)::float AS last_comparison,
       coalesce(extract(epoch FROM (SELECT at FROM looked)), 0)::float AS last_guard_run,
       ARRAY(SELECT breach ->> 'rail' FROM looked, jsonb_array_elements(looked.breaches) AS breach
              WHERE looked.at > assignments_now() - interval '1 hour') AS breached
  FROM waiting CROSS JOIN unaudited
"""

# Bookings claimed by the legacy planner stay with it.
_DUE = """
SELECT due.restaurant_ref, coalesce(forced.planner, '') AS forced,
       extract(epoch FROM assignments_now() - due.oldest)::float AS age
  FROM (SELECT restaurant_ref, min(due_at) AS oldest
          FROM assignments_assignment WHERE due_at <= assignments_now() AND (planner = '' OR planner <> %(legacy)s)
         GROUP BY restaurant_ref) AS due
  LEFT JOIN rollout_forcedplanner AS forced USING (restaurant_ref)
"""

_CHANGES = """
SELECT CASE WHEN actor IN ('guard', 'release') THEN actor ELSE '' END, before, after, count(*)
  FROM rollout_change WHERE environment = %(environment)s AND kind = %(kind)s GROUP BY 1, 2, 3
"""
