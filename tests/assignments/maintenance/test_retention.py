"""Retention: what is old goes in chunks, nothing goes that is still needed or not counted, and history stays."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from assignments import checks
from assignments.maintenance import retention
from assignments.models import (
    Assignment,
    Attempt,
    Breaker,
    EveningOptimum,
    Event,
    FailedInvocation,
    FrozenEvening,
    HostMark,
    OptimizedEvening,
    OutboxMessage,
    QueuedParty,
    Run,
    StaffAction,
    State,
    StateTransition,
)
from assignments.telemetry import counter_store
from assignments.telemetry.metrics import counters
from tests.assignments.conftest import TheHost, rewritten_history

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def an_assignment(ref: str, *, state: str, starts_at: datetime) -> Assignment:
    assignment = Assignment(
        booking_ref=ref,
        restaurant_ref="R1",
        service_date=starts_at.date(),
        starts_at=starts_at,
        party=2,
        requested_at=starts_at,
        due_at=starts_at,
    )
    assignment.save()
    if state == State.CANCELLED:
        assignment.cancel(actor="host")
        with transaction.atomic():
            Assignment.objects.persist([assignment], correlation_id=uuid.uuid4())
    return assignment


def tried(assignment: Assignment, *, at: datetime, count: int = 1) -> None:
    Attempt.objects.bulk_create(
        Attempt(
            assignment=assignment,
            booking_ref=assignment.booking_ref,
            number=1,
            planner="v3",
            trigger="cron",
            outcome="retry",
            reason="no_capacity",
            correlation_id="00000000-0000-0000-0000-000000000000",
            at=at,
        )
        for _ in range(count)
    )


@pytest.fixture(autouse=True)
def records(host: TheHost) -> None:
    over = an_assignment("over", state=State.CANCELLED, starts_at=days_ago(400))
    coming = an_assignment("coming", state=State.CANCELLED, starts_at=days_ago(-10))
    waiting = an_assignment("waiting", state=State.CREATED, starts_at=days_ago(400))
    tried(over, at=days_ago(401), count=3)
    tried(over, at=days_ago(300))
    tried(coming, at=days_ago(401))
    tried(waiting, at=days_ago(401))
    for stored_at in (days_ago(100), days_ago(91), days_ago(89), NOW):
        Event.objects.create(
            source="assignment.coordinator",
            type="coordinator.retry",
            severity="info",
            at=days_ago(200),
            stored_at=stored_at,
        )
    Run.objects.create(worker="old", passes=2, succeeded_at=days_ago(50), ended_at=days_ago(50))
    Run.objects.create(worker="failed", passes=2, failed_passes=2, ended_at=days_ago(50))
    Run.objects.create(worker="last success", passes=1, succeeded_at=days_ago(40), ended_at=days_ago(40))
    Run.objects.create(worker="young", passes=1, failed_passes=1, ended_at=days_ago(10))
    OutboxMessage.objects.create(topic="t", booking_ref="B1", created_at=days_ago(60), delivered_at=days_ago(50))
    OutboxMessage.objects.create(topic="t", booking_ref="B1", created_at=days_ago(60), delivered_at=days_ago(10))
    OutboxMessage.objects.create(topic="t", booking_ref="B1", created_at=days_ago(60))
    for at in (days_ago(31), days_ago(29)):
        StaffAction.objects.create(
            actor="staff:1", what="seated", restaurant_ref="R1", service_date=at.date(), booking_ref="B1", at=at
        )
        FrozenEvening.objects.create(restaurant_ref="R1", service_date=at.date(), actor="staff:1")
        QueuedParty.objects.create(restaurant_ref="R1", party=2, joined_at=at)
    for at in (days_ago(1000), days_ago(10)):
        FailedInvocation.objects.create(planner="v3", error="ZeroDivisionError", correlation_id=uuid.uuid4(), at=at)
        OptimizedEvening.objects.create(
            restaurant_ref="R1", service_date=at.date(), snapshot_hash="x", problem={}, answer={}, optimized_at=at
        )
        EveningOptimum.objects.create(
            restaurant_ref="R1",
            service_date=at.date(),
            seated=1,
            waiting=1,
            possible=1,
            possible_in_any_order=1,
            is_proven=True,
        )
    HostMark.objects.create(booking_ref="stale", created_at=days_ago(31))
    HostMark.objects.create(booking_ref="young", created_at=days_ago(29))
    a_breaker("half open for ever", opened_until=days_ago(2), updated_at=days_ago(2))
    a_breaker("closed again", failures=0, updated_at=days_ago(2))
    a_breaker("failed today", updated_at=days_ago(0.9))
    a_breaker("half open today", opened_until=days_ago(0.9), updated_at=days_ago(2))
    a_breaker("open", opened_until=days_ago(-1), updated_at=days_ago(2))
    a_breaker("one success today", opened_until=days_ago(2), updated_at=days_ago(0.9))


def a_breaker(name: str, *, updated_at: datetime, failures: int = 5, opened_until: datetime | None = None) -> None:
    Breaker.objects.create(name=name, failures=failures, opened_until=opened_until)
    Breaker.objects.filter(name=name).update(updated_at=updated_at)


def prune(*arguments: str, capsys: Any) -> Any:
    call_command("prune_assignments", "--json", *arguments)
    return json.loads(capsys.readouterr().out)


EXPECTED = {
    "events": 2,
    "attempts": 3,
    "runs": 2,
    "outbox_messages": 1,
    "breakers": 2,
    "marks": 1,
    "staff_actions": 1,
    "frozen_evenings": 1,
    "optimized_evenings": 1,
    "evening_optima": 1,
    "queued_parties": 1,
    "failed_invocations": 1,
}
NOTHING = dict.fromkeys(EXPECTED, 0)


def test_what_is_old_goes_and_what_is_needed_stays(capsys: Any) -> None:
    assert prune(capsys=capsys) == {**EXPECTED, "dry_run": False}
    assert Event.objects.count() == 2
    assert set(Run.objects.values_list("worker", flat=True)) == {"last success", "young"}
    assert OutboxMessage.objects.filter(delivered_at=None).exists(), "it was never delivered"
    assert OutboxMessage.objects.count() == 2
    attempts = sorted(Attempt.objects.values_list("booking_ref", flat=True))
    assert attempts == ["coming", "over", "waiting"], "of bookings that are not over, and recent ones"
    breakers = set(Breaker.objects.values_list("name", flat=True))
    assert breakers == {"failed today", "half open today", "open", "one success today"}
    assert prune(capsys=capsys) == {**NOTHING, "dry_run": False}


def test_history_is_never_pruned(capsys: Any) -> None:
    with rewritten_history() as cursor:
        cursor.execute("UPDATE assignments_statetransition SET at = %s", [days_ago(10_000)])
    before = list(StateTransition.objects.values_list("pk", flat=True))
    assert before
    prune(capsys=capsys)
    assert list(StateTransition.objects.values_list("pk", flat=True)) == before


def test_pruning_changes_no_counter(capsys: Any) -> None:
    keys = [source.key for source in counters.SOURCES]
    before = {(each.name, each.labels): each.value for each in counter_store.read(*keys) if each.value}
    prune(capsys=capsys)
    assert {(each.name, each.labels): each.value for each in counter_store.read(*keys) if each.value} == before


def test_nothing_goes_that_is_not_in_the_totals(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(counter_store, "compact", lambda *keys: False)
    assert prune(capsys=capsys) == {**EXPECTED, "events": 0, "attempts": 0, "runs": 0, "dry_run": False}


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_in_chunks_the_same_goes(chunk: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(retention, "CHUNK", chunk)
    seen = list(retention.prune())
    assert seen[-1].as_dict() == EXPECTED
    assert [each.total for each in seen] == sorted(each.total for each in seen)


def test_a_dry_run_only_counts(capsys: Any) -> None:
    assert prune("--dry-run", capsys=capsys) == {**EXPECTED, "dry_run": True}
    call_command("prune_assignments", "--dry-run")
    assert (
        "Would delete 2 events, 3 attempts, 2 runs, 1 outbox messages, 2 breakers, 1 marks, 1 actions by staff, "
        "1 frozen and 1 optimized evenings, 1 optima of evenings, "
        "1 parties that waited at the door, and 1 failed invocations." in capsys.readouterr().out
    )
    assert Event.objects.count() == 4
    assert Run.objects.count() == 4


def test_a_run_that_died_without_a_word_is_given_up(capsys: Any) -> None:
    Run.objects.create(worker="dead", watches=True, started_at=days_ago(90), last_pass_at=days_ago(3))
    Run.objects.create(worker="alive", watches=True, started_at=days_ago(90), last_pass_at=NOW)
    prune(capsys=capsys)
    assert set(Run.objects.filter(ended_at=None).values_list("worker", flat=True)) == {"alive"}


def test_attempts_that_somebody_needs_are_not_forgotten(monkeypatch: Any) -> None:
    monkeypatch.setitem(retention._needs, "the auditors", lambda: 1000)
    with pytest.raises(
        CommandError, match=r"\['ATTEMPT_DAYS'\] is 365, but the auditors needs .* 1000 days"
    ) as refused:
        call_command("prune_assignments")
    assert refused.value.returncode == 2
    assert [found.id for found in checks.check_retention(None)] == ["assignments.E007"]
    assert Event.objects.count() == 4


def test_a_record_of_tables_that_planning_weighs_cannot_be_cut_short(settings: Any) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "ATTEMPT_DAYS": 89}
    found = [each.msg for each in checks.check_settings(None)]
    assert found == ["ASSIGNMENTS['ATTEMPT_DAYS'] must be between 90 and 10000, not 89"]
