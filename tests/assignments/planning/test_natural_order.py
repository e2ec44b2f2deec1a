"""Tables are listed as people list them, and equal tables are chosen in that order, whatever keys the host gives them."""

from random import Random

import pytest

from assignments.planning.batch_planner import EveningPlanner, in_order
from assignments.planning.describe import describe
from assignments.planning.engine import judge, plan
from assignments.planning.floor import Table
from assignments.planning.natural_order import natural_key
from assignments.planning.snapshot import PlanningRules
from assignments.planning.units import seatable_units, unit_of
from tests.assignments.planning.restaurant import MORNING, ask, floor, real_day, snapshot, taken, with_keys

RULES = PlanningRules()


def named(ref: str, name: str, seats: int = 4, zone: str = "Hall") -> Table:
    return Table(ref=ref, name=name, seats=seats, zone_ref=zone)


@pytest.mark.parametrize(
    "ordered",
    [
        ["T2", "T10"],
        ["D1-T04", "D1-T10", "D2-T01", "D10-T01"],
        ["Terrace 9", "Terrace 9a", "Terrace 10"],
        ["T2", "T2a", "T10"],
        ["1", "9", "97", "100", "1000"],
        ["1", "Bar", "Window"],
        ["", "A", "A 1"],
        ["bar 1", "Bar 2", "bar 10"],  # capitals do not matter
        ["T2", "t02", "T3"],  # equal but for how they are written: as plain text
        ["Straße 2", "STRASSE 3", "Straße 10"],
        ["\u00c9tage 2", "E\u0301tage 10"],  # one letter, or a letter and its accent
        ["\u0637 \u0662", "\u0637 \u0661\u0660"],  # digits of another script are digits
        ["Table ²", "Table 3"],
        ["9" * 5000, "1" + "0" * 5000],  # longer than int() takes
    ],
)
def test_names_are_ordered_as_people_order_them(ordered: list[str]) -> None:
    for seed in range(5):
        shuffled = Random(seed).sample(ordered, len(ordered))
        assert sorted(shuffled, key=natural_key) == ordered


def test_different_texts_are_never_equal() -> None:
    texts = ["T2", "t2", "T02", "t02", "T 2", "\u00c9", "E\u0301", "\u0662", "2"]
    assert len({natural_key(text) for text in texts}) == len(texts)


def test_a_floor_lists_its_tables_by_name_however_they_are_given() -> None:
    tables = [named("3", "T10"), named("20", "T2"), named("1", "T1")]
    for seed in range(5):
        on = floor(*Random(seed).sample(tables, 3))
        assert [each.name for each in on.tables] == ["T1", "T2", "T10"]
        assert on.places == {"1": 0, "20": 1, "3": 2}


def test_tables_of_one_name_are_listed_by_ref_as_numbers() -> None:
    on = floor(named("100", "Window"), named("97", "Window"), named("9", "Window"))
    assert [each.ref for each in on.tables] == ["9", "97", "100"]


def test_what_the_floor_does_not_know_is_listed_last() -> None:
    on = floor(named("100", "T1"), named("97", "T2"))
    assert on.in_order(["x10", "97", "x9", "100"]) == ("100", "97", "x9", "x10")


def test_units_are_in_the_order_of_names() -> None:
    on = floor(named("3", "T1"), named("20", "T2"), named("1", "T10"), adjacent=[("3", "20"), ("20", "1")])
    expected = [("3",), ("20",), ("1",), ("3", "20"), ("20", "1"), ("3", "20", "1")]
    assert [unit.table_refs for unit in seatable_units(on)] == expected
    assert unit_of(on, ["1", "3"]).table_refs == ("3", "1")


def test_of_equal_tables_the_first_by_name_is_chosen_and_the_others_follow_by_name() -> None:
    names = ["T1", "T2", "T3", "T9", "T10"]
    for seed in range(10):
        refs = [str(ref) for ref in Random(seed).sample(range(200), len(names))]
        on = floor(*(named(ref, name) for ref, name in zip(refs, names, strict=True)))
        decision = plan(snapshot(on, ask(party=4)))
        assert [on.table_by_ref[each.table_refs[0]].name for each in decision.plans] == names


def test_of_equal_joins_the_first_by_name_is_chosen() -> None:
    on = floor(
        *(named(ref, name) for ref, name in [("97", "T2"), ("1000", "T9"), ("100", "T10"), ("5", "T11")]),
        adjacent=[("97", "1000"), ("100", "5")],
    )
    assert [each.table_refs for each in plan(snapshot(on, ask(party=8))).plans] == [("97", "1000"), ("100", "5")]


def test_reasons_name_tables_in_order() -> None:
    on = floor(named("97", "T2"), named("100", "T10"))
    request = ask(party=8)
    blocked = [taken("100", "18:00", "19:00"), taken("97", "18:00", "19:00")]
    found = judge(snapshot(on, request, *blocked), ["100", "97"])
    assert [each.text.values.get("tables") or each.text.values["table"] for each in found] == ["T2 + T10", "T2", "T10"]


def test_decisions_are_described_in_order() -> None:
    on = floor(named("100", "T2"), named("97", "T10"), adjacent=[("97", "100")])
    assert describe(plan(snapshot(on, ask(party=8))).to_json(), on).startswith("T2 + T10 for 8 covers")


def seated_by_name(keys: list[int], first_booking: int) -> list[tuple[str, ...]]:
    """The names of the tables that each booking of the real day gets; nothing for those without."""
    on, requests = with_keys(real_day(), keys, first_booking=first_booking)
    evening = EveningPlanner(floor=on, occupied=(), rules=RULES, now=MORNING)
    list(evening.decide_all(in_order(requests, floor=on, rules=RULES)))
    decisions = [evening.decisions[request.booking_ref] for request in requests]
    return [tuple(on.table_by_ref[ref].name for ref in each.best.table_refs) if each.best else () for each in decisions]


def test_the_real_day_is_seated_alike_whatever_the_keys() -> None:
    expected = seated_by_name(list(range(1, 17)), 1)
    assert len(expected) == 117
    assert sum(map(bool, expected)) == 76
    for first in (97, 1_000):
        assert seated_by_name(list(range(first, first + 16)), first) == expected
    assert seated_by_name(list(range(112, 96, -1)), 11) == expected  # From 99 to 100 among bookings that are alike.
    assert seated_by_name(Random(1).sample(range(1, 2_000), 16), 68) == expected


def test_bookings_between_which_nothing_else_decides_go_by_ref_as_numbers() -> None:
    on = floor(named("1", "T1"))
    requests = [ask("100"), ask("9"), ask("97")]
    assert [each.booking_ref for each in in_order(requests, floor=on, rules=RULES)] == ["9", "97", "100"]
