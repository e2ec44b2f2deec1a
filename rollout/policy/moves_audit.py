"""Whether moving one party would have made room for a booking that was refused. Pure, and independent of all planners.

It builds on the seating audit alone, and looks for what is certain: one party leaves its tables for one free table at which
it fits, and then there is room for the booking. Longer chains of moves are not looked for, so that it never accuses wrongly.
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
    """A party that may sit elsewhere, and where it sits. ``taken``: tables that others have while it sits."""

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
    """Whether the refused party could have been seated if one of the movers had changed to another table.

    ``taken``: tables that others have while the refused party would sit, those of the movers included.
    """
    every_table = {table.ref for table in floor.tables}
    for mover in movers:
        left = set(taken) - set(mover.table_refs)
        if not seating_audit.could_seat(floor, party, decided_at, left, rules):
            continue
        for ref in sorted(every_table - set(mover.table_refs) - mover.taken - left):
            # It was seated before, and its start may be nearer now than bookings need.
            if seating_audit.place_flaws(floor, mover.party, (ref,), rules):
                continue
            if seating_audit.could_seat(floor, party, decided_at, left | {ref}, rules):
                return True
    return False
