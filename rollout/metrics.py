"""The rollout's metrics: where it stands, what the flags are, what was compared, and what the guard found."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from assignments.concurrency.sql import dicts, rows
from assignments.telemetry import counter_store
from assignments.telemetry.metrics import labels
from assignments.telemetry.metrics.collector import COLLECTOR
from rollout import conf, routing
from rollout.flags import bucketing, resolution
from rollout.models import Change, Pin
from rollout.policy import guardrails
from rollout.policy.verdict import Verdict

COMPARISONS = "rollout_comparisons_total"
WAITING_COUNTED = 10_000
"""Comparisons that wait for V3 are counted up to this many."""

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
    """Have these metrics gathered at each scrape, and the old planner's outcomes counted under its own key."""
    counter_store.register(COMPARISON)
    if not conf.problems() and conf.settings().LEGACY_PLANNER:  # wrong settings are for the checks to report
        labels.register_planner(Pin.PlannerChoice.LEGACY)
    COLLECTOR.register("rollout", gather)


def gather() -> Iterator[Metric]:
    """Every metric family, in the transaction of the collector. Six queries, whatever the number of comparisons."""
    compared = CounterMetricFamily(
        COMPARISONS, "Decisions of the old planner that V3 was asked about, by verdict.", labels=["verdict"]
    )
    found = {each.labels[0]: each.value for each in counter_store.read(COMPARISON.key)}
    for verdict, value in sorted({**dict.fromkeys([str(each) for each in Verdict], 0.0), **found}.items()):
        compared.add_metric([verdict], value)
    yield compared
    as_they_are = resolution.read()
    yield from _flags(as_they_are)
    (standing,) = dicts(_STANDING, environment=conf.settings().ENVIRONMENT, waiting_counted=WAITING_COUNTED)
    yield from _position(standing)
    yield from _comparing(standing)
    yield GaugeMetricFamily(
        "rollout_v3_oldest_due_age_seconds",
        "Seconds that the longest waiting booking of those that are V3's to decide has been due.",
        value=_v3_oldest_due_age(as_they_are, standing),
    )
    yield _rollbacks(rows(_CHANGES, environment=conf.settings().ENVIRONMENT, kind=Change.Kind.STAGE))


def _flags(as_they_are: resolution.Flags) -> Iterator[Metric]:
    flag = GaugeMetricFamily("rollout_flag", "1 while the flag is on, wherever it is set.", labels=["flag"])
    flag.add_metric(["v3"], as_they_are.v3.value)
    flag.add_metric(["shadow"], as_they_are.shadow.value)
    yield flag
    yield GaugeMetricFamily(
        "rollout_killed",
        "1 while the kill variable of the server that was asked overrules all.",
        value=as_they_are.killed,
    )


def _position(standing: Mapping[str, Any]) -> Iterator[Metric]:
    stage = GaugeMetricFamily("rollout_stage", "1 for the stage at which the environment stands.", labels=["stage"])
    known = [each.key for each in conf.current_ladder().stages]
    here = standing["stage"]
    for key in known:
        stage.add_metric([key], key == here)
    if here is not None and here not in known:
        stage.add_metric([labels.OTHER], 1)
    yield stage
    percent = standing["percent"] or 0
    yield GaugeMetricFamily("rollout_percent", "Percent of restaurants that V3 may decide for.", value=percent)
    yield GaugeMetricFamily("rollout_held", "1 while the rollout is held.", value=bool(standing["held"]))


