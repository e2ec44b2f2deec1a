"""Decisions in the words of the staff."""

from assignments.planning.batch_planner import EveningPlanner
from assignments.planning.decision import Decision
from assignments.planning.describe import describe
from assignments.planning.engine import plan
from assignments.planning.floor import Floor
from tests.assignments.planning.restaurant import MORNING, ask, floor, snapshot, table, taken

HALL = floor(table("T2", 2), table("T4", 4), table("T6", 6), adjacent=[("T2", "T4")])


def said(decision: Decision, on: Floor = HALL) -> str:
    return describe(decision.to_json(), on)


def test_a_plan_says_where_when_and_why_not_elsewhere() -> None:
    decision = plan(snapshot(HALL, ask(party=3, start="18:26")))
    assert said(decision) == (
        "T4 for 3 covers from 18:26 to 19:41: 1 seat stays empty. "
        "Preferred over T6 because it wastes fewer seats and less time."
    )


def test_a_join_names_its_tables() -> None:
    decision = plan(snapshot(HALL, ask(party=6), taken("T6", "17:00", "20:00")))
    assert said(decision) == "T2 + T4 for 6 covers from 18:00 to 19:30: it fits exactly."


def test_equals_are_told_as_equals() -> None:
    twins = floor(table("A1", 1), table("B1", 1))
    assert said(plan(snapshot(twins, ask(party=1))), twins) == (
        "A1 for 1 cover from 18:00 to 19:00: it fits exactly. It is as good as B1, which comes later by name."
    )


def test_a_refusal_is_its_detail() -> None:
    assert said(plan(snapshot(HALL, ask(party=99)))) == "Party of 99: the largest table seats 6."


def test_a_party_that_changed_tables_is_told_so() -> None:
    zones = floor(table("A2", 2, "Hall"), table("B2", 2, "Bar"))
    evening = EveningPlanner(floor=zones, occupied=(), now=MORNING)
    first = evening.decide(ask("b1")).best
    assert first is not None
    wished = zones.table_by_ref[first.table_refs[0]]
    evening.decide(ask("b2", zone=wished.zone_ref))
    assert f"It was moved from {wished.name} so that another party can sit too" in said(evening.decisions["b1"], zones)
