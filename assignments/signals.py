"""Signals for the host. Sent after the commit, robustly: a failing receiver is logged by type and changes nothing."""

import logging
from typing import Any

from django.dispatch import Signal

from assignments.error_logging import log_error

logger = logging.getLogger("assignments.signals")


class QuietSignal(Signal):
    """A signal whose failing receivers are logged by type: Django logs what they say, which may name a guest."""

    def _log_robust_failure(self, receiver: Any, err: Exception) -> None:
        name = getattr(receiver, "__qualname__", type(receiver).__name__)
        log_error(logger, err, "A receiver of a signal, %s, failed", name)


state_changed = QuietSignal()
"""``booking_ref``, ``previous`` and ``state`` (values of State), ``reason`` (code, may be empty)."""

handed_back = QuietSignal()
"""``planner`` (a key) and ``booking_refs``: open bookings that V3 had claimed go to this planner, as the router says."""
