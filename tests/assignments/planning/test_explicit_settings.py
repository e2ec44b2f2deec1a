"""What the restaurant has said of a table or a join counts for more than general limits. Rule 10 of a living evening."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from assignments.planning.engine import judge, plan
from assignments.planning.floor import Floor, InvalidFloorError, Join, Table
from assignments.planning.reasons import Reason
from assignments.planning.snapshot import PlanningRules
from assignments.planning.units import seatable_units, seats_of
from rollout.policy.seating_audit import Party, could_seat, flaws_of
from rollout.policy.verdict import compare
from tests.assignments.planning.restaurant import MORNING, ask, floor, snapshot, table

RULES = PlanningRules()
FOUR_TOPS = tuple(table(ref, 4) for ref in "ABCD")
CHAIN = [("A", "B"), ("B", "C"), ("C", "D")]


def seated_at(on: Floor, party: int, *, zone: str | None = None) -> str:
    """Where V3 seats a party, as one text; empty for a refusal. The independent audit must agree on both."""
    snap = snapshot(on, ask(party=party, zone=zone))
    best = plan(snap).best
    audited = Party(covers=party, starts_at=snap.request.starts_at, zone_ref=zone)
    assert could_seat(on, audited, MORNING, set(), RULES) is (best is not None)
    if best is None:
        return ""
    assert flaws_of(snap, plan(snap)) == []
    assert list(judge(snap, best.table_refs)) == []
    assert compare(snap, plan(snap), plan(snap)) == "same_tables"
    return "".join(best.table_refs)


def listed(names: str, seats: int, **limits: int) -> Join:
    return Join(table_refs=frozenset(names), seats=seats, **limits)


def test_one_table_for_parties_of_four_to_ten_seats_four_and_five() -> None:
    on = floor(table("T", 10, min_party=4, max_party=10))
    assert [seated_at(on, party) for party in (3, 4, 5, 6, 10)] == ["", "T", "T", "T", "T"]


@pytest.mark.parametrize(
    ("limits", "taken"),
    [
        ({}, {6, 7, 8, 9, 10}),
        ({"min_party": 1}, set(range(1, 11))),
        ({"max_party": 5}, {1, 2, 3, 4, 5}),
        ({"max_party": 9}, set(range(1, 10))),
        ({"max_party": 10}, set(range(1, 11))),
    ],
    ids=str,
)
def test_only_a_limit_that_somebody_has_set_beats_the_limit_of_spare_seats(
    limits: dict[str, Any], taken: set[int]
) -> None:
    on = floor(Table(ref="T", name="T", seats=10, **limits))
    assert {party for party in range(1, 12) if seated_at(on, party)} == taken


def test_a_large_table_that_takes_small_parties_is_the_last_that_they_get() -> None:
    on = floor(table("Twelve", 12, min_party=2), table("Ten", 10, min_party=2), table("Two", 2))
    assert seated_at(on, 2) == "Two"
    assert seated_at(replace(on, tables=(on.table_by_ref["Twelve"], on.table_by_ref["Ten"])), 2) == "Ten"


def test_a_join_of_four_that_is_listed_is_used_though_three_are_the_limit() -> None:
    on = floor(*FOUR_TOPS, joins=[listed("ABCD", 14)])
    assert [seated_at(on, party) for party in (9, 10, 14, 15)] == ["", "ABCD", "ABCD", ""]
    assert seated_at(floor(*FOUR_TOPS, joins=[listed("ABCD", 14, min_party=9)]), 9) == "ABCD"
    # Nobody has listed this one.
    assert seated_at(floor(*FOUR_TOPS, adjacent=CHAIN), 13) == ""


def test_a_listed_join_across_two_areas_is_used_and_is_in_neither() -> None:
    on = floor(table("A", 4, "Hall"), table("B", 4, "Bar"), joins=[listed("AB", 8)])
    assert seated_at(on, 7) == "AB"
    assert seated_at(on, 7, zone="Hall") == ""
    assert seated_at(on, 7, zone="Bar") == ""
    one_zone = floor(table("A", 4, "Hall"), table("B", 4, "Hall"), joins=[listed("AB", 8)])
    assert seated_at(one_zone, 7, zone="Hall") == "AB"


def test_a_listed_pair_with_fewer_seats_counts_inside_a_triple() -> None:
    on = floor(*FOUR_TOPS, adjacent=CHAIN, joins=[listed("AB", 6)])
    assert {"".join(unit.table_refs): unit.seats for unit in seatable_units(on) if unit.table_count > 1} == {
        "AB": 6,
        "BC": 8,
        "CD": 8,
        "ABC": 10,
        "BCD": 12,
    }
    assert seated_at(on, 11) == "BCD"
    assert "ABC" not in {
        seated_at(floor(*FOUR_TOPS[:3], adjacent=CHAIN[:2], joins=on.joins), party) for party in (11, 12)
    }


@pytest.mark.parametrize(
    ("joins", "tables", "seats"),
    [
        ([listed("AB", 6), listed("BC", 7)], "ABC", 9),  # each pair loses what it is said to lose
        ([listed("AB", 9)], "ABC", 13),  # and may gain
        ([listed("AB", 6), listed("ABC", 9)], "ABC", 9),
        ([listed("AB", 6), listed("ABC", 9)], "ABCD", 13),  # the pair is counted in the listed triple
        ([listed("AB", 1), listed("BC", 1), listed("CD", 1)], "ABCD", 1),  # never below what one of them seats
        ([listed("AB", 6)], "CD", 8),
        ([listed("AB", 6)], "A", 4),
    ],
)
def test_seats_of_tables_among_which_joins_are_listed(joins: list[Join], tables: str, seats: int) -> None:
    assert seats_of(floor(*FOUR_TOPS, joins=joins), tables) == seats
    others = [Join(table_refs=frozenset(pair), seats=5) for pair in combinations("FGHIJKL", 2)]
    crowded = floor(*FOUR_TOPS, *(table(ref, 4) for ref in "FGHIJKL"), joins=[*joins, *others])
    assert seats_of(crowded, tables) == seats, "however many joins are listed besides"


@pytest.mark.parametrize(
    ("tables", "joins", "said"),
    [
        ([table("T", 4, max_party=6)], [], "table 'T' has 4 seats and takes parties of up to 6"),
        ([table("T", 4, min_party=5)], [], "table 'T' has 4 seats and takes parties from 5"),
        ([*FOUR_TOPS], [listed("AB", 6, max_party=8)], r"join \['A', 'B'\] has 6 seats and takes parties of up to 8"),
        ([*FOUR_TOPS], [listed("AX", 6)], "a join names unknown tables 'X'"),
    ],
)
def test_contradicting_limits_and_unknown_tables_are_refused_by_name(
    tables: list[Table], joins: list[Join], said: str
) -> None:
    with pytest.raises(InvalidFloorError, match=said):
        floor(*tables, joins=joins)


def test_a_join_whose_table_goes_out_of_service_is_unusable_and_the_floor_stays_valid() -> None:
    on = floor(table("A", 4), table("B", 4, active=False), table("C", 4), joins=[listed("AB", 8)])
    assert [seated_at(on, party) for party in (4, 8)] == ["A", ""]


def test_limits_and_joins_stored_by_an_earlier_release_are_judged_as_they_were() -> None:
    tables = [table("T", 10, min_party=4, max_party=12), *FOUR_TOPS, table("X", 4, "Bar")]
    joins = [listed("ABCD", 16), listed("AX", 8), listed("AB", 6), listed("BCD", 10)]
    kept = Floor(
        restaurant_ref="r1",
        timezone="Europe/London",
        tables=tuple(tables),
        services=floor().services,
        adjacent=floor(*tables[1:], adjacent=CHAIN).adjacent,
        joins=tuple(joins),
        stored_outside_minutes=0,
    )
    assert "T" not in seated_at(kept, 5)
    assert seated_at(kept, 6) == "AB"
    units = {"".join(unit.table_refs): unit.seats for unit in seatable_units(kept)}
    assert (units["ABC"], units["BCD"]) == (12, 10)
    assert not {"ABCD", "AX"} & units.keys()
    refused = {refusal.reason for refusal in judge(snapshot(kept, ask(party=16)), tuple("ABCD"))}
    assert Reason.TOO_MANY_TABLES in refused
