"""Who changes tables so that one more party can sit, and when that is not even tried."""

from collections.abc import Mapping
from itertools import combinations
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
    adjacent=[("C4", "D4")],
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
    ],
)
def test_no_room_is_looked_for_where_there_are_more_parties_than_tables(
    newcomer: Party, fixed: list[Block], expected: bool
) -> None:
    batch = seated((party("b1", "C4 D4", 0, 30), "C4"), (party("b2", "C4 D4"), "D4"))
    batch.meet(newcomer)
    others = [Block(0, 90, BITS["E4"] | BITS["F4"], "")]
    assert is_overcrowded(newcomer, others + fixed, size_classes(FLOOR)) is expected


def test_where_no_chain_is_looked_for_parties_take_each_others_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = seated((party("b1", "A2 B2"), "A2"), (party("b2", "B2 C4"), "B2"), (party("b3", "C4 D4"), "C4"))
    newcomer = party("new", "A2")
    batch.meet(newcomer)
    monkeypatch.setattr(reseating, "MAX_STEPS", 1)
    assert names(make_room(newcomer)) == {"new": "A2", "b1": "B2", "b2": "C4", "b3": "D4"}
    monkeypatch.setattr(reseating, "MOST_MOVED", 3)
    assert make_room(newcomer) is None


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
def test_parties_share_a_moment_of_the_grid_exactly_if_they_are_there_at_the_same_time(seed: int) -> None:
    random = Random(seed)
    starts = [random.randrange(0, 300, 5) for _ in range(40)]
    parties = [party(str(n), "C4", start, start + random.randrange(5, 120, 5)) for n, start in enumerate(starts)]
    spans = Grid(parties).spans
    assert all(first < last for first, last in spans.values())
    for one, other in combinations(parties, 2):
        (first, last), (begin, end) = spans[one], spans[other]
        assert (first < end and begin < last) == one.overlaps(other)


def test_arrivals_are_one_moment_of_the_grid_as_long_as_nobody_leaves() -> None:
    grid = Grid([party("early", "C4", 0, 60), party("late", "C4", 30, 90), party("next", "C4", 60, 120)])
    assert list(grid.spans.values()) == [(0, 1), (0, 2), (1, 2)]
