"""Recording the runs of ``run_coordinator``: what cron did is known by this alone.

Recording serves whoever looks, never the bookings: what goes wrong with it is logged by type, and the pass goes on.
"""

import logging
import os
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from assignments import events, transactions
from assignments.models import Run

logger = logging.getLogger("assignments.runs")

DISTRIBUTION = "table-assignments"
LOCK_TIMEOUT_MS = 1000
STATEMENT_TIMEOUT_MS = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """What one pass did. ``outcomes`` by kind; ``error``: the type of the last unexpected one. ``seconds``: wall time."""

    seconds: float
    taken_in: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    contended: int = 0
    breaker_open: int = 0
    unexpected: int = 0
    error: str = ""


class Recorder:
    """The record of this process: ``begin``, ``passed`` or ``broke_off`` for each pass, ``end``. Never raises.

    A process may do so more than once; what it lost of its events is counted by the record in whose time it did.
    """

    def __init__(self, *, watches: bool) -> None:
        self._watches = watches
        self._run_id: int | None = None
        self._outcomes: Counter[str] = Counter()
        self._unrecorded_failures = 0
        self._lost_before = dropped_events()

    def begin(self) -> None:
        """The process has started."""
        _tolerated(self._begin)

    def passed(self, done: Pass) -> None:
        """A pass came to its end. It succeeded if nothing unexpected was met."""
        self._outcomes.update(done.outcomes)
        _tolerated(partial(self._add, done, is_failure=bool(done.unexpected)))

    def broke_off(self, error: Exception, *, seconds: float) -> None:
        """A pass raised. If that was because the database is away, the next pass that finds it back records this one too."""
        if transactions.is_database_away(error):
            self._unrecorded_failures += 1
            return
        done = Pass(seconds=seconds, unexpected=1, error=type(error).__name__)
        _tolerated(partial(self._add, done, is_failure=True))

    def end(self) -> None:
        """The process stops, as it should."""
        if self._run_id is not None:
            _tolerated(partial(self._update, ended_at=Now()))

    def _begin(self) -> None:
        run = Run(worker=worker(), version=version(), watches=self._watches)
        run.save(force_insert=True)
        self._run_id = run.pk

    def _add(self, done: Pass, *, is_failure: bool) -> None:
        if self._run_id is None:  # The database was away when it began.
            self._begin()
        earlier = self._unrecorded_failures
        self._update(
            last_pass_at=Now(),
            passes=F("passes") + 1 + earlier,
            failed_passes=F("failed_passes") + int(is_failure) + earlier,
            taken_in=F("taken_in") + done.taken_in,
            outcomes=dict(sorted(self._outcomes.items())),
            contended=F("contended") + done.contended,
            breaker_open=F("breaker_open") + done.breaker_open,
            unexpected=F("unexpected") + done.unexpected,
            dropped_events=dropped_events() - self._lost_before,
            seconds=F("seconds") + done.seconds,
            **({"error": done.error} if done.error else {}),
            **({} if is_failure else {"succeeded_at": Now()}),
        )
        self._unrecorded_failures = 0

    def _update(self, **values: object) -> None:
        Run.objects.filter(pk=self._run_id or 0).update(**values)


def worker() -> str:
    """Who this process is: ``host:pid``."""
    return f"{socket.gethostname()}:{os.getpid()}"


def version() -> str:
    """The version of this app as it is installed here; empty where it is not (a source tree on the path)."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return ""


def dropped_events() -> int:
    """How many events this process has lost since it began."""
    counts = events.counters()
    return counts.get("dropped_overflow", 0) + counts.get("dropped_failure", 0)


def _tolerated(record: Callable[[], None]) -> None:
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
                    [str(LOCK_TIMEOUT_MS), str(STATEMENT_TIMEOUT_MS)],
                )
            record()
    except Exception as error:  # noqa: BLE001  (whatever it is: the bookings are decided, and the next pass records again)
        logger.error("A run could not be recorded: %s.", type(error).__name__)
