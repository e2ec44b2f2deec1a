"""The plans that a decision ranked, as a table: ``admin/assignments/page/plans.html`` shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assignments.staff import labels


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One set of tables. ``shares``: what each part gave to its score, in the order of the columns; None: nothing."""

    tables: str
    seats: int
    spare_seats: int
    score: float
    shares: Sequence[float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """The best first. ``columns``: the parts of the scores."""

    columns: Sequence[str]
    rows: Sequence[Row]


def ranking(plans: Sequence[Mapping[str, Any]], words: labels.Words) -> Ranking:
    """Of plans as ``Plan.to_json`` gives them. What counts most for the best one first: JSON keeps no order."""
    names = {name for plan in plans for name in plan["breakdown"]}
    columns = sorted(names, key=lambda name: (-abs(plans[0]["breakdown"].get(name, 0.0)), name))
    return Ranking(
        columns=[labels.strategy(name) for name in columns],
        rows=[
            Row(
                tables=words.tables(plan["table_refs"]),
                seats=plan["seats"],
                spare_seats=plan["spare_seats"],
                score=plan["score"],
                shares=[plan["breakdown"].get(name) for name in columns],
            )
            for plan in plans
        ],
    )
