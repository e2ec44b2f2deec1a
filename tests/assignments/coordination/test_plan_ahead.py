"""When a plan for later batches still holds, and when it is made anew."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from assignments.coordination.plan_ahead import LONGEST, PlanAhead
from assignments.planning.batch_planner import EveningPlanner
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied, occupied_by
from tests.assignments.planning.restaurant import MORNING, ask, at, floor, table

FLOOR = floor(table("A2", 2), table("B2", 2))
REQUESTS = [
    ask("one", party=2, start="19:00"),
    ask("two", party=2, start="19:00"),
    ask("three", party=2, start="19:00"),
]


@pytest.fixture
def ahead() -> PlanAhead:
    """Planned with the first batch, which writes the first request."""
    evening = EveningPlanner(floor=FLOOR, occupied=(), now=MORNING)
    for request in REQUESTS:
        evening.decide(request)
    plan = PlanAhead()
    plan.keep(REQUESTS, evening.decisions, {}, occupied=(), own=["one"], floor=FLOOR, now=MORNING)
    return plan


def written(ahead: PlanAhead, *refs: str) -> list[Occupied]:
    """What is taken once these decisions are written as they were planned."""
    rows: list[Occupied] = []
    for ref in refs:
        decision = ahead.decisions[ref]
        assert decision.best is not None
        assert decision.window is not None
        rows += occupied_by(ref, decision.best.table_refs, decision.window)
    return rows


def holds(ahead: PlanAhead, asked: Sequence[SeatingRequest], occupied: Sequence[Occupied], **changes: Any) -> bool:
    own = [request.booking_ref for request in asked]
    return ahead.holds_for(asked, occupied, **{"own": own, "floor": FLOOR, "now": MORNING, **changes})


def taken(table_ref: str, booking_ref: str, start: datetime | None = None) -> Occupied:
    start = start or at("19:00")
    return Occupied(
        table_ref=table_ref, blocked_from=start, blocked_until=start + timedelta(hours=1), booking_ref=booking_ref
    )


def test_it_holds_batch_after_batch_while_everybody_sits_as_planned(ahead: PlanAhead) -> None:
    assert holds(ahead, REQUESTS[1:2], written(ahead, "one"))
    assert ahead.decisions["three"].refusal is not None
    assert holds(ahead, REQUESTS[2:], written(ahead, "one", "two"))


def test_somebody_elses_table_hold_or_walk_in_is_planned_around(ahead: PlanAhead) -> None:
    as_planned = written(ahead, "one")
    assert not holds(ahead, REQUESTS[1:2], [*as_planned, taken("B2", "walk-in:1")])
    assert not holds(ahead, REQUESTS[1:2], [*as_planned, taken("B2", "two", at("19:30"))])


def test_a_party_that_does_not_sit_as_planned_is_in_nobodys_way(ahead: PlanAhead) -> None:
    assert not holds(ahead, REQUESTS[1:], [])
    other = PlanAhead()
    other.keep(REQUESTS, ahead.decisions, {}, occupied=[taken("A2", "gone")], own=["one"], floor=FLOOR, now=MORNING)
    assert not holds(other, REQUESTS[1:2], written(ahead, "one")), "a table has become free"


def test_another_request_or_floor_or_a_minute_later_is_planned_anew(ahead: PlanAhead) -> None:
    as_planned = written(ahead, "one")
    assert not holds(ahead, [replace(REQUESTS[1], party=1)], as_planned)
    assert not holds(ahead, [REQUESTS[1], ask("four")], as_planned)
    assert not holds(ahead, REQUESTS[1:2], as_planned, floor=floor(table("A2", 2), table("B2", 4)))
    assert not holds(ahead, REQUESTS[1:2], as_planned, now=MORNING + LONGEST + timedelta(seconds=1))
    assert not holds(PlanAhead(), REQUESTS[1:2], as_planned)
    ahead.forget()
    assert not holds(ahead, REQUESTS[1:2], as_planned)
