"""Ranking of free units that fit a party."""

from collections.abc import Mapping, Sequence
from operator import itemgetter

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
        score = round(sum(shares.values()), SCORE_DIGITS)
        scored.append((-score, unit.table_count, unit.places, unit, shares))
    scored.sort(key=itemgetter(0, 1, 2))
    best = scored[: max(1, rules.ranked_plans)]
    return [
        (unit, _plan(unit, -worth, shares, [other for *_, other in best if other is not shares], circumstances))
        for worth, _count, _places, unit, shares in best
    ]


def _plan(
    unit: Unit,
    score: float,
    shares: Mapping[str, float],
    others: Sequence[Mapping[str, float]],
    circumstances: Circumstances,
) -> TablePlan:
    return TablePlan(
        table_refs=unit.table_refs,
        seats=unit.seats,
        spare_seats=unit.seats - circumstances.party,
        score=score,
        breakdown=shares,
        strategy=_what_sets_apart(shares, others),
        zone_ref=unit.zone_ref,
        unmet_wishes=tuple(sorted(circumstances.wishes - unit.features)),
    )


def _what_sets_apart(shares: Mapping[str, float], others: Sequence[Mapping[str, float]]) -> str:
    """Return the strategy by which a plan leads the others most, or its largest share if there are none."""
    if not shares:
        return ""
    if others:
        rivals = [sum(each) / len(others) for each in zip(*(other.values() for other in others), strict=True)]
    else:
        rivals = [0.0] * len(shares)
    leads = [(round(share - rival, SCORE_DIGITS), share) for share, rival in zip(shares.values(), rivals, strict=True)]
    return list(shares)[leads.index(max(leads))]
