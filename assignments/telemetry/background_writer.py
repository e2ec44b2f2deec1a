"""A background writer: entries go into a bounded buffer and a thread writes them, so that no decision waits.

What comes within a moment is written together, and a connection that a write opens is kept for the next one.

If the buffer is full, or the writer fails or hangs, entries are lost and counted. Nothing else is affected.
"""

import atexit
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")

BULK = 500
"""The most entries that are written at once, unless a writer says otherwise."""
GATHER_SECONDS = 0.1
"""How long the first entry waits for others where writes open connections, unless somebody waits for it or the buffer is
full."""
KEPT_OPEN_SECONDS = 2.0
"""How long a writer keeps its connection open for what comes next. DROP DATABASE, as after tests, waits for five seconds."""
EXIT_SECONDS = 2.0
"""How long a process that ends waits for what is not yet written."""

_writers: list["BackgroundWriter[Any]"] = []


class BackgroundWriter(Generic[_T]):
    """A bounded buffer with one daemon thread, which starts with the first entry.

    ``write`` gets at most ``bulk`` entries at once. It raises or returns False if they are lost. ``size`` is called for
    each append. ``lost`` is called with the cause (``overflow``, ``failure``) and number of lost entries, outside the
    lock, and must not raise. ``gather_seconds``: how long the first entry waits for others. ``close`` closes what
    ``write`` has left open: the thread calls it when nothing comes for a while, and before ``flush`` returns.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[_T]], bool],
        *,
        size: Callable[[], int],
        lost: Callable[[str, int], None] = lambda cause, entries: None,
        bulk: int = BULK,
        gather_seconds: float = 0.0,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._close = close
        self._bulk, self._gather_seconds = bulk, gather_seconds
        self._name, self._write, self._size, self._lost = name, write, size, lost
        self._reset()
        _writers.append(self)
        if hasattr(os, "register_at_fork"):
            # A forked child has no thread, and its copy of the lock may be held.
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._entries: deque[_T] = deque()
        self._writing = 0
        self._waiting = 0
        self._is_open = False
        self._full = self._bulk
        self._counts: Counter[str] = Counter()
        self._thread: threading.Thread | None = None

    def append(self, entries: Sequence[_T]) -> None:
        """Queue entries, as many as there is room for."""
        with self._changed:
            was_empty, size = not self._entries, self._size()
            self._full = min(self._bulk, size)
            room = max(size - len(self._entries), 0)
            self._entries.extend(entries[:room])
            dropped = max(len(entries) - room, 0)
            if dropped:
                self._counts["dropped_overflow"] += dropped
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                # None can start while the process ends, or too many run. Then the next entry tries again.
                with suppress(RuntimeError):
                    self._thread.start()
            if was_empty or self._is_due():
                self._changed.notify_all()
        if dropped:
            self._lost("overflow", dropped)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter of the caller."""
        with self._changed:
            self._counts[name] += by

    def counters(self) -> dict[str, int]:
        """Return ``stored``, ``dropped_overflow``, ``dropped_failure``, ``flush_ms`` and the counters of ``count``."""
        with self._changed:
            return dict(self._counts)

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all queued entries are written, and the connection is closed. Returns False on timeout."""
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(
                    lambda: not self._entries and not self._writing and not self._is_open, timeout_seconds
                )
            finally:
                self._waiting -= 1

    def __len__(self) -> int:
        return len(self._entries)

    def _is_due(self) -> bool:
        """Return whether the entries are written now, and wait for no others."""
        return bool(self._waiting) or len(self._entries) >= self._full

    def _work(self) -> None:
        while True:
            if self._is_open:
                self._close_if_idle()
            with self._changed:
                self._changed.wait_for(lambda: bool(self._entries))
                self._changed.wait_for(self._is_due, self._gather_seconds)
                batch = [self._entries.popleft() for _ in range(min(self._bulk, len(self._entries)))]
                self._writing = len(batch)
                self._is_open = True
            started = time.monotonic()
            try:
                is_written = self._write(batch)
            except BaseException:  # noqa: BLE001  (the thread must survive any writer, SystemExit too; the loss is counted)
                is_written = False
            if not is_written:
                self._lost("failure", len(batch))
            with self._changed:
                self._writing = 0
                self._counts["stored" if is_written else "dropped_failure"] += len(batch)
                self._counts["flush_ms"] += round((time.monotonic() - started) * 1000)
                self._changed.notify_all()

    def _close_if_idle(self) -> None:
        """Close the connection if nothing more comes soon, or if somebody waits for the last of it."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._entries or self._waiting), KEPT_OPEN_SECONDS)
            if self._entries:
                return
        with suppress(Exception):
            self._close()
        with self._changed:
            self._is_open = False
            self._changed.notify_all()


def flush_all(timeout_seconds: float) -> bool:
    """Flush all writers of this process within one timeout. Returns False on timeout."""
    deadline = time.monotonic() + timeout_seconds
    flushed = [writer.flush(max(0.0, deadline - time.monotonic())) for writer in _writers]
    return all(flushed)


atexit.register(flush_all, EXIT_SECONDS)
