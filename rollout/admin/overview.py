"""What the Rollout page shows: what is on and why, where the rollout stands, and what would happen next."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from assignments import conf as assignments_conf
from rollout import conf, evidence, flags, steering
from rollout.admin.actor import names
from rollout.flags import Flags, FlagValue, Source
from rollout.gates import GateResult, Status
from rollout.ladder import Stage, UnknownStageError
from rollout.models import Change, Explanation, GuardRun, Pin, Position
from rollout.steering import Plan

logger = logging.getLogger(__name__)

PATIENCE_MS = 3000
"""How long one statement of the measuring may take here: the page is needed most when the database is slow."""
LISTED = 50
"""So many pins, explanations and restaurants are listed; the rest is counted."""
CHANGES = 10

SOURCES = {
    Source.KILL: gettext_lazy("kill variable"),
    Source.SWITCH: gettext_lazy("switch"),
    Source.ENVIRONMENT: gettext_lazy("environment variable"),
    Source.DEFAULT: gettext_lazy("default"),
}
STATUSES = {Status.PASS: gettext_lazy("pass"), Status.FAIL: gettext_lazy("fail"), Status.HOLD: gettext_lazy("hold")}


def on_off(value: bool) -> str:
    return _("on") if value else _("off")


@dataclass(frozen=True, kw_only=True, slots=True)
class FlagRow:
    """One flag. ``objection``: why it cannot be turned on now. ``turn``: what a click would turn it to."""

    name: str
    flag: FlagValue
    row: str
    variable_text: str
    objection: str

    @property
    def value(self) -> str:
        return on_off(self.flag.value)

    @property
    def source(self) -> str:
        return str(SOURCES[self.flag.source])

    @property
    def is_row_on(self) -> bool:
        return self.row == on_off(True)

    @property
    def is_row_off(self) -> bool:
        return self.row == on_off(False)


@dataclass(frozen=True, kw_only=True, slots=True)
class GateRow:
    """One gate, in words."""

    result: GateResult

    @property
    def status(self) -> str:
        return str(STATUSES[self.result.status])

    @property
    def value(self) -> str:
        return "-" if self.result.value is None else f"{self.result.value:.4g}"

    @property
    def threshold(self) -> str:
        return f"{self.result.threshold:.4g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class StageRow:
    """One rung of the ladder."""

    stage: Stage
    is_here: bool = False
    is_next: bool = False

    @property
    def v3(self) -> str:
        return on_off(self.stage.v3)

    @property
    def shadow(self) -> str:
        return on_off(self.stage.shadow)

    @property
    def soak_hours(self) -> str:
        return f"{self.stage.soak_hours:g}"


def overview() -> dict[str, Any]:
    """The page's context. Opens whatever happens to the measuring: from here somebody has to be able to roll back."""
    as_set = flags.as_set()
    in_effect = flags.killed() if flags.is_killed() else as_set
    position = steering.current()
    plan, not_measured = measured(position)
    pins, explanations = list(Pin.objects.all()[: LISTED + 1]), _explanations()
    environment = conf.settings().ENVIRONMENT
    changes = list(Change.objects.filter(environment=environment).defer("evidence")[:CHANGES])
    known = names([*(pin.actor for pin in pins), *(change.actor for change in changes)])
    return {
        "environment": environment,
        "position": position,
        "mode": in_effect.mode,
        "killed": in_effect.killed,
        "kill_variable": conf.KILL_VARIABLE,
        "problems": _problems(position, in_effect, as_set),
        "flag_rows": flag_rows(in_effect, as_set),
        "max_parallel": assignments_conf.settings().MAX_PARALLEL,
        "old_planner": conf.settings().LEGACY_PLANNER,
        "cooling_down": bool(position and position.cool_down_until and timezone.now() < position.cool_down_until),
        "stage_rows": stage_rows(position),
        "lower_stages": lower_stages(position),
        "not_measured": not_measured,
        **(plan_context(plan) if plan else {}),
        "verdicts": _verdicts(plan),
        "pins": [(pin, who(pin.actor, known)) for pin in pins[:LISTED]],
        "has_more_pins": len(pins) > LISTED,
        "explanations": explanations[:LISTED],
        "has_more_explanations": len(explanations) > LISTED,
        "guard_run": GuardRun.objects.filter(environment=environment).defer("measured").first(),
        "changes": [(change, who(change.actor, known)) for change in changes],
    }


