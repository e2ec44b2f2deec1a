"""Builds the Rollout page: flags and their sources, position, and the next step."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from waffle import get_waffle_switch_model

from assignments import conf as assignments_conf
from assignments.admin.actor import names
from assignments.admin.chart import Chart, Series
from assignments.admin.host_lookup import restaurant_names
from assignments.concurrency import clock
from assignments.error_logging import log_error
from assignments.integration import release
from assignments.models import Assignment
from assignments.planning.natural_order import natural_key
from assignments.staff.labels import render
from rollout import conf
from rollout.admin import headline, labels
from rollout.control import steering, switches
from rollout.control.steering import PromotionPlan
from rollout.evidence import decision_audit, measuring
from rollout.evidence.sql import lists
from rollout.evidence.trend import Course, course
from rollout.flags import bucketing, resolution
from rollout.flags.resolution import Flags, Mode, Source
from rollout.models import Change, ForcedPlanner, GuardRun, Position, Waiver
from rollout.policy import gates, guardrails
from rollout.policy.gates import GateResult, Status
from rollout.policy.ladder import Stage, UnknownStageError
from rollout.policy.verdict import Verdict
from rollout.reporting.values import ALIKE, HARMFUL

logger = logging.getLogger(__name__)

PATIENCE_MS = 8000
"""Maximum milliseconds of a measuring statement: the page is needed most when the database is slow."""
GLANCE_MS = 2000
"""Maximum milliseconds of a measuring statement for the admin's first page."""
LISTED = 50
"""Maximum forced planners, waivers and restaurants to list; the rest is counted."""
CHANGES = 10
METER_WIDTH = 120
WHOLE = 100
FORCING = frozenset({Change.Kind.FORCED_PLANNER})
"""Changes whose subject is a restaurant."""

KINDS = (
    (gettext_lazy("same, equally good, or better"), (*ALIKE, Verdict.BETTER)),
    (gettext_lazy("worse"), (Verdict.WORSE,)),
    (gettext_lazy("only V3 seats"), (Verdict.ONLY_V3_SEATS,)),
    (gettext_lazy("only the legacy planner seats"), (Verdict.ONLY_LEGACY_SEATS,)),
    (gettext_lazy("unsafe or error"), HARMFUL),
)
"""The verdicts by series of the chart."""
STATUS_CLASSES = {Status.PASS: "page-pass", Status.FAIL: "page-fail", Status.INCONCLUSIVE: "page-warning"}


def on_off(value: bool) -> str:
    return render(resolution.as_text(value))


def gate_row(result: GateResult) -> dict[str, Any]:
    """Return one gate, as text and as a chart; ``in_words`` is the chart for screen readers."""
    is_minimum = result.gate in gates.AT_LEAST
    value, threshold = "-" if result.value is None else f"{result.value:.4g}", f"{result.threshold:.4g}"
    in_words = _("%(value)s; at most %(threshold)s allowed")
    if is_minimum:
        in_words = _("%(value)s; at least %(threshold)s required")
    return {
        "result": result,
        "name": labels.gate(result.gate),
        "status": render(result.status),
        "status_class": STATUS_CLASSES[result.status],
        "value": value,
        "threshold": f"{'≥' if is_minimum else '≤'} {threshold}",
        "detail": render(result.detail),
        "window": render(result.window),
        "in_words": in_words % {"value": value, "threshold": threshold},
        "meter": _meter(result.value, result.threshold, is_minimum=is_minimum),
    }


def _meter(value: float | None, threshold: float, *, is_minimum: bool) -> dict[str, float | None]:
    """Positions for drawing value, threshold and allowed range on a line of METER_WIDTH.

    The line runs from 0 (or lower values) to slightly above the larger of value and threshold.
    """
    known = [0.0, threshold, *([] if value is None else [value])]
    low, high = min(known), max(known)
    margin = (high - low) * 0.15 or 1.0
    low, high = (low - margin if low < 0 else low), high + margin

    def place(at: float) -> float:
        return round((at - low) / (high - low) * METER_WIDTH, 1)

    at = place(threshold)
    return {
        "width": METER_WIDTH,
        "allowed_from": at if is_minimum else 0.0,
        "allowed_width": round(METER_WIDTH - at, 1) if is_minimum else max(at, 2.0),
        "threshold": at,
        "value": None if value is None else place(value),
    }


