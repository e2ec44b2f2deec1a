"""A request to stop is heard whenever its signal comes."""

import signal
import sys
import time
from types import FrameType
from typing import Any

import pytest

from assignments.management import stopping


class SignalAtLine:
    """Have a signal come at one of the Python lines that a call executes, in whatever function."""

    def __init__(self, number: int) -> None:
        self._left = number
        self.has_come = False

    def __call__(self, frame: FrameType, event: str, argument: Any) -> "SignalAtLine":
        if event == "line" and not self.has_come:
            self._left -= 1
            if self._left < 0:
                self.has_come = True
                signal.raise_signal(signal.SIGTERM)
        return self


@pytest.mark.parametrize("line", range(12))
def test_a_signal_at_any_line_of_the_wait_ends_it(line: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(stopping, "POLL_SECONDS", 0.001)
    signal_comes = SignalAtLine(line)
    before = sys.gettrace()
    with stopping.asked_by(signal.SIGTERM) as request:
        started = time.monotonic()
        sys.settrace(signal_comes)
        try:
            request.wait(30.0)
        finally:
            sys.settrace(before)
        waited = time.monotonic() - started
    assert signal_comes.has_come
    assert request.is_made()
    assert waited < 30


def test_without_a_request_a_wait_takes_its_time() -> None:
    with stopping.asked_by(signal.SIGTERM) as request:
        started = time.monotonic()
        request.wait(0.15)
    assert time.monotonic() - started >= 0.15
    assert not request.is_made()


def test_handlers_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stopping.asked_by(signal.SIGTERM, signal.SIGINT) as request:
        signal.raise_signal(signal.SIGINT)
        assert request.is_made()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
