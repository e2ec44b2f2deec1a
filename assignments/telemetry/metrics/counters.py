"""Counters from the database: their tables and labels."""

from collections.abc import Mapping, Sequence
from typing import Any

from assignments.models import Assignment, State
from assignments.outcome import CoordinatorReason
from assignments.telemetry import counter_store
from assignments.telemetry.event_catalogue import CATALOGUE
from assignments.telemetry.metrics import labels
from assignments.telemetry.metrics.labels import OTHER

OUTCOMES = "assignment_outcomes_total"
TRANSITIONS = "assignment_transitions_total"
EVENTS = "assignment_events_total"
DECISION_SECONDS = "assignment_decision_seconds"
WAIT_SECONDS = "assignment_wait_seconds"
RUNS = "assignment_runs_total"
EVENTS_DROPPED = "assignment_events_dropped_total"

DECISION_BUCKETS = (0.01, 0.05, 0.1, 0.5)
"""Seconds. The rollout's gates need 0.05 and 0.1."""
WAIT_BUCKETS = (10.0, 60.0, 300.0, 3600.0, 86400.0)
INFINITE = "+Inf"


def le(buckets: Sequence[float]) -> list[str]:
    """Return the values of the label ``le``."""
    return [*(str(bound) for bound in buckets), INFINITE]


def transitions() -> list[tuple[str, str]]:
    """Return the pairs of states with a transition. Cancelling, possible from any state, counts as one."""
    field = Assignment._meta.get_field("state")
    found = {(str(each.source), str(each.target)) for each in field.get_all_transitions(Assignment)}
    return [*sorted(pair for pair in found if pair[1] != State.CANCELLED), (OTHER, State.CANCELLED)]


def event_types() -> list[tuple[str, str, str]]:
    """Return source, type and severity of every event in the catalogue."""
    return [(each.source, each.type, each.severity) for each in CATALOGUE.values()]


def _columns(prefix: str, rows: Sequence[Sequence[str]]) -> Mapping[str, list[str]]:
    """Return the columns of ``rows`` as parameters for ``unnest``: ``<prefix>_0``, ``<prefix>_1``, ..."""
    return {f"{prefix}_{number}": list(column) for number, column in enumerate(zip(*rows, strict=True))}


def _attempt_parameters() -> Mapping[str, Any]:
    return {
        **_columns("outcome", labels.outcomes()),
        "planners": labels.planners(),
        "decision_buckets": list(DECISION_BUCKETS),
        "decision_le": le(DECISION_BUCKETS),
    }


def _transition_parameters() -> Mapping[str, Any]:
    return {
        **_columns("transition", transitions()),
        "confirmed_by_host": CoordinatorReason.CONFIRMED_BY_HOST,
        "wait_buckets": list(WAIT_BUCKETS),
        "wait_le": le(WAIT_BUCKETS),
    }


_ATTEMPTS = """
SELECT 'assignment_outcomes_total' AS name,
       (SELECT ARRAY[known.planner, known.outcome, known.reason]
          FROM unnest(%(outcome_0)s::text[], %(outcome_1)s::text[], %(outcome_2)s::text[])
               AS known(planner, outcome, reason)
         WHERE known.planner IN (tried.planner, 'other') AND known.outcome IN (tried.outcome, 'other')
           AND known.reason IN (tried.reason, 'other')
         ORDER BY known.planner = tried.planner DESC, known.outcome = tried.outcome DESC, known.reason = tried.reason DESC
         LIMIT 1) AS labels,
       tried.times AS value
  FROM (SELECT planner, outcome, reason, count(*) AS times
          FROM assignments_attempt WHERE {rows} GROUP BY planner, outcome, reason) AS tried
UNION ALL
SELECT 'assignment_decision_seconds_bucket',
       ARRAY[planner, (%(decision_le)s::text[])[1 + (SELECT count(*) FROM unnest(%(decision_buckets)s::float[]) AS bound
                                                      WHERE bound < decision_ms / 1000)]],
       count(*)
  FROM assignments_attempt WHERE {rows} AND decision_ms > 0 AND planner = ANY(%(planners)s) GROUP BY 2
UNION ALL
SELECT 'assignment_decision_seconds_sum', ARRAY[planner], sum(round((decision_ms / 1000)::numeric, 9))
  FROM assignments_attempt WHERE {rows} AND decision_ms > 0 AND planner = ANY(%(planners)s) GROUP BY planner
"""

