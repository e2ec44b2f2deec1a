"""An unsafe seating of V3 is found once, whatever has changed between the decision, its audit and the guard's rails."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from psycopg.types.range import TimestamptzRange

from assignments.concurrency import clock
from assignments.models import Allocation, Attempt
from assignments.planning.decision import Decision
from assignments.telemetry import events
from example.booking import save_booking
from example.models import Booking
from rollout.control import guard, steering, switches
from rollout.evidence import decision_audit, live_decisions, measuring
from rollout.flags import resolution
from rollout.models import Audit, GuardRun
from rollout.policy.gates import ALWAYS, Status
from rollout.shadow import stored_batches
from tests.built import built_once
from tests.rollout.control.test_steering import WHO, configure
from tests.rollout.evidence.test_decision_audit import decide, decide_with

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.legacy_planner]


@pytest.fixture(autouse=True)
def ladder(settings: Any) -> None:
    configure(settings)


def first_is_too_short(number: int, decision: Decision) -> Decision:
    if number or not decision.plans or decision.window is None:
        return decision
    window = decision.window
    return replace(decision, window=replace(window, blocked_until=window.blocked_until - timedelta(minutes=20)))


@pytest.fixture
def unsafe(ladder: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An evening by V3 of which one seating is too short, and not audited yet."""

    def decide_badly() -> None:
        with monkeypatch.context() as bad:
            decide_with(bad, first_is_too_short)

    built_once("an evening of which one seating is too short", decide_badly)


def guarded(capsys: Any) -> Any:
    """What ``rollout guard`` finds; it exits with 3 if that is a breach."""
    capsys.readouterr()
    try:
        call_command("rollout", "guard", "--json")
    except CommandError as breached:
        assert breached.returncode == 3
        return json.loads(capsys.readouterr().out)
    found = json.loads(capsys.readouterr().out)
    assert found["breaches"] == []
    return found


def rails(found: Any) -> list[str]:
    return [breach["rail"] for breach in found["breaches"]]


def deploy(settings: Any) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "RELEASE": "another"}


def test_of_a_release_that_was_replaced_before_the_audit(unsafe: None, settings: Any, capsys: Any) -> None:
    deploy(settings)
    found = guarded(capsys)
    assert (rails(found), found["rolled_back_to"]) == (["unsafe_seatings"], "shadow")
    assert rails(guarded(capsys)) == [], "it was acted on"


def test_of_a_release_that_was_replaced_where_a_new_one_keeps_the_stage(
    unsafe: None, settings: Any, capsys: Any
) -> None:
    settings.ROLLOUT = {**settings.ROLLOUT, "NEW_RELEASE": "keep"}
    deploy(settings)
    assert guarded(capsys)["rolled_back_to"] == "shadow"


def test_of_a_worker_that_still_runs_the_release_before(settings: Any, capsys: Any, monkeypatch: Any) -> None:
    decide()
    deploy(settings)
    assert guarded(capsys)["breaches"] == []
    before = Audit.objects.latest("pk")
    Audit.objects.create(
        attempt=10**9,
        booking_ref=before.booking_ref,
        restaurant_ref=before.restaurant_ref,
        service_date=before.service_date,
        is_refusal=False,
        release=before.release,
        flaws=["table_taken"],
        decided_at=before.decided_at,
    )
    assert rails(guarded(capsys)) == ["unsafe_seatings"]
    assert rails(guarded(capsys)) == []


@pytest.mark.parametrize("gone", ["by hand", "rolled back"])
def test_of_a_v3_that_was_switched_off_before_the_audit(unsafe: None, gone: str, capsys: Any) -> None:
    if gone == "by hand":
        switches.set_switch(resolution.V3_SWITCH, active=False, **WHO)
    else:
        steering.roll_back(**WHO)
    stage = steering.current().stage  # type: ignore[union-attr]
    found = guarded(capsys)
    assert (rails(found), found["rolled_back_to"], found["stage"]) == (["unsafe_seatings"], "", stage)
    assert "the stage stays" in found["problem"]
    assert steering.current().stage == stage  # type: ignore[union-attr]
    assert GuardRun.objects.get().breaches == found["breaches"]
    events.flush(5)
    (event,) = [each for each in events.MemorySink.events if each.type == "rollout.guard_breached"]
    assert (event.context["from_state"], event.context["to_state"]) == (stage, stage)
    assert rails(guarded(capsys)) == []


