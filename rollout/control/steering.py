"""Changing the state of the rollout, for commands, the admin and the guard. Nothing else changes it.

Each function is one transaction under one lock (``change_log``): it checks, writes, and appends a ``Change``. A stage's
switches are written together, so that no reader sees a contradiction. A single switch is set by hand with
``rollout.control.switches.set_switch``, under the same lock and with the same record.

``actor`` is ``user:<id>``, ``command:<login>``, ``guard`` or ``release``, never a name. All raise
``change_log.UnusableError`` without a reason, and ``change_log.BusyError``.

Long because every change of the rollout passes through here, under one lock and one log.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef

from assignments.integration import release
from assignments.integration.floor_cache import floor_of
from assignments.models import Assignment
from assignments.planning.floor import InvalidFloorError
from assignments.planning.reasons import Reason
from assignments.planning.text import Text, together
from assignments.planning.text import gettext as _
from assignments.telemetry import events
from rollout import conf
from rollout.control import change_freeze, change_log, switches
from rollout.events import SOURCE
from rollout.evidence import measuring
from rollout.flags import bucketing, resolution
from rollout.models import WAIVED_AT_MOST, Change, ForcedPlanner, GuardRun, Position, Waiver
from rollout.policy import gates
from rollout.policy.gates import GateResult, Status
from rollout.policy.ladder import Stage
from rollout.policy.measurements import Facts
from rollout.policy.verdict import Verdict

WAIVABLE = (Verdict.WORSE, Verdict.ONLY_LEGACY_SEATS, Verdict.ONLY_V3_SEATS)
"""Verdicts that can be waived. Unsafe decisions and errors cannot."""
MAX_WAIVER_DAYS = 90
MAX_WAIVED = 200
"""Maximum comparisons that one waiver covers."""


class RefusedError(Exception):
    """Raised when a change is refused; the message says why, and what to do."""


class NotBegunError(RefusedError):
    """Raised if the ladder of this environment has not begun (manage.py rollout begin)."""

    def __init__(self) -> None:
        problem = _(
            "The rollout of %(environment)s has not begun its ladder: manage.py rollout begin --reason ...",
            environment=conf.settings().ENVIRONMENT,
        )
        super().__init__(problem)


@dataclass(frozen=True, kw_only=True, slots=True)
class Obstacle:
    """One obstacle to a promotion; ``kind`` is ``pause``, ``cool_down``, ``freeze`` or ``gate``."""

    kind: str
    detail: Text
    remedy: Text
    overridable: bool = True

    def __str__(self) -> str:
        return str(self.in_words)

    @property
    def in_words(self) -> Text:
        """Return a sentence that names the obstacle, and what to do about it."""
        return together([self.detail, self.remedy] if self.remedy else [self.detail])


@dataclass(frozen=True, kw_only=True, slots=True)
class PromotionPlan:
    """The effects of the next promotion. ``target`` is None at the top.

    ``joining``: restaurants that V3 would take over. ``coming``: all with upcoming bookings; empty at the top.
    """

    position: Position
    target: Stage | None
    facts: Facts
    gates: Sequence[GateResult]
    obstacles: Sequence[Obstacle]
    switches: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)
    joining: Sequence[str] = ()
    coming: Sequence[str] = ()

    @property
    def is_open(self) -> bool:
        """Return whether a promotion would be accepted now."""
        return self.target is not None and not self.obstacles


class PromotionRefusedError(RefusedError):
    """Raised when a promotion is refused, with all ``obstacles``."""

    def __init__(self, obstacles: Sequence[Obstacle]) -> None:
        self.obstacles = tuple(obstacles)
        super().__init__("\n".join(["Promotion refused:", *(f"- {obstacle}" for obstacle in obstacles)]))


GUARD = "guard"
"""The actor of what the guard does by itself."""


def current() -> Position | None:
    """This environment's position; None before the ladder has begun."""
    return Position.objects.filter(environment=conf.settings().ENVIRONMENT).first()


