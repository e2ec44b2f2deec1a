"""The one seam to the old planner. Loaded by the dotted path in ``ROLLOUT["LEGACY_PLANNER"]``; imported by nobody.

Removing the old planner is removing ``legacy_planner/``, this module, and their two settings lines.
"""

from assignments.planning.decision import Decision
from assignments.planning.snapshot import Snapshot
from legacy_planner import engine
from legacy_planner.planner import Judged
from legacy_planner.planner import LegacyPlanner as OldPlanner
from rollout.shadow import recorder


class LegacyPlanner(OldPlanner):
    """The old planner, watched: in shadow mode each of its decisions is kept for V3 to be compared with."""

    def decided(self, judged: Judged) -> None:
        if judged.is_recorded:
            recorder.record(judged.snapshot, judged.decision, decision_ms=judged.decision_ms)

    @staticmethod
    def judge(snapshot: Snapshot) -> Decision:
        """Its decision on a snapshot, made again: what it does twice differently is noise."""
        return engine.plan(snapshot)
