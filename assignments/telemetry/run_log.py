"""Recording the runs of ``run_coordinator``. For runs from cron this is the only record.

If recording fails, the error is logged by type and the pass continues.
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
from pathlib import Path

from django.db.models import F

from assignments.concurrency import transactions
from assignments.error_logging import log_error
from assignments.integration import release
from assignments.models import Run
from assignments.models.moment import DatabaseNow
from assignments.telemetry import events

logger = logging.getLogger("assignments.runs")

DISTRIBUTION = "table-assignments"
_LIMITS = transactions.Limits(lock=1000, statement=5000)
GIVEN_UP_AFTER = timedelta(days=2)
"""Time without a heartbeat after which a run counts as dead. No interval and no pass lasts longer."""


@dataclass(kw_only=True)
class Pass:
    """The result of a completed pass.

    ``host_raised``: the host failed to list waiting bookings. ``outcomes``: by kind. ``decided``: how many a planner
    decided without an unexpected error. ``unseen``: bookings that have started and are still unknown here, None if the host
    did not say. ``error``: type of the last unexpected error. ``seconds``: wall time.
    """

    seconds: float = 0.0
    taken_in: int = 0
    unseen: int | None = None
    host_raised: bool = False
    outcomes: Mapping[str, int] = field(default_factory=dict)
    decided: int = 0
    contended: int = 0
    breaker_open: int = 0
    unexpected: int = 0
    error: str = ""

    @property
    def has_succeeded(self) -> bool:
        """Return whether the pass counts as a success, for health endpoints, metrics and alerts alike.

        An error at one booking or one restaurant does not stop the others. Error events, the breaker and
        ``failed_passes`` report it, and cron is not dead. A pass is not a success if the host failed to list waiting
        bookings, or if it had errors only.
        """
        return not self.host_raised and (not self.unexpected or self.decided > 0)


class Recorder:
    """Records this process: ``begin``, then ``passed`` or ``broke_off`` for each pass, then ``end``. Never raises.

    A process may do so repeatedly; lost events count for the record at the time. If the row is missing or was marked as
    dead, a pass starts a new one.
    """

    def __init__(self, *, watches: bool) -> None:
        self._watches = watches
        self._run_id = 0
        self._outcomes: Counter[str] = Counter()
        self._unrecorded_failures = 0
        self._lost = self._lost_before = dropped_events()

    def begin(self) -> None:
        """Record the start of the process."""
        _tolerated(self._begin)

    def passed(self, done: Pass) -> None:
        """Record a completed pass."""
        _tolerated(partial(self._add, done, is_success=done.has_succeeded))

    def broke_off(self, error: Exception, *, seconds: float) -> None:
        """Record a pass that raised.

        If the database is unavailable, the next pass that reaches it records this one, too.
        """
        if transactions.is_database_away(error):
            self._unrecorded_failures += 1
            return
        done = Pass(seconds=seconds, unexpected=1, error=type(error).__name__)
        _tolerated(partial(self._add, done, is_success=False))

    def end(self) -> None:
        """Record a regular stop of the process."""
        _tolerated(partial(self._update, ended_at=DatabaseNow()))

    def _begin(self) -> None:
        run = Run(
            worker=worker(),
            version=version(),
            watches=self._watches,
            release=release.running(),
            memory_begun_mb=memory_mb(),
        )
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
            last_pass_at=DatabaseNow(),
            passes=F("passes") + 1 + earlier,
            failed_passes=F("failed_passes") + int(bool(done.unexpected)) + earlier,
            taken_in=F("taken_in") + done.taken_in,
            outcomes=dict(sorted((self._outcomes + Counter(done.outcomes)).items())),
            contended=F("contended") + done.contended,
            breaker_open=F("breaker_open") + done.breaker_open,
            unexpected=F("unexpected") + done.unexpected,
            dropped_events=lost - self._lost_before,
            seconds=F("seconds") + done.seconds,
            memory_mb=memory_mb(),
            **({} if done.unseen is None else {"unseen": done.unseen}),
            **({"error": done.error} if done.error else {}),
            **({"failed_at": DatabaseNow()} if done.unexpected else {}),
            **({"dropped_at": DatabaseNow()} if lost > self._lost else {}),
            **({"succeeded_at": DatabaseNow()} if is_success else {}),
        )

    def _update(self, **values: object) -> bool:
        """Update the open row. Returns False if there is none."""
        return bool(Run.objects.filter(pk=self._run_id, ended_at__isnull=True).update(**values))


def memory_mb() -> float | None:
    """Return the resident memory of this process in MB; None if the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def worker() -> str:
    """Return this process's name, ``host:pid``."""
    return f"{socket.gethostname()}:{os.getpid()}"


def version() -> str:
    """Return the installed version of this app, or "" if it is not installed as a package."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return ""


def dropped_events() -> int:
    """Return the number of events that this process has lost."""
    counts = events.counters()
    return counts.get("dropped_overflow", 0) + counts.get("dropped_failure", 0)


def _tolerated(record: Callable[[], object]) -> None:
    try:
        with transactions.atomic(limits=_LIMITS):
            record()
    except Exception as error:  # noqa: BLE001  (the bookings are decided, and the next pass records again)
        log_error(logger, error, "A run could not be recorded")
