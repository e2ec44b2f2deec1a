"""The order in which rows can be written if each must have a table, and no two may show the same one at a time."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from assignments.planning.decision import Decision
from assignments.planning.snapshot import Occupied

Place = tuple[str, datetime]
"""A table, and from when."""


def stuck(decisions: Mapping[str, Decision], own: Collection[str], shown: Iterable[Occupied]) -> frozenset[str]:
    """Return those of ``own`` that cannot be written, because a row that is not written before has their table."""
    holders: dict[Place, str | None] = {(each.table_ref, each.blocked_from): each.booking_ref for each in shown}
    left = {ref: _places(decisions[ref]) for ref in own if decisions[ref].best is not None}
    written: set[str | None] = {None}
    while left:
        ready = [
            ref
            for ref, places in left.items()
            if all(holders.get(place) == ref or holders.get(place) in written for place in places)
        ]
        if not ready:
            break
        written.update(ready)
        left = {ref: places for ref, places in left.items() if ref not in written}
    return frozenset(left)


def _places(decision: Decision) -> list[Place]:
    assert decision.best is not None, f"{decision.booking_ref} has no tables"
    assert decision.window is not None, f"{decision.booking_ref} has no window"
    return [(ref, decision.window.blocked_from) for ref in decision.best.table_refs]
