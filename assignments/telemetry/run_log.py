"""Recording the runs of ``run_coordinator``: what cron did is known by this alone.

Recording serves whoever looks, never the bookings: what goes wrong with it is logged by type, and the pass goes on.
"""

import logging
import os
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from importlib import metadata

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from assignments.concurrency import transactions
from assignments.error_logging import log_error
from assignments.models import Run
from assignments.telemetry import events

logger = logging.getLogger("assignments.runs")

DISTRIBUTION = "table-assignments"
LOCK_TIMEOUT_MS = 1000
STATEMENT_TIMEOUT_MS = 5000
GIVEN_UP_AFTER = timedelta(days=2)
"""A run without a sign of life for so long has died without saying so: no interval and no pass lasts longer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """What one pass did that came to its end. ``host_raised``: when asked who waits. ``outcomes`` by kind; ``decided``: how
    many of them were a planner's, and neither an unexpected error nor left alone. ``error``: the type of the last unexpected
    one. ``seconds``: wall time.
    """

    seconds: float
    taken_in: int = 0
    host_raised: bool = False
    outcomes: Mapping[str, int] = field(default_factory=dict)
    decided: int = 0
    contended: int = 0
    breaker_open: int = 0
    unexpected: int = 0
    error: str = ""

    @property
    def has_succeeded(self) -> bool:
        """Whether bookings are being decided: the one rule for what health endpoints, metrics and alerts call a success.

        A booking that meets an error, or a restaurant at which all do, takes nothing from the others: error events, the
        breaker and ``failed_passes`` tell of it, and nobody is to be told that cron is dead. But where the host cannot
        say who waits nobody new is decided, and where errors are all that comes of a pass nobody is.
        """
        return not self.host_raised and (not self.unexpected or self.decided > 0)


class Recorder:
    """The record of this process: ``begin``, ``passed`` or ``broke_off`` for each pass, ``end``. Never raises.

    A process may do so more than once; what it lost of its events is counted by the record in whose time it did. A pass
    whose row is not there (its beginning was not stored) or was given up begins a new one.
    """

    def __init__(self, *, watches: bool) -> None:
        self._watches = watches
        self._run_id = 0
        self._outcomes: Counter[str] = Counter()
        self._unrecorded_failures = 0
        self._lost = self._lost_before = dropped_events()

    def begin(self) -> None:
        """The process has started."""
        _tolerated(self._begin)

    def passed(self, done: Pass) -> None:
        """A pass came to its end."""
        _tolerated(partial(self._add, done, is_success=done.has_succeeded))

    def broke_off(self, error: Exception, *, seconds: float) -> None:
        """A pass raised. If that was because the database is away, the next pass that finds it back records this one too."""
        if transactions.is_database_away(error):
            self._unrecorded_failures += 1
            return
        done = Pass(seconds=seconds, unexpected=1, error=type(error).__name__)
        _tolerated(partial(self._add, done, is_success=False))

    def end(self) -> None:
        """The process stops, as it should."""
        _tolerated(partial(self._update, ended_at=Now()))

    def _begin(self) -> None:
        run = Run(worker=worker(), version=version(), watches=self._watches)
        run.save(force_insert=True)
        self._run_id, self._outcomes, self._lost_before = run.pk, Counter(), self._lost

    def _add(self, done: Pass, *, is_success: bool) -> None:
        lost = dropped_events()
        if not self._is_added(done, is_success=is_success, lost=lost):
            self._begin()
            self._is_added(done, is_success=is_success, lost=lost)
        self._outcomes.update(done.outcomes)
        self._unrecorded_failures, self._lost = 0, lost

    def _is_added(self, done: Pass, *, is_success: bool, lost: int) -> bool:
        earlier = self._unrecorded_failures
        return self._update(
            last_pass_at=Now(),
            passes=F("passes") + 1 + earlier,
            failed_passes=F("failed_passes") + int(bool(done.unexpected)) + earlier,
            taken_in=F("taken_in") + done.taken_in,
            outcomes=dict(sorted((self._outcomes + Counter(done.outcomes)).items())),
            contended=F("contended") + done.contended,
            breaker_open=F("breaker_open") + done.breaker_open,
            unexpected=F("unexpected") + done.unexpected,
            dropped_events=lost - self._lost_before,
            seconds=F("seconds") + done.seconds,
            **({"error": done.error} if done.error else {}),
            **({"failed_at": Now()} if done.unexpected else {}),
            **({"dropped_at": Now()} if lost > self._lost else {}),
            **({"succeeded_at": Now()} if is_success else {}),
        )

    def _update(self, **values: object) -> bool:
        """Whether the row was there, and open."""
        return bool(Run.objects.filter(pk=self._run_id, ended_at__isnull=True).update(**values))


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


def _tolerated(record: Callable[[], object]) -> None:
    try:
        with transaction.atomic():
            transactions.limit_statements(STATEMENT_TIMEOUT_MS, lock_timeout_ms=LOCK_TIMEOUT_MS)
            record()
    except Exception as error:  # noqa: BLE001  (whatever it is: the bookings are decided, and the next pass records again)
        log_error(logger, error, "A run could not be recorded")
