"""The rollout's events, source ``assignment.rollout``."""

from assignments.events import EventType, register

SOURCE = "assignment.rollout"

register(
    EventType(
        source=SOURCE,
        type="rollout.handed_back",
        severity="warning",
        fields=("planner", "mode", "bookings"),
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
