"""The rollout's events, source ``assignment.rollout``."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext_noop as _

from assignments.telemetry.events import EventType, emit, event, register

SOURCE = "assignment.rollout"

register(
    EventType(
        source=SOURCE,
        type="rollout.handed_back",
        severity="warning",
        fields=("planner", "bookings"),
        meaning=_("Open bookings that V3 had claimed go back to the legacy planner, because V3 no longer decides."),
        action=_("Expected after a rollback or a kill."),
    ),
    EventType(
        source=SOURCE,
        type="rollout.switch_changed",
        severity="warning",
        fields=("detail", "actor", "reason"),
        meaning=_("Somebody changed a switch by hand."),
        action=_("'rollout status' shows whether it still matches the stage."),
    ),
    EventType(
        source=SOURCE,
        type="rollout.stage_changed",
        severity="warning",
        fields=("from_state", "to_state", "actor", "reason", "detail"),
        meaning=_("The environment moved to another stage; detail names what was overridden, if anything."),
        action=_("'rollout history' shows who, why, and the measurements."),
    ),
    EventType(
        source=SOURCE,
        type="rollout.steered",
        severity="info",
        fields=("detail", "actor", "reason"),
        meaning=_(
            "The rollout was paused or resumed, a planner forced for a restaurant or that ended, a waiver given or "
            "withdrawn."
        ),
    ),
    EventType(
        source=SOURCE,
        type="rollout.guard_breached",
        severity="error",
        fields=("from_state", "to_state", "detail"),
        meaning=_("The guard found a guardrail breached, and rolled back unless both stages are the same."),
        action=_("'rollout history' shows the measurements. Promotion is locked until the cool-down ends."),
    ),
    EventType(
        source=SOURCE,
        type="rollout.backtest_fed",
        severity="info",
        fields=("bookings", "detail", "actor"),
        meaning=_("Somebody fed the decisions of a backtest to the gates."),
    ),
)


def announce_handed_back(*, planner: str, booking_refs: Sequence[str], **kwargs: Any) -> None:
    """Receiver of ``assignments.signals.handed_back``."""
    emit(event(SOURCE, "rollout.handed_back", planner=planner, bookings=len(booking_refs)))
