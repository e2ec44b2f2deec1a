"""Storing V3's input once for each batch, so that its decisions can be audited and decided again."""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec

from assignments import conf
from assignments.integration import release
from assignments.integration.planners import Batch
from assignments.models.insertion import as_json
from assignments.models.prepared import prepared_cursor
from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Movable, Snapshot
from rollout.policy.fixed_parties import Confirmed, is_fixed
from rollout.policy.written_audit import Written, is_otherwise, moved_otherwise
from rollout.shadow.serialization import (
    batch_decision_to_json,
    decision_from_json,
    floor_to_json,
    movable_from_json,
    movable_to_json,
    requests_from_json,
    requests_to_json,
    snapshot_from_json,
    snapshot_to_json,
    window_from_json,
    window_to_json,
)

FLOORS = 256
"""How many floors a process remembers as text."""
_floors: OrderedDict[str, str] = OrderedDict()


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedBatch:
    """A stored batch. ``before``: the day before any of the batch is seated; its own request is the first one.

    ``moves``: the new tables of confirmed parties, by booking ref. ``moved_windows``: their windows there. ``fixed``: those
    of them that had to stay. ``written``: the rows that the ledger had of all these bookings afterwards. Batches of earlier
    releases have none of these.
    """

    before: Snapshot
    requests: tuple[SeatingRequest, ...]
    decisions: Mapping[str, Decision]
    movable: tuple[Movable, ...]
    moves: Mapping[str, tuple[str, ...]]
    moved_windows: Mapping[str, SeatingWindow] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    written: Mapping[str, Sequence[Written]] | None = None

    def is_written_otherwise(self, booking_ref: str, movers: Sequence[str]) -> bool:
        """Return whether the ledger got other tables or times than were decided, for the booking or who was moved for it."""
        if self.written is None:
            return False
        moves = {ref: self.moves[ref] for ref in movers if ref in self.moves}
        decision, rows = self.decisions[booking_ref], self.written.get(booking_ref, ())
        return is_otherwise(decision, rows) or bool(moved_otherwise(moves, self.moved_windows, self.written))


def keep(batch: Batch) -> None:
    """Store the batch, in the caller's transaction. One statement, which waits for no lock.

    The floor is part of it if its version has no record, because creating one might wait for another process that does.
    The statement itself reads what the ledger has now of these bookings, and what is known of the parties that were
    moved: it does not rely on the planner or on who has written that.
    """
    first, *_others = batch.requests
    snapshot = Snapshot(
        floor=batch.floor,
        occupied=batch.occupied,
        request=first,
        now=batch.now,
        rules=batch.rules,
        success=batch.success,
    )
    moves = {move.booking_ref: list(move.to_table_refs) for each in batch.decisions.values() for move in each.moves}
    windows = {ref: window_to_json(batch.placed[ref]) for ref in moves if ref in batch.placed}
    content = {
        **snapshot_to_json(snapshot),
        "requests": requests_to_json(batch.requests),
        "decisions": {ref: _decision_to_json(each) for ref, each in batch.decisions.items()},
        "movable": [movable_to_json(each) for each in batch.movable],
        "moves": moves,
        **({"moved_windows": windows} if windows else {}),
        **({"limits_of_moves": _limits()} if moves else {}),
    }
    with prepared_cursor() as cursor:
        cursor.execute(
            _INSERT_WITH_MOVES if moves else _INSERT,
            {
                "key": batch.key,
                "restaurant_ref": batch.floor.restaurant_ref,
                "service_date": batch.service_date,
                "version": batch.floor.version,
                "floor": _floor_text(batch.floor),
                "content": as_json(content),
                "attempts": batch.attempts,
                "refusals": batch.refusals,
                "release": release.running(),
                "moved": list(moves),
                "refs": [*batch.decisions, *moves],
            },
        )


def _limits() -> dict[str, int]:
    """Return the settings by which confirmed parties may be moved."""
    settings = conf.settings()
    return {
        "fixed_minutes": settings.FIXED_MINUTES,
        "freeze_minutes": settings.FREEZE_MINUTES,
        "max_moves": settings.MAX_MOVES,
    }


