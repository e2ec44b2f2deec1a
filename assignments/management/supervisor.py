"""A command as two processes: a worker that does the work, and a small supervisor that starts another when it dies.

The worker is forked once Django is set up, which takes milliseconds. It reports through a pipe, so that the supervisor
also ends a worker that hangs. The unfinished work of a dead worker is found by the run's id, which all workers share.
"""

import ctypes
import gc
import logging
import os
import select
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NoReturn

from django.core.management.base import CommandError
from django.db import connections

from assignments.error_logging import log_error
from assignments.integration import callback_budget
from assignments.management import stopping, timestamps
from assignments.management.base import EXIT_UNEXPECTED, DatabaseCommand

logger = logging.getLogger("assignments.supervisor")

RESTART_SECONDS = 2.0
"""Longest wait before a dead worker is replaced."""
MOST_RESTARTS = 20
"""Restarts of a command that ends by itself."""
GRACE_SECONDS = 15.0
"""How long a worker may go on after the time that it was given."""
GOING_ON, RESTING, CLEAN = b".", b"i", b"x"
_TIME_IS_UP = b"b"
_DIED = 70
_PR_SET_PDEATHSIG = 1


@dataclass(kw_only=True)
class Worker:
    """A worker's link to its supervisor; without one it reports nothing. ``elapsed``: seconds since the first worker."""

    run: uuid.UUID = field(default_factory=uuid.uuid4)
    elapsed: float = 0.0
    pipe: int | None = None

    def begins(self) -> None:
        """Make the process quicker for long work: read timestamps quickly, collect no garbage of what is loaded now."""
        if self.pipe is not None:  # Otherwise the process, and its heap, belong to the caller of the command.
            timestamps.read_quickly()
            gc.freeze()

    def goes_on(self) -> None:
        """Report that the work goes on. Silence for longer than ``silence_seconds`` is fatal from then on."""
        self._say(GOING_ON)

    def rests(self) -> None:
        """Report that silence is allowed for a while."""
        self._say(RESTING)

    def has(self, seconds: float) -> None:
        """Report that the next step may take this many seconds."""
        self._say(_TIME_IS_UP + f"{seconds}\n".encode())

    def ends(self) -> None:
        self._say(CLEAN)

    def _say(self, what: bytes) -> None:
        if self.pipe is not None:
            os.write(self.pipe, what if what.endswith(b"\n") else what + b"\n")


class SupervisedCommand(DatabaseCommand):
    """A command whose work is done by a worker when it is run from a command line, and in place by ``call_command``."""

    silence_seconds = 60.0
    watches: Callable[[list[str]], bool] = staticmethod(lambda argv: "--watch" in argv)
    worker: Worker

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.worker = Worker()

    def run_from_argv(self, argv: list[str]) -> None:
        if not is_wanted():
            super().run_from_argv(argv)
            return
        self.worker = supervise(
            silence_seconds=self.silence_seconds, restarts=None if self.watches(argv) else MOST_RESTARTS
        )
        callback_budget.enforce()
        is_clean = True
        try:
            super().run_from_argv(argv)
        except CommandError:  # With --traceback.
            raise
        except Exception as error:
            if not self.watches(argv):
                raise
            is_clean = False
            log_error(logger, error, "The worker ends after an unexpected error", has_place=True)
            sys.exit(_DIED)
        finally:
            if is_clean:
                self.worker.ends()

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except (SystemExit, GeneratorExit) as ended:
            # Our commands never exit like this: the booking project did so in the middle of the work.
            if self.worker.pipe is not None:
                self.stdout.end()
                os._exit(_DIED)
            raise CommandError("The booking project ended the process.", returncode=EXIT_UNEXPECTED) from ended

    @contextmanager
    def asked_to_stop(self) -> Iterator[stopping.StopRequest]:
        """Tell a worker that SIGTERM asks to stop, so that it ends between two units of work."""
        with stopping.asked_by(*([] if self.worker.pipe is None else [signal.SIGTERM])) as request:
            yield request


