"""A request to stop, made by a signal, that a command heeds between two units of work."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

POLL_SECONDS = 0.1
"""How long it takes at most to hear a signal that came just before a sleep."""


class StopRequest:
    """Whether this process was asked to stop.

    A ``threading.Event`` will not do: its handler runs in the main thread, and would wait forever for the lock that this
    thread holds while it begins to wait for the event.
    """

    def __init__(self) -> None:
        self._is_made = False

    def is_made(self) -> bool:
        return self._is_made

    def make(self) -> None:
        self._is_made = True

    def wait(self, seconds: float) -> None:
        """Return once the request is made, or after this many seconds."""
        until = time.monotonic() + seconds
        while not self._is_made and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, POLL_SECONDS))


@contextmanager
def asked_by(*signals: signal.Signals) -> Iterator[StopRequest]:
    """Turn these signals into a request to stop. Call it in the main thread: only that one can have handlers."""
    request = StopRequest()

    def make(number: int, frame: FrameType | None) -> None:
        request.make()

    before = {number: signal.signal(number, make) for number in signals}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
