"""A day of more bookings than a batch: planned together, written batch by batch."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assignments import conf
from assignments.concurrency import transactions
from assignments.coordination import day_planner, dispatch
from assignments.coordination.planned_day import PlannedDay, plan_requests
from assignments.integration import evening_file
from assignments.models import Allocation, Assignment, State
from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from tests.assignments.conftest import HOST_PATH, TheHost
from tests.evenings import generate

pytestmark = pytest.mark.django_db(transaction=True)

SEED = 309
BATCH, BOOKINGS = 40, 160


@pytest.fixture(autouse=True)
def _a_slow_machine_has_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day_planner, "MOST_SECONDS", 600.0)
    monkeypatch.setattr(transactions, "IDLE_TIMEOUT_MS", 600_000)


@pytest.fixture
def evening(host: TheHost, settings: Any) -> tuple[Floor, list[SeatingRequest]]:
    """160 pending bookings of one evening, and batches of 40."""
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "BATCH_SIZE": BATCH}
    host = conf.load(HOST_PATH)
    now = datetime.now(UTC)
    source = evening_file.parse(json.dumps(generate(SEED)), on=(now + timedelta(days=40)).date())
    floor, requests = source.floor(), list(source.requests())[:BOOKINGS]
    host.floors = {floor.restaurant_ref: floor}
    first = min(request.requested_at for request in requests if request.requested_at)
    for request in requests:
        assert request.requested_at is not None
        host.book(
            request.booking_ref,
            starts_at=request.starts_at,
            party=request.party,
            zone_ref=request.zone_ref,
            restaurant_ref=floor.restaurant_ref,
            requested_at=now - timedelta(days=30) + (request.requested_at - first),
        )
    assert len(host.rows) == BOOKINGS
    dispatch.register_new()
    return floor, requests


def seated() -> dict[str, tuple[str, ...]]:
    tables: dict[str, list[str]] = {}
    for booking_ref, table_ref in Allocation.objects.current().values_list("booking_ref", "table_ref"):
        tables.setdefault(booking_ref, []).append(table_ref)
    return {ref: tuple(sorted(refs)) for ref, refs in tables.items()}


def of_one_batch(floor: Floor, requests: list[SeatingRequest]) -> dict[str, tuple[str, ...]]:
    planned = plan_requests(requests, floor=floor, occupied=(), now=datetime.now(UTC), success={})
    return {ref: tuple(sorted(each.best.table_refs)) for ref, each in planned.decisions.items() if each.best}


def test_batches_seat_whom_one_batch_would_with_as_many_queries_each(
    evening: tuple[Floor, list[SeatingRequest]],
) -> None:
    queries, passing = [], dispatch.run_pass()
    while True:
        with CaptureQueriesContext(connection) as captured:
            if next(passing, None) is None:
                break
        queries.append(len(captured))
        assert Assignment.objects.filter(state=State.CONFIRMED).count() == len(seated())
    assert len(queries) >= 4
    assert max(queries[1:4]) <= queries[0] + 2
    assert seated() == of_one_batch(*evening)


def test_after_a_kill_between_two_batches_the_next_pass_goes_on(evening: tuple[Floor, list[SeatingRequest]]) -> None:
    first = next(dispatch.run_pass())  # What goes on is thrown away with it.
    assert len(first.outcomes) == BATCH
    kept = seated()
    assert len(kept) == sum(1 for outcome in first.outcomes if outcome.kind == "confirmed")
    assert dispatch.count_due() == BOOKINGS - BATCH
    decided = [outcome for each in dispatch.run_pass() for outcome in each.outcomes]
    assert len({outcome.booking_ref for outcome in decided}) >= BOOKINGS - BATCH
    assert not Assignment.objects.filter(attempts=0).exists()
    after = seated()
    assert {ref: after[ref] for ref in kept} == kept
    # Who was seated before stays, so a few seats fewer may be found than if all had been planned together.
    assert len(after) >= len(of_one_batch(*evening)) - 4


def test_what_there_is_no_time_for_is_planned_by_its_own_batch(
    evening: tuple[Floor, list[SeatingRequest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never in the transaction of another one: that would last too long."""
    monkeypatch.setattr(day_planner, "MOST_SECONDS", 0.0)
    planned: list[int] = []

    def counting(requests: list[SeatingRequest], **kwargs: Any) -> PlannedDay:
        found = plan_requests(requests, **kwargs)
        planned.append(len(found.decisions))
        return found

    monkeypatch.setattr(day_planner, "plan_requests", counting)
    first = next(dispatch.run_pass())
    assert len(first.outcomes) == BATCH
    assert planned == [BATCH]
    assert len(seated()) == sum(1 for outcome in first.outcomes if outcome.kind == "confirmed") > 0
