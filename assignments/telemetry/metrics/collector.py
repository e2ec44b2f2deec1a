"""Metrics from the database: cron processes die before a scrape, so what they did is asked of the tables.

Each gatherer has one read-only transaction with a statement timeout of its own, and its result is kept in this process for
``METRICS_CACHE_SECONDS``, however many servers scrape. One that fails gives no numbers at all, rather than old ones, and
``assignment_collector_up`` 0; the scrape goes on without it.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
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
        """Bring it up to date. Of several scrapes at once, one asks the database and the others wait for that one."""
        with self.lock:
            started = time.monotonic()
            if started < self.kept_until:
                return
            try:
                with _one_moment(conf.settings().METRICS_TIMEOUT_MS):
                    self.families, self.is_up = tuple(self.gather()), True
            except Exception as error:  # noqa: BLE001  (whatever it is, a scrape must tell of it and not fail by it)
                log_error(logger, error, "Metrics of %s could not be gathered", self.name, level=logging.WARNING)
                self.families, self.is_up = (), False
            self.seconds = time.monotonic() - started
            # A database in trouble is left alone for as long as one that answers.
            self.kept_until = time.monotonic() + conf.settings().METRICS_CACHE_SECONDS


class DatabaseCollector(Collector):
    """Everything that ``register`` was given, and how asking for it went."""

    def __init__(self) -> None:
        self._gatherers: dict[str, _Gatherer] = {}

    def register(self, name: str, gather: Gather) -> None:
        """Have ``gather`` called at a scrape, inside its transaction; ``name`` is its label ``collector``."""
        self._gatherers[name] = _Gatherer(name=name, gather=gather)

    def forget(self) -> None:
        """Ask the database at the next scrape, whatever is kept. For tests."""
        for gatherer in self._gatherers.values():
            gatherer.kept_until = 0.0

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "assignment_collector_up",
            "1 if the database was asked for these metrics, 0 if that failed.",
            labels=["collector"],
        )
        seconds = GaugeMetricFamily(
            "assignment_collector_seconds", "Seconds that asking for these metrics took.", labels=["collector"]
        )
        for gatherer in tuple(self._gatherers.values()):
            gatherer.ask()
            yield from gatherer.families
            up.add_metric([gatherer.name], float(gatherer.is_up))
            seconds.add_metric([gatherer.name], gatherer.seconds)
        yield up
        yield seconds


REGISTRY = CollectorRegistry(auto_describe=False)
"""Apart from the default one: what comes from the database is the same from every process, and must not be added up."""

COLLECTOR = DatabaseCollector()
REGISTRY.register(COLLECTOR)


@contextmanager
def _one_moment(statement_timeout_ms: int) -> Iterator[None]:
    """Queries that see one moment and cannot write, each limited in time."""
    isolation = "" if connection.in_atomic_block else "ISOLATION LEVEL REPEATABLE READ, "
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET TRANSACTION {isolation}READ ONLY")
        transactions.limit_statements(statement_timeout_ms)
        yield
        # Nothing was written; this gives a caller's transaction its own settings back.
        transaction.set_rollback(True)