def test_of_a_guard_that_died_after_its_audit_and_came_back_hours_later(unsafe: None, capsys: Any) -> None:
    decision_audit.run()
    position = steering.current()
    assert position is not None
    with clock.shifted(timedelta(hours=3)):
        assert ALWAYS["seatings"](measuring.measure(position), 0).status is Status.FAIL
        found = guarded(capsys)
        assert (rails(found), found["rolled_back_to"]) == (["unsafe_seatings"], "shadow")
        assert rails(guarded(capsys)) == []


def test_that_cannot_be_rolled_back_alarms_for_a_window_and_no_longer(
    unsafe: None, settings: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(settings)

    def refuse(**_options: Any) -> None:
        raise steering.RefusedError("no planner could take over")

    monkeypatch.setattr(steering, "roll_back", refuse)
    for minutes, expected in ((0, ["unsafe_seatings"]), (10, ["unsafe_seatings"]), (75, []), (90, [])):
        with clock.shifted(timedelta(minutes=minutes)):
            assert rails(guarded(capsys)) == expected, minutes


def edit_unsafely() -> None:
    """An edit by V3, which is in no stored batch, with a stay that is too short."""
    for ref in Allocation.objects.filter(kind="seating").values_list("booking_ref", flat=True):
        with transaction.atomic():
            booking = Booking.objects.select_for_update().get(pk=ref)
            booking.party += 1
            save_booking(booking)
            done = Attempt.objects.filter(booking_ref=ref, batch=None, planner="v3", outcome="confirmed").exists()
            transaction.set_rollback(not done)
        if done:
            break
    else:
        pytest.fail("no edit was decided by V3")
    row = Allocation.objects.filter(booking_ref=ref)[0]
    shorter = TimestamptzRange(row.blocked.lower, row.blocked.upper - timedelta(minutes=20))
    Allocation.objects.filter(booking_ref=ref).update(blocked=shorter)


def leave_it(settings: Any) -> None:
    pass


def switch_off(settings: Any) -> None:
    switches.set_switch(resolution.V3_SWITCH, active=False, **WHO)


@pytest.mark.parametrize("change", [leave_it, deploy, switch_off])
def test_that_was_edited_and_is_in_no_batch(change: Callable[[Any], None], settings: Any, capsys: Any) -> None:
    decide()
    assert rails(guarded(capsys)) == []
    edit_unsafely()
    change(settings)
    assert rails(guarded(capsys)) == ["unsafe_seatings"]
    assert rails(guarded(capsys)) == []


def test_that_was_edited_before_a_gap_of_the_guard(capsys: Any) -> None:
    decide()
    assert rails(guarded(capsys)) == []
    edit_unsafely()
    with clock.shifted(timedelta(hours=5)):
        assert rails(guarded(capsys)) == ["unsafe_seatings"]


def test_that_was_edited_at_a_restaurant_that_no_window_has_drawn(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    decide()
    assert rails(guarded(capsys)) == []
    monkeypatch.setattr(live_decisions, "RESTAURANTS", 0)
    edit_unsafely()
    assert rails(guarded(capsys)) == ["unsafe_seatings"]
    assert rails(guarded(capsys)) == [], "it was acted on"


def test_that_was_decided_in_a_batch_that_nobody_has_stored(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_batches, "keep", lambda _batch: None)
    monkeypatch.setattr(live_decisions, "RESTAURANTS", 0)
    decide()
    assert rails(guarded(capsys)) == []
    decided = Attempt.objects.filter(outcome="confirmed").exclude(batch=None)
    ref = decided.latest("id").booking_ref
    row = Allocation.objects.filter(booking_ref=ref)[0]
    shorter = TimestamptzRange(row.blocked.lower, row.blocked.upper - timedelta(minutes=20))
    Allocation.objects.filter(booking_ref=ref).update(blocked=shorter)
    GuardRun.objects.all().delete()
    assert rails(guarded(capsys)) == ["unsafe_seatings"]


def test_a_healthy_v3_leaves_nothing_behind_it(settings: Any, capsys: Any) -> None:
    decide()
    deploy(settings)
    assert guarded(capsys)["breaches"] == []
    switch_off(settings)
    assert guard.run().breaches == ()