def measured(position: Position | None) -> tuple[Plan | None, str]:
    """The plan, or why there is none."""
    if position is None:
        return None, ""
    try:
        return steering.plan(statement_timeout_ms=PATIENCE_MS), ""
    except UnknownStageError as error:
        return None, str(error)
    except Exception as error:  # noqa: BLE001  (shown and logged by type; the host has a part in it)
        logger.error("The gates could not be measured for the Rollout page: %s", type(error).__name__)
        return None, _(
            "The gates could not be measured (%(error)s). Rolling back needs no measurement. "
            "With more patience: manage.py rollout check."
        ) % {"error": type(error).__name__}


def plan_context(plan: Plan) -> dict[str, Any]:
    """What the page and the confirmation of a promotion show of a plan."""
    passing = sum(1 for result in plan.gates if result.status is Status.PASS)
    return {
        "plan": plan,
        "gate_rows": [GateRow(result=result) for result in plan.gates],
        "gates_summary": ngettext(
            "%(passing)s of %(count)s gate passes", "%(passing)s of %(count)s gates pass", len(plan.gates)
        )
        % {"passing": passing, "count": len(plan.gates)},
        "switch_rows": [(switch, on_off(before), on_off(after)) for switch, (before, after) in plan.switches.items()],
        "joining": ", ".join(plan.joining[:LISTED]),
        "joining_count": len(plan.joining),
        "joining_rest": max(0, len(plan.joining) - LISTED),
    }


def flag_rows(in_effect: Flags, as_set: Flags) -> list[FlagRow]:
    rows = []
    for name, flag, underneath, other in (
        ("v3", in_effect.v3, as_set.v3, as_set.shadow),
        ("shadow", in_effect.shadow, as_set.shadow, as_set.v3),
    ):
        rows.append(
            FlagRow(
                name=name,
                flag=flag,
                row=on_off(underneath.value) if underneath.source is Source.SWITCH else "",
                variable_text=conf.settings().ENVIRONMENT_VARIABLES.get(flag.variable, ""),
                objection=_("The other one is on: turn it off first.") if other.value else "",
            )
        )
    return rows


def stage_rows(position: Position | None) -> list[StageRow]:
    ladder = conf.current_ladder()
    keys = [stage.key for stage in ladder.stages]
    here = keys.index(position.stage) if position and position.stage in keys else None
    return [
        StageRow(stage=stage, is_here=number == here, is_next=here is not None and number == here + 1)
        for number, stage in enumerate(ladder.stages)
    ]


def lower_stages(position: Position | None) -> Sequence[Stage]:
    """Where a rollback may lead, the nearest first; from a stage that the settings do not name any more, anywhere."""
    if position is None:
        return ()
    ladder = conf.current_ladder()
    try:
        return ladder.below(position.stage)
    except UnknownStageError:
        return tuple(reversed(ladder.stages))


def who(actor: str, known: Mapping[str, str]) -> str:
    """The record's actor, and for a user the name of today."""
    return f"{known[actor]} ({actor})" if actor in known else actor


def _explanations() -> list[tuple[Explanation, bool]]:
    now = timezone.now()
    known = Explanation.objects.filter(withdrawn_at__isnull=True)[: LISTED + 1]
    return [(explanation, explanation.expires_at <= now) for explanation in known]


def _problems(position: Position | None, in_effect: Flags, as_set: Flags) -> list[str]:
    problems = flags.wrong_variables()
    if as_set.contradict:
        problems.append(
            _("%(v3)s and %(shadow)s are both on, which contradicts itself: the mode is shadow until one is off.")
            % {"v3": as_set.v3.switch, "shadow": as_set.shadow.switch}
        )
    drift = evidence.drift_of(position, in_effect) if position else ""
    if drift:
        problems.append(_("The flags are not what the stage asks for: %(drift)s.") % {"drift": drift})
    return problems


def _verdicts(plan: Plan | None) -> list[tuple[str, int, int | str]]:
    """Verdict, how many, and how many of them nobody has explained, where that can be done."""
    if plan is None:
        return []
    found = plan.facts.comparisons
    return [
        (verdict, count, found.unexplained.get(verdict, 0) if verdict in steering.EXPLAINABLE else "-")
        for verdict, count in sorted(found.verdicts.items(), key=lambda each: -each[1])
    ]
