"""Determines which planner decides for a restaurant: flags, stage, percentage and forced planner, read in one query."""

import hashlib
from dataclasses import dataclass

from django.db.models import TextField, Value
from django.db.models.functions import Cast
from waffle import get_waffle_switch_model

from rollout import conf
from rollout.flags import resolution
from rollout.models import ForcedPlanner, Position


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutState:
    """Flags, stage and forced planner as they apply to one restaurant.

    ``percent`` is None before the ladder has begun; then the flags alone decide.
    """

    flags: resolution.Flags
    stage: str = ""
    percent: int | None = None
    forced_planner: str = ""

    def v3_decides(self, restaurant_ref: str) -> bool:
        """Whether V3 decides: by kill variable and flags, then forced planner, then the stage's percentage."""
        if self.flags.mode is not resolution.Mode.ACTIVE:
            return False
        if self.forced_planner:
            return self.forced_planner == ForcedPlanner.PlannerChoice.V3
        return self.percent is None or is_in_share(restaurant_ref, self.percent)


def is_in_share(restaurant_ref: str, percent: int) -> bool:
    """Whether the restaurant is in the share; it stays in when the percentage is raised."""
    digest = hashlib.sha256(f"rollout:{restaurant_ref}".encode()).digest()
    return int.from_bytes(digest[:8]) * 100 < percent * 2**64


def read(restaurant_ref: str) -> RolloutState:
    """Read the state in one query that bypasses every cache; no query when killed."""
    if resolution.is_killed():
        return RolloutState(flags=resolution.killed())
    text = TextField()
    switches = (
        get_waffle_switch_model()
        .objects.order_by()
        .filter(name__in=[resolution.V3_SWITCH, resolution.SHADOW_SWITCH])
        .values_list(Value("switch", text), Cast("name", text), Cast("active", text))
    )
    position = (
        Position.objects.order_by()
        .filter(environment=conf.settings().ENVIRONMENT)
        .values_list(Value("position", text), "stage", Cast("percent", text))
    )
    forced = ForcedPlanner.objects.order_by().filter(restaurant_ref=restaurant_ref)
    planners = forced.values_list(Value("forced", text), "planner", Value("", text))
    rows = list(switches.union(position, planners, all=True).order_by())
    stage = next(((name, int(percent)) for kind, name, percent in rows if kind == "position"), ("", None))
    return RolloutState(
        flags=resolution.from_rows({name: active == "true" for kind, name, active in rows if kind == "switch"}),
        stage=stage[0],
        percent=stage[1],
        forced_planner=next((planner for kind, planner, _ in rows if kind == "forced"), ""),
    )
