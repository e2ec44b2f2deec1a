"""Watching the legacy planner wherever it decides: its seatings are audited like V3's.

No planner could take over from it, so a breach does not change the stage. It is only announced.
"""

from datetime import timedelta

from assignments.planning.text import gettext as _
from assignments.telemetry import events
from rollout import conf
from rollout.events import SOURCE
from rollout.evidence import live_decisions, measuring
from rollout.models import Position
from rollout.policy import guardrails
from rollout.policy.guardrails import Breach
from rollout.policy.measurements import Seatings

RAIL = guardrails.UNSAFE_LEGACY


def measure() -> Seatings:
    """Return the audit of the legacy planner's seatings in the guard's window."""
    if not conf.settings().LEGACY_PLANNER:
        return Seatings()
    with measuring.one_moment() as now:
        since = now - timedelta(minutes=conf.guard_rails()["window_minutes"])
        return live_decisions.of_the_legacy_planners_seatings(since)


def breaches(seatings: Seatings) -> tuple[Breach, ...]:
    """Return the breach if one of its seatings is unsafe; a single case is enough."""
    if not seatings.unsafe:
        return ()
    rules = ", ".join(f"{reason} {count}" for reason, count in sorted(seatings.reasons.items()))
    detail = _(
        "%(unsafe)s of %(checked)s seatings of the legacy planner break a rule of the floor: %(rules)s",
        unsafe=seatings.unsafe,
        checked=seatings.checked,
        rules=rules,
    )
    return (Breach(rail=RAIL, value=seatings.unsafe, limit=0, sample=seatings.checked, detail=detail, grave=True),)


def announce(position: Position | None, found: tuple[Breach, ...]) -> None:
    """Announce that the legacy planner breaks a rule, and that the stage stays."""
    for breach in found:
        stage = position.stage if position else ""
        events.announce(
            SOURCE, "rollout.guard_breached", from_state=stage, to_state=stage, detail=str(breach.detail)[:1000]
        )
