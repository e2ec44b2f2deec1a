"""Who sits when all asked at the same time: as many as possible, and the others lose nothing by it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from assignments.planning import seating_more
from assignments.planning.batch_planner import EveningPlanner, in_order
from assignments.planning.decision import Decision
from assignments.planning.engine import plan
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason
from assignments.planning.request import SeatingRequest
from assignments.planning.reseating import Party
from assignments.planning.seating_more import seat_more
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Movable, PlanningRules, occupied_by
from assignments.planning.units import Unit, seatable_units
from tests.assignments.planning.feasibility import violations
from tests.assignments.planning.restaurant import MORNING, ask, at, floor, snapshot, table

RULES = PlanningRules()
ONE_TABLE = floor(table("A2", 2))
ON = floor(table("A2", 2), table("B4", 4), table("C4", 4), adjacent=[("B4", "C4")])


def decided(
    on: Floor, requests: Sequence[SeatingRequest], *, together: bool = True, now: object = MORNING
) -> Mapping[str, Decision]:
    evening = EveningPlanner(floor=on, occupied=(), rules=RULES, now=now)  # type: ignore[arg-type]
    ordered = in_order(requests, floor=on, rules=RULES)
    if together:
        steps = list(evening.decide_all(ordered))
        assert [list(step) for step in steps[: len(ordered)]] == [[each] for each in ordered]
    else:
        for request in ordered:
            evening.decide(request)
    return evening.decisions


def seated(decisions: Mapping[str, Decision]) -> list[str]:
    return sorted(ref for ref, decision in decisions.items() if decision.best is not None)


def a_long_stay_and_two_short_ones() -> list[SeatingRequest]:
    return [
        replace(ask("long", party=2, start="18:00"), ends_at=at("21:00")),
        replace(ask("first", party=2, start="18:15"), ends_at=at("19:15")),
        replace(ask("second", party=2, start="19:30"), ends_at=at("20:30")),
    ]


def test_two_short_stays_have_the_table_instead_of_a_long_one_that_asked_at_the_same_time() -> None:
    requests = a_long_stay_and_two_short_ones()
    assert seated(decided(ONE_TABLE, requests, together=False)) == ["long"]
    decisions = decided(ONE_TABLE, requests)
    assert seated(decisions) == ["first", "second"]
    lost = decisions["long"]
    assert lost.refusal is not None
    assert (lost.plans, lost.refusal.reason) == ((), Reason.NO_CAPACITY)
    assert all(decisions[ref].refusal is None for ref in ("first", "second"))


def with_a_pair_moved(on: Floor, requests: Sequence[SeatingRequest]) -> EveningPlanner:
    """The evening once these have asked at the same time, with a confirmed pair at the table for four."""
    window = SeatingWindow(
        starts_at=at("18:00"), ends_at=at("21:00"), blocked_from=at("18:00"), blocked_until=at("21:00")
    )
    pair = Movable(booking_ref="pair", table_refs=("B4",), window=window, party=2)
    taken = occupied_by("pair", ("B4",), window)
    evening = EveningPlanner(floor=on, occupied=taken, rules=RULES, now=MORNING, movable=[pair])
    list(evening.decide_all(in_order(requests, floor=on, rules=RULES)))
    return evening


def test_who_was_moved_for_a_party_that_gives_way_was_moved_for_those_who_sit_there_instead() -> None:
    requests = [replace(each, party=4) for each in a_long_stay_and_two_short_ones()]
    evening = with_a_pair_moved(floor(table("A2", 2), table("B4", 4)), requests)
    assert seated(evening.decisions) == ["first", "second"]
    assert {ref: plan.table_refs for ref, plan in evening.moves.items()} == {"pair": ("A2",)}
    named = {ref: [move.booking_ref for move in decision.moves] for ref, decision in evening.decisions.items()}
    assert named == {"first": ["pair"], "second": [], "long": []}


def test_who_was_moved_for_a_party_that_gives_way_has_the_table_again_that_nobody_else_needs() -> None:
    long, *short = a_long_stay_and_two_short_ones()
    at_window = [replace(table(ref, 3), features=frozenset({"window"})) for ref in ("C3", "D3")]
    on = floor(table("A2", 2), table("B4", 4), *at_window, adjacent=[("B4", "C3"), ("C3", "D3")])
    requests = [replace(long, party=7), *(replace(each, party=6, needs=frozenset({"window"})) for each in short)]
    assert set(with_a_pair_moved(on, requests[:1]).moves) == {"pair"}
    evening = with_a_pair_moved(on, requests)
    assert seated(evening.decisions) == ["first", "second"]
    assert evening.moves == {}
    assert not any(decision.moves for decision in evening.decisions.values())


def test_asked_once_more_nobody_changes_tables() -> None:
    requests = a_long_stay_and_two_short_ones()
    evening = EveningPlanner(floor=ONE_TABLE, occupied=(), rules=RULES, now=MORNING)
    list(evening.decide_all(requests))
    decisions = evening.decisions
    evening.seat_more({each.booking_ref for each in requests})
    assert evening.decisions == decisions
    assert seated(decisions) == ["first", "second"]


def test_who_sits_at_more_than_needed_gets_the_best_tables_that_are_free_in_the_end() -> None:
    on = floor(table("A2", 2), table("B2", 2), table("C4", 4), adjacent=[("A2", "B2")])
    stay = {"first": ("18:00", "20:00"), "second": ("18:00", "20:00"), "third": ("18:00", "20:00")}
    requests = [replace(ask(ref, party=2, start=start), ends_at=at(end)) for ref, (start, end) in stay.items()]
    evening = EveningPlanner(floor=on, occupied=(), rules=RULES, now=MORNING)
    for request in requests:
        evening.decide(request)
    last = next(guest for guest in evening._guests.values() if guest.request.booking_ref == "third")
    assert last.party.unit is not None
    assert last.party.unit.table_refs == ("C4",)
    first = next(guest for guest in evening._guests.values() if guest.request.booking_ref == "first")
    evening._release(first)
    evening._sit_closer(["second"])
    assert evening.decisions["third"].best.table_refs == ("C4",)  # type: ignore[union-attr]  # It is not one of them.
    evening._sit_closer(["third"])
    moved = evening.decisions["third"]
    assert moved.best is not None
    assert (moved.best.table_refs, moved.moved_from) == (("A2",), ("C4",))
    assert moved.best.score == pytest.approx(sum(moved.best.breakdown.values()))


def test_who_was_moved_for_a_party_that_sits_closer_has_the_table_again() -> None:
    window = SeatingWindow(
        starts_at=at("18:00"), ends_at=at("21:00"), blocked_from=at("18:00"), blocked_until=at("21:00")
    )
    pair = Movable(booking_ref="pair", table_refs=("B4",), window=window, party=2)
    on = floor(table("A2", 2), table("B4", 4), table("C3", 3))
    taken = occupied_by("pair", ("B4",), window)
    evening = EveningPlanner(floor=on, occupied=taken, rules=RULES, now=MORNING, movable=[pair])
    assert evening.decide(ask("other", party=3, start="18:00")).best is not None
    assert [move.booking_ref for move in evening.decide(ask("late", party=3, start="18:00")).moves] == ["pair"]
    other = next(guest for guest in evening._guests.values() if guest.request.booking_ref == "other")
    evening._release(other)
    evening._sit_closer(["late"])
    late = evening.decisions["late"]
    assert late.best is not None
    assert (late.best.table_refs, late.moves) == (("C3",), ())
    assert evening.moves == {}


@pytest.mark.parametrize("seed", range(40))
def test_whatever_changes_on_the_way_the_evening_is_as_its_decisions_say(seed: int) -> None:
    dice = Random(seed)
    requests = []
    for number in range(11):
        start = at("18:00") + dice.randrange(6) * timedelta(minutes=30)
        party = dice.choice([1, 2, 2, 3, 4, 7])
        request = SeatingRequest(booking_ref=f"b{number}", starts_at=start, party=party)
        requests.append(replace(request, ends_at=start + dice.choice([2, 3, 4]) * timedelta(minutes=30)))
    evening = EveningPlanner(floor=ON, occupied=(), rules=RULES, now=MORNING)
    list(evening.decide_all(in_order(requests, floor=ON, rules=RULES)))
    assert violations(ON, requests, evening.decisions) == []
    occupied = [
        row
        for each in evening.decisions.values()
        if each.best and each.window
        for row in occupied_by(each.booking_ref, each.best.table_refs, each.window)
    ]
    assert all(each.moved_from != each.best.table_refs for each in evening.decisions.values() if each.best)
    assert {guest.ref for guest in evening._batch.seated} == set(seated(evening.decisions))
    last = ask("last", party=2, start="19:00")
    asked = snapshot(ON, last, *occupied)
    assert bool(evening.probe(last) == {}) is (plan(asked).best is not None)
    evening.stop_moving()
    assert evening.decide(last) == plan(asked)


def test_who_asked_first_keeps_the_table() -> None:
    long, *short = a_long_stay_and_two_short_ones()
    requests = [replace(long, requested_at=at("09:00")), *(replace(each, requested_at=at("09:01")) for each in short)]
    assert seated(decided(ONE_TABLE, requests)) == ["long"]


def test_whom_staff_pinned_keeps_the_table() -> None:
    long, *short = a_long_stay_and_two_short_ones()
    assert seated(decided(ONE_TABLE, [replace(long, pinned_table_refs=("A2",)), *short])) == ["long"]


# The search alone, on small evenings of which the best is known


UNITS = {"+".join(unit.table_refs): unit for unit in seatable_units(ON)}


def party(ref: str, options: str, start: float, until: float) -> Party:
    return Party(ref, start=start, until=until, options=[UNITS[name] for name in options.split()])


def at_once(one: Party, other: Party) -> bool:
    return one.start < other.until and other.start < one.until


def fits(guest: Party, unit: Unit, placed: Mapping[Party, Unit]) -> bool:
    """Whether the unit is free of all others during the stay."""
    return not any(
        unit.mask & taken.mask and at_once(guest, other) for other, taken in placed.items() if other is not guest
    )


def most(
    guests: Sequence[Party], placed: dict[Party, Unit], covers: Mapping[Party, int], known: tuple[int, int] = (0, 0)
) -> tuple[int, int]:
    """The most of these guests who can sit, and their covers, by trying everything that may be more than is known."""
    if not guests or len(guests) < known[0]:
        return 0, 0
    first, *rest = guests
    best = most(rest, placed, covers, known)
    for unit in first.options:
        if fits(first, unit, placed):
            wanted = max(known, best)
            number, weight = most(rest, {**placed, first: unit}, covers, (wanted[0] - 1, 0))
            best = max(best, (number + 1, weight + covers[first]))
    return best


def small_evening(seed: int) -> tuple[dict[Party, Unit], dict[Party, Unit], list[Party], dict[Party, int]]:
    """Who stays, who sits where so far, who has no seat, and the covers of the last two."""
    dice = Random(seed)
    kinds = [("A2 B4 C4", 2), ("B4 C4", 3), ("B4 C4", 4), ("B4+C4", 7), ("A2", 1)]
    guests, covers = [], {}
    for number in range(11):
        options, count = dice.choice(kinds)
        start = dice.randrange(8) * 1800
        guest = party(f"b{number}", options, start, start + dice.choice([2, 3, 5]) * 1800)
        guests.append(guest)
        covers[guest] = count
    stays: dict[Party, Unit] = {}
    seated: dict[Party, Unit] = {}
    unseated = []
    for guest in guests:
        placed = {**stays, **seated}
        unit = next((unit for unit in guest.options if fits(guest, unit, placed)), None)
        if unit is None:
            unseated.append(guest)
            continue
        guest.unit = unit
        (seated if stays else stays)[guest] = unit  # The first one was there before.
    return stays, seated, unseated, covers


@pytest.mark.parametrize("seed", range(168, 260))  # Its steps are random: 167 is not its best.
def test_of_a_small_evening_as_many_are_seated_as_possible_then_the_larger_ones(seed: int) -> None:
    stays, seated, unseated, covers = small_evening(seed)
    loose = [*seated, *unseated]
    found = seat_more([*stays, *seated], unseated, [*seated], covers)
    assert {guest: guest.unit for guest in seated} == seated, "it only says what could be"
    best, most_covers = most(loose, stays, covers)
    if not found:
        assert best == len(seated)
        return
    assert len(found) == best > len(seated)
    assert sum(covers[guest] for guest in found) == most_covers
    placed = {**stays, **found}
    assert all(unit in guest.options and fits(guest, unit, placed) for guest, unit in found.items())


def test_the_room_of_a_party_is_that_of_its_smallest_option_in_table_hours() -> None:
    assert seating_more._Search._room_of(party("single", "B4+C4 A2", 3600, 9000)) == 1.5
    assert seating_more._Search._room_of(party("joined", "B4+C4", 3600, 9000)) == 3


def preferring_covers(
    best: Mapping[Party, str], unseated: Sequence[Party], covers: Mapping[Party, int], stays: Mapping[Party, str]
) -> dict[str, str]:
    for guest in (*stays, *best, *unseated):
        guest.unit = None if guest in unseated else UNITS[{**stays, **best}[guest]]
    search = seating_more._Search([*stays, *best], unseated, [*best], covers)
    search.best = {guest: UNITS[name] for guest, name in best.items()}
    search.prefer_covers()
    return {guest.ref: "+".join(unit.table_refs) for guest, unit in search.best.items()}


def test_larger_parties_have_the_seats_of_smaller_ones_that_look_for_others() -> None:
    small, two = party("small", "B4", 0, 60), party("two", "B4 A2", 0, 60)
    big, bigger = party("big", "B4", 0, 60), party("bigger", "B4", 0, 60)
    covers = {small: 2, two: 2, big: 3, bigger: 4}
    assert preferring_covers({small: "B4"}, [big, bigger], covers, {}) == {"bigger": "B4"}
    assert preferring_covers({small: "B4"}, [two], covers, {}) == {"small": "B4", "two": "A2"}
    assert preferring_covers({two: "B4"}, [big], covers, {}) == {"big": "B4", "two": "A2"}
    assert preferring_covers({big: "B4"}, [small], covers, {}) == {"big": "B4"}
    assert preferring_covers({}, [big], covers, {small: "B4"}) == {}, "who was there before stays"
    first, second = party("first", "B4", 0, 30), party("second", "B4", 30, 60)
    both = {first: 1, second: 1, big: 3}
    assert preferring_covers({first: "B4", second: "B4"}, [big], both, {}) == {"first": "B4", "second": "B4"}


def test_who_loses_the_seat_to_a_larger_party_looks_for_another_before_smaller_ones_do() -> None:
    big, three = party("big", "B4", 0, 120), party("three", "B4 A2", 0, 120)
    two, one = party("two", "A2 C4", 0, 60), party("one", "A2", 60, 120)
    covers = {big: 4, three: 3, two: 2, one: 1}
    found = preferring_covers({three: "B4", one: "A2"}, [big, two], covers, {})
    assert found == {"big": "B4", "three": "A2", "two": "C4"}


@pytest.mark.parametrize(("dice", "longest"), [(0.11, 60), (0.05, 120)])
def test_a_party_takes_the_seat_of_one_that_takes_up_as_much_room_and_now_and_then_of_any(
    monkeypatch: pytest.MonkeyPatch, dice: float, longest: int
) -> None:
    def choice(until: float, *others: Party, loose: bool = True) -> tuple[str, str | None] | None:
        """What a newcomer who stays so long chooses while these others are at the tables of their first option."""
        newcomer = party("new", "A2 B4+C4", 0, until)
        for other in others:
            other.unit = other.options[0]
        search = seating_more._Search(
            others, [newcomer], others if loose else [], dict.fromkeys([*others, newcomer], 2)
        )
        monkeypatch.setattr(search, "_random", lambda: dice)
        found = search._choice(newcomer)
        if found is None:
            return None
        unit, giving_way = found
        return "+".join(unit.table_refs), search._grid.party_of(giving_way).ref if giving_way else None

    def at_a2(start: float = 0, until: float = 60) -> Party:
        return party("sits", "A2", start, until)

    single = party("single", "B4", 0, 60)
    for until in (59, 60, 61, 120):
        expected = ("A2", "sits") if until <= longest else None
        assert choice(until, at_a2(), single, party("beside", "C4", 0, 60)) == expected
    assert choice(60, single) == ("A2", None), "free"
    assert choice(60, at_a2(60, 120)) == ("A2", None), "free by then"
    assert choice(60, at_a2(), loose=False) == ("B4+C4", None)
    assert choice(60, at_a2(), party("joined", "B4+C4", 0, 60), loose=False) is None, "who was there before stays"
    assert choice(60, at_a2(0, 30), party("next", "A2", 30, 60), party("joined", "B4+C4", 0, 60)) == ("B4+C4", "joined")


@pytest.mark.parametrize(("left_out", "steps"), [(1, 60), (2, 120)])
def test_a_search_that_finds_nothing_ends_with_its_patience(
    monkeypatch: pytest.MonkeyPatch, left_out: int, steps: int
) -> None:
    taken = 0
    step = seating_more._Search._step

    def counted(search: seating_more._Search) -> None:
        nonlocal taken
        taken += 1
        step(search)

    monkeypatch.setattr(seating_more._Search, "_step", counted)
    guests = [party(f"b{number}", "A2", 0, 3600) for number in range(left_out + 1)]
    guests[0].unit = UNITS["A2"]
    assert seat_more(guests[:1], guests[1:], guests[:1], dict.fromkeys(guests, 2)) == {}
    assert taken == steps


def test_who_has_no_table_at_all_is_not_looked_for() -> None:
    sits, cannot = party("sits", "A2", 0, 3600), Party("cannot", start=0, until=3600, options=[])
    sits.unit = UNITS["A2"]
    assert seat_more([sits], [cannot], [sits], {sits: 2, cannot: 2}) == {}


@pytest.mark.parametrize("seed", range(168, 188))
def test_after_each_step_the_search_knows_who_is_seated_and_who_asks_in_vain(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    stays, seated, unseated, covers = small_evening(seed)
    step = seating_more._Search._step

    def would_give_way(other: Party, newcomer: Party) -> bool:
        room_of = seating_more._Search._room_of
        return other not in stays and room_of(other) >= room_of(newcomer)

    def checked(search: seating_more._Search) -> None:
        step(search)
        bits, placed = search._grid.bits, search._grid.placed
        assert {*search._unseated} == bits.keys() - placed.keys()
        assert search._turned_away == sum(covers[guest] for guest in search._unseated)
        assert search._joined == sum(bits[guest] for guest, unit in placed.items() if unit.table_count > 1)
        for guest in search._unseated:
            if bits[guest] & search._in_vain:
                for unit in guest.options:
                    there = [other for other in placed if other.overlaps(guest) and placed[other].mask & unit.mask]
                    assert there, "a table that is free is taken"
                    assert len(there) > 1 or not would_give_way(there[0], guest)

    monkeypatch.setattr(seating_more._Search, "_step", checked)
    seat_more([*stays, *seated], unseated, [*seated], covers)