def _comparing(standing: Mapping[str, Any]) -> Iterator[Metric]:
    for name, documentation, value in (
        (
            "rollout_comparisons_waiting",
            f"Decisions that V3 was not asked about yet, counted up to {WAITING_COUNTED}.",
            standing["waiting"],
        ),
        (
            "rollout_comparisons_oldest_waiting_age_seconds",
            "Seconds that the oldest of these has waited.",
            standing["oldest_waiting_age"],
        ),
        (
            "rollout_last_comparison_timestamp_seconds",
            "When V3 was last asked about a decision; 0: never.",
            standing["last_comparison"],
        ),
        (
            "rollout_guard_last_run_timestamp_seconds",
            "When the guard last looked; 0: never.",
            standing["last_guard_run"],
        ),
    ):
        yield GaugeMetricFamily(name, documentation, value=value)
    breaches = GaugeMetricFamily(
        "rollout_guard_breaches",
        "1 if the guard's last look of the past hour found the rail breached.",
        labels=["rail"],
    )
    for rail in guardrails.RAILS:
        breaches.add_metric([rail], rail in standing["breached"])
    yield breaches


def _v3_oldest_due_age(as_they_are: resolution.Flags, standing: Mapping[str, Any]) -> float:
    """Zero where V3 decides for nobody, or nothing waits for it. The rule of who decides is the router's own."""
    if as_they_are.mode is not resolution.Mode.ACTIVE:
        return 0.0
    legacy = routing.legacy_key()
    waiting = rows(_DUE, legacy=legacy)
    return max(
        (
            age
            for restaurant_ref, pin, age in waiting
            if routing.is_for_v3(
                bucketing.Standing(flags=as_they_are, percent=standing["percent"], pin=pin), restaurant_ref, legacy
            )
        ),
        default=0.0,
    )


def _rollbacks(changes: Sequence[tuple[bool, str, str, int]]) -> Metric:
    places = {stage.key: place for place, stage in enumerate(conf.current_ladder().stages)}
    counts = {"guard": 0, "person": 0}
    for is_guard, before, after, times in changes:
        is_down = before in places and after in places and places[after] < places[before]
        if is_guard or is_down:
            counts["guard" if is_guard else "person"] += times
    family = CounterMetricFamily(
        "rollout_rollbacks_total", "Times that the environment went down its ladder, by who decided it.", labels=["by"]
    )
    for by, times in counts.items():
        family.add_metric([by], times)
    return family


_STANDING = """
WITH position AS (SELECT stage, percent, held FROM rollout_position WHERE environment = %(environment)s),
     waiting AS (
     SELECT count(*) AS comparisons, min(recorded_at) AS oldest
       FROM (SELECT recorded_at FROM rollout_comparison
              WHERE verdict = '' ORDER BY id LIMIT %(waiting_counted)s) AS waiting),
     looked AS (
     SELECT at, breaches FROM rollout_guardrun WHERE environment = %(environment)s ORDER BY at DESC LIMIT 1)
SELECT (SELECT stage FROM position) AS stage,
       (SELECT percent FROM position) AS percent,
       (SELECT held FROM position) AS held,
       waiting.comparisons AS waiting,
       coalesce(greatest(extract(epoch FROM now() - waiting.oldest), 0), 0)::float AS oldest_waiting_age,
       coalesce(extract(epoch FROM (SELECT max(compared_at) FROM rollout_comparison)), 0)::float AS last_comparison,
       coalesce(extract(epoch FROM (SELECT at FROM looked)), 0)::float AS last_guard_run,
       ARRAY(SELECT breach ->> 'rail' FROM looked, jsonb_array_elements(looked.breaches) AS breach
              WHERE looked.at > now() - interval '1 hour') AS breached
  FROM waiting
"""

# What the old planner has claimed stays with it.
_DUE = """
SELECT due.restaurant_ref, coalesce(pin.planner, '') AS pin, extract(epoch FROM now() - due.oldest)::float AS age
  FROM (SELECT restaurant_ref, min(due_at) AS oldest
          FROM assignments_assignment WHERE due_at <= now() AND (planner = '' OR planner <> %(legacy)s)
         GROUP BY restaurant_ref) AS due
  LEFT JOIN rollout_pin AS pin USING (restaurant_ref)
"""

_CHANGES = """
SELECT actor = 'guard', before, after, count(*)
  FROM rollout_change WHERE environment = %(environment)s AND kind = %(kind)s GROUP BY 1, 2, 3
"""
