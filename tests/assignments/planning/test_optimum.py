"""The optimum: whom an evening's tables can seat at best, while everybody who is confirmed keeps a seat."""

import sys
from dataclasses import replace
from datetime import datetime

import pytest

from assignments.planning import optimum
from assignments.planning.aim import Aim
from assignments.planning.optimum import OptimizerMissingError, Problem
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Movable
from assignments.planning.violations import violations
from assignments.testing import a_floor, a_table
from tests.evenings import generate, load
from tests.evenings.measure import measure, possible
from tests.evenings.playing import NOW, one_by_one, shuffled, taken_by

FLOOR = a_floor(tables=[a_table("small", seats=2), a_table("large", seats=4)])


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-01-14T{clock}+00:00")


NOON = at("12:00")


def request(ref: str, party: int, asked: str | None = None) -> SeatingRequest:
    return SeatingRequest(
        booking_ref=ref, starts_at=at("19:00"), party=party, requested_at=at(asked) if asked else None
    )


def confirmed(ref: str, party: int, table: str) -> Movable:
    start, end = at("19:00"), at("20:30")
    window = SeatingWindow(starts_at=start, ends_at=end, blocked_from=start, blocked_until=end)
    return Movable(booking_ref=ref, table_refs=(table,), window=window, party=party)


def problem(*requests: SeatingRequest, movable: tuple[Movable, ...] = ()) -> Problem:
    occupied = tuple(each for party in movable for each in taken_by(party))
    return Problem(floor=FLOOR, occupied=occupied, movable=movable, requests=requests, now=NOON)


def test_a_confirmed_party_moves_for_one_that_waits_and_keeps_a_seat() -> None:
    found = optimum.solve(problem(request("four", 4), movable=(confirmed("pair", 2, "large"),)))
    assert found.tables == {"pair": ("small",), "four": ("large",)}
    assert [(move.booking_ref, move.to_table_refs) for move in found.moves] == [("pair", ("small",))]
    assert (found.seated, found.value, found.bound, found.is_proven) == (("four",), 1, 1, True)


def test_nobody_who_is_confirmed_loses_a_seat() -> None:
    both = (confirmed("pair", 2, "large"), confirmed("other", 2, "small"))
    found = optimum.solve(problem(request("four", 4), movable=both))
    assert (found.seated, found.moves, found.is_proven) == ((), (), True)
    assert found.tables == {"pair": ("large",), "other": ("small",)}


def test_nobody_moves_without_need() -> None:
    found = optimum.solve(problem(request("two", 2), movable=(confirmed("pair", 2, "large"),)))
    assert (found.moves, found.tables["two"]) == ((), ("small",))


def test_who_asked_first_goes_first_unless_the_owner_wants_otherwise() -> None:
    first = request("first", 2, "09:00")
    # Both pairs fit, or the four and one pair; three pairs compete for two tables.
    asked = problem(first, request("second", 2, "09:01"), request("four", 4, "09:02"))
    assert optimum.solve(asked).seated == ("first", "second")
    assert optimum.solve(asked, aim=Aim.NUMBER).value == 2
    covers = optimum.solve(asked, aim=Aim.COVERS)
    assert (set(covers.seated) >= {"four"}, covers.value, covers.is_proven) == (True, 6, True)


def test_the_same_problem_has_the_same_answer_and_digest() -> None:
    asked = problem(request("four", 4), request("two", 2), movable=(confirmed("pair", 2, "large"),))
    again = problem(request("two", 2), request("four", 4), movable=(confirmed("pair", 2, "large"),))
    assert optimum.solve(asked).to_json() == optimum.solve(asked).to_json()
    assert asked.digest() == again.digest()
    assert asked.digest() == replace(asked, now=at("12:30")).digest()
    assert asked.digest() != problem(request("four", 4), movable=asked.movable).digest()


@pytest.mark.parametrize(
    ("tables", "wrong"),
    [
        ({"pair": ("small",), "four": ("large",)}, []),
        ({"four": ("large",)}, ["pair has lost its seat"]),
        ({"pair": ("large",), "four": ("large",)}, ["pair has a table that is taken"]),
        ({"pair": ("large",), "four": ("small",)}, ["four does not fit: too_few_seats"]),
        ({"pair": ("large",), "who": ("small",)}, ["who is not part of the problem"]),
    ],
)
def test_an_answer_is_checked_without_the_solver(tables: dict[str, tuple[str, ...]], wrong: list[str]) -> None:
    asked = problem(request("four", 4), movable=(confirmed("pair", 2, "large"),))
    assert violations(asked, tables) == wrong


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    optimum._solver.cache_clear()
    assert not optimum.is_installed()
    with pytest.raises(OptimizerMissingError, match=r"table-assignments\[optimizer\]"):
        optimum.solve(problem(request("two", 2)))


def test_generated_evenings_are_busy_and_the_same_each_time() -> None:
    assert generate(12) == generate(12) != generate(11)
    evening = load(12)
    assert (len(evening.tables), len({table.zone_ref for table in evening.tables}), evening.bad_rows) == (40, 5, ())
    best = possible(evening)
    assert best.is_proven
    assert len(evening.bookings) / best.value >= 1.15


def test_moves_seat_more_than_none_and_never_more_than_possible() -> None:
    found = measure(load(12), orders=1)
    assert found.fixed[0] <= found.moving[0] <= found.possible
    assert found.one_pass <= found.possible
    assert found.moved / found.rearrangements <= 3


def test_nobody_is_unseated_when_others_move() -> None:
    evening = load(12)
    played = one_by_one(evening.floor(), shuffled(evening.requests()[:120], 1), moves=True)
    assert len(played.seated) + len(played.refused) == 120
    tables = {ref: each.table_refs for ref, each in played.seated.items()}
    as_it_ended = Problem(
        floor=evening.floor(), occupied=(), movable=tuple(played.seated.values()), requests=(), now=NOW
    )
    assert violations(as_it_ended, tables) == []
