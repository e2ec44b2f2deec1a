"""What the planner answers: ranked plans, or a refusal, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from assignments.planning.reasons import Refusal
from assignments.planning.seating_window import SeatingWindow


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One set of tables for one party. ``score``: higher is better, comparable only within one decision.

    ``breakdown`` maps each strategy to its weighted share of the score; ``strategy`` names the one that set this plan
    apart.
    """

    table_refs: tuple[str, ...]
    seats: int
    spare_seats: int
    score: float
    breakdown: Mapping[str, float]
    strategy: str
    zone_ref: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The answer to one request.

    ``plans`` are ranked, best first, and empty exactly when ``refusal`` says why.
    ``rejected`` counts the sets of tables that lost, by reason code; ``considered`` is how many there were.
    ``moved_from``: the tables that an earlier pass of the same batch had chosen, if a later booking made it move.
    """

    booking_ref: str
    snapshot_hash: str
    window: SeatingWindow | None = None
    plans: tuple[Plan, ...] = ()
    refusal: Refusal | None = None
    considered: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    moved_from: tuple[str, ...] = ()

    @property
    def best(self) -> Plan | None:
        """The plan to seat, or None."""
        return self.plans[0] if self.plans else None
