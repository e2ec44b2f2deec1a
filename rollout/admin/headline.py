"""The rollout in one sentence, and what blocks its promotion in groups: what operators read first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from assignments.staff.labels import render
from rollout.admin import labels
from rollout.control.steering import PromotionPlan
from rollout.flags.resolution import Flags
from rollout.models import GuardRun, Position
from rollout.policy.gates import GateResult, Status

SOAK = "soak"
"""The gate that only time opens."""
UNHEALTHY = frozenset(
    {"integrity", "flags", "seatings", "unsafe", "candidate_errors", "errors", "days_unsafe", "candidate_p95_ms"}
    | {"candidate_p99_ms", "decision_p95_ms", "decision_p99_ms"}
)
"""Gates whose failure means that something is broken now, rather than that V3 has to become better."""

_WAIT = gettext_lazy("It opens by itself: wait.")
_MORE_SHADOW = gettext_lazy(
    "Stay at this stage until more decisions have been compared; rollout backtest adds past evenings."
)
_LOOK = gettext_lazy("Look at the comparisons. Then fix the cause, or accept the difference below.")
_MORE_LIVE = gettext_lazy("Stay at this stage: V3 has decided too few bookings.")
HELP: Mapping[str, str | Promise] = {
    SOAK: _WAIT,
    "integrity": gettext_lazy("See Health, which says what to do."),
    "flags": gettext_lazy("Set the switches back to what the stage says."),
    "seatings": gettext_lazy("Find the seatings in the ledger, and move the guests."),
    "comparable": _MORE_SHADOW,
    "restaurants": _MORE_SHADOW,
    "largest_share": gettext_lazy("Wait for decisions in other restaurants."),
    "unsafe": gettext_lazy("Look at each of these comparisons; V3 has to be fixed."),
    "refused": _LOOK,
    "candidate_errors": gettext_lazy("The comparisons name the error; V3 has to be fixed."),
    "parity": _LOOK,
    "days_unsafe": gettext_lazy("Look at the days compared; V3 has to be fixed."),
    "days_refused": gettext_lazy("Look at the days compared; V3 has to be fixed."),
    "days_worse": gettext_lazy("Look at the days compared; V3 has to be fixed."),
    "complete": gettext_lazy("Check that manage.py rollout compare runs from cron."),  # rollout-removal: ignore
    "coverage": gettext_lazy("Wait for the situations that are missing, or add past evenings with rollout backtest."),
    "explanations": gettext_lazy("Renew or withdraw the waivers that have expired, below."),
    "errors": gettext_lazy("The error events show the cause."),
    "review": gettext_lazy("The review queue shows why."),
}
_FALLBACK = gettext_lazy("Find the cause, or roll back.")
OF_TIME = frozenset({SOAK, "restaurants", "largest_share", "complete", "coverage"})
"""Gates whose remedy is the same while they lack data as when they fail."""
OF_DECISIONS = frozenset(
    {"seatings", "errors", "confirmed", "review", "no_worse", "decision_p95_ms", "decision_p99_ms"}
)
"""Gates about what V3 itself has decided; the others are about comparisons."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocker:
    """One thing that blocks the promotion. ``helps``: what would help. ``is_final``: whether no override lifts it."""

    what: str
    detail: str
    helps: str
    is_final: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Blockers of one kind. ``key``: locked, data or failed."""

    key: str
    title: str
    blockers: Sequence[Blocker]


@dataclass(frozen=True, kw_only=True, slots=True)
class Headline:
    """The sentences, in their order. ``level``: pass, warning or fail."""

    sentences: Sequence[str]
    level: str

    def __str__(self) -> str:
        return " ".join(self.sentences)


def stage_name(key: str) -> str:
    """Return a stage's key as the word that begins a sentence."""
    return key.replace("_", " ").capitalize()


def groups(plan: PromotionPlan, now: datetime) -> list[Group]:
    """Group what blocks the promotion: locked for now, too little data, failed."""
    locked = [
        Blocker(
            what=render(each.detail),
            detail="",
            helps=_remedy(each.kind, render(each.remedy)),
            is_final=not each.overridable,
        )
        for each in plan.obstacles
        if each.kind != "gate"
    ]
    closed = [result for result in plan.gates if result.status is not Status.PASS]
    locked += [_of_gate(result) for result in closed if result.gate == SOAK]
    short = [_of_gate(each) for each in closed if each.gate != SOAK and each.status is Status.INCONCLUSIVE]
    failed = [_of_gate(each) for each in closed if each.gate != SOAK and each.status is Status.FAIL]
    found = [
        Group(key="failed", title=_("Failed"), blockers=failed),
        Group(key="locked", title=_("Locked for now"), blockers=locked),
        Group(key="data", title=_("Too little data"), blockers=short),
    ]
    return [group for group in found if group.blockers]


