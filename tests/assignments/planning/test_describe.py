"""Decisions in the words of the staff."""

from assignments.planning.batch_planner import EveningPlanner
from assignments.planning.describe import describe
from assignments.planning.engine import plan
from tests.assignments.planning.restaurant import MORNING, ask, floor, snapshot, table, taken

HALL = floor(table("T2", 2), table("T4", 4), table("T6", 6), adjacent=[("T2", "T4")])


def test_a_plan_says_where_when_and_why_not_elsewhere() -> None:
    decision = plan(snapshot(HALL, ask(party=3, start="18:26")))
    assert describe(decision, HALL) == (
        "Table T4 (4 seats) for 3 covers, 18:26-19:41: fits with 1 spare seat; "
        "preferred over T6 because it wastes fewer seats and less time."
    )


def test_a_join_names_its_tables() -> None:
    decision = plan(snapshot(HALL, ask(party=6), taken("T6", "17:00", "20:00")))
    assert describe(decision, HALL) == "Tables T2 + T4 (6 seats) for 6 covers, 18:00-19:30: fits exactly."


def test_equals_are_told_as_equals() -> None:
    twins = floor(table("A1", 1), table("B1", 1))
    assert describe(plan(snapshot(twins, ask(party=1))), twins) == (
        "Table A1 (1 seat) for 1 cover, 18:00-19:00: fits exactly; as good as B1, which comes later by name."
    )


def test_a_refusal_is_its_detail() -> None:
    assert describe(plan(snapshot(HALL, ask(party=99))), HALL) == "Party of 99: the largest table seats 6."


def test_a_party_that_changed_tables_is_told_so() -> None:
    zones = floor(table("A2", 2, "Hall"), table("B2", 2, "Bar"))
    evening = EveningPlanner(floor=zones, occupied=(), now=MORNING)
    first = evening.decide(ask("b1")).best
    assert first is not None
    wished = zones.table_by_ref[first.table_refs[0]]
    evening.decide(ask("b2", zone=wished.zone_ref))
    assert f"moved from {wished.name} so that another party can sit too" in describe(evening.decisions["b1"], zones)
