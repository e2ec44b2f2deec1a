"""Planning the requests of one restaurant-day together, for callers that settle, preview or compare the decisions."""

import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from assignments import conf
from assignments.concurrency.stopwatch import Stopwatch
from assignments.coordination.snapshots import held_tables
from assignments.planning.batch_planner import EveningPlanner, in_order
from assignments.planning.decision import Decision, TablePlan
from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Movable, Occupied, PlanningRules


class PlannedDay(NamedTuple):
    """Decisions and planning milliseconds by booking ref, and the new tables of confirmed bookings that are moved."""

    decisions: Mapping[str, Decision]
    milliseconds: Mapping[str, float]
    moves: Mapping[str, TablePlan]


def plan_requests(
    requests: Sequence[SeatingRequest],
    *,
    floor: Floor,
    occupied: tuple[Occupied, ...],
    now: datetime,
    success: Mapping[str, float],
    movable: Sequence[Movable] = (),
    rules: PlanningRules | None = None,
    may_wait: Collection[str] = (),
    seconds: float | None = None,
    moves_seconds: float | None = None,
) -> PlannedDay:
    """Decide requests of one restaurant-day together.

    Bookings that hold tables get these first, because the tables were promised. Of others that have tables, each may
    have its own again, with more, and nobody else may yet. ``rules``: the settings' rules by default. ``may_wait``: refs
    of bookings whose decision may be left out after ``seconds``; then nobody is moved any more, either.
    ``moves_seconds``: how long others are moved for those who find nothing free, if that is shorter.
    """
    evening, milliseconds = planned_evening(
        requests,
        floor=floor,
        occupied=occupied,
        now=now,
        success=success,
        movable=movable,
        rules=rules,
        may_wait=may_wait,
        seconds=seconds,
        moves_seconds=moves_seconds,
    )
    return PlannedDay(evening.decisions, milliseconds, evening.moves if movable else {})


def planned_evening(
    requests: Sequence[SeatingRequest],
    *,
    floor: Floor,
    occupied: tuple[Occupied, ...],
    now: datetime,
    success: Mapping[str, float],
    movable: Sequence[Movable] = (),
    rules: PlanningRules | None = None,
    may_wait: Collection[str] = (),
    seconds: float | None = None,
    moves_seconds: float | None = None,
) -> tuple[EveningPlanner, dict[str, float]]:
    """Decide these requests, and return the evening's planner, and the planning time of each request in milliseconds."""
    started = time.monotonic()
    deadline = None if seconds is None else started + seconds
    moves_until = started + min(each for each in (seconds, moves_seconds, math.inf) if each is not None)
    rules = rules or conf.settings().rules()
    held = held_tables(requests, occupied, floor=floor, now=now)
    others = [taken for taken in occupied if taken.booking_ref not in held]
    own: dict[str, list[Occupied]] = {request.booking_ref: [] for request in requests}
    for taken in others:
        if taken.booking_ref in own:
            own[taken.booking_ref].append(taken)
    evening = EveningPlanner(floor=floor, occupied=others, rules=rules, now=now, success=success, movable=movable)
    milliseconds: dict[str, float] = {}
    waiting = in_order((request for request in requests if request.booking_ref not in held), floor=floor, rules=rules)
    promised = [
        replace(request, pinned_table_refs=held[request.booking_ref])
        for request in requests
        if request.booking_ref in held
    ]
    stopwatch = Stopwatch()
    for request in promised:
        evening.decide(request)
        milliseconds[request.booking_ref] = stopwatch.lap()
    in_time = (
        request
        for request in waiting
        if deadline is None or request.booking_ref not in may_wait or time.monotonic() < deadline
    )
    for together in evening.decide_all(in_time, own):
        share = stopwatch.lap() / len(together)
        for request in together:
            milliseconds[request.booking_ref] = milliseconds.get(request.booking_ref, 0.0) + share
        if time.monotonic() >= moves_until:
            evening.stop_moving()
    return evening, milliseconds
