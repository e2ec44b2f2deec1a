"""What a long-running process measures itself: workers and web servers. In prometheus_client's default registry.

With ``PROMETHEUS_MULTIPROC_DIR`` in the environment, prometheus_client adds up the processes of one server. Observing
happens after the transaction that decided, costs microseconds, and never raises: what goes wrong (a full disk, say, under
that directory) is logged by type.
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
    "Seconds of planning alone that one decision of this process took.",
    buckets=DECISION_BUCKETS,
)
PASS_SECONDS = Histogram(
    "assignment_process_pass_seconds", "Seconds that one pass of run_coordinator took.", buckets=PASS_BUCKETS
)
EVENTS_DROPPED = Counter(
    "assignment_process_events_dropped_total",
    "Events that this process has lost: the buffer was full (overflow), or a sink failed (failure).",
    ["cause"],
)
for _cause in ("overflow", "failure"):
    EVENTS_DROPPED.labels(_cause)


@contextmanager
def _tolerated() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001  (whatever it is: what is measured has been done)
        log_error(logger, error, "A metric of this process could not be kept")


@_tolerated()
def observe_decisions(outcomes: Sequence[Outcome]) -> None:
    """Once the transaction that decided them is over."""
    for outcome in outcomes:
        if outcome.decision_ms:
            DECISION_SECONDS.observe(outcome.decision_ms / 1000)


@_tolerated()
def observe_pass(seconds: float) -> None:
    """Once a pass is over. Wall time."""
    PASS_SECONDS.observe(seconds)


@_tolerated()
def count_dropped_events(cause: str, events: int) -> None:
    """``cause``: overflow or failure."""
    EVENTS_DROPPED.labels(cause).inc(events)
