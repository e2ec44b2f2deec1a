"""Whether the ledger got what was decided: the same tables for the same times.

It shares no code with a planner, does no I/O, and calls no method of an immutable value: see ``seating_audit``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from assignments.planning.decision import Decision
    from assignments.planning.seating_window import SeatingWindow


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A row of the ledger, as it was when the decision was stored."""

    table_ref: str
    starts_at: datetime
    ends_at: datetime
    blocked_from: datetime
    blocked_until: datetime


def is_otherwise(decision: Decision, written: Sequence[Written]) -> bool:
    """Return whether the rows of a booking that was seated differ from its decision. A refusal seats nobody."""
    tables = decision.plans[0].table_refs if decision.plans else ()
    return _differs(tables, decision.window, written)


def moved_otherwise(
    moves: Mapping[str, Collection[str]],
    windows: Mapping[str, SeatingWindow],
    written: Mapping[str, Sequence[Written]],
) -> frozenset[str]:
    """Return the parties whose rows differ from their move."""
    return frozenset(ref for ref in moves if _differs(moves[ref], windows.get(ref), written.get(ref, ())))


def _differs(tables: Collection[str], window: SeatingWindow | None, written: Sequence[Written]) -> bool:
    if {row.table_ref for row in written} != set(tables):
        return True
    return window is not None and any(
        (row.starts_at, row.ends_at, row.blocked_from, row.blocked_until)
        != (window.starts_at, window.ends_at, window.blocked_from, window.blocked_until)
        for row in written
    )
