"""Ranking of free units that fit a party."""

from collections.abc import Mapping, Sequence

from assignments.planning.decision import TablePlan
from assignments.planning.scoring import Circumstances, breakdown
from assignments.planning.snapshot import PlanningRules
from assignments.planning.units import Unit

SCORE_DIGITS = 9
"""Scores that differ by less than rounding noise are equal, and the places of the tables decide."""


def needed(free: Sequence[Unit]) -> list[Unit]:
    """Return ``free`` without unnecessary joins: those for which a single table with as few spare seats is free.

    To join tables for a party that fits at one would take a table from the next party.
    """
    smallest = min((unit.seats for unit in free if unit.table_count == 1), default=None)
    return [unit for unit in free if smallest is None or unit.table_count == 1 or unit.seats < smallest]


def rank(units: Sequence[Unit], circumstances: Circumstances, rules: PlanningRules) -> list[tuple[Unit, TablePlan]]:
    """Return up to ``rules.ranked_plans`` units with their plans, best first; ties are ordered by position."""
    scored = []
    for unit in units:
        shares = breakdown(unit, circumstances, rules.weights)
        scored.append((-round(sum(shares.values()), SCORE_DIGITS), unit.table_count, unit.places, unit, shares))
    scored.sort(key=lambda each: each[:3])
    best = [(unit, shares) for *_, unit, shares in scored[: max(1, rules.ranked_plans)]]
    return [
        (unit, _plan(unit, shares, [other for _, other in best if other is not shares], circumstances))
        for unit, shares in best
    ]


def _plan(
    unit: Unit, shares: Mapping[str, float], others: Sequence[Mapping[str, float]], circumstances: Circumstances
) -> TablePlan:
    return TablePlan(
        table_refs=unit.table_refs,
        seats=unit.seats,
        spare_seats=unit.seats - circumstances.party,
        score=round(sum(shares.values()), SCORE_DIGITS),
        breakdown=shares,
        strategy=_what_sets_apart(shares, others),
        zone_ref=unit.zone_ref,
        unmet_wishes=tuple(sorted(circumstances.wishes - unit.features)),
    )


def _what_sets_apart(shares: Mapping[str, float], others: Sequence[Mapping[str, float]]) -> str:
    """Return the strategy by which a plan leads the others most, or its largest share if there are none."""
    if not shares:
        return ""

    def lead(name: str) -> float:
        rivals = sum(other[name] for other in others) / len(others) if others else 0.0
        return round(shares[name] - rivals, SCORE_DIGITS)

    return max(shares, key=lambda name: (lead(name), shares[name]))