def begin(*, actor: str, reason: str) -> Position:
    """Begin the ladder at the stage that matches the current flags; only the position is stored.

    Raises RefusedError if it has already begun, or if no stage matches the flags.
    """
    with change_log.changing(reason=reason) as now:
        if current() is not None:
            problem = _("The rollout of %(environment)s has already begun.", environment=conf.settings().ENVIRONMENT)
            raise RefusedError(problem)
        as_they_are = resolution.read()
        # Without a position, V3's switch means all restaurants.
        wanted = (as_they_are.v3.value, as_they_are.shadow.value, 100 if as_they_are.v3.value else 0)
        stages = conf.current_ladder().stages
        stage = next((each for each in stages if (each.v3, each.shadow, each.percent) == wanted), None)
        if stage is None:
            problem = _(
                "No stage of the ladder matches the current flags (mode %(mode)s). Turn them off first: "
                "manage.py rollout set.",
                mode=as_they_are.mode,
            )
            raise RefusedError(problem)
        position = Position(environment=conf.settings().ENVIRONMENT)
        move(position, stage, now=now, actor=actor, reason=reason)
        return position


def plan(*, statement_timeout_ms: int = measuring.STATEMENT_TIMEOUT_MS) -> PromotionPlan:
    """Plan the next promotion: its effects and obstacles. Measures; changes nothing. Raises NotBegunError."""
    position, as_they_are = _required(current()), resolution.read()
    facts = measuring.measure(position, as_they_are=as_they_are, statement_timeout_ms=statement_timeout_ms)
    return plan_from(position, as_they_are, facts)


def plan_from(position: Position, as_they_are: resolution.Flags, facts: Facts) -> PromotionPlan:
    """Plan from values already read and measured. Raises UnknownStageError."""
    ladder = conf.current_ladder()
    stage, target = ladder.stage(position.stage), ladder.above(position.stage)
    results = gates.evaluate(stage, facts)
    coming = _coming(facts.now) if target else ()
    obstacles = _of_position(position, facts.now) + _of_change_freeze(facts.now)
    obstacles += [
        Obstacle(
            kind="gate",
            detail=_("Gate %(gate)s: %(status)s.", gate=result.gate, status=result.status),
            remedy=_("%(measured)s: %(detail)s.", measured=_measured(result), detail=result.detail),
        )
        for result in results
        if result.status is not Status.PASS
    ]
    return PromotionPlan(
        position=position,
        target=target,
        facts=facts,
        gates=results,
        obstacles=tuple(obstacles),
        switches={
            resolution.V3_SWITCH: (as_they_are.v3.value, target.v3),
            resolution.SHADOW_SWITCH: (as_they_are.shadow.value, target.shadow),
        }
        if target
        else {},
        joining=_joining(stage, target, coming) if target else (),
        coming=tuple(ref for ref, _is_forced in coming),
    )


def promote(
    *, from_stage: str, actor: str, reason: str, override: bool = False, measured: PromotionPlan | None = None
) -> Position:
    """Promote to the next stage.

    ``from_stage`` is the stage that the caller saw, so that of two simultaneous promotions one is refused.
    ``measured``: the plan, if the caller has just made it. ``override`` lifts gates, change freezes and the cool-down,
    and is recorded with what it lifted; only ``resume`` lifts a pause.

    Raises PromotionRefusedError with all obstacles, NotBegunError, and RefusedError at the top.
    """
    change_log.require_reason(reason)
    seen = measured or plan()  # Before taking the lock: a rollback must not wait for measurements.
    _check_stage(seen.position, from_stage)
    if seen.target is None:
        problem = _(
            "%(stage)s is the last stage. The next step is to remove the legacy planner: see the runbook.",
            stage=from_stage,
        )
        raise RefusedError(problem)
    with change_log.changing(reason=reason) as now:
        position = _required(current())
        _check_stage(position, from_stage)
        if position.since != seen.position.since:
            problem = _("The rollout left %(stage)s and returned to it in the meantime; check again.", stage=from_stage)
            raise RefusedError(problem)
        obstacles = _of_position(position, now) + [each for each in seen.obstacles if each.kind in {"freeze", "gate"}]
        if any(not (override and each.overridable) for each in obstacles):
            raise PromotionRefusedError(obstacles)
        move(
            position,
            seen.target,
            now=now,
            actor=actor,
            reason=reason,
            overridden=bool(obstacles),
            evidence={
                "facts": seen.facts.as_dict(),
                "gates": [result.as_dict() for result in seen.gates],
                "overridden": [str(each) for each in obstacles],
            },
        )
        return position


