"""The optimum: whom an evening's tables can seat at best, while everybody who is confirmed keeps a seat."""

import random
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import combinations, groupby
from typing import Any

import pytest

from assignments.planning import optimum
from assignments.planning.aim import Aim
from assignments.planning.batch_planner import EveningPlanner
from assignments.planning.floor import Pacing
from assignments.planning.optimum import OptimizerMissingError, Problem
from assignments.planning.request import SeatingRequest
from assignments.planning.reseating import make_room
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Movable, PlanningRules
from assignments.planning.units import Unit, seatable_units, unit_of
from assignments.planning.violations import violations
from assignments.testing import a_floor, a_table
from tests.evenings.playing import taken_by

FLOOR = a_floor(tables=[a_table("small", seats=2), a_table("large", seats=4)])


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-01-14T{clock}+00:00")


NOON = at("12:00")
TURN = timedelta(hours=2)


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
        ({}, ["pair has lost its seat"]),
        ({"pair": ("small", "large")}, ["pair does not fit: not_adjacent"]),
        ({"pair": ("large",), "four": ("large", "small")}, ["four does not fit: not_adjacent"]),
        ({"pair": ("large",), "late": ("small",)}, ["late cannot be seated: outside_service"]),
    ],
)
def test_an_answer_is_checked_without_the_solver(tables: dict[str, tuple[str, ...]], wrong: list[str]) -> None:
    late = replace(request("late", 2), starts_at=at("23:59"))
    asked = problem(request("four", 4), late, movable=(confirmed("pair", 2, "large"),))
    assert violations(asked, tables) == wrong


def test_whoever_was_promised_a_table_that_does_not_fit_may_keep_it() -> None:
    six = problem(movable=(confirmed("six", 6, "small"),))
    assert violations(six, {"six": ("small",)}) == []
    assert violations(six, {"six": ("large",)}) == ["six does not fit: too_few_seats"]
    found = optimum.solve(replace(six, requests=(request("two", 2),)))
    assert found.tables == {"six": ("small",), "two": ("large",)}


def test_what_is_kept_of_an_answer() -> None:
    pair, four = confirmed("pair", 2, "large"), request("four", 4)
    kept = optimum.solve(problem(four, movable=(pair,))).to_json()
    seconds, solver = kept.pop("deterministic_seconds"), kept.pop("solver")
    assert seconds == round(seconds, 3) <= optimum.DETERMINISTIC_SECONDS
    assert solver.startswith("ortools ")
    assert kept == {
        "aim": "order",
        "tables": {"four": ["large"], "pair": ["small"]},
        "seated": ["four"],
        "moves": [{"booking_ref": "pair", "from": ["large"], "to": ["small"]}],
        "value": 1,
        "bound": 1,
        "is_proven": True,
        "has_fewest_moves": True,
    }
    assert optimum.is_installed()
    only_asked = optimum.possible(problem(four, movable=(pair,)))
    assert (only_asked.aim, only_asked.value, only_asked.has_fewest_moves) == (Aim.NUMBER, 1, False)


def test_a_problem_differs_by_whatever_a_confirmed_party_was_promised() -> None:
    pair = confirmed("pair", 2, "large")
    others = [
        replace(pair, party=1),
        replace(pair, zone_ref="hall"),
        replace(pair, zone_ref="bar"),
        replace(pair, needs=frozenset({"quiet"})),
        replace(pair, table_refs=("small",)),
        replace(pair, booking_ref="other"),
    ]
    digests = {problem(request("four", 4), movable=(each,)).digest() for each in (pair, *others)}
    assert len(digests) == 7
    assert {len(each) for each in digests} == {32}


def test_only_those_who_could_be_seated_at_all_are_asked_about() -> None:
    found = optimum.solve(
        problem(
            replace(request("pinned", 2), pinned_table_refs=("large",)),
            replace(request("unfit", 4), pinned_table_refs=("small",), starts_at=at("21:00")),
            replace(request("late", 2), starts_at=at("23:59")),
            replace(request("twenty", 20), starts_at=at("21:15")),
        ),
        aim=Aim.NUMBER,
    )
    assert (found.tables, found.value, found.bound) == ({"pinned": ("large",)}, 1, 1)
    fits = optimum.solve(problem(replace(request("fits", 4), pinned_table_refs=("large",), starts_at=at("21:00"))))
    assert fits.tables == {"fits": ("large",)}


