"""The ranked plans of a decision as a table, for ``admin/assignments/page/plans.html``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assignments.staff import labels


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """Plans, best first. ``columns``: the parts of the scores; ``shares``: each part's share in that order, or None."""

    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]


def ranking(plans: Sequence[Mapping[str, Any]], words: labels.Words) -> Ranking:
    """Build the table from plans as given by ``Plan.to_json``.

    Columns are ordered by their share in the best plan, because the stored JSON has no order.
    """
    names = {name for plan in plans for name in plan["breakdown"]}
    columns = sorted(names, key=lambda name: (-abs(plans[0]["breakdown"].get(name, 0.0)), name))
    return Ranking(
        columns=[labels.strategy(name) for name in columns],
        rows=[
            {
                "tables": words.tables(plan["table_refs"]),
                "seats": plan["seats"],
                "spare_seats": plan["spare_seats"],
                "score": plan["score"],
                "shares": [plan["breakdown"].get(name) for name in columns],
            }
            for plan in plans
        ],
    )
