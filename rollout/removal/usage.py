"""Measures an environment's remaining use of the legacy planner, from its database and settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Q

from assignments import conf as assignments_conf
from assignments.integration.planners import V3, Planner
from assignments.models import Allocation, Assignment, Attempt
from rollout import conf
from rollout.evidence import measuring
from rollout.flags import resolution
from rollout.models import ForcedPlanner, Position, Waiver


@dataclass(frozen=True, kw_only=True, slots=True)
class Remaining:
    """The inputs of ``rollout.removal.readiness``. ``stage`` is empty if the ladder has not begun.

    Decisions are those since ``since``. ``in_flight``: the number of open bookings that the legacy planner has claimed.
    ``holds``: the number of tables that it holds at the moment. ``drift``: how the flags differ from the stage.
    """

    environment: str
    now: datetime
    since: datetime
    stage: str
    top: str
    percent: int
    stage_since: datetime | None
    paused: bool
    cool_down_until: datetime | None
    drift: str
    old_decisions: int
    last_old_decision: datetime | None
    v3_decisions: int
    in_flight: int
    holds: int
    waivers_open: int
    waivers_expired: int
    forced: Sequence[str]


def read(*, now: datetime, days: int) -> Remaining:
    """Measure the remaining use. Seven queries. Raises ImproperlyConfigured for wrong settings."""
    settings, ladder = conf.settings(), conf.current_ladder()
    since, key, top = now - timedelta(days=days), legacy_planner_key(), ladder.stages[-1]
    position = Position.objects.filter(environment=settings.ENVIRONMENT).first()
    decisions = Attempt.objects.filter(at__gte=since).aggregate(
        old=Count("id", filter=Q(planner=key)),
        last=Max("at", filter=Q(planner=key)),
        v3=Count("id", filter=Q(planner=V3)),
    )
    waivers = Waiver.objects.filter(withdrawn_at=None).aggregate(
        expired=Count("id", filter=Q(expires_at__lte=now)), still_open=Count("id", filter=Q(expires_at__gt=now))
    )
    return Remaining(
        environment=settings.ENVIRONMENT,
        now=now,
        since=since,
        stage=position.stage if position else "",
        top=top.key,
        percent=position.percent if position else 0,
        stage_since=position.since if position else None,
        paused=position.paused if position else False,
        cool_down_until=position.cool_down_until if position else None,
        drift=_drift(position, resolution.read()),
        old_decisions=decisions["old"],
        last_old_decision=decisions["last"],
        v3_decisions=decisions["v3"],
        in_flight=Assignment.objects.open().filter(planner=key).count(),
        holds=Allocation.objects.filter(kind=Allocation.Kind.HOLD, planner=key, expires_at__gt=now).count(),
        waivers_open=waivers["still_open"],
        waivers_expired=waivers["expired"],
        forced=list(
            ForcedPlanner.objects.filter(planner=ForcedPlanner.PlannerChoice.LEGACY).values_list(
                "restaurant_ref", flat=True
            )
        ),
    )


def legacy_planner_key() -> str:
    """Return the key of the legacy planner's decisions, even after its removal."""
    path = conf.settings().LEGACY_PLANNER
    if not path:
        return str(ForcedPlanner.PlannerChoice.LEGACY)
    planner: Planner = assignments_conf.load(path)
    return planner.key


def _drift(position: Position | None, as_they_are: resolution.Flags) -> str:
    """Return the drift, even before the ladder has begun: with the kill variable the legacy planner decides everything."""
    if position is None:
        return f"{conf.KILL_VARIABLE} is set" if as_they_are.killed else ""
    return measuring.drift_of(position, as_they_are)
