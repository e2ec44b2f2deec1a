"""When a plan for later batches still holds, and when it is made anew."""

from dataclasses import replace
from datetime import timedelta

import pytest

from assignments.coordination.plan_ahead import LONGEST, PlanAhead
from assignments.planning.batch_planner import EveningPlanner
from assignments.planning.snapshot import Occupied
from tests.assignments.planning.restaurant import MORNING, ask, at, floor, table

FLOOR = floor(table("A2", 2), table("B2", 2))
REQUESTS = [
    ask("one", party=2, start="19:00"),
    ask("two", party=2, start="19:00"),
    ask("three", party=2, start="19:00"),
]


@pytest.fixture
def ahead() -> PlanAhead:
    evening = EveningPlanner(floor=FLOOR, occupied=(), now=MORNING)
    for request in REQUESTS:
        evening.decide(request)
    plan = PlanAhead()
    plan.keep(REQUESTS, evening.decisions, {}, floor=FLOOR, now=MORNING)
    return plan


def taken(table_ref: str, booking_ref: str) -> Occupied:
    return Occupied(table_ref=table_ref, blocked_from=at("19:00"), blocked_until=at("20:00"), booking_ref=booking_ref)


def test_it_holds_while_its_tables_are_free_or_taken_as_planned(ahead: PlanAhead) -> None:
    best = ahead.decisions["one"].best
    assert best is not None
    written = [taken(best.table_refs[0], "one")]
    assert ahead.holds_for(REQUESTS[1:], written, floor=FLOOR, now=MORNING)
    assert not ahead.holds_for(REQUESTS[1:], [taken("A2", "x"), taken("B2", "y")], floor=FLOOR, now=MORNING)


def test_a_party_of_an_earlier_batch_that_does_not_sit_as_planned_is_in_nobodys_way(ahead: PlanAhead) -> None:
    tables = {ref: decision.best.table_refs[0] for ref, decision in ahead.decisions.items() if decision.best}
    assert tables.keys() == {"one", "two"}, "the third is refused for want of a table"
    written = [taken(tables[ref], ref) for ref in tables]
    assert ahead.holds_for(REQUESTS[2:], written, floor=FLOOR, now=MORNING)
    assert not ahead.holds_for(REQUESTS[2:], written[:1], floor=FLOOR, now=MORNING)


def test_another_request_or_floor_or_a_minute_later_is_planned_anew(ahead: PlanAhead) -> None:
    assert ahead.holds_for(REQUESTS, [], floor=FLOOR, now=MORNING)
    assert not ahead.holds_for([replace(REQUESTS[0], party=1)], [], floor=FLOOR, now=MORNING)
    assert not ahead.holds_for([*REQUESTS, ask("four")], [], floor=FLOOR, now=MORNING)
    assert not ahead.holds_for(REQUESTS, [], floor=floor(table("A2", 2), table("B2", 4)), now=MORNING)
    assert not ahead.holds_for(REQUESTS, [], floor=FLOOR, now=MORNING + LONGEST + timedelta(seconds=1))
    assert not PlanAhead().holds_for(REQUESTS, [], floor=FLOOR, now=MORNING)
