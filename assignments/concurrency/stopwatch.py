"""Measures how long work takes, without the time for which its thread waited for a processor.

A slow machine is no slow planner: on one that is loaded, a thread that is ready waits, and a wall clock counts that. What
the work itself waits for, such as a query or a lock, counts.
"""

import time
from pathlib import Path

LEAST_MS = 0.001
"""What takes no measurable time takes that: 0 milliseconds stand for what was not planned."""
SCHEDSTAT = Path("/proc/thread-self/schedstat")
"""Linux: nanoseconds on a processor, nanoseconds of waiting for one, and time slices, of the thread that reads it."""


class Stopwatch:
    """Runs from when it is made. For one thread. Where the system does not tell the waiting, it is a wall clock."""

    def __init__(self) -> None:
        self._waited, self._started = _waited_ms(), time.perf_counter()

    @property
    def milliseconds(self) -> float:
        """Return the milliseconds since it was made, or since the last lap."""
        return self._until(_waited_ms(), time.perf_counter())

    def lap(self) -> float:
        """Return the milliseconds since it was made, or since the last lap, and begin another lap."""
        waited, now = _waited_ms(), time.perf_counter()
        passed = self._until(waited, now)
        self._waited, self._started = waited, now
        return passed

    def _until(self, waited: float, now: float) -> float:
        return max((now - self._started) * 1000 - (waited - self._waited), LEAST_MS)


def _waited_ms() -> float:
    try:
        return int(SCHEDSTAT.read_text().split()[1]) / 1e6
    except (OSError, ValueError, IndexError):
        return 0.0
