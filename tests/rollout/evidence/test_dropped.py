"""A V3 that gives up bookings whose guests still want to come is rolled back, and nobody else's decision is taken for it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F, QuerySet

from assignments import api
from assignments.coordination import dispatch
from assignments.coordination.day_planner import DayPlanner
from assignments.lifecycle.settlement import Settlement
from assignments.models import Assignment, Attempt
from assignments.outcome import Kind, Noop, noop
from assignments.planning.decision import Decision
from example.models import Booking
from rollout.control import guard, steering
from rollout.evidence import decision_audit, measuring
from rollout.models import Audit, GuardRun
from tests.rollout.control.test_steering import configure
from tests.rollout.evidence.test_decision_audit import decide

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.legacy_planner]

Settle = Callable[[Settlement, Assignment, Decision], None]


@pytest.fixture(autouse=True)
def ladder(settings: Any) -> None:
    configure(settings)


def decide_and(monkeypatch: pytest.MonkeyPatch, settle: Settle, *, every: int = 8) -> None:
    """Have V3 decide the evening, and settle every eighth booking otherwise."""
    as_usual, seen = DayPlanner._settle, list[str]()

    def otherwise(self: DayPlanner, assignment: Assignment, decision: Decision, milliseconds: float) -> None:
        seen.append(assignment.booking_ref)
        if len(seen) % every:
            as_usual(self, assignment, decision, milliseconds)
        else:
            settle(self.settlement, assignment, decision)

    monkeypatch.setattr(DayPlanner, "_settle", otherwise)
    decide()


def cancel(settlement: Settlement, assignment: Assignment, decision: Decision) -> None:
    assignment.cancel(actor="host", reason="no_table_wanted")
    settlement.store_only(assignment, noop(assignment.booking_ref, Noop.TERMINAL_STATE))


def fail(settlement: Settlement, assignment: Assignment, decision: Decision) -> None:
    settlement.fail(assignment, reason="no_capacity")


def put_off(settlement: Settlement, assignment: Assignment, decision: Decision) -> None:
    settlement.try_again(assignment, reason="no_capacity", delay_seconds=timedelta(days=2).total_seconds())


@pytest.mark.parametrize("settle", [cancel, fail, put_off])
def test_bookings_that_are_given_up_roll_back(monkeypatch: pytest.MonkeyPatch, settle: Settle) -> None:
    decide_and(monkeypatch, settle)
    with pytest.raises(CommandError, match="Rolled back to shadow") as breached:
        call_command("rollout", "guard")
    assert breached.value.returncode == 3
    assert "dropped" in {breach["rail"] for breach in GuardRun.objects.get().breaches}


def test_a_few_count_for_the_window_and_for_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    decide_and(monkeypatch, cancel, every=50)
    facts = guard.run().facts
    assert facts is not None
    assert (facts.seatings.dropped, facts.stage_seatings.dropped) == (2, 2)
    assert facts.stage_seatings.checked > 0, "by the audits of its batches"


def test_bookings_that_guests_staff_or_the_project_cancel_are_not_given_up() -> None:
    decide()
    confirmed = Assignment.objects.filter(state="confirmed").order_by("pk").values_list("booking_ref", flat=True)
    for ref in confirmed[:8]:
        Booking.objects.filter(pk=ref).update(status="cancelled")
        api.booking_changed(booking_ref=ref)
    waiting = list(waits().values_list("booking_ref", flat=True))
    for ref in waiting[:8]:
        api.booking_cancelled(booking_ref=ref)
    Booking.objects.filter(pk__in=waiting[8:16]).update(status="cancelled")
    in_review = Assignment.objects.filter(state="manual_review").values_list("booking_ref", flat=True)
    by_staff = [api.reject(booking_ref=ref, actor="staff:1", reason="they were rude") for ref in list(in_review)]
    waits().update(due_at="2020-01-01T00:00Z")
    list(dispatch.run_pass())
    ended = Assignment.objects.filter(state__in=["cancelled", "failed"])
    assert ended.count() == 24 + len(by_staff) > 24
    assert dropped() == 0


def test_a_booking_that_has_changed_since_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    decide_and(monkeypatch, fail, every=50)
    assert dropped() == 2
    given_up = Assignment.objects.filter(state="failed").values_list("booking_ref", flat=True)
    Booking.objects.filter(pk=given_up[0]).update(party=F("party") + 1)
    assert dropped() == 1


def waits() -> QuerySet[Assignment]:
    return Assignment.objects.filter(state="assignment_pending").order_by("pk")


def dropped() -> int:
    position = steering.current()
    assert position is not None
    return measuring.measure_live(position, minutes=60).seatings.dropped


def test_a_booking_with_tables_that_is_settled_as_if_there_were_none_is_refused_wrongly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wait(settlement: Settlement, assignment: Assignment, decision: Decision) -> None:
        settlement.try_again(assignment, reason="no_capacity", decision=decision)

    decide_and(monkeypatch, wait, every=4)
    decision_audit.run()
    waiting = Attempt.objects.filter(outcome=Kind.RETRY)
    without = [each.pk for each in waiting if not (each.decision or {}).get("refusal")]
    found = Audit.objects.filter(attempt__in=without)
    assert found.count() == len(without) > 0
    assert not found.filter(wrong_refusal=False).exists()