def overview(may: Mapping[str, bool] | None = None, *, patience_ms: int = PATIENCE_MS) -> dict[str, Any]:
    """Return the page's context. It works even if measuring fails, since people roll back from here."""
    environment = conf.settings().ENVIRONMENT
    now = clock.now()
    positions, rows, forced, waivers, guard_runs, changes = lists(
        Position.objects.filter(environment=environment),
        get_waffle_switch_model().objects.filter(name__in=switches.SWITCHES.values()),
        ForcedPlanner.objects.all()[: LISTED + 1],
        Waiver.objects.filter(withdrawn_at__isnull=True)[: LISTED + 1],
        GuardRun.objects.filter(environment=environment).defer("measured")[:1],
        Change.objects.filter(environment=environment).defer("evidence")[:CHANGES],
    )
    position: Position | None = next(iter(positions), None)
    as_set = resolution.from_rows({row.name: row.active for row in rows})
    in_effect = resolution.killed() if resolution.is_killed() else as_set
    measured = measure(position, in_effect, patience_ms=patience_ms)
    guard_run: GuardRun | None = next(iter(guard_runs), None)
    problems = _problems(position, in_effect, as_set)
    deciding = [] if in_effect.mode is not Mode.ACTIVE else _deciding(position, forced[:LISTED], now, measured.plan)
    refs = [*deciding, *(each.restaurant_ref for each in forced[:LISTED]), *(each.restaurant_ref for each in waivers)]
    refs += measured.plan.joining[:LISTED] if measured.plan else ()
    refs += [each.subject for each in changes if each.kind in FORCING]
    refs = sorted({ref for ref in refs if ref})
    called = restaurant_names(refs) if refs else {}
    known = names([*(each.actor for each in forced), *(change.actor for change in changes)])
    return {
        "environment": environment,
        "position": position,
        "release": release.running(),
        "release_is_new": bool(position and not position.knows(release.running())),
        "others": measured.plan.facts.comparisons.others if measured.plan else 0,
        "mode": in_effect.mode,
        "mode_in_words": labels.mode(in_effect.mode),
        "killed": in_effect.killed,
        "kill_variable": conf.KILL_VARIABLE,
        "problems": problems,
        "headline": headline.headline(
            position, measured.plan, in_effect, now=now, problems=problems, guard_run=guard_run
        ),
        "objection": headline.promote_objection(position, measured.plan, may=may or {}) if position else "",
        "deciding": _in_words(deciding, called),
        "decides_for_all": in_effect.mode is Mode.ACTIVE and (position is None or position.percent >= WHOLE),
        "flag_rows": flag_rows(in_effect, as_set),
        "max_parallel": assignments_conf.settings().MAX_PARALLEL,
        "legacy_path": conf.settings().LEGACY_PLANNER,
        "cooling_down": bool(position and position.cool_down_until and now < position.cool_down_until),
        "stage_rows": stage_rows(conf.current_ladder().stages, position.stage if position else ""),
        "lower_stages": lower_stages(position),
        "not_measured": measured.problem,
        **(plan_context(measured.plan, called) if measured.plan else {}),
        "verdicts": _verdicts(measured.plan),
        "charts": charts(measured.course) if measured.course else (),
        "forced_planners": [
            (each, who(each.actor, known), named(each.restaurant_ref, called)) for each in forced[:LISTED]
        ],
        "has_more_forced": len(forced) > LISTED,
        "waivers": [
            (each, labels.verdict(each.verdict), each.expires_at <= now, named(each.restaurant_ref, called))
            for each in waivers[:LISTED]
        ],
        "has_more_waivers": len(waivers) > LISTED,
        "guard_run": guard_run,
        "unaudited": decision_audit.waiting()[0],
        "unjudged": measured.plan.facts.stage_seatings.unjudged if measured.plan else 0,
        "breaches": [(breach["rail"], render(guardrails.said(breach))) for breach in guard_run.breaches]
        if guard_run
        else [],
        "changes": [
            (
                change,
                who(change.actor, known),
                named(change.subject, called) if change.kind in FORCING else change.subject,
            )
            for change in changes
        ],
    }