def roll_back(
    *,
    actor: str,
    reason: str,
    to: str = "",
    seen: Position | None = None,
    measured: Mapping[str, Any] | None = None,
    cool_down_hours: float = 0.0,
) -> Position:
    """Go back to the stage ``to``, or to the previous safe one: the nearest below in which V3 decides for nobody.

    It is always allowed, even during a pause or a change freeze, and quick, because nothing is measured. The next pass
    hands V3's unfinished bookings to the legacy planner. ``seen``: the position that the caller saw; RefusedError is
    raised if it has changed, so that two simultaneous rollbacks go down only one stage. ``measured``: stored as the
    evidence (by default the guard's last run).

    Raises NotBegunError, UnknownStageError, and RefusedError if there is no lower stage or no planner to
    take over.
    """
    with change_log.changing(reason=reason) as now:
        position = _required(current())
        if seen is not None and (position.stage, position.since) != (seen.stage, seen.since):
            problem = _("The rollout has moved to %(stage)s in the meantime; check again.", stage=position.stage)
            raise RefusedError(problem)
        stage = _lower_stage(position, to, is_guard=actor == GUARD)
        if not stage.decides and not conf.settings().LEGACY_PLANNER:
            problem = _(
                "No legacy planner is installed: at %(stage)s nobody would decide, and every booking would wait. "
                "To stop V3 anyway, use manage.py rollout set v3 off.",
                stage=stage.key,
            )
            raise RefusedError(problem)
        if cool_down_hours:
            position.cool_down_until = now + timedelta(hours=cool_down_hours)
        move(position, stage, now=now, actor=actor, reason=reason, evidence=measured or _last_guard_run())
        return position


def pause(*, actor: str, reason: str) -> Position:
    """Block promotion, also with an override, until ``resume``. Raises NotBegunError, RefusedError if paused."""
    return _set_paused(True, actor=actor, reason=reason)


def resume(*, actor: str, reason: str) -> Position:
    """End a pause. Raises NotBegunError, RefusedError if there is none."""
    return _set_paused(False, actor=actor, reason=reason)


def force_planner(
    *, restaurant_ref: str, planner: ForcedPlanner.PlannerChoice, actor: str, reason: str
) -> ForcedPlanner:
    """Force ``planner`` for this restaurant at stages where V3 decides, regardless of the percentage.

    Raises RefusedError for a restaurant that the host does not know, and for the legacy planner once it is removed.
    """
    with change_log.changing(reason=reason) as now:
        if not _is_known(restaurant_ref):
            raise RefusedError(_("The host has no restaurant %(restaurant)s.", restaurant=repr(restaurant_ref)))
        if planner == ForcedPlanner.PlannerChoice.LEGACY and not conf.settings().LEGACY_PLANNER:
            raise RefusedError(_("No legacy planner is installed: nobody would decide for the restaurant."))
        before = ForcedPlanner.objects.filter(restaurant_ref=restaurant_ref).first()
        forced = ForcedPlanner(restaurant_ref=restaurant_ref, planner=planner, actor=actor, reason=reason, at=now)
        forced.save(force_insert=before is None, force_update=before is not None)
        _record_forced(restaurant_ref, before.planner if before else "", planner, actor=actor, reason=reason)
        return forced


def unforce_planner(*, restaurant_ref: str, actor: str, reason: str) -> None:
    """End a forced planner: the percentage decides again. Raises RefusedError if none is forced."""
    with change_log.changing(reason=reason):
        forced = ForcedPlanner.objects.filter(restaurant_ref=restaurant_ref).first()
        if forced is None:
            problem = _("No planner is forced for restaurant %(restaurant)s.", restaurant=repr(restaurant_ref))
            raise RefusedError(problem)
        forced.delete()
        _record_forced(restaurant_ref, forced.planner, "", actor=actor, reason=reason)