def test_confirmed_parties_count_for_pacing_whatever_is_known_of_their_tables() -> None:
    pair = confirmed("pair", 2, "large")
    asked = problem(request("two", 2), movable=(pair,))
    unknown = tuple(replace(row, party=0, starts_at=None, ends_at=None) for row in asked.occupied)
    paced = replace(asked, floor=replace(FLOOR, pacing=(Pacing(most_parties=1),)), occupied=unknown)
    assert optimum.solve(paced).seated == ()
    assert violations(paced, {"pair": ("large",), "two": ("small",)}) == ["two cannot be seated: pacing"]


def test_who_has_a_choice_sits_where_the_fewest_seats_stay_empty() -> None:
    found = optimum.solve(problem(request("two", 2)))
    assert found.tables == {"two": ("small",)}, "though the large one comes first on the floor"


def test_without_time_it_says_what_moves_alone_find_and_proves_nothing() -> None:
    asked = problem(request("first", 2, "09:00"), request("second", 2, "09:01"), request("four", 4, "09:02"))
    none = optimum.solve(asked, aim=Aim.COVERS, deterministic_seconds=0)
    assert (none.seated, none.value, none.bound) == (("first", "second"), 4, 8)
    assert (none.is_proven, none.has_fewest_moves, none.deterministic_seconds) == (False, True, 0)
    half = optimum.solve(asked, aim=Aim.COVERS, deterministic_seconds=0.5)
    assert (half.value, half.bound, half.is_proven, half.has_fewest_moves) == (6, 6, True, True)
    assert 0 < half.deterministic_seconds <= 0.5


def test_for_whom_moves_find_a_seat_or_there_are_too_few_tables_the_solver_is_not_asked() -> None:
    pair, other = confirmed("pair", 2, "large"), confirmed("other", 2, "small")
    for movable, seated in (((pair,), ("four",)), ((pair, other), ())):
        found = optimum.possible(problem(request("four", 4), movable=movable), aim=Aim.ORDER)
        assert (found.seated, found.is_proven, found.deterministic_seconds) == (seated, True, 0)


def test_the_solver_takes_the_same_steps_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    solvers: list[Any] = []
    new = optimum._solver().CpSolver

    def noted() -> Any:
        solvers.append(new())
        return solvers[-1]

    monkeypatch.setattr(optimum._solver(), "CpSolver", noted)
    optimum.solve(problem(request("first", 2), request("second", 2), request("four", 4)), aim=Aim.NUMBER)
    assert len(solvers) > 1
    assert {(each.parameters.num_workers, each.parameters.random_seed) for each in solvers} == {(1, optimum.SEED)}


ONE_TABLE = a_floor(tables=[a_table("small", seats=2)])


def stay(ref: str, start: str, end: str, *, asked: str = "09:00") -> SeatingRequest:
    return replace(request(ref, 2, asked), starts_at=at(start), ends_at=at(end))


A_LONG_STAY_AND_TWO_SHORT_ONES = (
    stay("long", "18:00", "21:00"),
    stay("early", "18:15", "19:00"),
    stay("late", "20:00", "21:00"),
)


def test_two_short_stays_have_the_table_instead_of_a_long_one_that_asked_at_the_same_time() -> None:
    asked = Problem(floor=ONE_TABLE, occupied=(), movable=(), requests=A_LONG_STAY_AND_TWO_SHORT_ONES, now=NOON)
    found = optimum.solve(asked)
    assert (found.seated, found.value, found.bound, found.is_proven) == (("early", "late"), 2, 2, True)


def test_who_has_given_way_stands_in_nobodys_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimum, "make_room", lambda party: None if party.ref == "between" else make_room(party))
    requests = (*A_LONG_STAY_AND_TWO_SHORT_ONES, stay("between", "19:00", "20:00", asked="09:01"))
    asked = Problem(floor=ONE_TABLE, occupied=(), movable=(), requests=requests, now=NOON)
    assert optimum.possible(asked, aim=Aim.ORDER).seated == ("early", "late", "between")


def test_what_the_solver_has_no_time_for_is_not_proven_to_be_impossible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimum, "make_room", lambda _newcomer: None)
    asked = problem(request("first", 2, "09:00"), request("second", 2, "09:00"), request("third", 2, "09:01"))
    none = optimum.solve(asked, deterministic_seconds=0)
    assert (none.seated, none.value, none.bound, none.is_proven) == ((), 0, 3, False)
    all_of_it = optimum.solve(asked)
    assert (all_of_it.seated, all_of_it.value, all_of_it.bound) == (("first", "second"), 2, 2)


