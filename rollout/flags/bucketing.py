"""Determining which planner decides for a restaurant: flags, stage, percentage and forced planner, in one query."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from django.db import connection
from django.db.models import Exists, Model
from waffle import get_waffle_switch_model

from assignments.concurrency import sql
from assignments.integration import release
from rollout import conf
from rollout.flags import resolution
from rollout.models import ForcedPlanner

EVERYBODY = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutState:
    """Flags, stage and forced planner as they apply to one restaurant.

    ``percent`` is None before the ladder has begun; then the flags alone decide. For a release without evidence it is
    the canary's. ``may_rearrange``: whether the switch is on that lets V3 move confirmed parties.
    """

    flags: resolution.Flags
    stage: str = ""
    percent: int | None = None
    forced_planner: str = ""
    may_rearrange: bool = False

    def v3_decides(self, restaurant_ref: str) -> bool:
        """Return whether V3 decides: by kill variable and flags, then forced planner, then the stage's percentage."""
        if self.flags.mode is not resolution.Mode.ACTIVE:
            return False
        if self.forced_planner:
            return self.forced_planner == ForcedPlanner.PlannerChoice.V3
        return self.percent is None or is_in_share(restaurant_ref, self.percent)


def share(stage: str, percent: int, *, knows_release: bool) -> int:
    """Return V3's percentage of restaurants in this process. A release without evidence has at most the canary's."""
    if knows_release or conf.new_release_keeps():
        return percent
    return min(percent, conf.current_ladder().canary(stage).percent)


def is_in_share(restaurant_ref: str, percent: int) -> bool:
    """Return whether the restaurant is in the share; it stays in when the percentage is raised."""
    digest = hashlib.sha256(f"rollout:{restaurant_ref}".encode()).digest()
    return int.from_bytes(digest[:8]) * 100 < percent * 2**64


def decides_in_sql(restaurant_ref: str) -> str:
    """Return SQL for whether V3 decides for the restaurant in mode active; it takes ``share_limit``.

    ``restaurant_ref``: SQL for its ref. The forced planner counts first, then the share, as ``RolloutState`` has it.
    """
    return f"""
coalesce((SELECT planner = '{ForcedPlanner.PlannerChoice.V3}' FROM rollout_forcedplanner AS forced
           WHERE forced.restaurant_ref = {restaurant_ref}),
         substr(encode(sha256(convert_to('rollout:' || {restaurant_ref}, 'UTF8')), 'hex'), 1, 16) COLLATE "C"
         < %(share_limit)s)
"""  # noqa: S608  (text of our own)


def share_limit(percent: int) -> str:
    """Return the share's limit as the first 16 hexadecimal digits of a hash; one above all of them for every restaurant."""
    return "g" if percent >= EVERYBODY else f"{-(-percent * 2**64 // EVERYBODY):016x}"


def read(restaurant_ref: str) -> RolloutState:
    """Read the state in one query that bypasses every cache; no query when killed."""
    if resolution.is_killed():
        return RolloutState(flags=resolution.killed())
    rows = sql.prepared_rows(
        _state_query(get_waffle_switch_model()),
        switches=[resolution.V3_SWITCH, resolution.SHADOW_SWITCH, resolution.REARRANGEMENT_SWITCH],
        environment=conf.settings().ENVIRONMENT,
        restaurant=restaurant_ref,
    )
    stage, percent = "", None
    for name, whole, known in ((name, int(value), more) for kind, name, value, more in rows if kind == "position"):
        stage, percent = name, share(name, whole, knows_release=release.running() in known.split())
    switched = {name: active == "true" for kind, name, active, _ in rows if kind == "switch"}
    return RolloutState(
        flags=resolution.from_rows(switched),
        may_rearrange=switched.get(resolution.REARRANGEMENT_SWITCH, False),
        stage=stage,
        percent=percent,
        forced_planner=next((planner for kind, planner, _, _ in rows if kind == "forced"), ""),
    )


def rearrangement_is_on() -> Exists:
    """Return SQL for whether the switch is on that lets V3 move confirmed parties."""
    return Exists(get_waffle_switch_model().objects.filter(name=resolution.REARRANGEMENT_SWITCH, active=True))


@lru_cache
def _state_query(switch_model: type[Model]) -> str:
    """Return the query of ``read``. In SQL since every batch asks it twice: to put it together takes longer than to run it.

    The releases that decide at the stage are a text of words, since no release has a space.
    """
    return f"""
SELECT 'switch', name::text, active::text, '' FROM {connection.ops.quote_name(switch_model._meta.db_table)}
 WHERE name = ANY(%(switches)s)
UNION ALL
SELECT 'position', stage, percent::text, array_to_string(array_append(same, release), ' ') FROM rollout_position
 WHERE environment = %(environment)s
UNION ALL
SELECT 'forced', planner, '', '' FROM rollout_forcedplanner WHERE restaurant_ref = %(restaurant)s
"""  # noqa: S608  (text of our own)
