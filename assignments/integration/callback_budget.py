"""A time budget for the host's callbacks: in our own workers, a callback that hangs is interrupted.

Elsewhere the main thread and the alarm signal, which a timer needs, belong to the project. There PostgreSQL ends our
transaction if it is idle for too long.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from django.db import connection
from psycopg.pq import TransactionStatus

from assignments.exceptions import CallbackTooSlowError

AGAIN_SECONDS = 0.2
"""When a callback is looked at again that is in the middle of a query, which has a timeout of its own."""

_is_enforced = False


def enforce() -> None:
    """Interrupt slow callbacks from now on. Call this only in our own processes."""
    global _is_enforced  # noqa: PLW0603  (said once a process)
    signal.signal(signal.SIGALRM, _interrupt)
    _is_enforced = True


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise CallbackTooSlowError inside after ``seconds``, if budgets are enforced. An outer budget goes on."""
    if not _is_enforced or threading.current_thread() is not threading.main_thread():
        yield
        return
    around, started = signal.getitimer(signal.ITIMER_REAL)[0], time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, min(seconds, around) if around else seconds)
    try:
        yield
    finally:
        left = max(around - (time.monotonic() - started), 0.001) if around else 0
        signal.setitimer(signal.ITIMER_REAL, left)


def _interrupt(number: int, frame: FrameType | None) -> None:
    asked = connection.connection
    if asked is not None and asked.info.transaction_status == TransactionStatus.ACTIVE:
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        return
    raise CallbackTooSlowError("A callback of the booking project took too long.")
