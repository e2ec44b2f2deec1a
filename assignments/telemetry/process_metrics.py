"""Metrics of a long-running process (worker or web server), in prometheus_client's default registry.

With ``PROMETHEUS_MULTIPROC_DIR`` in the environment, prometheus_client adds up the processes of a server. Metrics are
recorded after the deciding transaction, cost microseconds and never raise. Errors, such as a full disk, are logged by
type.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

from assignments.error_logging import log_error
from assignments.outcome import Outcome

logger = logging.getLogger("assignments.metrics")

DECISION_BUCKETS = (0.01, 0.1, 0.5)
PASS_BUCKETS = (1.0, 10.0, 60.0)

DECISION_SECONDS = Histogram(
    "assignment_process_decision_seconds",
    "Planning time of a decision of this process, in seconds.",
    buckets=DECISION_BUCKETS,
)
PASS_SECONDS = Histogram(
    "assignment_process_pass_seconds", "Duration of a pass of run_coordinator, in seconds.", buckets=PASS_BUCKETS
)
EVENTS_DROPPED = Counter(
    "assignment_process_events_dropped_total",
    "Events lost by this process: the buffer was full (overflow), or a sink failed (failure).",
    ["cause"],
)
for _cause in ("overflow", "failure"):
    EVENTS_DROPPED.labels(_cause)


@contextmanager
def _tolerated() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001  (the measured work is done)
        log_error(logger, error, "A metric of this process could not be recorded")


@_tolerated()
def observe_decisions(outcomes: Sequence[Outcome]) -> None:
    """Record decisions, after their transaction."""
    for outcome in outcomes:
        if outcome.decision_ms:
            DECISION_SECONDS.observe(outcome.decision_ms / 1000)


@_tolerated()
def observe_pass(seconds: float) -> None:
    """Record the wall time of a pass, after it."""
    PASS_SECONDS.observe(seconds)


@_tolerated()
def count_dropped_events(cause: str, events: int) -> None:
    """Count lost events. ``cause``: overflow or failure."""
    EVENTS_DROPPED.labels(cause).inc(events)
