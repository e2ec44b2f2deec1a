"""The guard: measures V3's recent decisions, and rolls back on a breach. Run from cron."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from assignments.error_logging import log_error
from assignments.integration import release
from assignments.telemetry import events
from rollout import conf
from rollout.control import change_log, legacy_watch, releases, steering
from rollout.events import SOURCE
from rollout.evidence import decision_audit, known_floors, measuring, unsettled
from rollout.flags import resolution
from rollout.flags.resolution import Mode
from rollout.models import GuardRun, Position
from rollout.policy import guardrails
from rollout.policy.guardrails import Breach
from rollout.policy.measurements import Facts, Seatings

ACTOR = steering.GUARD
logger = logging.getLogger("rollout.guard")


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """Findings of one guard run. ``facts`` is None if V3 decides for nobody, so that there is nothing to guard.

    ``rolled_back_to`` is empty without a breach, or if there was no rollback; ``problem`` then says why. ``legacy``:
    the audit of the legacy planner's seatings.
    """

    stage: str = ""
    facts: Facts | None = None
    breaches: Sequence[Breach] = ()
    rolled_back_to: str = ""
    problem: str = ""
    legacy: Seatings = field(default_factory=Seatings)

    def as_dict(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "measured": self.facts is not None,
            "facts": self.facts.as_dict() if self.facts else None,
            "legacy": asdict(self.legacy),
            "breaches": [breach.as_dict() for breach in self.breaches],
            "rolled_back_to": self.rolled_back_to,
            "problem": self.problem,
        }


def run() -> Findings:
    """Run the guard once: measure, roll back to the previous safe stage on a breach, and store a ``GuardRun``.

    Before that, note a new release, and audit the waiting decisions of V3 and the legacy planner's seatings, wherever
    either decides.

    Of several parallel runs only one rolls back; all store their findings. The number of queries does not grow with the
    number of restaurants, except for findings and edited floors.
    """
    with known_floors.one_look():
        return _run()


def _run() -> Findings:
    position = releases.note()
    _audit()
    legacy = legacy_watch.measure()
    of_legacy = legacy_watch.breaches(legacy)
    legacy_watch.announce(position, of_legacy)
    if resolution.read().mode is not Mode.ACTIVE:
        return _while_v3_is_off(position, legacy, of_legacy)
    if position is None:
        return Findings(
            problem="V3 decides without a guard: the ladder has not begun (manage.py rollout begin).",
            breaches=of_legacy,
            legacy=legacy,
        )
    rails = conf.guard_rails()
    facts = measuring.measure_live(position, minutes=rails["window_minutes"])
    found = guardrails.breaches(facts, rails)
    rolled_back_to, problem = _roll_back(position, facts, found) if found else ("", _STAYS if of_legacy else "")
    breaches = (*found, *of_legacy)
    measured = {**facts.as_dict(), "legacy": asdict(legacy), "settled": not found or bool(rolled_back_to)}
    _keep(position, measured, breaches, rolled_back_to)
    return Findings(
        stage=position.stage,
        facts=facts,
        breaches=breaches,
        rolled_back_to=rolled_back_to,
        problem=problem,
        legacy=legacy,
    )


def _while_v3_is_off(position: Position | None, legacy: Seatings, of_legacy: Sequence[Breach]) -> Findings:
    """Judge what V3 decided before it was switched off. There is nothing to roll back."""
    if position is None:
        return Findings(breaches=of_legacy, problem=_STAYS if of_legacy else "", legacy=legacy)
    left, now = unsettled.while_v3_is_off(position.environment)
    of_v3 = guardrails.unsafe(left.seatings)
    for breach in of_v3:
        events.announce(
            SOURCE,
            "rollout.guard_breached",
            from_state=position.stage,
            to_state=position.stage,
            detail=str(breach.detail)[:1000],
        )
    found = (*of_v3, *of_legacy)
    if found or left.asked_ledger:
        measured = {"unsettled": asdict(left.seatings), "unsafe_audits": left.audits, "now": now}
        _keep(position, {**measured, "legacy": asdict(legacy)}, found)
    problem = _IS_OFF if of_v3 else _STAYS if of_legacy else ""
    return Findings(stage=position.stage, breaches=found, problem=problem, legacy=legacy)


def _audit() -> None:
    """Audit the waiting decisions. An error here must not keep the guard from measuring."""
    try:
        decision_audit.run()
    except Exception as error:  # noqa: BLE001  (the host may raise anything, and the database too)
        log_error(logger, error, "V3's decisions could not be audited", has_place=True)


def _keep(position: Position, measured: dict[str, Any], found: Sequence[Breach], rolled_back_to: str = "") -> None:
    GuardRun.objects.create(
        environment=position.environment,
        stage=position.stage,
        measured=measured,
        breaches=[breach.as_dict() for breach in found],
        rolled_back_to=rolled_back_to,
        release=release.running(),
    )


_IS_OFF = "V3 has decided this, but decides no longer; the stage stays"
_STAYS = "the legacy planner has decided this, and nobody could take over from it; the stage stays"


def _roll_back(position: Position, facts: Facts, found: Sequence[Breach]) -> tuple[str, str]:
    why = "; ".join(breach.detail for breach in found)
    problem = ""
    try:
        stage = steering.roll_back(
            actor=ACTOR,
            reason=why,
            seen=position,
            measured={"facts": facts.as_dict(), "breaches": [breach.as_dict() for breach in found]},
            cool_down_hours=conf.settings().COOL_DOWN_HOURS,
        ).stage
    except (steering.RefusedError, change_log.BusyError) as error:
        stage, problem = "", str(error)
    events.announce(
        SOURCE,
        "rollout.guard_breached",
        from_state=position.stage,
        to_state=stage or position.stage,
        detail=f"{why}{f' ({problem})' if problem else ''}"[:1000],
    )
    return stage, problem
