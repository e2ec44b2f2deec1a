"""Signals for the host. Sent after the commit, robustly: a failing receiver is logged and changes nothing."""

from django.dispatch import Signal

state_changed = Signal()
"""``booking_ref``, ``previous`` and ``state`` (values of State), ``reason`` (code, may be empty)."""

handed_back = Signal()
"""``planner`` (a key) and ``booking_refs``: open bookings that V3 had claimed go to this planner, as the router says."""
