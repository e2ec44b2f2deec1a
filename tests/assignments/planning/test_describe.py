"""Decisions in the words of the staff."""

from dataclasses import replace
from typing import Any

import pytest

from assignments.planning.batch_planner import EveningPlanner
from assignments.planning.decision import Decision, TableMove, TablePlan
from assignments.planning.describe import describe, names, preferred
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


def share(*table_refs: str, **breakdown: float) -> dict[str, Any]:
    return {"table_refs": list(table_refs), "breakdown": breakdown}


@pytest.mark.parametrize(
    ("best", "second", "said"),
    [
        ({"adjacency": 20.0}, {"adjacency": 19.5}, "takes fewer tables, or tables that stand closer together"),
        ({"adjacency": 20.0, "priority": 0.5}, {"adjacency": 20.0}, "because the restaurant prefers it"),
        ({"luck_of_the_day": 0.5}, {}, "Preferred over T9 + T10 because of this: luck of the day."),
        ({"adjacency": 20.0}, {"adjacency": 20.0}, "It is as good as T9 + T10, which comes later by name."),
        ({"adjacency": 20.0}, {"adjacency": 21.0}, "It is as good as T9 + T10, which comes later by name."),
        ({}, {}, "It is as good as T9 + T10, which comes later by name."),
    ],
)
def test_the_largest_lead_says_why(best: dict[str, float], second: dict[str, float], said: str) -> None:
    assert said in preferred(share("T2", **best), share("T9", "T10", **second), None)


def test_without_a_floor_tables_go_by_their_refs_and_times_are_in_utc() -> None:
    assert names(["T10", "T9"], None) == "T9 + T10"
    on = floor(table("T2", 2), timezone="Asia/Tokyo")
    stored = plan(snapshot(on, ask(start="09:00"))).to_json()
    assert describe(stored, on) == "T2 for 2 covers from 18:00 to 19:00: it fits exactly."
    assert describe(stored, None) == "T2 for 2 covers from 09:00 to 10:00: it fits exactly."
    assert describe({}, None) == "Nothing was decided."


def test_what_is_stored_of_a_plan_is_rounded_and_moves_are_stored_where_there_are_any() -> None:
    stored = TablePlan(
        table_refs=("T2",), seats=2, spare_seats=0, score=1.23456, breakdown={"priority": 0.98765}, strategy="priority"
    ).to_json()
    assert (stored["score"], stored["breakdown"], "unmet_wishes" in stored) == (1.2346, {"priority": 0.9877}, False)
    move = TableMove(booking_ref="b2", from_table_refs=("T2",), to_table_refs=("T4",))
    decision = Decision(booking_ref="b1", snapshot_hash="0" * 32, moves=(move,))
    assert decision.to_json()["moves"] == [{"booking_ref": "b2", "from": ["T2"], "to": ["T4"]}]
    assert "moves" not in replace(decision, moves=()).to_json()


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
