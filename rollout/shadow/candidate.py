"""What shadow mode compares with: V3's engine, on the snapshot that the legacy planner decided."""

from assignments.planning import engine
from assignments.planning.decision import Decision
from assignments.planning.snapshot import Snapshot


def v3(snapshot: Snapshot) -> Decision:
    """V3's decision on one booking."""
    return engine.plan(snapshot)
