"""The coordinator: outcomes, events, retries, the breaker, and that one bad booking costs only itself."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from assignments import api, conf
from assignments.concurrency import locks
from assignments.coordination import dispatch, table_record
from assignments.coordination.coordinator import Coordinator
from assignments.exceptions import BookingNotFoundError, NestedTransactionError
from assignments.integration import floor_cache
from assignments.models import Allocation, Assignment, Attempt, Breaker, Event, State, StateTransition
from assignments.outcome import Kind
from assignments.planning.floor import InvalidFloorError
from assignments.telemetry import events
from assignments.telemetry.event_catalogue import COORDINATOR
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import TheHost, run_all

pytestmark = pytest.mark.django_db(transaction=True)

TERMINAL_EVENTS = {
    "coordinator.confirmed",
    "coordinator.retry",
    "coordinator.manual_review",
    "coordinator.noop",
    "coordinator.error",
}


def emitted(booking_ref: str = "") -> list[str]:
    events.flush(5)
    return [
        event.type
        for event in events.MemorySink.events
        if event.source == COORDINATOR and event.booking_ref == booking_ref
    ]


def make_due() -> None:
    """Time passes: everything open is due."""
    Assignment.objects.open().update(due_at=datetime(2020, 1, 1, tzinfo=UTC))


def test_a_booking_gets_the_best_table_and_everybody_knows(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight, party=2)
    outcome = run_all()["B1"]
    assert (outcome.kind, outcome.planner, outcome.table_refs) == (Kind.CONFIRMED, "v3", ("T4",))
    assert host.seated["B1"].table_refs == ("T4",)
    assignment = Assignment.objects.get()
    assert (assignment.state, assignment.planner, assignment.attempts) == (State.CONFIRMED, "v3", 1)
    allocation = Allocation.objects.get()
    assert (allocation.table_ref, allocation.booking_ref, allocation.kind) == ("T4", "B1", "seating")
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.table_refs, attempt.snapshot_hash != "") == ("confirmed", ["T4"], True)
    assert attempt.decision["plans"][0]["table_refs"] == ["T4"]
    assert emitted("B1") == ["coordinator.start", "coordinator.confirmed"]
    assert {"coordinator.lock_acquired", "coordinator.rate_permit_acquired"} <= set(emitted())


@pytest.mark.parametrize(
    ("party", "start_offset", "kind", "reason"),
    [
        (0, timedelta(0), Kind.FAILED, "invalid_party"),
        (-1, timedelta(0), Kind.FAILED, "invalid_party"),
        (10_000, timedelta(0), Kind.MANUAL_REVIEW, "party_too_large"),
        (10**12, timedelta(0), Kind.MANUAL_REVIEW, "party_too_large"),
        (None, timedelta(0), Kind.FAILED, "invalid_party"),
        (13, timedelta(0), Kind.MANUAL_REVIEW, "party_too_large"),
        (2, timedelta(hours=-14), Kind.MANUAL_REVIEW, "outside_service"),
        (2, timedelta(hours=3), Kind.MANUAL_REVIEW, "service_overrun"),
        (2, timedelta(days=-3650), Kind.FAILED, "starts_in_past"),
    ],
)
def test_what_cannot_be_planned_has_an_outcome_at_once(
    host: TheHost, tonight: datetime, party: int, start_offset: timedelta, kind: Kind, reason: str
) -> None:
    host.book("B1", starts_at=tonight + start_offset, party=party)
    outcome = run_all()["B1"]
    assert (outcome.kind, outcome.reason) == (kind, reason)
    assert outcome.detail
    assignment = Assignment.objects.get()
    assert (assignment.is_terminal, assignment.reason, assignment.due_at) == (True, reason, None)
    assert not Allocation.objects.exists()
    if kind is Kind.MANUAL_REVIEW:
        assert host.reviews == {"B1": reason}


def test_a_naive_start_fails_with_a_reason(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight.replace(tzinfo=None))
    outcome = run_all()["B1"]
    assert (outcome.kind, outcome.reason) == (Kind.FAILED, "invalid_start")


def test_a_booking_that_the_host_cannot_read_fails_alone(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight, problem="2030-03-31 01:30 does not exist in Europe/London.")
    host.book("B2", starts_at=tonight)
    outcomes = run_all()
    assert (outcomes["B1"].kind, outcomes["B1"].reason) == (Kind.FAILED, "invalid_booking")
    assert "does not exist" in outcomes["B1"].detail
    assert outcomes["B2"].kind is Kind.CONFIRMED


def test_a_floor_without_tables_sends_bookings_to_review(host: TheHost, tonight: datetime) -> None:
    host.floors["R1"] = a_floor()
    host.book("B1", starts_at=tonight)
    outcome = run_all()["B1"]
    assert (outcome.kind, outcome.reason) == (Kind.MANUAL_REVIEW, "no_tables")


@pytest.mark.parametrize(
    ("problem", "detail"),
    [
        (InvalidFloorError("adjacency names unknown tables 'T9'"), "adjacency names unknown tables 'T9'"),
        (KeyError("Canary Guest"), "The host has no floor for restaurant 'R1' (KeyError)."),
    ],
)
def test_a_floor_that_contradicts_itself_is_retried_and_then_reviewed(
    host: TheHost, tonight: datetime, problem: Exception, detail: str
) -> None:
    host.floors["R1"] = problem
    host.book("B1", starts_at=tonight)
    outcomes = [run_all()["B1"]]
    for _ in range(4):
        make_due()
        outcomes.append(run_all()["B1"])
    assert [(outcome.kind, outcome.reason) for outcome in outcomes] == [
        *[(Kind.RETRY, "invalid_floor")] * 4,
        (Kind.MANUAL_REVIEW, "invalid_floor"),
    ]
    assert outcomes[0].detail == detail
    kept = {attempt.decision.get("detail", {}).get("template") for attempt in Attempt.objects.all()}
    assert kept == {"The host has no floor for restaurant %(restaurant)s (%(error)s)." if "host" in detail else None}
    assert not StateTransition.objects.filter(detail__icontains="canary").exists()


def test_a_full_evening_is_tried_five_times_with_growing_delays_and_then_reviewed(
    host: TheHost, tonight: datetime
) -> None:
    for number in range(6):
        host.book(f"B{number}", starts_at=tonight, party=4, requested_at=tonight - timedelta(days=9 - number))
    first = run_all()
    refused = [ref for ref, outcome in first.items() if outcome.kind is Kind.RETRY]
    assert refused == ["B3", "B4", "B5"]
    delays = [first["B5"].delay_seconds]
    for _ in range(3):
        make_due()
        delays.append(run_all()["B5"].delay_seconds)
    for number, delay in enumerate(delays):
        assert 2**number <= delay <= 2**number + 1
    assert Assignment.objects.get(booking_ref="B5").attempts == 4
    make_due()
    last = run_all()["B5"]
    assert (last.kind, last.reason) == (Kind.MANUAL_REVIEW, "no_capacity")
    assert Breaker.objects.count() == 0


def test_those_who_are_refused_together_are_tried_together_but_not_with_those_of_other_days(
    host: TheHost, tonight: datetime
) -> None:
    for day in range(2):
        for number in range(6):
            asked = tonight - timedelta(days=9 - number)
            host.book(f"{day}{number}", starts_at=tonight + timedelta(days=day), party=4, requested_at=asked)
    refused = {ref: outcome.delay_seconds for ref, outcome in run_all().items() if outcome.kind is Kind.RETRY}
    assert sorted(refused) == ["03", "04", "05", "13", "14", "15"]
    assert len({refused["03"], refused["04"], refused["05"]}) == 1
    assert len(set(refused.values())) == 2
    for first in ("03", "13"):
        due = Assignment.objects.filter(booking_ref__startswith=first[0], due_at__isnull=False)
        assert len(set(due.values_list("due_at", flat=True))) == 1


def test_nothing_is_tried_before_it_is_due(host: TheHost, tonight: datetime) -> None:
    for number in range(4):
        host.book(f"B{number}", starts_at=tonight, party=4)
    assert len(run_all()) == 4
    assert run_all() == {}


def test_a_booking_that_vanished_or_was_cancelled_ends_as_cancelled(host: TheHost, tonight: datetime) -> None:
    for ref in ("B1", "B2"):
        host.book(ref, starts_at=tonight)
    dispatch.register_new()
    del host.rows["B1"]
    host.edit("B2", wants_table=False)
    outcomes = run_all()
    assert (outcomes["B1"].kind, outcomes["B1"].reason) == (Kind.NOOP, "booking_not_found")
    assert (outcomes["B2"].kind, outcomes["B2"].reason) == (Kind.NOOP, "terminal_state")
    assert set(Assignment.objects.values_list("state", flat=True)) == {State.CANCELLED}


def test_a_booking_that_somebody_edits_is_left_for_the_next_run(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight)
    host.book("B2", starts_at=tonight)
    host.locked.add("B1")
    outcomes = run_all()
    assert (outcomes["B1"].kind, outcomes["B1"].reason) == (Kind.NOOP, "lock_contention")
    assert outcomes["B2"].kind is Kind.CONFIRMED
    host.locked.clear()
    assert run_all()["B1"].kind is Kind.CONFIRMED


def test_a_booking_that_the_host_confirmed_by_itself_goes_to_review_and_staff_can_seat_it(
    host: TheHost, tonight: datetime
) -> None:
    host.book("B1", starts_at=tonight)
    dispatch.register_new()
    host.edit("B1", is_confirmed=True)
    outcome = run_all()["B1"]
    assert (outcome.kind, outcome.reason) == (Kind.MANUAL_REVIEW, "confirmed_by_host")
    assert not Breaker.objects.exists()
    api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:7")
    assert host.seated["B1"].table_refs == ("T1",)


def test_a_booking_that_was_moved_to_another_day_is_planned_there(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight)
    dispatch.register_new()
    host.edit("B1", starts_at=tonight + timedelta(days=1))
    run_all()
    assignment = Assignment.objects.get()
    if assignment.state != State.CONFIRMED:
        run_all()
        assignment = Assignment.objects.get()
    assert assignment.state == State.CONFIRMED
    assert assignment.service_date == (tonight + timedelta(days=1)).date()
    assert Allocation.objects.get().starts_at == tonight + timedelta(days=1)


def test_one_bad_booking_costs_only_itself(host: TheHost, tonight: datetime) -> None:
    for ref in ("B1", "B2", "B3"):
        host.book(ref, starts_at=tonight)
    host.raises["on_confirmed"] = RuntimeError("Guest Canary <canary@example.test> cannot be told")
    host.raises_for = {"B2"}
    outcomes = run_all()
    assert {ref: outcome.kind for ref, outcome in outcomes.items()} == {
        "B1": Kind.CONFIRMED,
        "B2": Kind.RETRY,
        "B3": Kind.CONFIRMED,
    }
    assert (outcomes["B2"].reason, outcomes["B2"].unexpected, outcomes["B2"].detail) == (
        "unexpected_error",
        True,
        "RuntimeError",
    )
    assert emitted("B2") == ["coordinator.start", "coordinator.error"]
    assert not Allocation.objects.filter(booking_ref="B2").exists()
    events.flush(5)
    assert "canary" not in repr(events.MemorySink.events).lower()


def test_no_log_line_repeats_what_a_host_error_says(host: TheHost, tonight: datetime, caplog: Any) -> None:
    host.book("B1", starts_at=tonight)
    host.raises["on_confirmed"] = RuntimeError("Guest Canary <canary@example.test> cannot be told")
    run_all()
    assert "RuntimeError" in caplog.text
    assert "canary" not in caplog.text.lower()


def test_repeated_errors_open_the_breaker_and_successes_close_it(host: TheHost, tonight: datetime) -> None:
    for number in range(5):
        host.book(f"B{number}", starts_at=tonight + timedelta(days=number))
    host.raises["on_confirmed"] = RuntimeError("down")
    outcomes = run_all()
    assert [outcome.unexpected for outcome in outcomes.values()] == [True] * 5
    breaker = Breaker.objects.get()
    assert (breaker.name, breaker.failures, breaker.opened_until is not None) == ("coordinator:R1", 5, True)

    host.raises.clear()
    make_due()
    assert run_all() == {}
    assert emitted().count("coordinator.circuit_open") == 5
    outcome = api.assign_now(booking_ref="B0")
    assert (outcome.kind, outcome.reason) == (Kind.RETRY, "circuit_open")
    assert 0 < outcome.delay_seconds <= 15
    assert Assignment.objects.filter(state=State.ASSIGNMENT_PENDING).count() == 5

    Breaker.objects.update(opened_until=datetime(2020, 1, 1, tzinfo=UTC))
    assert api.assign_now(booking_ref="B0").kind is Kind.CONFIRMED
    assert Breaker.objects.get().successes == 1
    assert api.assign_now(booking_ref="B1").kind is Kind.CONFIRMED
    assert (Breaker.objects.get().failures, Breaker.objects.get().opened_until) == (0, None)


def test_a_failure_while_half_open_opens_it_again(host: TheHost, tonight: datetime) -> None:
    Breaker.objects.create(name="coordinator:R1", failures=5, opened_until=datetime(2020, 1, 1, tzinfo=UTC))
    host.book("B1", starts_at=tonight)
    host.raises["on_confirmed"] = RuntimeError("down")
    run_all()
    assert Breaker.objects.get().opened_until > datetime.now(UTC) - timedelta(seconds=5)  # type: ignore[operator]


def test_no_capacity_is_no_failure_for_the_breaker(host: TheHost, tonight: datetime) -> None:
    for number in range(30):
        host.book(f"B{number:02}", starts_at=tonight, party=4)
    run_all()
    assert not Breaker.objects.exists()


def test_every_invocation_has_one_start_and_one_terminal_event(host: TheHost, tonight: datetime) -> None:
    for number, party in enumerate([2, 4, 4, 4, 4, 0, 10_000]):
        host.book(f"B{number}", starts_at=tonight, party=party)
    run_all()
    api.assign_now(booking_ref="B0")
    events.flush(5)
    ours = [event for event in events.MemorySink.events if event.source == COORDINATOR and event.booking_ref]
    starts = Counter(event.booking_ref for event in ours if event.type == "coordinator.start")
    ends = Counter(event.booking_ref for event in ours if event.type in TERMINAL_EVENTS)
    assert starts == ends
    assert starts["B0"] == 2
    assert len(ours) == sum(starts.values()) + sum(ends.values())


@contextmanager
def planned_elsewhere(*days: date) -> Iterator[None]:
    """Have somebody else plan these days of R1 meanwhile."""
    locked, leave = threading.Event(), threading.Event()

    def plan() -> None:
        try:
            with transaction.atomic():
                locks.lock_days([("R1", day) for day in days])
                locked.set()
                leave.wait(20)
        finally:
            connection.close()

    thread = threading.Thread(target=plan)
    thread.start()
    locked.wait(20)
    try:
        yield
    finally:
        leave.set()
        thread.join(20)


def test_a_restaurant_day_that_somebody_plans_is_not_waited_for(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight)
    dispatch.register_new()
    with planned_elsewhere(tonight.date()):
        progress = list(dispatch.run_pass())
        outcome = api.assign_now(booking_ref="B1")
    assert [each.contended for each in progress] == [True]
    assert (outcome.kind, outcome.reason) == (Kind.NOOP, "lock_contention")
    assert "coordinator.lock_contention" in emitted()
    assert run_all()["B1"].kind is Kind.CONFIRMED


def test_a_worker_that_meets_another_goes_on_further_behind(
    host: TheHost, tonight: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [(tonight + timedelta(days=number)).date() for number in range(5)]
    for number in range(5):
        host.book(f"B{number}", starts_at=tonight + timedelta(days=number))
        dispatch.register_new()
    monkeypatch.setattr("random.randrange", lambda count: count // 2)
    with planned_elsewhere(days[1]):
        progress = [(each.service_date, each.contended) for each in dispatch.run_pass()]
    assert progress == [(days[number], number == 1) for number in (0, 1, 3, 4, 2)]


class TestAssignNow:
    def test_it_requests_and_decides_in_one_call(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        assert api.assign_now(booking_ref="B1").kind is Kind.CONFIRMED
        again = api.assign_now(booking_ref="B1")
        assert (again.kind, again.reason) == (Kind.NOOP, "terminal_state")

    @pytest.mark.parametrize("ref", ["B404", "B\0", "x" * 20000], ids=["B404", "NUL", "long"])
    def test_an_unknown_booking_is_an_error_that_names_it(self, host: TheHost, ref: str) -> None:
        with pytest.raises(BookingNotFoundError) as unknown:
            api.assign_now(booking_ref=ref)
        assert repr(ref) in str(unknown.value)

    def test_past_its_budget_the_booking_stays_due(self, host: TheHost, tonight: datetime, monkeypatch: Any) -> None:
        host.book("B1", starts_at=tonight)
        api.request(booking_ref="B1")

        def slow(seatings: Any) -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(10)")

        monkeypatch.setattr(host, "on_confirmed", slow)
        outcome = api.assign_now(booking_ref="B1", budget_seconds=0.2)
        assert (outcome.kind, outcome.reason) == (Kind.RETRY, "time_budget_exceeded")
        assignment = Assignment.objects.get()
        assert (assignment.state, assignment.attempts) == (State.CREATED, 0)
        assert not StateTransition.objects.exists()
        monkeypatch.undo()
        assert run_all()["B1"].kind is Kind.CONFIRMED

    def test_inside_a_transaction_it_refuses_to_run(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        api.request(booking_ref="B1")
        with pytest.raises(NestedTransactionError), transaction.atomic():
            api.assign_now(booking_ref="B1")
        assert Assignment.objects.get().state == State.CREATED


class TestQueries:
    """The hot path is guarded by counts, not by seconds."""

    def test_one_booking_inline_costs_at_most_sixteen(
        self, host: TheHost, tonight: datetime, django_assert_max_num_queries: Any
    ) -> None:
        host.book("B0", starts_at=tonight)
        host.book("B1", starts_at=tonight)
        api.assign_now(booking_ref="B0")
        api.request(booking_ref="B1")
        with django_assert_max_num_queries(16):
            assert api.assign_now(booking_ref="B1").kind is Kind.CONFIRMED

    def test_a_batch_costs_the_same_for_five_bookings_and_for_fifty(self, host: TheHost, tonight: datetime) -> None:
        from django.test.utils import CaptureQueriesContext

        host.floors["R1"] = a_floor(tables=[a_table(f"T{number:02}") for number in range(60)])
        table_record.success_of("R1")  # one more query, every ten minutes
        counts = []
        for day, bookings in enumerate((5, 50)):
            for number in range(bookings):
                host.book(f"D{day}B{number:02}", starts_at=tonight + timedelta(days=day), party=3)
            dispatch.register_new()
            with CaptureQueriesContext(connection) as captured:
                progress = list(dispatch.run_pass())
            assert sum(len(each.outcomes) for each in progress) == bookings
            assert all(outcome.kind is Kind.CONFIRMED for each in progress for outcome in each.outcomes)
            counts.append(len(captured))
        assert counts[0] == counts[1], counts
        assert counts[0] <= 30


def test_a_pass_stops_at_its_limit_and_leaves_the_rest_due(host: TheHost, tonight: datetime) -> None:
    for number in range(9):
        host.book(f"B{number}", starts_at=tonight + timedelta(days=number % 3))
    dispatch.register_new()
    outcomes = [
        outcome for progress in dispatch.run_pass(dispatch.PassLimits(limit=4)) for outcome in progress.outcomes
    ]
    assert len(outcomes) == 4
    assert dispatch.count_due() == 5


def test_a_day_larger_than_a_batch_is_decided_in_one_pass(host: TheHost, tonight: datetime, settings: Any) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "BATCH_SIZE": 3}
    same_host = host
    conf.load.cache_clear()
    host = conf.load("tests.assignments.conftest.TheHost")
    assert host is not same_host
    for number in range(10):
        host.book(f"B{number}", starts_at=tonight, party=4)
    outcomes = run_all()
    assert len(outcomes) == 10
    assert Counter(outcome.kind for outcome in outcomes.values()) == {Kind.CONFIRMED: 3, Kind.RETRY: 7}


@pytest.mark.parametrize("sink", ["HangingSink", "FailingSink"])
def test_a_broken_event_sink_changes_no_decision(
    host: TheHost, tonight: datetime, settings: Any, monkeypatch: Any, sink: str
) -> None:
    from tests.assignments.telemetry import test_events

    monkeypatch.setattr(events, "_buffer", events.new_buffer())
    test_events.HangingSink.release.clear()
    settings.ASSIGNMENTS = {
        **settings.ASSIGNMENTS,
        "EVENT_SINKS": (f"tests.assignments.telemetry.test_events.{sink}",),
        "EVENT_BUFFER_SIZE": 10,
    }
    host = conf.load("tests.assignments.conftest.TheHost")
    for number in range(12):
        host.book(f"B{number:02}", starts_at=tonight + timedelta(hours=24 * number))
    try:
        outcomes = run_all()
        assert [outcome.kind for outcome in outcomes.values()] == [Kind.CONFIRMED] * 12
        assert sum(events.counters().values()) > 0
        assert not Event.objects.exists()
    finally:
        test_events.HangingSink.release.set()
        floor_cache.forget()


def test_the_coordinator_takes_a_host_of_its_own(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight)
    api.request(booking_ref="B1")
    result = Coordinator(host).process_one("B1", trigger="test")
    assert result.outcomes[0].kind is Kind.CONFIRMED


def test_a_booking_decided_alone_sees_its_neighbours_in_time_as_one_of_a_batch_does(
    host: TheHost, tonight: datetime
) -> None:
    """T2 is taken right before and right after: sitting there leaves the other tables whole for somebody else."""
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2"), a_table("T3")])
    for ref, hours in (("before", -2), ("after", 2)):
        host.book(ref, starts_at=tonight + timedelta(hours=hours), party=4)
        api.assign(booking_ref=ref, table_refs=["T2"], actor="staff:7")
    host.book("B1", starts_at=tonight, party=4)
    assert api.assign_now(booking_ref="B1").table_refs == ("T2",)
