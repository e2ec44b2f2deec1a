"""Signals for the host, sent after commit. A receiver that fails is logged by type and has no other effect."""

import logging
from typing import Any

from django.dispatch import Signal

from assignments.error_logging import log_error

logger = logging.getLogger("assignments.signals")


class QuietSignal(Signal):
    """A signal that logs failing receivers by type. Django would log their message, which may name a guest."""

    def _log_robust_failure(self, receiver: Any, err: Exception) -> None:
        name = getattr(receiver, "__qualname__", type(receiver).__name__)
        log_error(logger, err, "The signal receiver %s failed", name)


state_changed = QuietSignal()
"""``booking_ref``, ``previous`` and ``state`` (values of State), ``reason`` (code, may be empty)."""

handed_back = QuietSignal()
"""``planner`` (a key) and ``booking_refs``: open bookings that V3 had claimed and the router now gives to this planner.
"""
