"""The planner's decision: ranked plans, or a refusal with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assignments.planning.reasons import Refusal
from assignments.planning.seating_window import SeatingWindow


@dataclass(frozen=True, kw_only=True, slots=True)
class TablePlan:
    """A table combination for a party. ``score``: higher is better, comparable only within one decision.

    ``breakdown``: each strategy's weighted share of the score. ``strategy``: the strategy that set this plan apart.
    ``unmet_wishes``: wishes that these tables do not meet.
    """

    table_refs: tuple[str, ...]
    seats: int
    spare_seats: int
    score: float
    breakdown: Mapping[str, float]
    strategy: str
    zone_ref: str | None = None
    unmet_wishes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what is stored of the plan."""
        return {
            "table_refs": list(self.table_refs),
            "seats": self.seats,
            "spare_seats": self.spare_seats,
            "score": round(self.score, 4),
            "breakdown": {name: round(value, 4) for name, value in self.breakdown.items()},
            "strategy": self.strategy,
            **({"unmet_wishes": list(self.unmet_wishes)} if self.unmet_wishes else {}),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class TableMove:
    """A move of a confirmed party to other tables, so that one more can be seated."""

    booking_ref: str
    from_table_refs: tuple[str, ...]
    to_table_refs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The decision on one request.

    ``plans`` are ranked, best first; they are empty exactly if there is a ``refusal``.
    ``rejected``: number of table combinations ruled out, by reason code. ``considered``: number of all.
    ``moved_from``: the tables chosen earlier in the same batch, if a later booking made it move.
    ``moves``: the confirmed parties that change tables for this one.
    """

    booking_ref: str
    snapshot_hash: str
    window: SeatingWindow | None = None
    plans: tuple[TablePlan, ...] = ()
    refusal: Refusal | None = None
    considered: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    moved_from: tuple[str, ...] = ()
    moves: tuple[TableMove, ...] = ()

    @property
    def best(self) -> TablePlan | None:
        """Return the best plan, or None."""
        return self.plans[0] if self.plans else None

    def to_json(self) -> dict[str, Any]:
        """Return what is stored of the decision: enough for ``describe`` to explain it later."""
        window = self.window
        moves = [
            {"booking_ref": move.booking_ref, "from": list(move.from_table_refs), "to": list(move.to_table_refs)}
            for move in self.moves
        ]
        return {
            "window": {
                "starts_at": window.starts_at.isoformat(),
                "ends_at": window.ends_at.isoformat(),
                "blocked_from": window.blocked_from.isoformat(),
                "blocked_until": window.blocked_until.isoformat(),
                "service": window.service_key,
            }
            if window
            else None,
            "plans": [plan.to_json() for plan in self.plans],
            "refusal": self.refusal.to_json() if self.refusal else None,
            "considered": self.considered,
            "rejected": dict(self.rejected),
            "moved_from": list(self.moved_from),
            # Decisions without moves are stored as earlier releases stored them.
            **({"moves": moves} if moves else {}),
        }
