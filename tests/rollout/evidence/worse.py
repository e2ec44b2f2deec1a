"""V3 made worse on purpose, in nine ways: as candidates for shadow mode, and as planners that really decide.

Each chooses among the sets of tables that are free in a way that V3 must never choose; everything else is V3's own.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from assignments.concurrency import stopwatch
from assignments.planning.admission import admit
from assignments.planning.decision import Decision, TablePlan
from assignments.planning.engine import plan, snapshot_hash
from assignments.planning.floor import Floor, Table
from assignments.planning.occupancy import Occupancy
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Occupied, PlanningRules, Snapshot
from assignments.planning.text import Text
from assignments.planning.units import Unit, seatable_units

Candidate = Callable[[Snapshot], Decision]
SLOW_MS = 150.0


def prefers_joins(snapshot: Snapshot) -> Decision:
    """Two joined fours before one eight: what the V3 that this one is modelled on did."""
    return _chosen(snapshot, lambda units: max(units, key=lambda unit: (unit.table_count, -unit.seats)))


def at_random(snapshot: Snapshot) -> Decision:
    """Any tables that are free and large enough."""
    source = random.Random(snapshot.request.booking_ref)
    return _chosen(snapshot, source.choice)


def ignores_zones(snapshot: Snapshot) -> Decision:
    """Guests who insist on a zone sit anywhere."""
    return plan(replace(snapshot, request=replace(snapshot.request, zone_ref=None)))


def off_by_one_on_buffers(snapshot: Snapshot) -> Decision:
    """Tables are free again a minute before they are cleared."""
    decision = plan(snapshot)
    if decision.window is None:
        return decision
    minute = timedelta(minutes=1)
    return replace(decision, window=replace(decision.window, blocked_until=decision.window.blocked_until - minute))


def keeps_tables_too_long(snapshot: Snapshot) -> Decision:
    """A quarter of an hour longer than anybody sits and clears."""
    decision = plan(snapshot)
    if decision.window is None:
        return decision
    later = decision.window.blocked_until + timedelta(minutes=15)
    return replace(decision, window=replace(decision.window, blocked_until=later))


def ignores_pins(snapshot: Snapshot) -> Decision:
    """Whoever has tables that staff have fixed sits anywhere."""
    return plan(replace(snapshot, request=replace(snapshot.request, pinned_table_refs=())))


def uses_tables_out_of_service(snapshot: Snapshot) -> Decision:
    """And them alone, where they fit."""
    only = _with_tables(snapshot, [replace(table, active=not table.active) for table in snapshot.floor.tables])
    decision = plan(only)
    return decision if decision.best else plan(snapshot)


def forgets_limits_of_tables(snapshot: Snapshot) -> Decision:
    """As many as there are seats sit at a table that takes fewer."""
    return plan(
        _with_tables(snapshot, [replace(table, min_party=None, max_party=None) for table in snapshot.floor.tables])
    )


def _with_tables(snapshot: Snapshot, tables: Sequence[Table]) -> Snapshot:
    return replace(snapshot, floor=replace(snapshot.floor, tables=tuple(tables), joins=()))


def slow(snapshot: Snapshot) -> Decision:
    """Takes SLOW_MS longer by the process's clock, which is all that anybody measures: no machine is too fast for that."""
    time.perf_counter = clock
    clock.ahead += SLOW_MS / 1000
    return plan(snapshot)


def on_a_loaded_machine(snapshot: Snapshot) -> Decision:
    """V3 as it is, which has to wait for a processor."""
    stopwatch._waited_ms = lambda file: really_waited_ms(file) + clock.ahead * 1000
    return slow(snapshot)


class _Clock:
    """The real one, plus what the slow planner has taken."""

    def __init__(self) -> None:
        self._real = time.perf_counter
        self.ahead = 0.0

    def __call__(self) -> float:
        return self._real() + self.ahead


clock = _Clock()
really_waited_ms = stopwatch._waited_ms


def _chosen(snapshot: Snapshot, choose: Callable[[Sequence[Unit]], Unit]) -> Decision:
    request, floor = snapshot.request, snapshot.floor
    window = admit(floor, request, rules=snapshot.rules, now=snapshot.now)
    refusal: Refusal | None = window if isinstance(window, Refusal) else None
    units: list[Unit] = []
    if isinstance(window, SeatingWindow):
        free = Occupancy(floor, snapshot.occupied).free(window.blocked_from, window.blocked_until)
        units = [
            unit
            for unit in seatable_units(floor)
            if unit.mask & free == unit.mask
            and request.zone_ref in {None, unit.zone_ref}
            and unit.min_party <= request.party <= unit.max_party
            and unit.seats - request.party <= snapshot.rules.max_spare_seats
        ]
        if not units:
            refusal = Refusal(reason=Reason.NO_CAPACITY, text=Text("Everything that fits is taken."))
    digest = snapshot_hash(snapshot)
    if refusal is not None:
        return Decision(booking_ref=request.booking_ref, snapshot_hash=digest, refusal=refusal)
    assert isinstance(window, SeatingWindow)
    unit = choose(units)
    best = TablePlan(
        table_refs=unit.table_refs,
        seats=unit.seats,
        spare_seats=unit.seats - request.party,
        score=1.0,
        breakdown={},
        strategy="worse",
        zone_ref=unit.zone_ref,
    )
    return Decision(booking_ref=request.booking_ref, snapshot_hash=digest, window=window, plans=(best,))


def evening_planner(candidate: Candidate) -> type[Any]:
    """A stand-in for ``EveningPlanner`` that decides as the candidate does, one booking after the other."""

    class WorseEveningPlanner:
        def __init__(
            self,
            *,
            floor: Floor,
            occupied: Sequence[Occupied],
            rules: PlanningRules,
            now: datetime,
            success: Mapping[str, float],
            movable: Sequence[Any] = (),
        ) -> None:
            self.decisions: dict[str, Decision] = {}
            self.moves: dict[str, TablePlan] = {}
            self._snapshot = {"floor": floor, "rules": rules, "now": now, "success": success}
            self._occupied = tuple(occupied)

        def decide_all(
            self, requests: Iterable[SeatingRequest], own: Mapping[str, Sequence[Occupied]]
        ) -> Iterator[Sequence[SeatingRequest]]:
            assert not any(own.values()), "no booking of these evenings has tables already"
            for request in requests:
                self.decide(request)
                yield (request,)

        def decide(self, request: SeatingRequest) -> Decision:
            decision = candidate(Snapshot(request=request, occupied=self._occupied, **self._snapshot))  # type: ignore[arg-type]
            self.decisions[request.booking_ref] = decision
            if decision.best is not None and decision.window is not None:
                window = decision.window
                self._occupied += tuple(
                    Occupied(
                        table_ref=ref,
                        blocked_from=window.blocked_from,
                        blocked_until=window.blocked_until,
                        booking_ref=request.booking_ref,
                    )
                    for ref in decision.best.table_refs
                )
            return decision

    return WorseEveningPlanner
