"""Which tables, alone or joined, can seat a party at all."""

import pytest

from assignments.planning import units
from assignments.planning.floor import Floor, Join
from assignments.planning.units import (
    each_bit,
    is_connected,
    neighbours,
    seatable_units,
    size_masks,
    table_bits,
    unit_of,
    zone_masks,
    zones_too_large,
)
from tests.assignments.planning.restaurant import floor, real_day, table

CHAIN = [("A", "B"), ("B", "C"), ("C", "D")]
FOUR_TOPS = [table(ref, 4) for ref in "ABCD"]


def refs(on: Floor, max_tables: int = 3) -> set[str]:
    return {"".join(unit.table_refs) for unit in seatable_units(on, max_tables)}


def test_joins_are_the_connected_sets_up_to_the_limit() -> None:
    on = floor(*FOUR_TOPS, adjacent=CHAIN)
    assert refs(on, 1) == {"A", "B", "C", "D"}
    assert refs(on, 2) == {"A", "B", "C", "D", "AB", "BC", "CD"}
    assert refs(on, 3) == {"A", "B", "C", "D", "AB", "BC", "CD", "ABC", "BCD"}


def test_joins_do_not_cross_zones_and_tables_without_a_zone_are_one_zone() -> None:
    on = floor(table("A", 4, "Hall"), table("B", 4, "Bar"), table("C", 4, None), table("D", 4, None), adjacent=CHAIN)
    assert refs(on) == {"A", "B", "C", "D", "CD"}


def test_tables_out_of_service_seat_nobody_and_join_nothing() -> None:
    tables = [table(ref, 4, active=ref != "B") for ref in "ABCD"]
    assert refs(floor(*tables, adjacent=CHAIN)) == {"A", "C", "D", "CD"}


def test_a_listed_join_says_how_many_it_seats() -> None:
    on = floor(*FOUR_TOPS, adjacent=CHAIN, joins=[Join(table_refs=frozenset("AB"), seats=6, min_party=5)])
    by_refs = {unit.table_refs: unit for unit in seatable_units(on)}
    listed, summed = by_refs["A", "B"], by_refs["B", "C"]
    assert (listed.seats, listed.min_party, listed.max_party) == (6, 5, 6)
    assert (summed.seats, summed.min_party, summed.max_party) == (8, 1, 8)


def test_a_listed_join_needs_no_adjacency() -> None:
    on = floor(table("A", 4), table("B", 4), table("C", 4), joins=[Join(table_refs=frozenset("AB"), seats=7)])
    assert refs(on) == {"A", "B", "C", "AB"}


def test_a_tables_own_limits_do_not_bind_its_joins() -> None:
    on = floor(table("A", 4, min_party=2, max_party=3), table("B", 4), adjacent=[("A", "B")])
    by_refs = {unit.table_refs: unit for unit in seatable_units(on)}
    assert (by_refs[("A",)].min_party, by_refs[("A",)].max_party) == (2, 3)
    assert by_refs["A", "B"].max_party == 8


def test_the_real_floor_has_all_singles_pairs_and_triples() -> None:
    on, _requests = real_day()
    counts = [sum(unit.table_count == size for unit in seatable_units(on)) for size in (1, 2, 3)]
    assert counts == [16, 2 * 28, 2 * 56]


def test_masks_are_those_of_the_tables() -> None:
    on, _requests = real_day()
    bits = table_bits(on)
    assert all(unit.mask == sum(bits[ref] for ref in unit.table_refs) for unit in seatable_units(on))


def test_the_order_in_which_the_host_lists_things_does_not_matter() -> None:
    one = floor(*FOUR_TOPS, adjacent=CHAIN)
    other = floor(*FOUR_TOPS[::-1], adjacent=[(b, a) for a, b in CHAIN[::-1]])
    assert seatable_units(one) == seatable_units(other)


