"""The default candidate: V3, planning as it does in production. It is asked about one booking, or about a batch."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from assignments.coordination import planned_day
from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied, PlanningRules, Snapshot


class V3Candidate:
    """V3: a function from a snapshot to a decision, and one from a batch to its decisions."""

    def __call__(self, snapshot: Snapshot) -> Decision:
        """Return V3's decision on one booking, as a batch of one."""
        return self.together(
            [snapshot.request],
            floor=snapshot.floor,
            occupied=snapshot.occupied,
            now=snapshot.now,
            rules=snapshot.rules,
            success=snapshot.success,
        )[snapshot.request.booking_ref]

    def together(
        self,
        requests: Sequence[SeatingRequest],
        *,
        floor: Floor,
        occupied: tuple[Occupied, ...],
        now: datetime,
        rules: PlanningRules,
        success: Mapping[str, float],
    ) -> Mapping[str, Decision]:
        """Return V3's decisions on a batch, by booking ref, with the order and moves of ``run_coordinator``."""
        planned = planned_day.plan_requests(
            requests, floor=floor, occupied=occupied, now=now, rules=rules, success=success
        )
        return planned.decisions


v3 = V3Candidate()
