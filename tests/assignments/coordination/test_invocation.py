"""An invocation announces exactly one end for each booking, wherever in it an error strikes."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from assignments import api, conf
from assignments.concurrency import circuit_breaker, locks, transactions
from assignments.coordination import dispatch
from assignments.coordination.coordinator import Coordinator
from assignments.coordination.day_planner import DayPlanner
from assignments.coordination.invocation import DayResult
from assignments.exceptions import NestedTransactionError, StaleAssignmentError
from assignments.integration import floor_cache
from assignments.integration.planners import V3, SoleRouter
from assignments.lifecycle import ledger, transitions
from assignments.models import Allocation, Assignment, Breaker, State, StateTransition
from assignments.models.assignment import AssignmentQuerySet
from assignments.outcome import Kind, Noop, noop
from assignments.planning.batch_planner import EveningPlanner
from assignments.telemetry import events
from assignments.telemetry.event_catalogue import COORDINATOR, STATE_MACHINE
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import HOST_PATH, TheHost
from tests.assignments.coordination.test_coordinator import TERMINAL_EVENTS

pytestmark = pytest.mark.django_db(transaction=True)

STEPS: dict[str, tuple[Any, str]] = {
    "enter": (locks, "try_enter"),
    "claim": (AssignmentQuerySet, "claim"),
    "route": (SoleRouter, "route"),
    "read host": (TheHost, "bookings"),
    "read floor": (TheHost, "floor"),
    "settle the day": (DayPlanner, "settle"),
    "plan": (EveningPlanner, "decide_all"),
    "ledger": (ledger, "seat"),
    "transitions": (transitions, "store"),
    "attempts and outbox": (transitions, "insert"),
    "host callback": (TheHost, "on_confirmed"),
    "breaker": (circuit_breaker, "record_success"),
    "before commit": (transactions, "require_intact"),
    "commit": (connection, "_commit"),
}


def unexpected(step: str) -> Exception:
    return DatabaseError("Canary Guest") if step == "commit" else RuntimeError("Canary Guest")


def lost_race(step: str) -> Exception:
    if step != "commit":
        return StaleAssignmentError(["B1"])
    error = OperationalError("serialization")
    error.__cause__ = psycopg.errors.SerializationFailure()
    return error


ERRORS: dict[str, Callable[[str], Exception]] = {"unexpected": unexpected, "lost race": lost_race}


def run_one(host: TheHost, tonight: datetime) -> DayResult:
    return Coordinator(host).process_one("B1", trigger="test")


def run_batch(host: TheHost, tonight: datetime) -> DayResult:
    return Coordinator(host).process_day("R1", tonight.date(), ["B1", "B2", "B3"])


@pytest.mark.parametrize("run", [run_one, run_batch])
@pytest.mark.parametrize("times", [1, 1000], ids=["once", "always"])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("step", STEPS)
def test_each_booking_has_one_terminal_event_and_waits_or_is_decided(
    host: TheHost, tonight: datetime, monkeypatch: Any, step: str, error: str, times: int, run: Any
) -> None:
    refs = ["B1"] if run is run_one else ["B1", "B2", "B3"]
    for ref in refs:
        host.book(ref, starts_at=tonight)
    dispatch.register_new()
    floor_cache.forget()
    owner, name = STEPS[step]
    whole = getattr(owner, name)
    raised: list[str] = []

    def fail(*args: Any, **kwargs: Any) -> Any:
        if len(raised) < times:
            raised.append(step)
            raise ERRORS[error](step)
        return whole(*args, **kwargs)

    monkeypatch.setattr(owner, name, fail)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # nobody else is at work
    result = run(host, tonight)
    monkeypatch.undo()

    assert raised, f"an invocation does not go through {step}"
    outcomes = {outcome.booking_ref: outcome for outcome in result.outcomes}
    assert (sorted(outcomes), len(result.outcomes)) == (refs, len(refs))
    events.flush(5)
    ours = [event for event in events.MemorySink.events if event.source == COORDINATOR and event.booking_ref]
    assert Counter(event.booking_ref for event in ours if event.type in TERMINAL_EVENTS) == Counter(refs)
    assert Counter(event.booking_ref for event in ours if event.type == "coordinator.start") == Counter(refs)
    assert len(ours) == 2 * len(refs)
    for assignment in Assignment.objects.all():
        outcome = outcomes[assignment.booking_ref]
        seated = Allocation.objects.filter(booking_ref=assignment.booking_ref).exists()
        assert (outcome.kind is Kind.CONFIRMED) == (assignment.state == State.CONFIRMED) == seated
        if not assignment.is_terminal:
            assert outcome.kind in {Kind.RETRY, Kind.NOOP}
            assert assignment.due_at is not None
    transition_events = [each for each in events.MemorySink.events if each.source == STATE_MACHINE]
    assert len(transition_events) == StateTransition.objects.count()


def test_whatever_the_work_returns_is_announced(host: TheHost, tonight: datetime, monkeypatch: Any) -> None:
    """A new way out of a decision needs no line that announces it, be it inside of the transaction or around it."""
    host.book("B1", starts_at=tonight)
    dispatch.register_new()
    new = DayResult(outcomes=(noop("B1", Noop.TERMINAL_STATE, planner=V3),))
    for method in ("_decide", "_decide_one", "_process_one"):
        events.MemorySink.events.clear()
        monkeypatch.setattr(Coordinator, method, lambda *args, **kwargs: new)
        run_one(host, tonight)
        monkeypatch.undo()
        events.flush(5)
        types = [event.type for event in events.MemorySink.events if event.booking_ref == "B1"]
        assert types == ["coordinator.start", "coordinator.noop"], method


@pytest.mark.parametrize("way", ["pass", "inline"])
def test_a_router_that_fails_leaves_its_restaurants_bookings_due_and_costs_no_other(
    host: TheHost, tonight: datetime, monkeypatch: Any, caplog: Any, way: str
) -> None:
    host.floors["R2"] = a_floor("R2", tables=[a_table("elsewhere")])
    host.book("B1", starts_at=tonight)
    host.book("B2", starts_at=tonight, restaurant_ref="R2")
    dispatch.register_new()
    route = SoleRouter.route

    def fail_for_one(self: SoleRouter, assignments: Any) -> Any:
        if assignments[0].restaurant_ref == "R1":
            raise RuntimeError("Canary Guest")
        return route(self, assignments)

    monkeypatch.setattr(SoleRouter, "route", fail_for_one)
    if way == "inline":
        outcomes = {ref: dispatch.assign_one(ref, trigger="test") for ref in ("B1", "B2")}
    else:
        outcomes = {each.booking_ref: each for progress in dispatch.run_pass() for each in progress.outcomes}
    assert (outcomes["B1"].kind, outcomes["B1"].unexpected, outcomes["B1"].detail) == (Kind.RETRY, True, "RuntimeError")
    assert outcomes["B2"].kind is Kind.CONFIRMED
    assert Assignment.objects.get(booking_ref="B1").due_at is not None
    events.flush(5)
    types = [event.type for event in events.MemorySink.events if event.booking_ref == "B1"]
    assert types == ["coordinator.start", "coordinator.error"]
    assert "Canary" not in caplog.text


@pytest.mark.legacy_planner
@pytest.mark.parametrize("call", [lambda: api.assign_now(booking_ref="B1"), lambda: list(dispatch.run_pass())])
def test_inside_a_transaction_no_planner_is_called(host: TheHost, tonight: datetime, settings: Any, call: Any) -> None:
    """The legacy planner too works in transactions of its own."""
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "ROUTER": "rollout.routing.RolloutRouter"}
    conf.load(HOST_PATH).book("B1", starts_at=tonight)
    dispatch.register_new()
    with pytest.raises(NestedTransactionError), transaction.atomic():
        call()
    assert Assignment.objects.get().state == State.CREATED


def test_while_the_breaker_is_open_a_batch_tells_of_the_restaurant_alone(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight)
    dispatch.register_new()
    Breaker.objects.create(name="coordinator:R1", failures=5, opened_until=datetime(2100, 1, 1, tzinfo=tonight.tzinfo))
    assert run_batch(host, tonight).outcomes == ()
    events.flush(5)
    ours = [event.type for event in events.MemorySink.events if event.source == COORDINATOR]
    assert ours == ["coordinator.circuit_open"]
