"""Whole evenings: what small floors show in the other modules holds for many bookings, too."""

import itertools
from dataclasses import replace

import pytest

from assignments.planning import optimum
from assignments.planning.batch_planner import EveningPlanner
from assignments.planning.decision import Decision
from assignments.planning.optimum import Problem, solve
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import PlanningRules
from assignments.planning.violations import violations
from tests.assignments.planning.test_seating_more import decided, seated
from tests.evenings import generate, load
from tests.evenings.measure import measure, possible, thinned
from tests.evenings.playing import NOW, one_by_one, shuffled

RULES = PlanningRules()


def test_whatever_is_probed_is_decided_alike_however_many_times_are_asked_about() -> None:
    evening = load(4)
    on, requests = evening.floor(), evening.requests()
    played = one_by_one(on, shuffled(requests, 1)[:200], moves=False)
    movable, occupied = list(played.seated.values()), played.occupied()

    def anew() -> EveningPlanner:
        return EveningPlanner(floor=on, occupied=occupied, rules=RULES, now=NOW, movable=movable)

    asked = [
        SeatingRequest(booking_ref="new", starts_at=start, party=party)
        for party in (4, 8)
        for start in sorted({request.starts_at for request in requests})[::3]
    ]
    shared = anew()
    found = [shared.probe(request) for request in asked]
    assert any(found), "somebody would be moved"
    assert None in found
    for request, moved in zip(asked, found, strict=True):
        again = anew()
        assert again.probe(request) == moved
        if moved is not None:
            assert again.decide(request).best is not None
            assert again.moves.keys() <= moved.keys()


@pytest.mark.parametrize("seed", [103, 104])
def test_of_a_busy_evening_more_are_seated_each_time_alike_and_nobody_twice_at_a_table(seed: int) -> None:
    evening = load(seed)
    on, requests = evening.floor(), [replace(each, requested_at=None) for each in evening.requests()]
    one_after_the_other = decided(on, requests, together=False, now=NOW)
    together = decided(on, requests, now=NOW)
    assert len(seated(together)) >= len(seated(one_after_the_other)) + 3
    assert decided(on, requests[::-1], now=NOW) == together
    sitting: dict[str, list[Decision]] = {}
    for decision in together.values():
        assert (decision.best is None) == (decision.refusal is not None)
        for ref in decision.best.table_refs if decision.best else ():
            sitting.setdefault(ref, []).append(decision)
    for at_table in sitting.values():
        windows = sorted((each.window for each in at_table if each.window), key=lambda each: each.blocked_from)
        assert all(one.blocked_until <= other.blocked_from for one, other in itertools.pairwise(windows))


def test_generated_evenings_are_the_same_each_time() -> None:
    assert generate(12) == generate(12) != generate(11)
    evening = load(4)
    assert (len(evening.tables), len({table.zone_ref for table in evening.tables}), evening.bad_rows) == (40, 5, ())


def test_a_thinner_evening_has_as_few_bookings_as_make_the_ratio() -> None:
    evening = replace(load(12), bookings=load(12).bookings[:140])
    thinner = thinned(evening, 12, 1.02)
    assert {row.ref for row in thinner.bookings} < {row.ref for row in evening.bookings}
    fewer = replace(thinner, bookings=thinner.bookings[:-10])
    assert len(fewer.bookings) / possible(fewer).value < 1.02 <= len(thinner.bookings) / possible(thinner).value
    assert set(thinned(replace(evening, bookings=evening.bookings[:50]), 12, 1.5).bookings) == set(
        evening.bookings[:50]
    )


def test_a_generated_evening_is_busy_and_moves_seat_more_than_none_and_never_more_than_possible() -> None:
    evening = load(4)
    found = measure(evening, orders=1)
    assert found.is_proven
    assert len(evening.bookings) / found.possible >= 1.15
    assert found.fixed[0] <= found.moving[0] <= found.possible
    assert found.one_pass <= found.possible
    assert found.moved / found.rearrangements <= 3


def test_nobody_is_unseated_when_others_move() -> None:
    evening = load(4)
    played = one_by_one(evening.floor(), shuffled(evening.requests()[:120], 1), moves=True)
    assert len(played.seated) + len(played.refused) == 120
    tables = {ref: each.table_refs for ref, each in played.seated.items()}
    as_it_ended = Problem(
        floor=evening.floor(), occupied=(), movable=tuple(played.seated.values()), requests=(), now=NOW
    )
    assert violations(as_it_ended, tables) == []


def decided_one_by_one(*, moves: bool) -> Problem:
    """The first 180 bookings of an evening as V3 leaves them, one by one: who is seated, and who waits."""
    evening = load(4)
    evening = replace(evening, bookings=evening.bookings[:180])
    refusals: list[Problem] = []
    played = one_by_one(evening.floor(), shuffled(evening.requests(), 0), moves=moves, on_refusal=refusals.append)
    return Problem(
        floor=evening.floor(),
        occupied=tuple(played.occupied()),
        movable=tuple(played.seated.values()),
        requests=tuple(each for problem in refusals for each in problem.requests),
        now=NOW,
    )


def test_the_solver_seats_guests_for_whom_no_chain_of_moves_was_found() -> None:
    asked = decided_one_by_one(moves=True)
    found = solve(asked)
    assert (len(asked.requests), found.value, found.bound, found.has_fewest_moves) == (42, 3, 3, True)
    assert 3 <= len(found.moves) <= 14
    assert violations(asked, found.tables) == []


def test_a_solver_that_stops_at_its_first_answer_makes_nothing_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the tables that the guests had before are the place to begin, the first answer moves more of them."""
    asked = decided_one_by_one(moves=False)
    by_moves = solve(asked, deterministic_seconds=0)
    solver = optimum._solver()

    class Hasty(solver.CpSolver):  # type: ignore[misc,name-defined]
        def solve(self, model: object) -> object:
            self.parameters.stop_after_first_solution = True
            return super().solve(model)

    monkeypatch.setattr(solver, "CpSolver", Hasty)
    found = solve(asked)
    assert (found.value >= by_moves.value > 0, len(found.moves) <= len(by_moves.moves)) == (True, True)
