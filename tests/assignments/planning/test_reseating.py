"""Who changes tables so that one more party can sit, and when that is not even tried."""

from collections.abc import Mapping, Sequence
from random import Random

import pytest

from assignments.planning import reseating
from assignments.planning.capacity_bound import is_overcrowded, size_classes
from assignments.planning.occupancy import Block
from assignments.planning.reseating import Batch, Grid, Party, make_room
from assignments.planning.units import Unit, seatable_units, table_bits
from tests.assignments.planning.restaurant import floor, table

FLOOR = floor(
    *[table(ref, int(ref[1])) for ref in ("A2", "B2", "C4", "D4", "E4", "F4")],
    adjacent=[("C4", "D4"), ("E4", "F4")],
)
UNITS = {"+".join(unit.table_refs): unit for unit in seatable_units(FLOOR)}
BITS = table_bits(FLOOR)


def party(ref: str, options: str, start: float = 0, until: float = 60) -> Party:
    return Party(ref, start=start, until=until, options=[UNITS[name] for name in options.split()])


def seated(*placed: tuple[Party, str]) -> Batch:
    batch = Batch()
    for guest, table_ref in placed:
        batch.meet(guest)
        batch.seat(guest, UNITS[table_ref])
    return batch


def names(room: Mapping[Party, Unit] | None) -> dict[str, str] | None:
    return None if room is None else {guest.ref: "+".join(unit.table_refs) for guest, unit in room.items()}


def test_as_few_tables_as_possible_are_cleared() -> None:
    batch = seated((party("b1", "C4 E4"), "C4"), (party("b2", "D4 F4"), "D4"), (party("b3", "B2 A2"), "B2"))
    newcomer = party("new", "C4+D4 B2")
    batch.meet(newcomer)
    assert names(make_room(newcomer)) == {"new": "B2", "b3": "A2"}


def test_a_table_that_two_parties_share_is_cleared_of_both() -> None:
    batch = seated((party("early", "A2 C4", 0, 30), "A2"), (party("late", "A2 D4", 30, 60), "A2"))
    newcomer = party("new", "A2")
    batch.meet(newcomer)
    assert names(make_room(newcomer)) == {"new": "A2", "early": "C4", "late": "D4"}


def test_looking_for_room_changes_nothing() -> None:
    guest = party("b1", "A2 B2")
    batch = seated((guest, "A2"))
    newcomer = party("new", "A2")
    batch.meet(newcomer)
    assert make_room(newcomer) is not None
    assert guest.unit is UNITS["A2"]
    assert newcomer.unit is None


def test_without_any_chain_of_moves_there_is_no_room() -> None:
    batch = seated((party("b1", "A2 B2"), "A2"), (party("b2", "A2 B2"), "B2"))
    newcomer = party("new", "A2 B2")
    batch.meet(newcomer)
    assert make_room(newcomer) is None


def test_a_search_gives_up_after_so_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = seated((party("b1", "A2 B2"), "A2"))
    newcomer = party("new", "A2")
    batch.meet(newcomer)
    monkeypatch.setattr(reseating, "MAX_EJECTIONS", 1)
    monkeypatch.setattr(reseating, "MAX_STEPS", 1)
    assert make_room(newcomer) is None
    monkeypatch.setattr(reseating, "MAX_STEPS", 2)
    assert make_room(newcomer) is not None


def a_chain(length: int) -> Party:
    """A newcomer who sits only if so many others each move on by one table."""
    row = floor(*(table(f"T{number}", 2) for number in range(length + 1)))
    units = seatable_units(row)
    batch = Batch()
    for number in range(length):
        batch.seat(Party(f"b{number}", start=0, until=60, options=units[number : number + 2]), units[number])
    newcomer = Party("new", start=0, until=60, options=units[:1])
    batch.meet(newcomer)
    return newcomer


def test_a_chain_may_be_as_long_as_the_limit_and_a_longer_one_is_looked_for_in_another_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for limit in (1, 2, 3):
        monkeypatch.setattr(reseating, "MAX_DEPTH", limit)
        assert len(make_room(a_chain(limit), ejections=0) or ()) == limit + 1
        assert make_room(a_chain(limit + 1), ejections=0) is None
        assert len(make_room(a_chain(limit + 1)) or ()) == limit + 2


def test_short_chains_are_tried_before_longer_ones() -> None:
    batch = seated((party("b1", "A2 B2"), "A2"), (party("b2", "B2 C4"), "B2"), (party("b3", "D4 E4"), "D4"))
    newcomer = party("new", "A2 D4")
    batch.meet(newcomer)
    assert names(make_room(newcomer)) == {"new": "D4", "b3": "E4"}