def glance() -> dict[str, Any]:
    """Return the headline and the stages, for the admin's first page. It works even if measuring fails."""
    environment = conf.settings().ENVIRONMENT
    positions, rows, guard_runs = lists(
        Position.objects.filter(environment=environment),
        get_waffle_switch_model().objects.filter(name__in=switches.SWITCHES.values()),
        GuardRun.objects.filter(environment=environment).defer("measured")[:1],
    )
    position: Position | None = next(iter(positions), None)
    as_set = resolution.from_rows({row.name: row.active for row in rows})
    in_effect = resolution.killed() if resolution.is_killed() else as_set
    plan = None
    if position is not None:
        plan = measure(position, in_effect, patience_ms=GLANCE_MS, with_course=False).plan
    return {
        "headline": headline.headline(
            position,
            plan,
            in_effect,
            now=clock.now(),
            problems=_problems(position, in_effect, as_set),
            guard_run=next(iter(guard_runs), None),
        ),
        "stage_rows": stage_rows(conf.current_ladder().stages, position.stage if position else ""),
    }


def _deciding(
    position: Position | None, forced: Sequence[ForcedPlanner], now: datetime, plan: steering.PromotionPlan | None
) -> list[str]:
    """Return the refs of restaurants with upcoming bookings for which V3 decides: LISTED, plus one if there are more."""
    if position is None or position.percent >= WHOLE:
        return []
    fixed = {each.restaurant_ref: each.planner == ForcedPlanner.PlannerChoice.V3 for each in forced}
    if plan and plan.target:
        refs = list(plan.coming)
    else:
        coming = Assignment.objects.filter(starts_at__gt=now - timedelta(days=1)).order_by("restaurant_ref")
        refs = list(coming.values_list("restaurant_ref", flat=True).distinct())
    found = [ref for ref in refs if fixed.get(ref, bucketing.is_in_share(ref, position.percent))]
    return found[: LISTED + 1]


def named(ref: str, called: Mapping[str, str]) -> str:
    """Return the restaurant's name, with its ref if that differs."""
    name = called.get(ref, ref)
    return name if name == ref else f"{name} ({ref})"


def _in_words(refs: Collection[str], called: Mapping[str, str]) -> str:
    """Return the names of restaurants, with an ellipsis if there are more."""
    shown = sorted((called.get(ref, ref) for ref in list(refs)[:LISTED]), key=natural_key)
    return ", ".join([*shown, *(["…"] if len(refs) > LISTED else [])])


@dataclass(kw_only=True, slots=True)
class Measured:
    """The measurements; ``problem`` says why there is no plan although the ladder has begun."""

    plan: PromotionPlan | None = None
    course: Course | None = None
    problem: str = ""


def measure(
    position: Position | None, as_they_are: Flags, *, patience_ms: int = PATIENCE_MS, with_course: bool = True
) -> Measured:
    """Return the plan and the trend, as far as they can be measured in time."""
    found = Measured()
    facts = None
    try:
        with measuring.one_moment(patience_ms) as now:
            if position is not None:
                facts = measuring.measure(position, as_they_are=as_they_are, now=now)
            if with_course:
                found.course = course(now)
    except Exception as error:  # noqa: BLE001  (shown and logged by type; the host has a part in it)
        log_error(logger, error, "The Rollout page could not measure everything")
        found.problem = _(
            "The gates could not be measured (%(error)s). Rolling back needs no measurement. "
            "Try manage.py rollout check, which waits longer."
        ) % {"error": type(error).__name__}
    if position is not None and facts is not None:
        try:
            found.plan, found.problem = steering.plan_from(position, as_they_are, facts), ""
        except UnknownStageError as error:
            found.problem = render(error)
    return found


def charts(over_time: Course) -> Sequence[Chart]:
    """Charts of verdicts and of each planner's seated share over time."""
    moments, found = over_time.moments, []
    x = [moment.begins for moment in moments]
    if over_time.has_comparisons:
        caption = _("Parity by hour (UTC)") if over_time.is_hourly else _("Parity by day (UTC)")
        series = [
            Series(label=str(label), values=[_percent(moment.verdicts, verdicts) for moment in moments])
            for label, verdicts in KINDS
        ]
        found.append(Chart(id="parity", caption=caption, unit=_("percent of comparisons"), x=x, series=series))
    if over_time.has_decisions:
        caption = _("Bookings seated, by day (UTC)")
        if over_time.is_hourly:
            caption = _("Bookings seated, by hour (UTC)")
        series = [
            Series(label=_("V3"), values=[_share(*moment.v3) for moment in moments]),
            Series(label=_("legacy planner"), values=[_share(*moment.old) for moment in moments]),
        ]
        found.append(Chart(id="seated", caption=caption, unit=_("percent of bookings"), x=x, series=series))
    return found