def is_wanted() -> bool:
    """Return whether this process can be forked safely: it has one thread, and no open connections. Log if it cannot."""
    hindrances = list(_hindrances())
    if hindrances:
        logger.warning(
            "No supervisor: %s. Nothing restarts this process if it dies, and nothing ends it if it hangs.",
            "; ".join(hindrances),
        )
    return not hindrances


def _hindrances() -> Iterator[str]:
    if not hasattr(os, "fork"):
        yield "this system cannot fork"
    if threads := [each.name for each in threading.enumerate() if each is not threading.current_thread()]:
        yield f"other threads run at start ({', '.join(threads)})"
    if used := [each.alias for each in connections.all(initialized_only=True) if each.connection is not None]:
        yield f"database connections are open at start ({', '.join(used)})"


def supervise(*, silence_seconds: float, restarts: int | None) -> Worker:
    """Fork: return in the worker, and stay inside as its supervisor. ``restarts``: the most; None for no limit."""
    run, started, deaths = uuid.uuid4(), time.monotonic(), 0
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    while True:
        reader, writer = os.pipe()
        supervisor, pid = os.getpid(), os.fork()
        if pid == 0:
            os.close(reader)
            _die_with(supervisor)
            return Worker(run=run, elapsed=time.monotonic() - started, pipe=writer)
        os.close(writer)
        watched = _Watched(pid, reader, silence_seconds)
        watched.wait()
        os.close(reader)
        if watched.is_clean or watched.signal is not None:
            _end_like(watched.status)
        deaths += 1
        if restarts is not None and deaths > restarts:
            say(f"The worker died {deaths} times.")
            sys.exit(EXIT_UNEXPECTED)
        say("The worker died; another one goes on.")
        time.sleep(min(RESTART_SECONDS, 0.1 * 2 ** (deaths - 1)))


def say(what: str) -> None:
    """Write a line for the operator."""
    with suppress(OSError):  # A full disk must not end a supervisor.
        sys.stderr.write(f"{what}\n")
        sys.stderr.flush()


class _Watched:
    """A worker, until it has ended. ``signal``: the one by which it was asked to stop."""

    def __init__(self, pid: int, reader: int, silence_seconds: float) -> None:
        self._pid, self._reader, self._silence = pid, reader, silence_seconds
        self._heard_at: float | None = None
        self._deadline: float | None = None
        self.is_clean = False
        self.signal: int | None = None
        self.status = 0

    def wait(self) -> None:
        before = {number: signal.signal(number, self._forward) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        with suppress(ProcessLookupError):  # It has just ended.
            os.kill(self._pid, number)

    def _wait(self) -> None:
        is_open = True
        while True:
            can_be_read = select.select([self._reader] if is_open else [], [], [], 0.2)[0]
            if can_be_read:
                is_open = self._hear(os.read(self._reader, 65536))
            pid, status = os.waitpid(self._pid, 0 if not is_open and self.is_clean else os.WNOHANG)
            if pid:
                self.status = status
                if is_open:  # Its last reports.
                    self._hear(self._rest())
                return
            if self._is_overdue():
                os.kill(self._pid, signal.SIGKILL)

    def _rest(self) -> bytes:
        os.set_blocking(self._reader, False)
        try:
            return os.read(self._reader, 65536)
        except BlockingIOError:
            return b""

    def _hear(self, said: bytes) -> bool:
        """Process a report of the worker. Return whether more may follow."""
        for line in said.split(b"\n"):
            if line == GOING_ON:
                self._heard_at = time.monotonic()
            elif line == RESTING:
                self._heard_at = None
            elif line == CLEAN:
                self.is_clean = True
            elif line.startswith(_TIME_IS_UP):
                self._deadline = time.monotonic() + float(line[1:]) + GRACE_SECONDS
        return bool(said)

    def _is_overdue(self) -> bool:
        now = time.monotonic()
        is_silent = self._heard_at is not None and now - self._heard_at > self._silence
        return is_silent or (self._deadline is not None and now > self._deadline)


def _end_like(status: int) -> NoReturn:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


def _die_with(supervisor: int) -> None:
    """Have the system end this process when its supervisor ends, if possible (Linux)."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        return
    if os.getppid() != supervisor:
        os._exit(_DIED)
