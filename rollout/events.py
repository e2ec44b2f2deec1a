"""The rollout's events, source ``assignment.rollout``."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext_noop as _

from assignments.telemetry.event_catalogue import declare
from assignments.telemetry.events import announce

SOURCE = "assignment.rollout"

info, warning, error = declare(SOURCE)
warning(
    "rollout.handed_back",
    "planner bookings",
    _("Open bookings that V3 had claimed go back to the legacy planner, because V3 no longer decides."),
    _("Expected after a rollback or a kill."),
)
warning(
    "rollout.switch_changed",
    "detail actor reason",
    _("Somebody changed a switch by hand."),
    _("'rollout status' shows whether it still matches the stage."),
)
warning(
    "rollout.stage_changed",
    "from_state to_state actor reason detail",
    _("The environment moved to another stage; detail names what was overridden, if anything."),
    _("'rollout history' shows who, why, and the measurements."),
)
info(
    "rollout.steered",
    "detail actor reason",
    _(
        "The rollout was paused or resumed, a planner forced for a restaurant or that ended, a waiver given or "
        "withdrawn."
    ),
)
error(
    "rollout.guard_breached",
    "from_state to_state detail",
    _("The guard found a guardrail breached, and rolled back unless both stages are the same."),
    _("'rollout history' shows the measurements. Promotion is locked until the cool-down ends."),
)
warning(
    "rollout.release_changed",
    "from_state to_state detail",
    _("Another release of V3 runs: its evidence and its time in stage begin anew; detail says where V3 decides."),
    _(
        "'rollout check' shows the evidence of the running release. A change that cannot alter decisions: 'same-release'."
    ),
)
error(
    "rollout.release_kept",
    "from_state to_state detail",
    _("A new release of V3 without evidence is running, with the same share of restaurants as the one before."),
    _('Watch it, or roll back. ROLLOUT["NEW_RELEASE"] = "canary" gives it fewer restaurants first.'),
)
info(
    "rollout.backtest_fed", "bookings detail actor", _("Decisions of a backtest were added as evidence for the gates.")
)


def announce_handed_back(*, planner: str, booking_refs: Sequence[str], **kwargs: Any) -> None:
    """Receiver of ``assignments.signals.handed_back``."""
    announce(SOURCE, "rollout.handed_back", planner=planner, bookings=len(booking_refs))
