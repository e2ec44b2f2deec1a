"""Plays an evening in pure Python, without a database: one booking at a time, or all of them in one pass."""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from assignments.planning.aim import Aim
from assignments.planning.batch_planner import EveningPlanner, in_order
from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.optimum import Problem, possible
from assignments.planning.reasons import Reason
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Movable, Occupied, PlanningRules, occupied_by

NOW = datetime(2025, 1, 1, tzinfo=UTC)
"""Long before any evening, so that nobody is about to come."""
MAX_MOVES = 3
"""As in the settings."""


@dataclass(kw_only=True)
class Played:
    """An evening as it ended. ``moves`` by ref; ``milliseconds`` of each decision."""

    seated: dict[str, Movable] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    moves: dict[str, int] = field(default_factory=dict)
    rearrangements: int = 0
    seated_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)

    @property
    def moved(self) -> int:
        """Return how often confirmed parties changed tables."""
        return sum(self.moves.values())

    def occupied(self) -> list[Occupied]:
        """Return the tables that are taken."""
        return [each for party in self.seated.values() for each in taken_by(party)]


def taken_by(party: Movable) -> list[Occupied]:
    """Return the tables of a seated party."""
    return occupied_by(party.booking_ref, party.table_refs, party.window)


def shuffled(requests: Iterable[SeatingRequest], seed: int) -> list[SeatingRequest]:
    """Return the requests in a random order, asked for in that order."""
    order = sorted(requests, key=lambda request: request.booking_ref)
    random.Random(seed).shuffle(order)
    return [replace(request, requested_at=NOW + timedelta(minutes=number)) for number, request in enumerate(order)]


def one_by_one(
    floor: Floor,
    requests: Sequence[SeatingRequest],
    *,
    moves: bool,
    rules: PlanningRules | None = None,
    on_refusal: Callable[[Problem], None] | None = None,
) -> Played:
    """Decide the requests in their order, each as if the others had not been made yet.

    ``on_refusal`` is called with the evening as it stands when nothing is free for a request.
    """
    rules = rules or PlanningRules()
    played = Played()
    for request in requests:
        started = time.perf_counter()
        decision, moved = _decide(floor, request, played, rules, moves=moves)
        milliseconds = (time.perf_counter() - started) * 1000
        if decision.best is None or decision.window is None:
            played.refused.append(request.booking_ref)
            played.refused_ms.append(milliseconds)
            if on_refusal and decision.refusal and decision.refusal.reason is Reason.NO_CAPACITY:
                on_refusal(_problem(floor, request, played, rules))
            continue
        played.seated_ms.append(milliseconds)
        played.rearrangements += bool(moved)
        for ref, table_refs in moved.items():
            played.seated[ref] = replace(played.seated[ref], table_refs=table_refs)
            played.moves[ref] = played.moves.get(ref, 0) + 1
        played.seated[request.booking_ref] = _party(request, decision.best.table_refs, decision.window)
    return played


def one_by_one_exactly(floor: Floor, requests: Sequence[SeatingRequest]) -> Played:
    """Decide the requests in their order; whom V3 refuses a solver seats if anybody could, whoever has to move.

    Nobody does better who takes requests as they come and keeps every promise. Needs the extra ``optimizer``.
    """
    rules = PlanningRules()
    played = Played()
    for request in requests:
        played.moves.clear()  # Nobody has moved too often.
        decision, moved = _decide(floor, request, played, rules, moves=True)
        tables = decision.best.table_refs if decision.best else ()
        if decision.refusal is not None and decision.refusal.reason is Reason.NO_CAPACITY:
            answer = possible(_problem(floor, request, played, rules), aim=Aim.ORDER)
            moved = {ref: refs for ref, refs in answer.tables.items() if ref in played.seated}
            tables = answer.tables[request.booking_ref] if answer.seated else ()
        if not tables or decision.window is None:
            played.refused.append(request.booking_ref)
            continue
        for ref, refs in moved.items():
            played.seated[ref] = replace(played.seated[ref], table_refs=refs)
        played.seated[request.booking_ref] = _party(request, tables, decision.window)
    return played


def _party(request: SeatingRequest, table_refs: tuple[str, ...], window: SeatingWindow) -> Movable:
    return Movable(
        booking_ref=request.booking_ref,
        table_refs=table_refs,
        window=window,
        party=request.party,
        zone_ref=request.zone_ref,
    )


def _problem(floor: Floor, request: SeatingRequest, played: Played, rules: PlanningRules) -> Problem:
    return Problem(
        floor=floor,
        occupied=tuple(played.occupied()),
        movable=tuple(_movable(played)),
        requests=(request,),
        now=NOW,
        rules=rules,
    )


def _movable(played: Played) -> list[Movable]:
    return [each for each in played.seated.values() if played.moves.get(each.booking_ref, 0) < MAX_MOVES]


def _decide(
    floor: Floor, request: SeatingRequest, played: Played, rules: PlanningRules, *, moves: bool
) -> tuple[Decision, dict[str, tuple[str, ...]]]:
    occupied = played.occupied()
    decision = EveningPlanner(floor=floor, occupied=occupied, rules=rules, now=NOW).decide(request)
    if not moves or decision.refusal is None or decision.refusal.reason is not Reason.NO_CAPACITY:
        return decision, {}
    planner = EveningPlanner(floor=floor, occupied=occupied, rules=rules, now=NOW, movable=_movable(played))
    decision = planner.decide(request)
    return decision, {ref: plan.table_refs for ref, plan in planner.moves.items()}


def in_one_pass(floor: Floor, requests: Iterable[SeatingRequest], *, rules: PlanningRules | None = None) -> int:
    """Return how many are seated when all are pending and asked at the same time."""
    rules = rules or PlanningRules()
    planner = EveningPlanner(floor=floor, occupied=(), rules=rules, now=NOW)
    together = [replace(request, requested_at=None) for request in requests]
    for _together in planner.decide_all(in_order(together, floor=floor, rules=rules)):
        pass
    return sum(1 for decision in planner.decisions.values() if decision.best is not None)