def waive(
    *,
    verdict: str,
    owner: str,
    expires_at: datetime,
    actor: str,
    reason: str,
    restaurant_ref: str = "",
    refusal: str = "",
    at_most: int = WAIVED_AT_MOST,
) -> Waiver:
    """Accept a known difference until ``expires_at`` (aware): gates count ``at_most`` of its comparisons as waived.

    Raises UnusableError for a verdict that cannot be waived, an unknown refusal, no owner, an expiry in the past or
    more than MAX_WAIVER_DAYS away, and more than MAX_WAIVED.
    """
    if verdict not in WAIVABLE:
        problem = _("%(verdict)s cannot be waived; %(known)s can.", verdict=repr(verdict), known=", ".join(WAIVABLE))
        raise change_log.UnusableError(problem)
    if refusal and refusal not in set(Reason):
        problem = _(
            "%(refusal)s is not a reason code. Reason codes: %(known)s.", refusal=repr(refusal), known=", ".join(Reason)
        )
        raise change_log.UnusableError(problem)
    if not 1 <= at_most <= MAX_WAIVED:
        problem = _(
            "A waiver covers 1 to %(most)s comparisons, not %(count)s.",
            most=MAX_WAIVED,
            count=at_most,
        )
        raise change_log.UnusableError(problem)
    if not owner.strip():
        raise change_log.UnusableError(_("A waiver needs an owner."))
    with change_log.changing(reason=reason) as now:
        if not now < expires_at <= now + timedelta(days=MAX_WAIVER_DAYS):
            problem = _(
                "A waiver must expire in the future and within %(days)s days, not at %(moment)s.",
                days=MAX_WAIVER_DAYS,
                moment=expires_at.isoformat(),
            )
            raise change_log.UnusableError(problem)
        waiver = Waiver.objects.create(
            verdict=verdict,
            at_most=at_most,
            restaurant_ref=restaurant_ref,
            refusal=refusal,
            owner=owner,
            reason=reason,
            expires_at=expires_at,
        )
        where = f"{verdict} {refusal or 'any reason'} at {restaurant_ref or 'all restaurants'}"
        after = f"{where}, by {owner} until {expires_at.isoformat()}"
        _record(Change.Kind.WAIVER, str(waiver.pk), after=after, actor=actor, reason=reason)
        return waiver


def withdraw(*, waiver_id: int, actor: str, reason: str) -> Waiver:
    """Withdraw a waiver, so that what it covered counts again. Raises RefusedError if there is no such waiver."""
    with change_log.changing(reason=reason) as now:
        waiver = Waiver.objects.filter(pk=waiver_id, withdrawn_at__isnull=True).first()
        if waiver is None:
            raise RefusedError(_("Waiver %(id)s does not exist or was withdrawn.", id=waiver_id))
        waiver.withdrawn_at = now
        waiver.save(update_fields=["withdrawn_at"])
        _record(
            Change.Kind.WAIVER,
            str(waiver.pk),
            before=str(waiver.verdict),
            after="withdrawn",
            actor=actor,
            reason=reason,
        )
        return waiver


def _required(position: Position | None) -> Position:
    if position is None:
        raise NotBegunError
    return position


def _check_stage(position: Position, expected: str) -> None:
    if position.stage != expected:
        problem = _(
            "The rollout is at %(stage)s, no longer at %(expected)s; check again.",
            stage=position.stage,
            expected=expected,
        )
        raise RefusedError(problem)


def _of_position(position: Position, now: datetime) -> list[Obstacle]:
    """Return the obstacles that follow from the position itself."""
    found = []
    if position.paused:
        detail, remedy = _("The rollout is paused."), _("Resume it first: manage.py rollout resume.")
        found.append(Obstacle(kind="pause", detail=detail, remedy=remedy, overridable=False))
    if position.cool_down_until and now < position.cool_down_until:
        until = f"{position.cool_down_until:%Y-%m-%d %H:%M}"
        detail = _("The guard rolled back; promotion is locked until %(until)s UTC.", until=until)
        remedy = _("See manage.py rollout history for what it measured.")
        found.append(Obstacle(kind="cool_down", detail=detail, remedy=remedy))
    return found


def _of_change_freeze(now: datetime) -> list[Obstacle]:
    return [
        Obstacle(kind="freeze", detail=reason, remedy=_("Wait until it ends.")) for reason in change_freeze.reasons(now)
    ]


def _measured(result: GateResult) -> Text:
    """Return the gate's measured value and threshold as a text."""
    if result.value is None:
        return _("No data yet")
    return _(
        "Measured %(value)s, required %(threshold)s (n = %(sample)s)",
        value=f"{result.value:g}",
        threshold=f"{result.threshold:g}",
        sample=result.sample,
    )


def _coming(now: datetime) -> tuple[tuple[str, bool], ...]:
    """Return the restaurants with upcoming bookings, and whether a planner is forced there."""
    rows = Assignment.objects.filter(starts_at__gt=now - timedelta(days=1)).order_by("restaurant_ref")
    forced = Exists(ForcedPlanner.objects.filter(restaurant_ref=OuterRef("restaurant_ref")))
    return tuple(rows.values_list("restaurant_ref", forced).distinct())


