"""The rollout's events, source ``assignment.rollout``."""

from collections.abc import Sequence
from typing import Any

from assignments.events import EventType, emit, event, register

SOURCE = "assignment.rollout"

register(
    EventType(
        source=SOURCE,
        type="rollout.handed_back",
        severity="warning",
        fields=("planner", "bookings"),
        meaning="Open bookings that V3 had claimed go to the old planner, since V3 no longer decides.",
        action="Expected after a rollback or a kill.",
    ),
    EventType(
        source=SOURCE,
        type="rollout.switch_changed",
        severity="warning",
        fields=("detail", "actor", "reason"),
        meaning="Somebody changed a switch from the command line.",
    ),
)


def announce_handed_back(*, planner: str, booking_refs: Sequence[str], **kwargs: Any) -> None:
    """Receiver of ``assignments.signals.handed_back``."""
    emit(event(SOURCE, "rollout.handed_back", planner=planner, bookings=len(booking_refs)))