SMALL = a_floor(
    tables=[a_table("A", seats=2), a_table("B", seats=2), a_table("C", seats=4), a_table("D", seats=4)],
    adjacent=[("C", "D")],
)


def small_evening(seed: int) -> Problem:
    """Three confirmed parties, some of whom have more room than they need, and four who wait, in some two at a time."""
    dice = random.Random(seed)
    movable = []
    tables: list[tuple[str, ...]] = [("A",), ("B",)]
    tables += [("C", "D")] if dice.random() < 0.5 else [("C",), ("D",)]
    for number, refs in enumerate(dice.sample(tables, 3)):
        start = at("18:00") + dice.choice([0, 60]) * timedelta(minutes=1)
        end = start + timedelta(minutes=60)
        movable.append(
            Movable(
                booking_ref=f"M{number}",
                table_refs=refs,
                window=SeatingWindow(starts_at=start, ends_at=end, blocked_from=start, blocked_until=end),
                party=dice.choice([1, 2]) if len(refs) == 1 else dice.choice([4, 6]),
            )
        )
    asked = [
        SeatingRequest(
            booking_ref=f"W{number}",
            starts_at=at("18:00") + dice.randrange(4) * timedelta(minutes=30),
            party=dice.choice([2, 2, 3, 4, 7]),
            requested_at=at("09:00") + number // (1 + seed % 2) * timedelta(minutes=1),
        )
        for number in range(4)
    ]
    occupied = tuple(each for party in movable for each in taken_by(party))
    return Problem(floor=SMALL, occupied=occupied, movable=tuple(movable), requests=tuple(asked), now=NOON)


def everything_possible(evening: Problem) -> list[dict[str, Unit]]:
    """Every way to seat everybody who is confirmed, and any of those who wait."""
    guests: list[tuple[str, int, datetime, datetime]] = [
        (each.booking_ref, each.party, each.window.blocked_from, each.window.blocked_until) for each in evening.movable
    ]
    guests += [(each.booking_ref, each.party, each.starts_at, each.starts_at + TURN) for each in evening.requests]
    own = {each.booking_ref: set(each.table_refs) for each in evening.movable}
    ways: list[dict[str, Unit]] = [{}]
    for number, (ref, party, start, end) in enumerate(guests):
        fitting = [
            unit
            for unit in seatable_units(SMALL)
            if party <= unit.seats <= party + 4 or set(unit.table_refs) == own.get(ref)
        ]
        longer = [] if ref in own else ways
        for unit in fitting:
            longer = longer + [
                {**way, ref: unit}
                for way in ways
                if not any(
                    other in way and way[other].mask & unit.mask and start < until and since < end
                    for other, _party, since, until in guests[:number]
                )
            ]
        ways = longer
    return ways