def _percent(counts: Mapping[str, int], verdicts: Sequence[Verdict]) -> float | None:
    return _share(sum(counts.get(verdict, 0) for verdict in verdicts), sum(counts.values()))


def _share(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None


def plan_context(plan: PromotionPlan, called: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The context of a plan, for the page and the confirmation of a promotion. ``called``: names of restaurants."""
    if called is None:
        # Always asked, so that the page costs the same whether or not a restaurant joins.
        called = restaurant_names(list(plan.joining[:LISTED]) or [""])
    passing = sum(1 for result in plan.gates if result.status is Status.PASS)
    return {
        "plan": plan,
        "blocking": headline.groups(plan, plan.facts.now),
        "gate_rows": [gate_row(result) for result in plan.gates],
        "gates_summary": ngettext(
            "%(passing)s of %(count)s gate passes", "%(passing)s of %(count)s gates pass", len(plan.gates)
        )
        % {"passing": passing, "count": len(plan.gates)},
        "switch_rows": [(switch, on_off(before), on_off(after)) for switch, (before, after) in plan.switches.items()],
        "joining": ", ".join(sorted((called.get(ref, ref) for ref in plan.joining[:LISTED]), key=natural_key)),
        "joining_count": len(plan.joining),
        "joining_rest": max(0, len(plan.joining) - LISTED),
    }


def flag_rows(in_effect: Flags, as_set: Flags) -> list[dict[str, Any]]:
    """Return the flags. ``objection``: why one cannot be turned on now."""
    other_is_on = _("The other switch is on: turn it off first.")
    return [
        {
            "name": name,
            "flag": flag,
            "value": on_off(flag.value),
            "source": render(flag.source),
            "row": on_off(underneath.value) if underneath.source is Source.SWITCH else "",
            "is_row": underneath.value if underneath.source is Source.SWITCH else None,
            "variable_text": conf.settings().ENVIRONMENT_VARIABLES.get(flag.variable, ""),
            "objection": other_is_on if other.value else "",
        }
        for name, flag, underneath, other in (
            ("v3", in_effect.v3, as_set.v3, as_set.shadow),
            ("shadow", in_effect.shadow, as_set.shadow, as_set.v3),
        )
    ]


def stage_rows(stages: Sequence[Stage], here: str = "") -> list[dict[str, Any]]:
    """Return the stages of the ladder. ``here``: the current one, if any."""
    keys = ["", *(stage.key for stage in stages)]
    at = keys.index(here) - 1 if here in keys else 0
    return [
        {
            "stage": stage,
            "is_here": stage.key == here,
            "is_passed": number < at,
            "is_next": bool(here) and before == here,
            "v3": on_off(stage.v3),
            "shadow": on_off(stage.shadow),
            "soak_hours": f"{stage.soak_hours:g}",
        }
        for number, (before, stage) in enumerate(zip(keys, stages, strict=False))
    ]


def lower_stages(position: Position | None) -> Sequence[Stage]:
    """Return the targets of a rollback, nearest first; from a stage that the settings no longer name, all stages."""
    if position is None:
        return ()
    ladder = conf.current_ladder()
    try:
        return ladder.below(position.stage)
    except UnknownStageError:
        return tuple(reversed(ladder.stages))


def who(actor: str, known: Mapping[str, str]) -> str:
    """The actor's current name, with the recorded one if it differs."""
    return actor if known[actor] == actor else f"{known[actor]} ({actor})"


def _problems(position: Position | None, in_effect: Flags, as_set: Flags) -> list[str]:
    problems: list[str] = [render(each) for each in resolution.wrong_variables()]
    if as_set.contradict:
        problems.append(
            _("%(v3)s and %(shadow)s are both on, a contradiction. The mode is shadow until one is off.")
            % {"v3": as_set.v3.switch, "shadow": as_set.shadow.switch}
        )
    drift = measuring.drift_of(position, in_effect) if position else ""
    if drift:
        problems.append(_("The flags do not match the stage: %(drift)s.") % {"drift": render(drift)})
    return problems


def _verdicts(plan: PromotionPlan | None) -> list[tuple[str, str, int, int | str]]:
    """Return verdict, label, count, and how many are not waived, if they can be waived."""
    if plan is None:
        return []
    found = plan.facts.comparisons
    return [
        (
            verdict,
            labels.verdict(verdict),
            count,
            found.not_waived.get(verdict, 0) if verdict in steering.WAIVABLE else "-",
        )
        for verdict, count in sorted(found.verdicts.items(), key=lambda each: -each[1])
    ]
