"""Measuring how long work takes, without the time for which its thread waited for a processor.

On a loaded machine a thread that is ready to run waits, and a wall clock would count that against the planner. Waits of
the work itself, such as for a query or a lock, count.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

LEAST_MS = 0.001
"""What takes no measurable time takes that: 0 milliseconds stand for what was not planned."""
SCHEDSTAT = Path("/proc/thread-self/schedstat")
"""Linux: nanoseconds on a processor, nanoseconds of waiting for one, and time slices, of the thread that opens it."""


class Stopwatch:
    """A stopwatch for one thread, started when created. If the system does not report waits, it is a wall clock."""

    def __init__(self) -> None:
        self._file: int | None = None
        with suppress(OSError):
            self._file = os.open(SCHEDSTAT, os.O_RDONLY)
        self._waited, self._started = _waited_ms(self._file), time.perf_counter()

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)

    @property
    def milliseconds(self) -> float:
        """Return the milliseconds since the start, or the last lap."""
        return self._until(_waited_ms(self._file), time.perf_counter())

    def lap(self) -> float:
        """Return the milliseconds since the start, or the last lap, and begin a new lap."""
        waited, now = _waited_ms(self._file), time.perf_counter()
        passed = self._until(waited, now)
        self._waited, self._started = waited, now
        return passed

    def _until(self, waited: float, now: float) -> float:
        return max((now - self._started) * 1000 - (waited - self._waited), LEAST_MS)


def _waited_ms(file: int | None) -> float:
    if file is None:
        return 0.0
    try:  # Every booking is timed, and to open the file each time would take five times as long.
        return int(os.pread(file, 100, 0).split()[1]) / 1e6
    except (OSError, ValueError, IndexError):
        return 0.0