@pytest.mark.parametrize("by", ["moves", "solver alone", "solver alone, asked about few at once"])
@pytest.mark.parametrize("aim", Aim)
@pytest.mark.parametrize("seed", range(10))
def test_nothing_that_is_possible_is_better(seed: int, aim: Aim, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if by != "moves":
        monkeypatch.setattr(optimum, "make_room", lambda _newcomer: None)
    if by.endswith("few at once"):
        monkeypatch.setattr(optimum, "MOST_ANSWERS", 4)
    evening = small_evening(seed)
    covers = {each.booking_ref: each.party for each in evening.requests}
    own = {each.booking_ref: set(each.table_refs) for each in evening.movable}
    waiting = [each.booking_ref for each in evening.requests]

    def worth(way: Mapping[str, Unit]) -> tuple[list[int], int, int]:
        """What is compared: how many of each moment of asking it seats, then who stays, then the seats that it uses."""
        moments = groupby(evening.requests, key=lambda each: each.requested_at)
        value = [sum(each.booking_ref in way for each in group) for _moment, group in moments]
        if aim is Aim.NUMBER:
            value = [sum(value)]
        elif aim is Aim.COVERS:
            value = [sum(covers[ref] for ref in waiting if ref in way)]
        stay = sum(set(way[ref].table_refs) == tables for ref, tables in own.items())
        return value, stay, -sum(unit.seats for unit in way.values())

    found = optimum.solve(evening, aim=aim)
    units = {ref: unit_of(SMALL, refs) for ref, refs in found.tables.items()}
    assert violations(evening, found.tables) == []
    assert (found.is_proven, found.has_fewest_moves) == (True, True)
    ways = everything_possible(evening)
    assert worth(units)[0] == max(worth(way)[0] for way in ways)
    if aim is Aim.ORDER:  # Of those who asked at the same time, whoever is seated stays so.
        ways = [way for way in ways if way.keys() == units.keys()]
    assert worth(units) == max(map(worth, ways))
    assert sorted(found.seated) == [ref for ref in waiting if ref in units]
    moved = {move.booking_ref: (set(move.from_table_refs), set(move.to_table_refs)) for move in found.moves}
    now = {ref: set(units[ref].table_refs) for ref in own}
    assert moved == {ref: (tables, now[ref]) for ref, tables in own.items() if now[ref] != tables}
    assert optimum.possible(evening, aim=aim).value == found.value


def test_pacing_counts_only_those_who_get_a_table() -> None:
    full = (confirmed("fixed", 4, "large"),)
    asked = problem(request("four", 4, "09:00"), request("two", 2, "09:01"), movable=full)
    paced = replace(asked, floor=replace(FLOOR, pacing=(Pacing(most_parties=2),)))
    for aim, value in ((Aim.ORDER, 1), (Aim.NUMBER, 1), (Aim.COVERS, 2)):
        found = optimum.solve(paced, aim=aim)  # The four has no table, and so holds nobody back.
        assert (found.seated, found.value, found.bound, found.is_proven) == (("two",), value, value, True)


@pytest.mark.parametrize("seed", range(12))
def test_as_many_come_as_pacing_allows_whoever_they_are(seed: int) -> None:
    chance = random.Random(seed)
    tables = [a_table(f"T{number}", seats=4) for number in range(chance.randint(3, 8))]
    pacing = Pacing(
        interval_minutes=30,
        most_covers=chance.choice([None, 5, 7]),
        most_parties=chance.choice([None, 2, 3]),
        most_present=chance.choice([None, 9, 12]),
    )
    floor = a_floor(tables=tables, pacing=[pacing])
    asked = []
    for number in range(9):
        party = chance.randint(1, 4)
        asked.append(
            SeatingRequest(
                booking_ref=f"B{number}",
                starts_at=at("18:00") + chance.randrange(10) * timedelta(minutes=15),
                party=party,
                promised_party=chance.choice([0, 0, 0, party]),
                requested_at=at("09:00") + number * timedelta(minutes=1),
            )
        )
    whole = Problem(floor=floor, occupied=(), movable=(), requests=tuple(asked), now=NOON)

    def most(weights: dict[str, int]) -> int:
        """Return the most by trying everybody: the tables are alike, so that how many are there at once decides."""
        values = [0]
        for chosen in (each for size in range(1, len(asked) + 1) for each in combinations(asked, size)):
            there = [
                sum(1 for other in chosen if other.starts_at <= each.starts_at < other.starts_at + TURN)
                for each in chosen
            ]
            wrong = violations(whole, {each.booking_ref: ("T0",) for each in chosen})
            if max(there) <= len(tables) and not any("pacing" in each for each in wrong):
                values.append(sum(weights[each.booking_ref] for each in chosen))
        return max(values)

    for aim, weights in (
        (Aim.NUMBER, {each.booking_ref: 1 for each in asked}),
        (Aim.COVERS, {each.booking_ref: each.party for each in asked}),
    ):
        found = optimum.solve(whole, aim=aim)
        assert violations(whole, found.tables) == []
        assert (found.value, found.is_proven) == (most(weights), True)
    in_order = optimum.solve(whole)
    assert (violations(whole, in_order.tables), in_order.is_proven) == ([], True)
    v3 = EveningPlanner(floor=floor, occupied=(), now=NOON)
    for each in asked:
        v3.decide(each)
    assert in_order.seated == tuple(ref for ref, decision in v3.decisions.items() if decision.best)


def test_a_stored_answer_that_breaks_the_pacing_is_wrong() -> None:
    asked = problem(request("two", 2), movable=(confirmed("pair", 2, "large"),))
    paced = replace(asked, floor=replace(FLOOR, pacing=(Pacing(most_parties=1),)))
    tables = {"pair": ("large",), "two": ("small",)}
    assert violations(asked, tables) == []
    assert violations(paced, tables) == ["two cannot be seated: pacing"]
    assert violations(replace(paced, rules=PlanningRules(is_paced=False)), tables) == []
    assert violations(paced, {"pair": ("large",)}) == []


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    optimum._solver.cache_clear()
    assert not optimum.is_installed()
    with pytest.raises(OptimizerMissingError, match=r"table-assignments\[optimizer\]"):
        optimum.solve(problem(request("two", 2)))
