"""The metrics of this app that come from the database. Six queries, bounded by what is young, open or not over yet."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from assignments.concurrency.sql import rows
from assignments.models import State
from assignments.telemetry import counter_store, health
from assignments.telemetry.invariants import LOST, OVERLAPS, STAY_HOURS
from assignments.telemetry.metrics import counters, labels

Counts = Mapping[tuple[str, tuple[str, ...]], float]


def gather() -> Iterator[Metric]:
    """Every metric family, in the transaction of ``collector``."""
    counts = {
        (each.name, each.labels): each.value
        for each in counter_store.read(*(source.key for source in counters.SOURCES))
    }
    yield _counter(
        counts,
        counters.OUTCOMES,
        'Attempts at a booking, by planner, by what became of it, and why. Retries are outcome="retry".',
        ["planner", "outcome", "reason"],
        labels.outcomes(),
    )
    yield _counter(
        counts,
        counters.TRANSITIONS,
        'Transitions of the state machine; from_state is "other" where a booking was cancelled.',
        ["from_state", "to_state"],
        counters.transitions(),
    )
    yield _counter(
        counts,
        counters.EVENTS,
        "Stored events, by their entry in the catalogue.",
        ["source", "type", "severity"],
        counters.event_types(),
    )
    yield _histogram(
        counts,
        counters.DECISION_SECONDS,
        "Seconds of planning alone that one decision took.",
        counters.DECISION_BUCKETS,
        ["planner"],
        [(key,) for key in labels.planners()],
    )
    yield _histogram(
        counts,
        counters.WAIT_SECONDS,
        "Seconds from the request of a booking until it had tables for the first time.",
        counters.WAIT_BUCKETS,
        [],
        [()],
    )
    yield _counter(
        counts,
        counters.RUNS,
        "Passes of run_coordinator; error: it met an unexpected error, be it at one booking, or broke off.",
        ["result"],
        [("success",), ("error",)],
    )
    yield _counter(counts, counters.EVENTS_DROPPED, "Events that runs of run_coordinator have lost.", [], [()])
    yield from _vitals(health.vitals())
    yield from _standing()


def _counter(
    counts: Counts, name: str, documentation: str, label_names: Sequence[str], known: Iterable[tuple[str, ...]]
) -> Metric:
    """A counter family. What is known is there from the start, with 0: a rate sees the first one, too."""
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


def _vitals(vitals: health.Vitals) -> Iterator[Metric]:
    last_success = vitals.last_success_at.timestamp() if vitals.last_success_at else 0.0
    for name, documentation, value in (
        ("assignment_due_bookings", "Bookings that should be looked at now.", vitals.due_bookings),
        (
            "assignment_oldest_due_age_seconds",
            "Seconds since when the longest waiting of these should have been looked at.",
            vitals.oldest_due_age_seconds,
        ),
        (
            "assignment_permits_in_use",
            "Permits taken right now at the restaurant that has most of its permits taken.",
            vitals.permits_in_use,
        ),
        ("assignment_permits_limit", "Permits of each restaurant (MAX_PARALLEL).", vitals.permits_limit),
        (
            "assignment_outbox_waiting",
            f"Outbox messages that wait to be delivered, counted up to {health.OUTBOX_COUNTED}.",
            vitals.outbox_waiting,
        ),
        (
            "assignment_outbox_oldest_age_seconds",
            "Seconds that the oldest of these has waited.",
            vitals.outbox_oldest_age_seconds,
        ),
        (
            "assignment_last_success_timestamp_seconds",
            "When a pass of run_coordinator last took in what was new and came to its end, and not all that came of it were "
            "unexpected errors; 0: never.",
            last_success,
        ),
        (
            "assignment_workers",
            "Workers with --watch that gave a sign of life within CRON_SECONDS.",
            vitals.workers,
        ),
    ):
        yield GaugeMetricFamily(name, documentation, value=value)
    breakers = GaugeMetricFamily(
        "assignment_breakers",
        "Restaurants whose circuit breaker is open, or half open for less than an hour.",
        labels=["state"],
    )
    breakers.add_metric(["open"], vitals.breakers_open)
    breakers.add_metric(["half_open"], vitals.breakers_half_open)
    yield breakers


def _standing() -> Iterator[Metric]:
    ((counts, overlaps, lost),) = rows(_STANDING, states=list(State), stay_hours=STAY_HOURS)
    bookings = GaugeMetricFamily(
        "assignment_bookings", "Bookings that have not started yet, by state.", labels=["state"]
    )
    for state, count in zip(State, counts, strict=True):
        bookings.add_metric([state], count)
    yield bookings
    yield GaugeMetricFamily(
        "assignment_overlaps",
        "Tables taken, by bookings that have not ended, while somebody else has them. Always 0.",
        value=overlaps,
    )
    yield GaugeMetricFamily(
        "assignment_lost_bookings",
        "Bookings that have not ended and are confirmed without a table, or wait and are never looked at. Always 0.",
        value=lost,
    )


_STANDING = f"""
SELECT ARRAY(SELECT (SELECT count(*) FROM assignments_assignment AS assignment
                      WHERE assignment.state = known.state AND starts_at > now())
               FROM unnest(%(states)s::text[]) WITH ORDINALITY AS known(state, place) ORDER BY place),
       ({OVERLAPS}),
       ({LOST})
"""  # noqa: S608  (our own SQL)
