"""Legacy planners that misbehave on purpose, for backtests."""

from assignments.planning.decision import Decision
from assignments.planning.snapshot import Snapshot
from example.models import Booking
from rollout.shadow.candidate import v3


class Writing:
    """Writes where it should only judge."""

    @staticmethod
    def judge(snapshot: Snapshot) -> Decision:
        Booking.objects.update(party=1)
        return v3(snapshot)


class Raising:
    """Cannot decide parties of two."""

    @staticmethod
    def judge(snapshot: Snapshot) -> Decision:
        if snapshot.request.party == 2:
            raise ZeroDivisionError("Canary Guest divided by nobody")
        return v3(snapshot)