def test_where_every_chain_has_been_tried_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = seated((party("b1", "A2 B2"), "A2"), (party("b2", "B2"), "B2"))
    newcomer = party("new", "A2")
    batch.meet(newcomer)
    monkeypatch.setattr(reseating, "_Ejections", None)
    assert make_room(newcomer) is None


def test_who_cannot_move_is_not_asked_again_for_the_next_one() -> None:
    seats = {"A2": "A2 D4", "B2": "B2 D4", "C4": "C4 D4", "D4": "D4"}
    batch = seated(*((party(f"at {table}", options), table) for table, options in seats.items()))
    newcomer = party("new", "A2 B2 C4")
    search = reseating._Chains(Grid([*batch.seated, newcomer]), 0)
    assert not search.place(newcomer, 3)
    assert search.steps == 5, "everybody once"
    assert not search.is_exhaustive


@pytest.mark.parametrize("first", ["A2 B2", "B2 A2"])
def test_who_is_not_confirmed_yet_moves_before_who_is(first: str) -> None:
    sure, unsure = party("sure", "A2 C4", 10, 60), party("unsure", "B2 D4", 5, 60)
    sure.is_confirmed = True
    batch = seated((sure, "A2"), (unsure, "B2"))
    newcomer = party("new", first)
    batch.meet(newcomer)
    assert names(make_room(newcomer)) == {"new": "B2", "unsure": "D4"}
    earlier = party("earlier", "B2 D4", 9, 60)
    earlier.is_confirmed = True
    batch = seated((sure, "A2"), (earlier, "B2"))
    batch.meet(newcomer)
    assert names(make_room(newcomer)) == {"new": "A2", "sure": "C4"}, "of two who are the one that comes later"


def test_who_was_there_before_or_comes_after_does_not_move() -> None:
    early, now, late = party("early", "A2 C4", 0, 30), party("now", "A2 B2", 30, 60), party("late", "A2 C4", 60, 90)
    batch = seated((early, "A2"), (now, "A2"), (late, "A2"))
    newcomer = party("new", "A2", 30, 60)
    batch.meet(newcomer)
    assert names(make_room(newcomer)) == {"new": "A2", "now": "B2"}


def test_a_party_knows_the_tables_at_which_it_could_sit() -> None:
    guest = party("b1", "B2 C4+D4")
    assert guest.tables == BITS["B2"] | BITS["C4"] | BITS["D4"]
    assert [guest.needs(mask) for mask in (BITS["B2"], BITS["C4"], BITS["C4"] | BITS["D4"] | BITS["B2"])] == [0, 0, 1]
    guest.options = guest.options[1:]
    guest.add_option(UNITS["E4"])
    assert [unit.table_refs for unit in guest.options] == [("C4", "D4"), ("E4",)]
    assert guest.tables == BITS["C4"] | BITS["D4"] | BITS["E4"]
    assert guest.needs(BITS["C4"] | BITS["D4"] | BITS["E4"]) == 1
    assert guest.needs(BITS["B2"] | BITS["C4"] | BITS["D4"]) == 0


def test_who_leaves_the_batch_has_no_seat() -> None:
    guest = party("b1", "A2")
    batch = seated((guest, "A2"))
    batch.leave(guest)
    assert (guest.unit, batch.seated) == (None, [])


def fits(guest: Party, unit: Unit, placed: Mapping[Party, Unit]) -> bool:
    return not any(unit.mask & taken.mask and guest.overlaps(other) for other, taken in placed.items())


def can_all_sit(guests: Sequence[Party], placed: dict[Party, Unit]) -> bool:
    """Whether there are tables for all of these guests, by trying everything."""
    if not guests:
        return True
    first, *rest = guests
    return any(fits(first, unit, placed) and can_all_sit(rest, {**placed, first: unit}) for unit in first.options)


@pytest.mark.parametrize("seed", range(100))
def test_on_a_small_floor_room_is_found_wherever_there_is_some(seed: int) -> None:
    dice = Random(seed)
    kinds = ["A2 B2 C4 D4", "C4 D4 E4", "C4 E4 F4", "C4+D4", "A2 B2", "B2 E4", "D4 F4 C4+D4"]
    batch, placed = Batch(), dict[Party, Unit]()
    for number in range(16):
        start = dice.randrange(6)
        guest = party(f"b{number}", dice.choice(kinds), start, start + dice.choice([2, 3]))
        free = [unit for unit in guest.options if fits(guest, unit, placed)]
        if free:
            placed[guest] = dice.choice(free)
            batch.seat(guest, placed[guest])
            continue
        batch.meet(guest)
        room = make_room(guest)
        assert {other: other.unit for other in placed} == placed, "it only says what could be"
        assert (room is not None) is can_all_sit([guest, *placed], {})
        if room is None:
            continue
        assert guest in room
        assert all(unit is not placed.get(other) for other, unit in room.items()), "only those who move are named"
        for other, unit in room.items():
            others = {each: taken for each, taken in {**placed, **room}.items() if each is not other}
            assert unit in other.options
            assert fits(other, unit, others)
        for other, unit in room.items():
            placed[other] = other.unit = unit
        batch.seated = list(placed)


