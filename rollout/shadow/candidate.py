"""The default candidate: V3's engine, run on the control's snapshot."""

from assignments.planning import engine
from assignments.planning.decision import Decision
from assignments.planning.snapshot import Snapshot


def v3(snapshot: Snapshot) -> Decision:
    """V3's decision on one booking."""
    return engine.plan(snapshot)
