"""This app's metrics from the database. Six queries, bounded to recent, open or future rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from assignments.concurrency.sql import rows
from assignments.models import State
from assignments.telemetry import counter_store, health
from assignments.telemetry.invariants import LOST, OVERLAPS, SHARED_SOON, STAY_HOURS, UNSEATED_SOON
from assignments.telemetry.metrics import counters, labels
from assignments.telemetry.metrics.collector import gauge

Counts = Mapping[tuple[str, tuple[str, ...]], float]


def gather() -> Iterator[Metric]:
    """Yield all metric families, in the transaction of ``collector``."""
    counts = {
        (each.name, each.labels): each.value
        for each in counter_store.read(*(source.key for source in counters.SOURCES))
    }
    yield _counter(
        counts,
        counters.OUTCOMES,
        'Attempts by planner, outcome and reason. Retries have outcome="retry".',
        ["planner", "outcome", "reason"],
        labels.outcomes(),
    )
    yield _counter(
        counts,
        counters.TRANSITIONS,
        'Transitions of the state machine. from_state is "other" for cancellations.',
        ["from_state", "to_state"],
        counters.transitions(),
    )
    yield _counter(
        counts,
        counters.EVENTS,
        "Stored events, by catalogue entry.",
        ["source", "type", "severity"],
        counters.event_types(),
    )
    yield _histogram(
        counts,
        counters.DECISION_SECONDS,
        "Planning time of a decision, in seconds.",
        counters.DECISION_BUCKETS,
        ["planner"],
        [(key,) for key in labels.planners()],
    )
    yield _histogram(
        counts,
        counters.WAIT_SECONDS,
        "Time from a booking's request to its first tables, in seconds.",
        counters.WAIT_BUCKETS,
        [],
        [()],
    )
    yield _counter(
        counts,
        counters.RUNS,
        "Passes of run_coordinator. error: aborted, or an unexpected error at one or more bookings.",
        ["result"],
        [("success",), ("error",)],
    )
    yield _counter(counts, counters.EVENTS_DROPPED, "Events lost by runs of run_coordinator.", [], [()])
    yield from _vitals(health.vitals())
    yield from _bookings()


def _counter(
    counts: Counts, name: str, documentation: str, label_names: Sequence[str], known: Iterable[tuple[str, ...]]
) -> Metric:
    """Build a counter family. Known series start at 0, so that a rate includes the first increment."""
    family = CounterMetricFamily(name, documentation, labels=label_names)
    found = {values: value for (each, values), value in counts.items() if each == name}
    for values, value in sorted({**dict.fromkeys(known, 0.0), **found}.items()):
        family.add_metric(values, value)
    return family


def _histogram(
    counts: Counts,
    name: str,
    documentation: str,
    buckets: Sequence[float],
    label_names: Sequence[str],
    known: Iterable[tuple[str, ...]],
) -> Metric:
    family = HistogramMetricFamily(name, documentation, labels=label_names)
    bounds = counters.le(buckets)
    for values in known:
        below = accumulate(counts.get((f"{name}_bucket", (*values, bound)), 0.0) for bound in bounds)
        family.add_metric(
            values, list(zip(bounds, below, strict=True)), sum_value=counts.get((f"{name}_sum", values), 0.0)
        )
    return family


_VITALS = {
    "due_bookings": "Bookings due for planning now.",
    "oldest_due_age_seconds": "Time for which the oldest of these has been due, in seconds.",
    "permits_in_use": "Permits in use at the restaurant with the most in use.",
    "permits_limit": "Maximum permits per restaurant (MAX_PARALLEL).",
    "outbox_waiting": f"Outbox messages waiting for delivery, counted up to {health.OUTBOX_COUNTED}.",
    "outbox_oldest_age_seconds": "Age of the oldest of these, in seconds.",
    "workers": "Workers with --watch and a heartbeat within CRON_SECONDS.",
}
"""Vitals that are metrics as they are."""


def _vitals(vitals: health.Vitals) -> Iterator[Metric]:
    for name, documentation in _VITALS.items():
        yield GaugeMetricFamily(f"assignment_{name}", documentation, value=getattr(vitals, name))
    yield GaugeMetricFamily(
        "assignment_last_success_timestamp_seconds",
        "Time of the last successful pass of run_coordinator: it listed new bookings and had not only errors. 0: never.",
        value=vitals.last_success_at.timestamp() if vitals.last_success_at else 0.0,
    )
    documentation = "Restaurants whose circuit breaker is open, or has been half open for less than an hour."
    breakers = {"open": vitals.breakers_open, "half_open": vitals.breakers_half_open}
    yield gauge("assignment_breakers", documentation, "state", breakers)


def _bookings() -> Iterator[Metric]:
    ((counts, overlaps, lost, shared, unseated),) = rows(_STANDING, states=list(State), stay_hours=STAY_HOURS)
    by_state = dict(zip(State, counts, strict=True))
    yield gauge("assignment_bookings", "Bookings that have not started yet, by state.", "state", by_state)
    yield GaugeMetricFamily(
        "assignment_overlaps",
        "Number of occupied tables that overlap another seating, for bookings that have not ended. Must be 0.",
        value=overlaps,
    )
    yield GaugeMetricFamily(
        "assignment_lost_bookings",
        "Number of bookings that have not ended and are confirmed without a table, or waiting without a due date, and "
        "of those that had started when the last run could not take them in. Must be 0.",
        value=lost,
    )
    yield GaugeMetricFamily(
        "assignment_tables_expected_twice",
        "Number of bookings that begin within two hours at a table at which other guests are still going to sit.",
        value=shared,
    )
    yield GaugeMetricFamily(
        "assignment_unseated_soon",
        "Number of bookings that begin within the hour and have no table.",
        value=unseated,
    )


_STANDING = f"""
SELECT ARRAY(SELECT (SELECT count(*) FROM assignments_assignment AS assignment
                      WHERE assignment.state = known.state AND starts_at > assignments_now())
               FROM unnest(%(states)s::text[]) WITH ORDINALITY AS known(state, place) ORDER BY place),
       ({OVERLAPS}),
       ({LOST}),
       ({SHARED_SOON}),
       ({UNSEATED_SOON})
"""  # noqa: S608  (our own SQL)
