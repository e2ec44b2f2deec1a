"""The planner's decision: ranked plans, or a refusal with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from assignments.planning.reasons import Refusal
from assignments.planning.seating_window import SeatingWindow


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A table combination for a party. ``score``: higher is better, comparable only within one decision.

    ``breakdown``: each strategy's weighted share of the score. ``strategy``: the one that set this plan apart.
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
    """The decision on one request.

    ``plans`` are ranked, best first; they are empty exactly if there is a ``refusal``.
    ``rejected``: number of table combinations ruled out, by reason code. ``considered``: number of all.
    ``moved_from``: the tables chosen earlier in the same batch, if a later booking made it move.
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
        """The best plan, or None."""
        return self.plans[0] if self.plans else None
