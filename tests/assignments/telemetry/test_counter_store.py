"""Totals: counters survive pruning, count each row once, and never go down."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from assignments.models import Assignment, Attempt, Event, Folded, Run, StateTransition, Total
from assignments.telemetry import counter_store
from assignments.telemetry.metrics import counters
from tests.assignments.conftest import TheHost, rewritten_history, run_all

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = datetime(2025, 1, 1, 12, 0, tzinfo=UTC)
KEYS = [source.key for source in counters.SOURCES]


@pytest.fixture
def assignment() -> Assignment:
    return Assignment.objects.create(
        booking_ref="B1",
        restaurant_ref="R1",
        service_date=LONG_AGO.date(),
        starts_at=LONG_AGO,
        party=2,
        requested_at=LONG_AGO,
        due_at=LONG_AGO,
    )


@pytest.fixture
def tried(assignment: Assignment) -> Callable[..., list[Attempt]]:
    def create(count: int = 1, *, at: datetime = LONG_AGO, **more: Any) -> list[Attempt]:
        defaults: dict[str, Any] = {"planner": "v3", "outcome": "confirmed", "decision_ms": 20.0}
        return Attempt.objects.bulk_create(
            [
                Attempt(
                    assignment=assignment,
                    booking_ref="B1",
                    number=1,
                    trigger="cron",
                    correlation_id="00000000-0000-0000-0000-000000000000",
                    at=at,
                    **{**defaults, **more},
                )
                for _ in range(count)
            ]
        )

    return create


def counted() -> dict[tuple[str, tuple[str, ...]], float]:
    return {(each.name, each.labels): each.value for each in counter_store.read(*KEYS) if each.value}


def confirmed() -> float:
    return counted().get(("assignment_outcomes_total", ("v3", "confirmed", "")), 0)


def test_folding_changes_no_counter(host: TheHost, tonight: datetime) -> None:
    for number in range(6):
        host.book(f"B{number}", starts_at=tonight)
    run_all()
    Run.objects.create(worker="a:1", passes=3, failed_passes=1, dropped_events=7, ended_at=LONG_AGO)
    before = counted()
    assert before["assignment_outcomes_total", ("v3", "confirmed", "")] == 4
    assert before["assignment_outcomes_total", ("v3", "retry", "no_capacity")] == 2
    assert before["assignment_transitions_total", ("assigned", "confirmed")] == 4
    assert before["assignment_runs_total", ("success",)] == 2
    assert before["assignment_events_dropped_total", ()] == 7
    with rewritten_history() as cursor:  # a day later
        cursor.execute("UPDATE assignments_statetransition SET at = at - interval '1 day'")
        cursor.execute("UPDATE assignments_attempt SET at = at - interval '1 day'")
        cursor.execute("UPDATE assignments_assignment SET requested_at = requested_at - interval '1 day'")
    assert counted().keys() == before.keys()
    assert counter_store.compact()
    assert counted() == pytest.approx(before)
    assert Total.objects.get(name="assignment_outcomes_total", labels=["v3", "confirmed", ""]).value == 4
    assert counter_store.compact()
    assert counted() == pytest.approx(before), "nothing is added twice"


def test_what_is_compacted_may_go_and_is_counted_all_the_same(tried: Callable[..., Any]) -> None:
    tried(3)
    counter_store.compact()
    Attempt.objects.all().delete()
    assert confirmed() == 3
    tried(2, at=datetime.now(UTC))
    assert confirmed() == 5


def test_young_rows_are_counted_as_they_are_and_not_compacted(tried: Callable[..., Any]) -> None:
    tried(3, at=datetime.now(UTC) - timedelta(seconds=counter_store.LAG_SECONDS - 60))
    tried(2, at=datetime.now(UTC) - timedelta(seconds=counter_store.LAG_SECONDS + 60))
    counter_store.compact()
    assert Total.objects.get(name="assignment_outcomes_total").value == 2
    assert confirmed() == 5


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_a_step_is_bounded_and_rows_of_one_moment_stay_together(
    tried: Callable[..., Any], rows: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr(counter_store, "STEP_ROWS", rows)
    tried(5)  # one bulk insert: one moment
    for number in range(1, 8):
        tried(at=LONG_AGO + timedelta(seconds=number))
    assert counter_store.compact()
    assert Total.objects.get(name="assignment_outcomes_total").value == 12
    assert confirmed() == 12


def test_what_one_go_leaves_the_next_adds(tried: Callable[..., Any], monkeypatch: Any) -> None:
    monkeypatch.setattr(counter_store, "STEP_ROWS", 1)
    for number in range(6):
        tried(at=LONG_AGO + timedelta(seconds=number))
    assert not counter_store.compact(counters.ATTEMPT.key, steps=2)
    assert 0 < Total.objects.get(name="assignment_outcomes_total").value < 6
    assert confirmed() == 6
    while not counter_store.compact(counters.ATTEMPT.key, steps=2):
        assert confirmed() == 6
    assert Total.objects.get(name="assignment_outcomes_total").value == 6


def test_a_backlog_is_added_a_step_after_each_pass_so_that_no_booking_waits_for_it(
    tried: Callable[..., Any], monkeypatch: Any, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(counter_store, "STEP_ROWS", 1)
    for number in range(3):
        tried(at=LONG_AGO + timedelta(seconds=number))
    compactor = counter_store.Compactor()
    added = []
    for _ in range(3):
        compactor.compact_if_due()
        added.append(Total.objects.filter(name="assignment_outcomes_total").aggregate(sum=Sum("value"))["sum"])
    assert added == [1, 2, 3]
    with django_assert_num_queries(0):  # nothing is left: not for a minute
        compactor.compact_if_due()


def in_a_thread(work: Callable[[], Any]) -> Any:
    found = []

    def run() -> None:
        try:
            found.append(work())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    return found[0]


def test_of_two_processes_one_compacts_and_the_other_does_not_wait(tried: Callable[..., Any]) -> None:
    tried(3)
    counter_store.compact(counters.ATTEMPT.key)
    tried(4, at=LONG_AGO + timedelta(days=300))
    Folded.objects.update(until=LONG_AGO + timedelta(days=1))
    with transaction.atomic():
        Folded.objects.select_for_update().get(source=counters.ATTEMPT.key)
        assert in_a_thread(lambda: counter_store.compact(counters.ATTEMPT.key)), "it is left to whoever has it"
        assert Total.objects.get(name="assignment_outcomes_total").value == 3
    counter_store.compact(counters.ATTEMPT.key)
    assert Total.objects.get(name="assignment_outcomes_total").value == 7


def test_rows_that_a_long_transaction_has_not_committed_yet_are_not_passed_by(
    tried: Callable[..., Any], monkeypatch: Any
) -> None:
    monkeypatch.setattr(counter_store, "LAG_SECONDS", 0)
    with transaction.atomic():
        tried()  # its moment is that of this transaction, which goes on for longer than the lag
        Attempt.objects.update(at=datetime.now(UTC))
        in_a_thread(lambda: counter_store.compact(counters.ATTEMPT.key))
        until = Folded.objects.get(source=counters.ATTEMPT.key).until
        assert until <= Attempt.objects.get().at
    counter_store.compact(counters.ATTEMPT.key)
    assert confirmed() == 1
    assert Total.objects.get(name="assignment_outcomes_total").value == 1


def test_a_run_that_goes_on_is_counted_as_it_is_and_folded_when_it_has_ended() -> None:
    run = Run.objects.create(worker="a:1", watches=True, passes=5, failed_passes=1)
    counter_store.compact()
    assert counted()["assignment_runs_total", ("success",)] == 4
    Run.objects.filter(pk=run.pk).update(passes=9)
    assert counted()["assignment_runs_total", ("success",)] == 8
    Folded.objects.update(until=LONG_AGO - timedelta(days=1))
    Run.objects.filter(pk=run.pk).update(ended_at=LONG_AGO)
    counter_store.compact()
    Run.objects.all().delete()
    assert counted()["assignment_runs_total", ("success",)] == 8


def test_a_wait_is_counted_until_the_first_tables_only(host: TheHost, assignment: Assignment) -> None:
    for version, (source, target, minutes, reason) in enumerate(
        [
            ("assigned", "confirmed", 2, ""),
            ("confirmed", "assignment_pending", 10, ""),
            ("assigned", "confirmed", 600, ""),
        ],
        start=1,
    ):
        StateTransition.objects.create(
            assignment=assignment,
            booking_ref="B1",
            version=version,
            name="x",
            source=source,
            target=target,
            actor="v3",
            reason=reason,
            at=LONG_AGO + timedelta(minutes=minutes),
        )
    assert counted()["assignment_wait_seconds_sum", ()] == 120
    assert counted()["assignment_wait_seconds_bucket", ("300.0",)] == 1


def test_what_the_host_had_confirmed_by_itself_waited_for_nobody(assignment: Assignment) -> None:
    StateTransition.objects.create(
        assignment=assignment,
        booking_ref="B1",
        version=1,
        name="x",
        source="assigned",
        target="confirmed",
        actor="host",
        reason="confirmed_by_host",
    )
    assert ("assignment_wait_seconds_sum", ()) not in counted()


@pytest.fixture
def waited(assignment: Assignment) -> Callable[..., None]:
    """Bookings that had tables for the first time after so many seconds, each a second later than the one before."""

    def create(*seconds: float) -> None:
        for number, each in enumerate(seconds):
            at = LONG_AGO + timedelta(seconds=number)
            other = Assignment.objects.create(
                booking_ref=f"W{number}",
                restaurant_ref="R1",
                service_date=LONG_AGO.date(),
                starts_at=LONG_AGO,
                party=2,
                requested_at=at - timedelta(seconds=each),
                due_at=LONG_AGO,
            )
            StateTransition.objects.create(
                assignment=other,
                booking_ref=other.booking_ref,
                version=1,
                name="confirm",
                source="assigned",
                target="confirmed",
                actor="v3",
                at=at,
            )

    return create


@pytest.mark.parametrize("what", ["decision", "wait"])
def test_folding_takes_nothing_off_a_sum_of_seconds_not_even_the_last_digit(
    tried: Callable[..., Any], waited: Callable[..., None], what: str, monkeypatch: Any
) -> None:
    """Prometheus takes the least decrease of a counter for a new beginning, and adds all of it again."""
    monkeypatch.setattr(counter_store, "STEP_ROWS", 1)
    odd = [1000 / 3 + number * 7.1 / 11 for number in range(40)]
    if what == "decision":
        for number, milliseconds in enumerate(odd):
            tried(at=LONG_AGO + timedelta(seconds=number), decision_ms=milliseconds)
        labels: tuple[str, ...] = ("v3",)
    else:
        waited(*(each / 10 for each in odd))
        labels = ()

    def read() -> float:
        return counted()[f"assignment_{what}_seconds_sum", labels]

    seen = [read()]
    source = {"decision": counters.ATTEMPT, "wait": counters.TRANSITION}[what]
    while not counter_store.compact(source.key, steps=1):
        seen.append(read())
    assert len(seen) > 30
    assert seen == [seen[0]] * len(seen)
    assert seen[0] == pytest.approx(sum(odd) / {"decision": 1000, "wait": 10}[what])


def test_a_bucket_holds_what_is_at_most_its_bound(tried: Callable[..., Any]) -> None:
    tried(decision_ms=50.0)
    tried(decision_ms=50.1)
    tried(decision_ms=9_000.0)
    tried(decision_ms=0.0)
    found = {
        labels: value for (name, labels), value in counted().items() if name == "assignment_decision_seconds_bucket"
    }
    assert found == {("v3", "0.05"): 1, ("v3", "0.1"): 1, ("v3", "+Inf"): 1}


def test_whoever_compacts_now_and_then_is_never_stopped_by_it(monkeypatch: Any, caplog: Any) -> None:
    calls = []

    def compact(*, steps: int) -> bool:
        calls.append(1)
        raise ZeroDivisionError("Canary Guest")

    monkeypatch.setattr(counter_store, "compact", compact)
    compactor = counter_store.Compactor()
    compactor.compact_if_due()
    compactor.compact_if_due()
    assert len(calls) == 1, "about once a minute"
    assert "ZeroDivisionError" in caplog.text
    assert "Canary" not in caplog.text


def test_events_are_counted_by_when_they_were_stored(host: TheHost) -> None:
    defaults: dict[str, Any] = {"source": "assignment.coordinator", "severity": "info", "at": LONG_AGO}
    Event.objects.create(type="coordinator.retry", **defaults)
    Event.objects.create(type="coordinator.retry", stored_at=LONG_AGO, **defaults)
    counter_store.compact()
    assert Total.objects.get(name="assignment_events_total").value == 1
    assert counted()["assignment_events_total", ("assignment.coordinator", "coordinator.retry", "info")] == 2