def _joining(stage: Stage, target: Stage, coming: Iterable[tuple[str, bool]]) -> tuple[str, ...]:
    """Return the restaurants with upcoming bookings that V3 would take over."""
    return tuple(
        ref
        for ref, is_forced in coming
        if not is_forced
        and bucketing.is_in_share(ref, target.percent)
        and not bucketing.is_in_share(ref, stage.percent)
    )


def _lower_stage(position: Position, to: str, *, is_guard: bool) -> Stage:
    ladder = conf.current_ladder()
    known = {each.key for each in ladder.stages}
    # A stage that the settings no longer name counts as above all others.
    lower = ladder.below(position.stage) if position.stage in known else tuple(reversed(ladder.stages))
    if to:
        stage = ladder.stage(to)
        if stage not in lower:
            problem = _("%(to)s is not below %(stage)s; a rollback needs a lower stage.", to=to, stage=position.stage)
            raise RefusedError(problem)
        return stage
    if is_guard and position.stage in known:
        return ladder.refuge(position.stage)
    stage_or_none = next((each for each in lower if not each.decides), None)
    if stage_or_none is None:
        raise RefusedError(_("%(stage)s is the lowest stage: there is nothing to roll back.", stage=position.stage))
    return stage_or_none


def move(
    position: Position,
    stage: Stage,
    *,
    now: datetime,
    actor: str,
    reason: str,
    overridden: bool = False,
    evidence: Mapping[str, Any] | None = None,
) -> None:
    """Write position and switches, and record and announce it, in the caller's transaction."""
    before = position.stage
    position.stage, position.percent, position.since = stage.key, stage.percent, now
    running = release.running()
    position.same = position.counted_for(running) if position.knows(running) else []
    position.release, position.release_since = running, None
    position.save()
    # Off before on, so that not even a reader inside this transaction sees both on.
    values = {resolution.V3_SWITCH: stage.v3, resolution.SHADOW_SWITCH: stage.shadow}
    switches.write(dict(sorted(values.items(), key=lambda each: each[1])), note=reason)
    change_log.record(
        kind=Change.Kind.STAGE,
        subject=stage.key,
        before=before,
        after=stage.key,
        actor=actor,
        reason=reason,
        overridden=overridden,
        evidence={**(evidence or {}), "switches": values, "percent": stage.percent},
    )
    events.announce(
        SOURCE,
        "rollout.stage_changed",
        from_state=before or None,
        to_state=stage.key,
        actor=actor,
        reason=reason[:200],
        detail="gates overridden" if overridden else None,
    )


def _last_guard_run() -> dict[str, Any]:
    run = GuardRun.objects.filter(environment=conf.settings().ENVIRONMENT).first()
    return {"last_guard_run": {"at": run.at.isoformat(), "measured": run.measured}} if run else {}


def _set_paused(paused: bool, *, actor: str, reason: str) -> Position:
    with change_log.changing(reason=reason):
        position = _required(current())
        if position.paused == paused:
            raise RefusedError(_("The rollout is already paused.") if paused else _("The rollout is not paused."))
        position.paused = paused
        position.save(update_fields=["paused"])
        texts = {True: "paused", False: "resumed"}
        _record(
            Change.Kind.PAUSE if paused else Change.Kind.RESUME,
            position.stage,
            before=texts[not paused],
            after=texts[paused],
            actor=actor,
            reason=reason,
        )
        return position


def _is_known(restaurant_ref: str) -> bool:
    try:
        floor_of(restaurant_ref)
    except LookupError:
        return False
    except InvalidFloorError:
        pass  # The restaurant exists; its floor does not matter here.
    return True


def _record_forced(restaurant_ref: str, before: str, after: str, *, actor: str, reason: str) -> None:
    _record(Change.Kind.FORCED_PLANNER, restaurant_ref, before=before, after=after, actor=actor, reason=reason)


def _record(kind: Change.Kind, subject: str, *, actor: str, reason: str, before: str = "", after: str = "") -> None:
    """Record and announce a change other than of the stage."""
    change_log.record(kind=kind, subject=subject, before=before, after=after, actor=actor, reason=reason)
    detail = f"{kind} {subject}: {before or 'none'} -> {after or 'none'}"
    events.announce(SOURCE, "rollout.steered", detail=detail[:200], actor=actor, reason=reason[:200])
