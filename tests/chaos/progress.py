"""How far a long run is: a line every few seconds, with what is done, the pace and the time left."""

import sys
import time
from multiprocessing import RawArray
from typing import Any

EVERY_SECONDS = 5.0


class Progress:
    """Prints lines about one run of ``total`` steps. They go to the error output: the result goes to the other one."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._started = self._said_at = time.monotonic()
        self._said = 0

    def show(self, done: int) -> None:
        """Print a line, unless the last one is only a moment old. Its pace is that since the last line."""
        now = time.monotonic()
        if now - self._said_at < EVERY_SECONDS:
            return
        pace = (done - self._said) / (now - self._said_at)
        average = done / (now - self._started)
        left = f"{(self._total - done) / average:,.0f} s left" if average else "nothing done yet"
        print(f"{self._what}: {done:,} of {self._total:,}, {pace:,.0f} a second, {left}", file=sys.stderr, flush=True)
        self._said_at, self._said = now, done


def shared_counts(processes: int) -> Any:
    """A number for each process, 0 at first, which forked processes write and their parent reads."""
    return RawArray("q", processes)
