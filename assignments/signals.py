"""Signals for the host. Sent after the commit, robustly: a failing receiver is logged and changes nothing."""

from django.dispatch import Signal

state_changed = Signal()
"""``booking_ref``, ``previous`` and ``state`` (values of State), ``reason`` (code, may be empty)."""
