"""Which tables are free when."""

import pytest

from assignments.planning.occupancy import Occupancy
from assignments.planning.units import table_bits
from tests.assignments.planning.restaurant import at, floor, table, taken

FLOOR = floor(table("A", 4), table("B", 4), table("C", 4, active=False))
A, B = table_bits(FLOOR)["A"], table_bits(FLOOR)["B"]


@pytest.mark.parametrize(
    ("start", "until", "free"),
    [
        ("17:00", "18:00", A | B),
        ("17:00", "18:01", B),
        ("18:30", "18:40", B),
        ("18:59", "20:00", B),
        ("19:00", "20:00", A | B),
        ("17:00", "20:00", B),
    ],
)
def test_a_table_is_taken_from_its_start_until_just_before_its_end(start: str, until: str, free: int) -> None:
    occupancy = Occupancy(FLOOR, [taken("A", "18:00", "19:00")])
    assert occupancy.free(at(start), at(until)) == free


def test_a_long_stay_is_seen_behind_many_short_ones() -> None:
    shorts = [taken("B", f"{hour}:00", f"{hour}:30") for hour in range(13, 20)]
    occupancy = Occupancy(FLOOR, [taken("A", "12:00", "22:00"), *shorts])
    assert occupancy.free(at("19:40"), at("19:50")) == B


def test_what_is_removed_is_free_again() -> None:
    occupancy = Occupancy(FLOOR)
    block = occupancy.add(A | B, at("18:00"), at("19:00"), "b1")
    assert occupancy.free(at("18:00"), at("19:00")) == 0
    occupancy.remove(block)
    assert occupancy.free(at("18:00"), at("19:00")) == A | B
    with pytest.raises(ValueError, match="b1"):
        occupancy.remove(block)


def test_tables_that_the_floor_no_longer_has_are_ignored() -> None:
    occupancy = Occupancy(FLOOR, [taken("gone", "18:00", "19:00")])
    assert occupancy.free(at("18:00"), at("19:00")) == A | B


def test_idle_time_counts_both_sides_up_to_the_horizon() -> None:
    occupancy = Occupancy(
        FLOOR, [taken("A", "17:00", "17:50"), taken("A", "19:20", "20:00"), taken("B", "12:00", "13:00")]
    )
    assert occupancy.idle_seconds(A | B, at("18:00"), at("19:00"), 3600) == {A: (10 + 20) * 60}
    assert occupancy.idle_seconds(A | B, at("18:00"), at("19:05"), 6 * 3600) == {A: 25 * 60, B: 5 * 3600 + 6 * 3600}
    assert occupancy.idle_seconds(A, at("18:00"), at("19:05"), 6 * 3600) == {A: 25 * 60}, "nobody asks about the other"


@pytest.mark.parametrize(
    ("start", "until", "idle"),
    [
        ("17:00", "18:00", 60),  # it ends as the party comes
        ("19:00", "20:00", 60),
        ("16:00", "17:01", 59 + 60),
        ("16:00", "17:00", None),  # an hour and more before, or after, does not count
        ("19:59", "21:00", 59 + 60),
        ("20:00", "21:00", None),
        ("17:00", "18:01", None),  # nothing is said of a table that is taken meanwhile
        ("18:30", "18:40", None),
    ],
)
def test_idle_time_reaches_from_the_last_party_to_the_next(start: str, until: str, idle: int | None) -> None:
    occupancy = Occupancy(FLOOR, [taken("A", start, until)])
    found = occupancy.idle_seconds(A | B, at("18:00"), at("19:00"), 3600)
    assert found == ({} if idle is None else {A: idle * 60})


def test_of_several_parties_the_nearest_counts() -> None:
    rows = [taken("A", *stay.split("-")) for stay in ("17:00-17:20", "17:30-17:50", "19:40-19:50", "19:10-19:20")]
    assert Occupancy(FLOOR, rows).idle_seconds(A | B, at("18:00"), at("19:00"), 3600) == {A: (10 + 10) * 60}


def test_a_copy_knows_the_longest_stay_and_is_changed_alone() -> None:
    occupancy = Occupancy(FLOOR, [taken("A", "12:00", "22:00")])
    copy = occupancy.copy()
    copy.add(B, at("18:00"), at("18:30"))
    assert copy.free(at("18:00"), at("18:10")) == 0
    assert copy.free(at("21:00"), at("21:10")) == B
    assert occupancy.free(at("18:00"), at("18:10")) == B
