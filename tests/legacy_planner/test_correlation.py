"""What the old planner does in its two transactions carries one id."""

import uuid
from datetime import datetime
from typing import Any

import pytest

from assignments import api, conf
from assignments.integration.planners import Route
from assignments.models import Assignment, Attempt, OutboxMessage, StateTransition
from assignments.telemetry import events
from legacy_planner.planner import LegacyPlanner
from tests.assignments.conftest import HOST_PATH, TheHost, run_all, tonight

__all__ = ["tonight"]

pytestmark = pytest.mark.django_db(transaction=True)


class LegacyRouter:
    """The old planner decides everything."""

    def route(self, assignments: Any) -> dict[str, Route]:
        return {assignment.booking_ref: Route(planner="legacy") for assignment in assignments}

    def planner(self, key: str) -> LegacyPlanner:
        return LegacyPlanner()


@pytest.fixture
def host(settings: Any) -> TheHost:
    settings.ASSIGNMENTS = {
        "HOST": HOST_PATH,
        "ROUTER": f"{__name__}.LegacyRouter",
        "EVENT_SINKS": ("assignments.telemetry.events.MemorySink",),
    }
    loaded: TheHost = conf.load(HOST_PATH)
    return loaded


def ids_of(booking_ref: str) -> set[uuid.UUID | None]:
    events.flush(5)
    rows: list[Any] = [
        *StateTransition.objects.filter(booking_ref=booking_ref),
        *Attempt.objects.filter(booking_ref=booking_ref),
        *(each for each in events.MemorySink.events if each.booking_ref == booking_ref),
    ]
    messages = OutboxMessage.objects.filter(booking_ref=booking_ref)
    assert {type(row).__name__ for row in rows} == {"StateTransition", "Attempt", "EventRecord"}
    return {row.correlation_id for row in rows} | {uuid.UUID(each.payload["correlation_id"]) for each in messages}


@pytest.mark.parametrize("way", ["cron", "inline"])
def test_both_transactions_carry_one_id(host: TheHost, tonight: datetime, way: str) -> None:
    host.book("B1", starts_at=tonight, party=2)
    if way == "cron":
        run_all()
    else:
        api.assign_now(booking_ref="B1")
    assert Assignment.objects.get().state == "confirmed"
    (known,) = ids_of("B1")
    assert isinstance(known, uuid.UUID)
    summaries = [each for each in events.MemorySink.events if each.type == "auto_assign.summary"]
    assert [each.correlation_id for each in summaries] == [known]
