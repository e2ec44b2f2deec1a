"""Routing: which planner decides a booking, read fresh each time."""

from collections.abc import Mapping, Sequence

from django.db.models import Exists

from assignments import conf as assignments_conf
from assignments.integration.planners import NOBODY, V3, Batch, Planner, Route
from assignments.models import Assignment
from rollout import conf
from rollout.flags import bucketing
from rollout.flags.resolution import Mode
from rollout.shadow import stored_batches


class RolloutRouter:
    """Routes bookings while a project moves from the legacy planner to V3.

    If V3 decides for the restaurant, bookings that the legacy planner has claimed stay with it until they are done.
    Otherwise (mode legacy or shadow, outside the stage's share, or forced) the legacy planner decides everything, and
    V3's unfinished bookings are handed back to it. Without a legacy planner, V3 decides for every restaurant in mode
    active, and no planner decides in any other mode.
    """

    def route(self, assignments: Sequence[Assignment]) -> Mapping[str, Route]:
        """Return the route of each booking, by ref; decisions are recorded in shadow mode. One query."""
        restaurant_ref = assignments[0].restaurant_ref if assignments else ""
        state = bucketing.read(restaurant_ref)
        legacy = legacy_key()
        theirs = Route(planner=legacy or NOBODY, is_recorded=state.flags.mode is Mode.SHADOW)
        ours = Route(planner=V3, may_rearrange=state.may_rearrange)
        if not is_for_v3(state, restaurant_ref, legacy):
            return {assignment.booking_ref: theirs for assignment in assignments}
        return {
            assignment.booking_ref: theirs if _is_in_the_hands_of(legacy, assignment) else ours
            for assignment in assignments
        }

    def keep(self, batch: Batch) -> None:
        """Store V3's input, for the audit of each of its decisions."""
        stored_batches.keep(batch)

    def moves_are_on(self) -> Exists:
        """Return SQL for whether the switch is on that lets V3 move confirmed parties."""
        return bucketing.rearrangement_is_on()

    def planner(self, key: str) -> Planner:
        """Return the planner with this key. Raises LookupError if it is not installed."""
        path = conf.settings().LEGACY_PLANNER
        if path:
            planner: Planner = assignments_conf.load(path)
            if planner.key == key:
                return planner
        raise LookupError(f"There is no planner {key!r}: ROLLOUT['LEGACY_PLANNER'] is {path!r}.")


def _is_in_the_hands_of(planner: str, assignment: Assignment) -> bool:
    return bool(planner) and assignment.planner == planner and not assignment.is_terminal


def is_for_v3(state: bucketing.RolloutState, restaurant_ref: str, legacy: str) -> bool:
    """Return whether V3 decides what the legacy planner has not claimed. ``legacy``: its key; "" if not installed."""
    return state.v3_decides(restaurant_ref) or (state.flags.mode is Mode.ACTIVE and not legacy)


def legacy_key() -> str:
    """Return the legacy planner's key; "" if it is not installed."""
    path = conf.settings().LEGACY_PLANNER
    if not path:
        return ""
    planner: Planner = assignments_conf.load(path)
    return planner.key