def test_a_huge_zone_keeps_its_smaller_joins_and_every_listed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"T{number:02}" for number in range(12)]
    everything = [(one, other) for one in names for other in names if one < other]
    listed = Join(table_refs=frozenset(names[:3]), seats=9)
    on = floor(*[table(name, 4) for name in names], adjacent=everything, joins=[listed])
    monkeypatch.setattr(units, "MAX_JOINS_PER_ZONE", 100)  # 66 pairs, and 220 triples
    seatable_units.cache_clear()
    sizes = [unit.table_count for unit in seatable_units(on)]
    seatable_units.cache_clear()
    assert [sizes.count(size) for size in (1, 2, 3)] == [12, 66, 1]


def test_a_zone_is_too_large_as_soon_as_some_of_its_joins_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    on = floor(*FOUR_TOPS, table("X", 4, "Bar"), table("Y", 4, "Bar"), adjacent=[*CHAIN, ("X", "Y")])
    for most, left_out in [(5, {}), (4, {"Hall": 2}), (3, {"Hall": 2}), (2, {"Hall": 1})]:  # 3 pairs, and 2 triples
        monkeypatch.setattr(units, "MAX_JOINS_PER_ZONE", most)
        zones_too_large.cache_clear()
        assert zones_too_large(on) == left_out
    zones_too_large.cache_clear()


def test_a_unit_knows_its_places_in_the_order_of_the_floor() -> None:
    on = floor(*(table(ref, 3) for ref in "ABCD"), adjacent=CHAIN)
    assert {"".join(unit.table_refs): unit.places for unit in seatable_units(on)} == {
        "A": (0,),
        "B": (1,),
        "C": (2,),
        "D": (3,),
        "AB": (0, 1),
        "BC": (1, 2),
        "CD": (2, 3),
        "ABC": (0, 1, 2),
        "BCD": (1, 2, 3),
    }


def test_tables_picked_by_hand_are_a_unit_wherever_they_stand() -> None:
    on = floor(
        *FOUR_TOPS[:3],
        table("X", 2, "Bar", min_party=2),
        joins=[Join(table_refs=frozenset("AB"), seats=7, max_party=6)],
    )
    alone, listed, apart = unit_of(on, ["X"]), unit_of(on, ["B", "A"]), unit_of(on, {"C", "X"})
    assert (alone.min_party, alone.max_party, alone.zone_ref, alone.filled_at) == (2, 2, "Bar", None)
    assert (listed.table_refs, listed.seats, listed.max_party) == (("A", "B"), 7, 6)
    assert (listed.is_listed, listed.filled_at, listed.zone_ref) == (True, None, "Hall")
    assert (apart.mask, apart.seats, apart.min_party, apart.max_party) == (
        table_bits(on)["C"] | table_bits(on)["X"],
        6,
        1,
        6,
    )
    assert (apart.is_listed, apart.filled_at, apart.zone_ref) == (False, 6, None)
    assert not apart.has_too_many_spare(2, 4)
    assert apart.has_too_many_spare(1, 4)
    assert not listed.has_too_many_spare(1, 4)
    with pytest.raises(ValueError, match="needs a table"):
        unit_of(on, [])


def test_tables_are_connected_along_any_chain() -> None:
    beside = neighbours(floor(*FOUR_TOPS, table("E", 4), adjacent=[("A", "E"), ("E", "B"), ("C", "D")]))
    bits = table_bits(floor(*FOUR_TOPS, table("E", 4)))
    connected = {
        names: is_connected(sum(bits[ref] for ref in names), beside) for names in ("A", "AE", "ABE", "AB", "CD", "ABCD")
    }
    assert connected == {"A": True, "AE": True, "ABE": True, "AB": False, "CD": True, "ABCD": False}


def test_tables_out_of_service_are_in_no_zone_and_of_no_size() -> None:
    on = floor(table("A", 2), table("B", 4), table("C", 2), table("D", 2, None), table("E", 4, active=False))
    bits = table_bits(on)
    assert zone_masks(on) == (bits["A"] | bits["B"] | bits["C"], bits["D"])
    assert size_masks(on) == (bits["A"] | bits["C"] | bits["D"], bits["B"])
    assert list(each_bit(bits["A"] | bits["D"])) == [bits["A"], bits["D"]]
