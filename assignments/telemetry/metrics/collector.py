"""Metrics from the database, because cron processes end before a scrape.

Each gatherer has its own read-only transaction with a statement timeout, and its result is cached in this process for
``METRICS_CACHE_SECONDS``. If it fails, it returns no values rather than old ones, and ``assignment_collector_up`` is 0.
The scrape continues without it.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import connection, transaction
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from assignments import conf
from assignments.concurrency import transactions
from assignments.error_logging import log_error

logger = logging.getLogger("assignments.metrics")

Gather = Callable[[], Iterable[Metric]]


@dataclass(kw_only=True)
class _Gatherer:
    name: str
    gather: Gather
    lock: threading.Lock = field(default_factory=threading.Lock)
    kept_until: float = 0.0
    families: Sequence[Metric] = ()
    is_up: bool = False
    seconds: float = 0.0

    def ask(self) -> None:
        """Refresh the cached result. Of several parallel scrapes one queries the database and the others wait for it."""
        with self.lock:
            started = time.monotonic()
            if started < self.kept_until:
                return
            try:
                with _one_moment(conf.settings().METRICS_TIMEOUT_MS):
                    self.families, self.is_up = tuple(self.gather()), True
            except Exception as error:  # noqa: BLE001  (a scrape must report it and not fail)
                log_error(logger, error, "Metrics of %s could not be gathered", self.name, level=logging.WARNING)
                self.families, self.is_up = (), False
            self.seconds = time.monotonic() - started
            # A failure is cached for as long as a result, to spare a database in trouble.
            self.kept_until = time.monotonic() + conf.settings().METRICS_CACHE_SECONDS


def gauge(name: str, documentation: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return a gauge with a value for each value of its label."""
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


class DatabaseCollector(Collector):
    """Collects the registered metrics, and the status of each gatherer."""

    def __init__(self) -> None:
        self._gatherers: dict[str, _Gatherer] = {}

    def register(self, name: str, gather: Gather) -> None:
        """Register ``gather``, which is called at a scrape in its own transaction. ``name`` is the label ``collector``."""
        self._gatherers[name] = _Gatherer(name=name, gather=gather)

    def forget(self) -> None:
        """Clear the cache. For tests."""
        for gatherer in self._gatherers.values():
            gatherer.kept_until = 0.0

    def describe(self) -> Iterable[Metric]:
        """Return nothing, because registration must not query the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        gatherers = tuple(self._gatherers.values())
        for gatherer in gatherers:
            gatherer.ask()
            yield from gatherer.families
        documentation = "1 if these metrics could be read from the database, 0 if not."
        up = {gatherer.name: float(gatherer.is_up) for gatherer in gatherers}
        yield gauge("assignment_collector_up", documentation, "collector", up)
        documentation = "Time to read these metrics from the database, in seconds."
        seconds = {gatherer.name: gatherer.seconds for gatherer in gatherers}
        yield gauge("assignment_collector_seconds", documentation, "collector", seconds)


REGISTRY = CollectorRegistry(auto_describe=False)
"""Separate from the default registry. Metrics from the database are the same in every process and must not be added up.
"""

COLLECTOR = DatabaseCollector()
REGISTRY.register(COLLECTOR)


@contextmanager
def _one_moment(statement_timeout_ms: int) -> Iterator[None]:
    """Run queries in one read-only snapshot, each with a timeout."""
    isolation = "" if connection.in_atomic_block else "ISOLATION LEVEL REPEATABLE READ, "
    with transactions.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET TRANSACTION {isolation}READ ONLY")
        transactions.limit_statements(statement_timeout_ms)
        yield
        # Nothing was written. This restores the settings of a surrounding transaction.
        transaction.set_rollback(True)