def test_classes_are_the_tables_of_a_size_and_larger() -> None:
    everything, fours = size_classes(FLOOR)
    assert everything == sum(BITS.values())
    assert fours == sum(BITS[ref] for ref in ("C4", "D4", "E4", "F4"))


@pytest.mark.parametrize(
    ("newcomer", "fixed", "expected"),
    [
        (party("new", "C4 D4"), [], True),  # three parties that need a four-top, and two four-tops left
        (party("new", "A2 B2"), [], False),
        (party("new", "C4 D4", 30, 60), [], False),  # one of them has left by then
        (party("new", "C4 D4", 30, 60), [Block(40, 50, BITS["D4"], "")], True),  # but somebody else comes
        (party("new", "C4 D4", 30, 60), [Block(60, 90, BITS["D4"], "")], False),
        (party("new", "C4 D4", 30, 60), [Block(0, 30, BITS["D4"], "")], False),  # gone as they come
        (party("new", "C4 D4", 30, 60), [Block(59, 90, BITS["D4"], "")], True),
        (party("new", "A2 C4 D4", 30, 60), [Block(30, 60, BITS["D4"], "")], False),  # a two-top is enough
        (party("new", "C4+D4", 30, 60), [], True),  # it needs both
    ],
)
def test_no_room_is_looked_for_where_there_are_more_parties_than_tables(
    newcomer: Party, fixed: list[Block], expected: bool
) -> None:
    batch = seated((party("b1", "C4 D4", 0, 30), "C4"), (party("b2", "C4 D4"), "D4"))
    batch.meet(newcomer)
    others = [Block(0, 90, BITS["E4"] | BITS["F4"], "")]
    assert is_overcrowded(newcomer, others + fixed, size_classes(FLOOR)) is expected


def test_a_party_that_comes_later_may_be_one_too_many() -> None:
    late = [party(f"b{number}", "C4 D4 E4 F4", 30, 90) for number in range(4)]
    batch = seated(*zip(late, ("C4", "D4", "E4", "F4"), strict=True))
    newcomer = party("new", "C4 D4")
    batch.meet(newcomer)
    assert is_overcrowded(newcomer, [], size_classes(FLOOR))
    batch.leave(late[3])
    batch.meet(newcomer)
    assert not is_overcrowded(newcomer, [], size_classes(FLOOR))


def test_who_leaves_as_another_comes_does_not_meet_it() -> None:
    others = [party(f"{start}-{until}", "A2", start, until) for start, until in [(0, 30), (29, 31), (59, 90), (60, 90)]]
    batch = seated(*((other, "A2") for other in others))
    newcomer = party("new", "A2", 30, 60)
    batch.meet(newcomer)
    assert [other.ref for other in newcomer.meets] == ["29-31", "59-90"]
    assert [other.ref for other in others if newcomer.overlaps(other)] == ["29-31", "59-90"]


def test_where_no_chain_is_looked_for_parties_take_each_others_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = seated((party("b1", "A2 B2"), "A2"), (party("b2", "B2 C4"), "B2"), (party("b3", "C4 D4"), "C4"))
    newcomer = party("new", "A2")
    batch.meet(newcomer)
    monkeypatch.setattr(reseating, "MAX_STEPS", 1)
    assert names(make_room(newcomer)) == {"new": "A2", "b1": "B2", "b2": "C4", "b3": "D4"}
    monkeypatch.setattr(reseating, "MOST_MOVED", 4)
    assert len(make_room(newcomer) or ()) == 4
    monkeypatch.setattr(reseating, "MOST_MOVED", 3)
    assert make_room(newcomer) is None


