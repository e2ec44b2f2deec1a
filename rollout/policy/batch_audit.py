"""Judging each decision of a batch by the planner's input: its seatings, its refusals and its moves.

Like the audits that it uses, it does no I/O and shares no code with a planner: it reads the fields of immutable values,
and calls none of their methods.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rollout.policy import seating_audit
from rollout.policy.day_audit import Taken, audit_batch, taken_at
from rollout.policy.moves_audit import Mover, could_seat_by_a_move
from rollout.policy.seating_audit import PREFERENCES, Flaw, Party

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from assignments.planning.decision import Decision
    from assignments.planning.request import SeatingRequest
    from assignments.planning.seating_window import SeatingWindow
    from assignments.planning.snapshot import Movable, Snapshot
    from rollout.policy.day_audit import Again


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The audit's finding for one decision. ``beside``: the snapshot at its turn, for another planner.

    ``wrong_refusal``: without moving anybody, tables were free that no earlier request has. ``avoidable_by_moves``:
    otherwise, tables would have been free if one movable party had been moved.
    """

    beside: Snapshot
    flaws: frozenset[Flaw] = frozenset()
    wrong_refusal: bool = False
    avoidable_by_moves: bool = False
    avoidable_join: bool = False
    oversized: bool = False


def judge(
    before: Snapshot,
    requests: Sequence[SeatingRequest],
    decisions: Mapping[str, Decision],
    *,
    movable: Sequence[Movable] = (),
    moves: Mapping[str, Sequence[str]] | None = None,
    moved_windows: Mapping[str, SeatingWindow] | None = None,
    moved_for: Mapping[str, Collection[str]] | None = None,
    fixed: Collection[str] = (),
    again: Again,
) -> Mapping[str, Judgement]:
    """Return the audit's finding for each decision, by booking ref.

    ``before``: the day without the batch. ``moves``: the new tables of confirmed parties that were moved.
    ``moved_windows``: their windows there, as far as they are known. ``moved_for``: the moved parties, by the booking
    for which they were moved. ``fixed``: moved parties that had to stay. ``again``: decides again the requests before a
    refused booking, to find what had been decided then.
    """
    moves, moved_for, moved_windows = moves or {}, moved_for or {}, moved_windows or {}
    known = {each.booking_ref: each for each in movable}
    arrived = tuple(row for ref, tables in moves.items() if ref in known for row in _sitting_at(known[ref], tables))
    left = tuple(row for row in before.occupied if row.booking_ref not in moves)
    asking = {request.booking_ref: request for request in requests}
    after = {ref: _of(before, asking[ref], (*left, *arrived)) for ref in asking}
    crowded = {ref: _of(before, asking[ref], (*before.occupied, *arrived)) for ref in asking} if arrived else after
    seated = audit_batch(after, decisions, again=again)
    refused = audit_batch(crowded, decisions, again=again).totals.refused if arrived else seated.totals.refused
    flaws_of_moved = {
        ref: _move_flaws(
            before,
            None if ref in fixed else known.get(ref),
            moves[ref],
            moved_windows.get(ref),
            left,
            arrived,
            seated.taken,
        )
        for ref in moves
    }
    former = [row for ref in asking for row in _left_again(after[ref], decisions[ref])]
    found = {}
    for ref in asking:
        others = tuple(row for row in seated.taken if row.booking_ref != ref)
        flaws = seated.flaws.get(ref, frozenset()).union(
            *(flaws_of_moved.get(each, ()) for each in moved_for.get(ref, ()))
        )
        judged = Judgement(beside=_beside_earlier(after, decisions, ref, seated.taken), flaws=flaws)
        if not decisions[ref].plans:
            wrong = ref in refused or _is_room_left(crowded[ref], (*others, *former))
            by_moves = not wrong and _could_move(crowded[ref], others, movable, moves)
            judged = replace(judged, wrong_refusal=wrong, avoidable_by_moves=by_moves)
        elif not flaws and not any(row.booking_ref == ref for row in before.occupied):
            judged = _with_better_tables(judged, after[ref], decisions[ref], others)
        found[ref] = judged
    return found


def _of(before: Snapshot, request: SeatingRequest, occupied: Sequence[Any]) -> Snapshot:
    """Return the day as this booking sees it: its own tables count as free."""
    others = tuple(row for row in occupied if row.booking_ref != request.booking_ref)
    return replace(before, request=request, occupied=others)


def _left_again(snapshot: Snapshot, decision: Decision) -> list[Taken]:
    """Return the tables that a party of the batch had before it was moved for another one of the batch."""
    return taken_at(snapshot, decision.moved_from) if decision.plans else []


