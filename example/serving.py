"""Running the parts of a project together: programs that stay, and commands that are repeated.

In production a supervisor and cron do this (README.md, compose.yaml). Here one terminal shows everything, and one
Ctrl-C ends it.
"""

import io
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import close_old_connections, reset_queries

STOP_SECONDS = 10.0
"""How long a program has to end by itself."""
POLL_SECONDS = 0.1
EXPECTED_CODES = frozenset({0, 1, 3, 75})
"""What a repeated command may exit with and be repeated: done, refused, the guard rolled back, no database."""

Say = Callable[[str, str], None]
"""Called with a part's name and a line of what it printed, also from threads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A part that runs for as long as the others do, in its own process."""

    name: str
    command: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeated:
    """A management command that runs in this process periodically, as by cron."""

    name: str
    command: Sequence[str]
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """The part that ended before it was told to, and its exit code."""

    name: str
    code: int


@dataclass(kw_only=True)
class Parts:
    """The parts that run together."""

    programs: Sequence[Program]
    repeated: Sequence[Repeated]
    say: Say
    environment: Mapping[str, str] = field(
        default_factory=lambda: {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "DJANGO_RUNSERVER_HIDE_WARNING": "true",
        }
    )

    def __post_init__(self) -> None:
        self._is_stopping = False  # No threading.Event: a signal's handler must not wait for a lock of its own thread.
        self._last: dict[str, str] = {}

    def stop(self) -> None:
        """End all parts soon."""
        self._is_stopping = True

    def run(self) -> Ended | None:
        """Run until told to stop, or until a part ends by itself. Then nothing is left running.

        Returns the part that ended, or None after Ctrl-C, SIGTERM and ``stop``.
        """
        started: dict[str, subprocess.Popen[str]] = {}
        readers: list[threading.Thread] = []
        with self._stopped_by_signals():
            try:
                for program in self.programs:
                    started[program.name] = process = self._start(program)
                    readers.append(threading.Thread(target=self._read, args=(program.name, process), daemon=True))
                    readers[-1].start()
                return self._watch(started)
            finally:
                _end(started.values())
                for reader in readers:
                    reader.join(STOP_SECONDS)

    def _watch(self, started: Mapping[str, subprocess.Popen[str]]) -> Ended | None:
        due = {each.name: time.monotonic() + min(each.seconds, 1.0) for each in self.repeated}
        while not self._is_stopped_within(POLL_SECONDS):
            for name, process in started.items():
                code = process.poll()
                # Ctrl-C reaches every process of the terminal: one may have ended before this one hears of it.
                if code is not None and not self._is_stopped_within(POLL_SECONDS):
                    return Ended(name=name, code=code if code >= 0 else 128 - code)
            for each in self.repeated:
                if time.monotonic() >= due[each.name] and not self._is_stopping:
                    code = self._repeat(each)
                    if code not in EXPECTED_CODES:
                        return Ended(name=each.name, code=code)
                    due[each.name] = time.monotonic() + each.seconds
        return None

    def _is_stopped_within(self, seconds: float) -> bool:
        time.sleep(seconds)
        return self._is_stopping

    def _start(self, program: Program) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603  (its caller's own command)
            list(program.command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=dict(self.environment),
        )

    def _read(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as printed:
            for line in printed:
                self.say(name, line.rstrip())

    def _repeat(self, each: Repeated) -> int:
        """Run it once, and print its output if that is new. Returns the exit code that its process would have had."""
        out, code = io.StringIO(), 0
        close_old_connections()
        try:
            call_command(*each.command, stdout=out, stderr=out, no_color=True)
        except CommandError as error:
            code = error.returncode
            out.write(f"{error}\n")
        except Exception as error:  # noqa: BLE001  (as in a process of its own; the type only, for the message may name a guest)
            code = 70
            out.write(f"Unexpected {type(error).__name__}: run {shlex.join(each.command)} by itself to see where.\n")
        finally:
            reset_queries()  # With DEBUG, Django keeps every query.
        printed = out.getvalue()
        if printed != self._last.get(each.name):
            self._last[each.name] = printed
            for line in printed.splitlines():
                self.say(each.name, line)
        return code

    @contextmanager
    def _stopped_by_signals(self) -> Iterator[None]:
        """Stop at Ctrl-C and SIGTERM. Only the main thread can have handlers; in others only ``stop`` works."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_signal(number: int, frame: FrameType | None) -> None:
            self.stop()

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _end(processes: Iterable[subprocess.Popen[str]]) -> None:
    """Ask each process to end, and kill those that do not."""
    alive = [each for each in processes if each.poll() is None]
    for process in alive:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in alive:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def manage(*arguments: str) -> list[str]:
    """Return the command line of ``manage.py`` with these arguments, by this Python."""
    return [sys.executable, "manage.py", *arguments]