@pytest.mark.parametrize(
    ("weights", "chosen", "leaving"),
    [
        ({}, "A2", ["a"]),
        ({"a": 2}, "B2", ["b"]),
        ({"a": 2, "b": 2}, "A2", ["a"]),
        ({"a": 2, "b": 3}, "A2", ["a"]),  # the two at the join weigh as much
        ({"a": 3, "b": 3}, "C4+D4", ["c", "d"]),
        ({"a": 3, "b": 3, "d": 2}, "E4", ["e1", "e2"]),  # one after the other
    ],
)
def test_a_party_takes_the_tables_of_those_who_were_sent_away_least(
    weights: dict[str, int], chosen: str, leaving: list[str]
) -> None:
    batch = seated(
        *((party(table[0].lower(), table), table) for table in ("A2", "B2", "C4", "D4")),
        (party("e1", "E4", 0, 30), "E4"),
        (party("e2", "E4", 30, 60), "E4"),
    )
    assert lightest(batch, party("new", "A2 B2 C4+D4 E4"), weights) == (chosen, leaving)


def test_a_party_at_two_tables_weighs_no_more_than_one_at_a_table() -> None:
    batch = seated((party("a", "A2"), "A2"), (party("f", "E4+F4"), "E4+F4"), (party("c", "C4"), "C4"))
    assert lightest(batch, party("new", "A2 E4+F4"), {"a": 2}) == ("E4+F4", ["f"])
    assert lightest(batch, party("new", "A2 E4+F4"), {"f": 2}) == ("A2", ["a"])
    assert lightest(batch, party("new", "A2 C4+D4"), {"a": 2}) == ("C4+D4", ["c"])
    assert lightest(batch, party("new", "A2 D4"), {}) == ("D4", []), "nobody sits there"


def lightest(batch: Batch, newcomer: Party, weights: dict[str, int]) -> tuple[str, list[str]]:
    search = reseating._Ejections(Grid([*batch.seated, newcomer]), newcomer)
    for guest in batch.seated:
        for _ in range(weights.get(guest.ref, 1) - 1):
            search._note_ejected(guest)
    unit, leaving = search._lightest(newcomer)
    return "+".join(unit.table_refs), [guest.ref for guest in leaving]


def test_a_party_weighs_more_each_time_it_is_sent_away_and_in_the_end_keeps_its_table_if_it_can() -> None:
    batch = seated((party("b1", "A2 B2"), "A2"), (party("b2", "B2 A2"), "B2"))
    newcomer = party("new", "A2")
    search = reseating._Ejections(Grid([*batch.seated, newcomer]), newcomer)
    assert search.find(3) is None
    weights = {guest.ref: search._weight_of(search._grid.bits[guest]) for guest in [*batch.seated, newcomer]}
    assert weights == {"b1": 3, "b2": 1, "new": 2}
    one, other = batch.seated
    grid = Grid(batch.seated)
    for guest in batch.seated:
        grid.rise(guest)
    grid.sit(one, UNITS["B2"])
    assert reseating._Ejections(grid, newcomer)._moves() == {}, "its own table is free again"
    assert grid.placed == {one: UNITS["A2"]}
    grid.rise(one)
    grid.sit(one, UNITS["B2"])
    grid.sit(other, UNITS["A2"])
    assert reseating._Ejections(grid, newcomer)._moves() == {one: UNITS["B2"], other: UNITS["A2"]}


def test_what_a_shorter_search_finds_a_longer_one_finds_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reseating, "MAX_STEPS", 1)
    batch = seated((party("b1", "A2 B2"), "A2"), (party("b2", "B2 C4"), "B2"), (party("b3", "C4 D4"), "C4"))
    newcomer = party("new", "A2")
    batch.meet(newcomer)
    found = [make_room(newcomer, ejections=most) for most in range(9)]
    fewest = next(most for most, room in enumerate(found) if room is not None)
    assert 0 < fewest < 8
    assert found == [None] * fewest + [make_room(newcomer)] * (9 - fewest)


@pytest.mark.parametrize("seed", range(5))
def test_a_grid_knows_who_is_at_a_table_while_a_party_stays(seed: int) -> None:
    random = Random(seed)
    starts = [random.randrange(0, 300, 5) for _ in range(40)]
    parties = [party(str(n), "C4 D4", start, start + random.randrange(5, 120, 5)) for n, start in enumerate(starts)]
    for guest in parties[::2]:
        guest.unit = UNITS[random.choice(["A2", "C4", "C4+D4"])]
    grid = Grid(parties)
    for guest in parties[1::2]:
        there = {
            BITS[ref]: sum(
                grid.bits[other]
                for other in parties[::2]
                if other.overlaps(guest) and other.unit is not None and ref in other.unit.table_refs
            )
            for ref in ("C4", "D4")
        }
        assert grid.around(guest) == {table: others for table, others in there.items() if others}