def _sitting_at(movable: Movable, table_refs: Sequence[str]) -> list[Taken]:
    window = movable.window
    guests = (movable.party, window.starts_at, window.ends_at)
    return [
        Taken(ref, window.blocked_from, window.blocked_until, movable.booking_ref, False, *guests) for ref in table_refs
    ]


def _party_of(movable: Movable) -> Party:
    """Return the number of covers that it was promised."""
    window = movable.window
    return Party(
        covers=movable.party,
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        zone_ref=movable.zone_ref,
        needs=frozenset(movable.needs),
        wishes=frozenset(movable.wishes),
    )


def _is_room_left(snapshot: Snapshot, others: Sequence[Taken]) -> bool:
    """Return whether tables are free beside all others, in any order: then nobody was in the way."""
    return seating_audit.could_be_seated(replace(snapshot, occupied=(*snapshot.occupied, *others)))  # type: ignore[arg-type]


def _beside_earlier(
    snapshots: Mapping[str, Snapshot], decisions: Mapping[str, Decision], ref: str, taken: Sequence[Taken]
) -> Snapshot:
    """Return the day with the parties of the batch that asked earlier, and those that hold tables."""
    own = snapshots[ref]
    asked = own.request.requested_at
    earlier = {
        other
        for other, snapshot in snapshots.items()
        if other != ref
        and decisions[other].plans
        and (asked is None or (snapshot.request.requested_at is not None and snapshot.request.requested_at <= asked))
    }
    rows = tuple(row for row in taken if row.booking_ref in earlier)
    return replace(own, occupied=(*own.occupied, *rows))  # type: ignore[arg-type]


def _move_flaws(
    before: Snapshot,
    movable: Movable | None,
    tables: Sequence[str],
    kept: SeatingWindow | None,
    left: Sequence[Any],
    arrived: Sequence[Taken],
    seated: Sequence[Taken],
) -> frozenset[Flaw]:
    """Return the flaws of a confirmed party's move.

    The party must be movable, and keep its time, enough seats, and its zone.
    """
    if movable is None:
        return frozenset({Flaw.FIXED_PARTY_MOVED})
    window = movable.window
    party = _party_of(movable)
    found = set(seating_audit.place_flaws(before.floor, party, tuple(tables), before.rules))
    if kept is not None and _times(kept) != _times(window):
        found.add(Flaw.OTHER_TIMES)
    for row in (*left, *arrived, *seated):
        is_other = row.booking_ref != movable.booking_ref
        if is_other and _meets(row, tables, window.blocked_from, window.blocked_until):
            found.add(Flaw.TABLE_CLOSED if row.closed else Flaw.TABLE_TAKEN)
    return frozenset(found - PREFERENCES)


def _times(window: SeatingWindow) -> tuple[datetime, ...]:
    return window.starts_at, window.ends_at, window.blocked_from, window.blocked_until


def _meets(row: Any, tables: Collection[str], start: datetime, until: datetime) -> bool:
    return row.table_ref in tables and row.blocked_from < until and start < row.blocked_until


def _taken_during(rows: Sequence[Any], start: datetime, until: datetime) -> set[str]:
    return {row.table_ref for row in rows if row.blocked_from < until and start < row.blocked_until}


def _could_move(
    snapshot: Snapshot, others: Sequence[Taken], movable: Sequence[Movable], moves: Mapping[str, Sequence[str]]
) -> bool:
    party = seating_audit.party_of(snapshot.request)
    needed = seating_audit.window(snapshot.floor, party)
    rows: Sequence[Any] = (*snapshot.occupied, *others)
    if needed is None or not movable or seating_audit.exceeds_pacing(replace(snapshot, occupied=tuple(rows))):
        return False
    movers = []
    for each in movable:
        if each.booking_ref in moves or not any(_meets(row, each.table_refs, *needed) for row in rows):
            continue
        window = each.window
        theirs = [row for row in rows if row.booking_ref != each.booking_ref]
        taken = frozenset(_taken_during(theirs, window.blocked_from, window.blocked_until))
        movers.append(Mover(party=_party_of(each), table_refs=tuple(each.table_refs), taken=taken))
    taken_then = _taken_during(rows, *needed)
    return could_seat_by_a_move(snapshot.floor, party, snapshot.now, taken_then, movers, snapshot.rules)


def _with_better_tables(
    judged: Judgement, snapshot: Snapshot, decision: Decision, others: Sequence[Taken]
) -> Judgement:
    party = seating_audit.party_of(snapshot.request)
    needed = seating_audit.window(snapshot.floor, party)
    tables = decision.plans[0].table_refs
    better = needed is not None and seating_audit.has_better_table(
        snapshot.floor, party, tables, _taken_during((*snapshot.occupied, *others), *needed), snapshot.rules
    )
    return replace(judged, avoidable_join=better and len(tables) > 1, oversized=better and len(tables) == 1)