def _remedy(kind: str, otherwise: str) -> str:
    if kind == "pause":
        return _("Resume the rollout.")
    if kind == "cool_down":
        return _("Find out what the guard measured, then wait.")
    return otherwise


def _of_gate(result: GateResult) -> Blocker:
    return Blocker(
        what=labels.gate(result.gate),
        detail=render(result.detail),
        helps=str(_helps(result)),
    )


def _helps(result: GateResult) -> str | Promise:
    if result.status is Status.FAIL or result.gate in OF_TIME:
        return HELP.get(result.gate, _FALLBACK)
    return _MORE_LIVE if result.gate in OF_DECISIONS else _MORE_SHADOW


def headline(
    position: Position | None,
    plan: PromotionPlan | None,
    in_effect: Flags,
    *,
    now: datetime,
    problems: Sequence[str],
    guard_run: GuardRun | None,
) -> Headline:
    """Return the headline: the stage, whether all is well, and whether it can be promoted."""
    if position is None:
        text = _("The ladder has not begun: the flags alone decide.")
        return Headline(sentences=[text], level="warning" if problems else "pass")
    stage = _("%(stage)s for %(duration)s.") % {
        "stage": stage_name(position.stage),
        "duration": short_duration(now - position.since),
    }
    breaches = len(guard_run.breaches) if guard_run and guard_run.at >= position.since else 0
    ill = len(problems)
    if plan is not None:
        ill += sum(each.status is Status.FAIL and each.gate in UNHEALTHY for each in plan.gates)
    if problems and plan is not None:  # The drift is both a problem and a gate, but counts once.
        ill -= sum(each.status is Status.FAIL and each.gate == "flags" for each in plan.gates)
    well = _("Healthy.")
    if ill:
        well = ngettext("%(count)s problem.", "%(count)s problems.", ill) % {"count": ill}
    if breaches:
        found = ngettext("The guard found %(count)s breach.", "The guard found %(count)s breaches.", breaches)
        well = found % {"count": breaches} + (" " + well if ill else "")
    if in_effect.killed:
        well = _("Switched off by the kill variable.")
    sentences = [stage, well, *([_("Paused.")] if position.paused else []), _promotion(position, plan, now)]
    level = (
        "fail" if ill or breaches or in_effect.killed else "pass" if plan is not None and plan.is_open else "warning"
    )
    return Headline(sentences=[each for each in sentences if each], level=level)


def _promotion(position: Position, plan: PromotionPlan | None, now: datetime) -> str:
    if plan is None:
        return _("The gates were not measured.")
    if plan.target is None:
        return _("This is the last stage.")
    if plan.is_open:
        return _("Ready for promotion to %(stage)s.") % {"stage": plan.target.key}
    parts = []
    until = locked_until(position, plan, now)
    if until is not None:
        parts.append(_("Promotion locked for %(duration)s") % {"duration": short_duration(until - now)})
    closed = [each for each in plan.gates if each.status is not Status.PASS and each.gate != SOAK]
    failed = sum(each.status is Status.FAIL for each in closed)
    short = len(closed) - failed
    if failed:
        parts.append(ngettext("%(count)s gate fails", "%(count)s gates fail", failed) % {"count": failed})
    if short:
        parts.append(ngettext("%(count)s gate lacks data", "%(count)s gates lack data", short) % {"count": short})
    if not parts:
        parts.append(_("Promotion is blocked"))
    return "; ".join(parts) + "."


def locked_until(position: Position, plan: PromotionPlan, now: datetime) -> datetime | None:
    """Return until when time alone keeps the promotion locked; None if it does not."""
    ends = [position.cool_down_until] if position.cool_down_until else []
    ends += [
        position.since + timedelta(hours=each.threshold)
        for each in plan.gates
        if each.gate == SOAK and each.status is not Status.PASS
    ]
    later = [each for each in ends if each > now]
    return max(later, default=None)


def short_duration(span: timedelta) -> str:
    """Format a duration for a headline: 12 min, 3 h, 4 days."""
    minutes = max(0, round(span.total_seconds() / 60))
    if minutes < 90:
        return _("%(count)s min") % {"count": minutes}
    hours = round(minutes / 60)
    if hours < 72:
        return _("%(count)s h") % {"count": hours}
    return _("%(count)s days") % {"count": round(hours / 24)}


def promote_objection(position: Position, plan: PromotionPlan | None, *, may: Mapping[str, Any]) -> str:
    """Say why the button to promote is disabled; "" if it is not. A user who may override can always open the form."""
    if plan is None:
        return _("The gates could not be measured.")
    if plan.target is None:
        return _("This is the last stage.")
    if position.paused:
        return _("The rollout is paused: resume it first.")
    if not plan.is_open and not may.get("override_gates"):
        return _promotion(position, plan, plan.facts.now)
    return ""
