"""The only connection to the legacy planner. Loaded by the dotted path in ``ROLLOUT["LEGACY_PLANNER"]``, never imported.

To remove the legacy planner, delete ``legacy_planner/``, this module, and their two settings lines.
"""

from assignments.integration.planners import Judged
from assignments.planning.decision import Decision
from assignments.planning.snapshot import Snapshot
from legacy_planner import engine
from legacy_planner.planner import LegacyPlanner as OldPlanner
from rollout.shadow import recorder


class LegacyPlanner(OldPlanner):
    """The legacy planner; in shadow mode each of its decisions is recorded for comparison with V3."""

    def decided(self, judged: Judged) -> None:
        if judged.is_recorded:
            recorder.record(judged.snapshot, judged.decision, decision_ms=judged.decision_ms)

    @staticmethod
    def judge(snapshot: Snapshot) -> Decision:
        """Decide a snapshot again, to measure how far the legacy planner repeats itself."""
        return engine.plan(snapshot)