WAITED = """
SELECT moved.at, greatest(extract(epoch FROM moved.at - assignment.requested_at), 0)::float AS seconds
          FROM assignments_statetransition AS moved
          JOIN assignments_assignment AS assignment ON assignment.id = moved.assignment_id
         WHERE {rows} AND moved.target = 'confirmed' AND moved.reason <> %(confirmed_by_host)s
           AND NOT EXISTS (SELECT FROM assignments_statetransition AS earlier
                            WHERE earlier.assignment_id = moved.assignment_id AND earlier.version < moved.version
                              AND earlier.target = 'confirmed')
"""
"""SQL for the time from a booking's request to its first tables. ``{rows}`` filters the transitions, ``moved``.
``confirmed_by_host`` is the reason of transitions without a wait."""

_TRANSITIONS = f"""
SELECT 'assignment_transitions_total' AS name,
       CASE WHEN known.source IS NOT NULL THEN ARRAY[moved.source, moved.target]
            WHEN moved.target = 'cancelled' THEN ARRAY['other', 'cancelled']
            ELSE ARRAY['other', 'other'] END AS labels,
       moved.times AS value
  FROM (SELECT source, target, count(*) AS times
          FROM assignments_statetransition AS moved WHERE {{rows}} GROUP BY source, target) AS moved
  LEFT JOIN unnest(%(transition_0)s::text[], %(transition_1)s::text[]) AS known(source, target) USING (source, target)
UNION ALL
SELECT counted.name, counted.labels, counted.value
  FROM (SELECT (%(wait_le)s::text[])[1 + (SELECT count(*) FROM unnest(%(wait_buckets)s::float[]) AS bound
                                           WHERE bound < waited.seconds)] AS le,
               count(*) AS times, sum(round(waited.seconds::numeric, 9)) AS seconds
          FROM ({WAITED}) AS waited GROUP BY 1) AS waited
 CROSS JOIN LATERAL (VALUES ('assignment_wait_seconds_bucket', ARRAY[le], times),
                            ('assignment_wait_seconds_sum', ARRAY[]::text[], seconds)) AS counted(name, labels, value)
"""  # noqa: S608

_EVENTS = """
SELECT 'assignment_events_total' AS name,
       CASE WHEN known.type IS NULL THEN ARRAY['other', 'other', 'other']
            ELSE ARRAY[happened.source, happened.type, known.severity] END AS labels,
       happened.times AS value
  FROM (SELECT source, type, count(*) AS times FROM assignments_event WHERE {rows} GROUP BY source, type) AS happened
  LEFT JOIN unnest(%(event_0)s::text[], %(event_1)s::text[], %(event_2)s::text[]) AS known(source, type, severity)
 USING (source, type)
"""

_RUNS = """
SELECT counted.name, counted.labels, counted.value
  FROM (SELECT coalesce(sum(passes - failed_passes), 0) AS succeeded,
               coalesce(sum(failed_passes), 0) AS failed, coalesce(sum(dropped_events), 0) AS dropped
          FROM assignments_run WHERE {rows}) AS run
 CROSS JOIN LATERAL (VALUES ('assignment_runs_total', ARRAY['success'], succeeded),
                            ('assignment_runs_total', ARRAY['error'], failed),
                            ('assignment_events_dropped_total', ARRAY[]::text[], dropped)) AS counted(name, labels, value)
"""

ATTEMPT = counter_store.Source(
    key="assignments.attempt",
    names=(OUTCOMES, f"{DECISION_SECONDS}_bucket", f"{DECISION_SECONDS}_sum"),
    table="assignments_attempt",
    moment="at",
    counted=_ATTEMPTS,
    parameters=_attempt_parameters,
)
TRANSITION = counter_store.Source(
    key="assignments.transition",
    names=(TRANSITIONS, f"{WAIT_SECONDS}_bucket", f"{WAIT_SECONDS}_sum"),
    table="assignments_statetransition",
    moment="at",
    counted=_TRANSITIONS,
    parameters=_transition_parameters,
)
EVENT = counter_store.Source(
    key="assignments.event",
    names=(EVENTS,),
    table="assignments_event",
    moment="stored_at",
    counted=_EVENTS,
    parameters=lambda: _columns("event", event_types()),
)
RUN = counter_store.Source(
    key="assignments.run",
    names=(RUNS, EVENTS_DROPPED),
    table="assignments_run",
    moment="ended_at",
    pending="ended_at IS NULL",
    counted=_RUNS,
)
SOURCES = (ATTEMPT, TRANSITION, EVENT, RUN)
