"""Routing: which planner decides a booking, read fresh each time."""

from collections.abc import Mapping, Sequence

from assignments import conf as assignments_conf
from assignments.models import Assignment
from assignments.planners import NOBODY, V3, Planner
from rollout import conf, flags, shadow
from rollout.flags import Mode


class RolloutRouter:
    """The router of a project that moves from the old planner to V3.

    Legacy and shadow: the old planner decides everything; what V3 had claimed and not finished is handed back to it.
    Active: V3 decides, but bookings that the old planner has claimed stay with it until they are done.
    Without an old planner, V3 decides when active and nobody otherwise.
    """

    def route(self, assignments: Sequence[Assignment]) -> Mapping[str, str]:
        """The planner of each booking, by ref. One query: the flags' rows."""
        mode = flags.read().mode
        shadow.is_on.set(mode is Mode.SHADOW)
        legacy = self._legacy_key()
        if mode is Mode.ACTIVE:
            return {
                assignment.booking_ref: legacy if legacy and assignment.planner == legacy else V3
                for assignment in assignments
            }
        return {assignment.booking_ref: legacy or NOBODY for assignment in assignments}

    def planner(self, key: str) -> Planner:
        """Raises LookupError for a planner that is not installed."""
        path = conf.settings().LEGACY_PLANNER
        if path:
            planner: Planner = assignments_conf.load(path)
            if planner.key == key:
                return planner
        raise LookupError(f"There is no planner {key!r}: ROLLOUT['LEGACY_PLANNER'] is {path!r}.")

    def _legacy_key(self) -> str:
        path = conf.settings().LEGACY_PLANNER
        if not path:
            return ""
        planner: Planner = assignments_conf.load(path)
        return planner.key
