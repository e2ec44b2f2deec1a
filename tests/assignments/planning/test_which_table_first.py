"""At equal fit, what others will need stays free, and the restaurant has its say."""

from dataclasses import replace

from assignments.planning.describe import describe
from assignments.planning.engine import plan
from assignments.planning.floor import Floor, Table
from assignments.planning.snapshot import DEFAULT_WEIGHTS, PlanningRules
from tests.assignments.planning.restaurant import ask, floor, snapshot, table, taken

NEITHER = PlanningRules(weights={**DEFAULT_WEIGHTS, "keep_free": 0.0, "priority": 0.0})


def first(on: Floor, *occupied: str, rules: PlanningRules | None = None) -> str:
    rows = [taken(ref, "17:00", "21:00") for ref in occupied]
    best = plan(snapshot(on, ask(party=2, start="18:00"), *rows, rules=rules)).best
    assert best is not None
    return "+".join(best.table_refs)


def preferred(ref: str, seats: int, priority: int) -> Table:
    return replace(table(ref, seats), priority=priority)


def test_a_table_that_can_be_joined_stays_free() -> None:
    on = floor(table("A1", 2), table("A2", 2), table("B1", 2), adjacent=[("A1", "A2")])
    assert first(on) == "B1"
    assert first(on, rules=NEITHER) == "A1"
    told = describe(plan(snapshot(on, ask(party=2))).to_json(), on)
    assert told.endswith("because others need it less.")


def test_a_table_whose_neighbours_are_taken_goes_before_one_with_free_ones() -> None:
    pairs = [("A1", "A2"), ("A2", "A3"), ("B1", "B2"), ("B2", "B3")]
    on = floor(*(table(f"{row}{number}", 2) for row in "AB" for number in (1, 2, 3)), adjacent=pairs)
    assert first(on, "B2") in {"B1", "B3"}
    assert first(on, "A2") in {"A1", "A3"}


def test_the_part_of_a_larger_join_stays_free() -> None:
    on = floor(table("A1", 2), table("A2", 8), table("B1", 2), table("B2", 2), adjacent=[("A1", "A2"), ("B1", "B2")])
    assert first(on) == "B1"


def test_the_restaurant_prefers_tables_but_wastes_no_seats_for_that() -> None:
    on = floor(preferred("A1", 2, 0), preferred("B1", 2, 5))
    assert (first(on), first(on, rules=NEITHER)) == ("B1", "A1")
    told = describe(plan(snapshot(on, ask(party=2))).to_json(), on)
    assert told.endswith("because the restaurant prefers it.")
    assert first(floor(preferred("A1", 2, 0), preferred("B1", 3, 5))) == "A1"
    assert first(floor(preferred("A1", 2, -3), preferred("B1", 2, 0))) == "B1"
