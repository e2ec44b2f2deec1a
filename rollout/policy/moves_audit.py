"""Finding refusals that the move of a single party would have avoided, independently of all planners.

It uses only the seating audit, and does no I/O. It finds only certain cases: one party leaves its tables for one free
table at which it fits, and then there is room for the booking. It does not look for longer chains of moves, so that no
refusal is called avoidable by mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout.policy import seating_audit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from assignments.planning.floor import Floor
    from assignments.planning.snapshot import PlanningRules
    from rollout.policy.seating_audit import Party


@dataclass(frozen=True, kw_only=True, slots=True)
class Mover:
    """A party that may be moved, and its tables. ``taken``: tables that others have while it sits."""

    party: Party
    table_refs: tuple[str, ...]
    taken: frozenset[str]


def could_seat_by_a_move(
    floor: Floor,
    party: Party,
    decided_at: datetime,
    taken: Collection[str],
    movers: Iterable[Mover],
    rules: PlanningRules,
) -> bool:
    """Return whether the refused party could have been seated if one of the movers had changed to another table.

    ``taken``: tables that others have while the refused party would sit, those of the movers included.
    """
    every_table = {table.ref for table in floor.tables}
    for mover in movers:
        left = set(taken) - set(mover.table_refs)
        if not seating_audit.could_seat(floor, party, decided_at, left, rules):
            continue
        for ref in sorted(every_table - set(mover.table_refs) - mover.taken - left):
            # It is already seated, so the minimum lead time does not apply to it.
            if seating_audit.place_flaws(floor, mover.party, (ref,), rules):
                continue
            if seating_audit.could_seat(floor, party, decided_at, left | {ref}, rules):
                return True
    return False
