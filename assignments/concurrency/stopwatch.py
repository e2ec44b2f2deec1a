"""Measures how long work takes, without the time for which its thread waited for a processor.

A slow machine is no slow planner: on one that is loaded, a thread that is ready waits, and a wall clock counts that. What
the work itself waits for, such as a query or a lock, counts.
"""

import time
from pathlib import Path

SCHEDSTAT = Path("/proc/thread-self/schedstat")
"""Linux: nanoseconds on a processor, nanoseconds of waiting for one, and time slices, of the thread that reads it."""


class Stopwatch:
    """Runs from when it is made. For one thread. Where the system does not tell the waiting, it is a wall clock."""

    def __init__(self) -> None:
        self._waited = _waited_ms()
        self._started = time.perf_counter()

    @property
    def milliseconds(self) -> float:
        """How long it has run."""
        passed = (time.perf_counter() - self._started) * 1000
        return max(passed - (_waited_ms() - self._waited), 0.0)


def _waited_ms() -> float:
    try:
        return int(SCHEDSTAT.read_text().split()[1]) / 1e6
    except (OSError, ValueError, IndexError):
        return 0.0