def _decision_to_json(decision: Decision) -> dict[str, Any]:
    """Return the decision with only its best plan: the attempt has the others."""
    content = batch_decision_to_json(replace(decision, plans=decision.plans[:1], rejected={}))
    moves = [move.booking_ref for move in decision.moves]
    return {**content, "moved": moves} if moves else content


def _floor_text(floor: Floor) -> str:
    text = _floors.pop(floor.version, None) or json.dumps(floor_to_json(floor))
    _floors[floor.version] = text
    if len(_floors) > FLOORS:
        _floors.popitem(last=False)
    return text


def read(content: Mapping[str, Any], floor: Floor) -> PlannedBatch:
    """Read a batch. Raises KeyError, TypeError or ValueError if it is invalid, or belongs to another floor."""
    before = snapshot_from_json(content, floor)
    return PlannedBatch(
        before=before,
        requests=tuple(requests_from_json(content["requests"])),
        decisions={ref: decision_from_json(each) for ref, each in content["decisions"].items()},
        movable=tuple(movable_from_json(each) for each in content["movable"]),
        moves={ref: tuple(tables) for ref, tables in content["moves"].items()},
        moved_windows={ref: window_from_json(each) for ref, each in content.get("moved_windows", {}).items()},
        fixed=_fixed(content, floor, before.now),
        written=_written(content["written"]) if "written" in content else None,
    )


def _written(stored: Mapping[str, Any]) -> Mapping[str, Sequence[Written]]:
    return msgspec.convert(stored, dict[str, tuple[Written, ...]])


def _fixed(content: Mapping[str, Any], floor: Floor, now: datetime) -> frozenset[str]:
    """Return the parties that were moved although they had to stay."""
    parties = msgspec.convert(content.get("moved_parties", {}), dict[str, Confirmed])
    if content.get("is_evening_frozen"):
        return frozenset(parties)
    limits = content.get("limits_of_moves", {})
    return frozenset(ref for ref, party in parties.items() if is_fixed(party, floor, now, **limits))


def movers_of(content: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
    """Return the confirmed parties that were moved for each booking, by its ref."""
    return {ref: each.get("moved", ()) for ref, each in content["decisions"].items()}


def _insert(more: str = "") -> str:
    return f"""
INSERT INTO rollout_frozenbatch
       (key, restaurant_ref, service_date, floor_version, floor, content, attempts, refusals, release)
SELECT %(key)s, %(restaurant_ref)s, %(service_date)s, %(version)s,
       CASE WHEN EXISTS (SELECT FROM rollout_floorrecord WHERE version = %(version)s) THEN NULL
            ELSE %(floor)s::jsonb END,
       %(content)s::jsonb || jsonb_build_object('written', (
           SELECT coalesce(jsonb_object_agg(booking_ref, its_rows), '{{}}')
             FROM (SELECT booking_ref, jsonb_agg(jsonb_build_object(
                              'table_ref', table_ref, 'starts_at', starts_at, 'ends_at', ends_at,
                              'blocked_from', lower(blocked), 'blocked_until', upper(blocked))) AS its_rows
                     FROM assignments_allocation
                    WHERE booking_ref = ANY(%(refs)s::text[]) AND kind = 'seating' AND ended_at IS NULL
                    GROUP BY booking_ref) AS seated)){more}, %(attempts)s, %(refusals)s, %(release)s
"""  # noqa: S608  (text of our own)


_INSERT = _insert()
_INSERT_WITH_MOVES = _insert(
    """ || jsonb_build_object(
       'moved_parties', (
       SELECT coalesce(jsonb_object_agg(booking_ref, jsonb_build_object(
                  'is_pinned', cardinality(pinned_table_refs) > 0, 'is_told', table_told, 'moves', moves,
                  'planner', planner, 'stage', stage, 'starts_at', starts_at)), '{}')
         FROM assignments_assignment WHERE booking_ref = ANY(%(moved)s::text[])),
       'is_evening_frozen', EXISTS (
       SELECT FROM assignments_frozenevening
        WHERE restaurant_ref = %(restaurant_ref)s AND service_date = %(service_date)s))"""
)
