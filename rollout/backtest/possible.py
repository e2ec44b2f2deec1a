"""The most that an evening's tables could have seated, to compare with what the planners of a backtest seat.

It needs the optional solver. It assumes that all bookings were made before the evening, and that nobody is seated yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from assignments.planning import optimum
from assignments.planning.aim import Aim
from assignments.planning.floor import Floor
from assignments.planning.optimum import Problem
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import PlanningRules

LONG_BEFORE = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Possible:
    """How many bookings the tables could seat at most. ``in_order``: if earlier requests go first.

    ``is_proven``: whether it is proven that so many can be seated and no more.
    """

    in_order: int = 0
    in_any_order: int = 0
    is_proven: bool = True

    def __add__(self, other: "Possible") -> "Possible":
        return Possible(
            in_order=self.in_order + other.in_order,
            in_any_order=self.in_any_order + other.in_any_order,
            is_proven=self.is_proven and other.is_proven,
        )

    def as_dict(self) -> dict[str, int | bool]:
        return {"in_order": self.in_order, "in_any_order": self.in_any_order, "is_proven": self.is_proven}

    def __str__(self) -> str:
        numbers = f"{self.in_any_order}"
        if self.in_order != self.in_any_order:
            numbers += f" ({self.in_order} in the order of requests)"
        return numbers if self.is_proven else f"at most {numbers}, not proven"


def possible(floor: Floor, requests: Sequence[SeatingRequest], *, rules: PlanningRules) -> Possible:
    """Solve one evening in any order and, if the times of the requests differ, in their order.

    Raises OptimizerMissingError.
    """
    if not requests:
        return Possible()
    problem = Problem(
        floor=floor,
        occupied=(),
        movable=(),
        requests=tuple(requests),
        now=min(request.starts_at for request in requests) - LONG_BEFORE,
        rules=rules,
    )
    best = optimum.possible(problem, aim=Aim.NUMBER)
    differ = len({request.requested_at for request in requests}) > 1 and best.value < len(requests)
    ordered = optimum.possible(problem, aim=Aim.ORDER) if differ else best
    return Possible(
        in_order=min(ordered.bound, best.bound),
        in_any_order=best.bound,
        is_proven=best.is_proven and ordered.is_proven,
    )
