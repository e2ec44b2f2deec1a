"""The guard: each guardrail from the database to the rollback, once, with the reason kept and exit code 3."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from psycopg.types.range import TimestamptzRange

from assignments.concurrency.sql import rows
from assignments.coordination import day_planner, dispatch, planned_day
from assignments.exceptions import BookingBusyError
from assignments.integration import floor_cache, release
from assignments.lifecycle.settlement import Settlement
from assignments.models import Allocation, Assignment, Attempt, FailedInvocation, Run
from assignments.telemetry import events
from example import models
from rollout.control import change_log, guard, steering, switches
from rollout.evidence import decision_audit, measuring
from rollout.flags import bucketing, resolution
from rollout.flags.resolution import Mode
from rollout.models import Change, FloorRecord, ForcedPlanner, GuardRun, Position
from tests.built import built_once
from tests.example.conftest import load
from tests.rollout.control.test_steering import WHO, climb, configure

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def ladder(settings: Any) -> None:
    configure(settings)


def decide_by_v3_at_the_last_stage() -> None:
    load("v3")
    climb("full")
    dispatch.register_new()
    list(dispatch.run_pass())


@pytest.fixture
def evening(ladder: None) -> models.Restaurant:
    """The real evening, decided by V3 in one batch, at the last stage."""
    built_once("the evening by V3 at the guard's last stage", decide_by_v3_at_the_last_stage)
    return models.Restaurant.objects.get()


def break_allocations(**changes: Any) -> None:
    Allocation.objects.filter(booking_ref=Allocation.objects.all()[0].booking_ref).update(**changes)


def lose_tables() -> None:
    Allocation.objects.filter(booking_ref=Allocation.objects.all()[0].booking_ref).delete()


def keep_too_short() -> None:
    row = Allocation.objects.all()[0]
    break_allocations(blocked=TimestamptzRange(row.blocked.lower, row.blocked.upper - timedelta(minutes=1)))


def fail_often() -> None:
    refused = Attempt.objects.exclude(outcome="confirmed").values("pk")[:10]
    Attempt.objects.filter(pk__in=refused).update(reason="unexpected_error")


def send_many_to_review(count: int = 20) -> None:
    """Those that could be seated: their tables are free, and they are in review all the same."""
    confirmed = Assignment.objects.filter(state="confirmed").values_list("booking_ref", flat=True)[:count]
    refs = list(confirmed)
    Allocation.objects.filter(booking_ref__in=refs).delete()
    Attempt.objects.filter(booking_ref__in=refs).update(
        outcome="manual_review", reason="no_capacity", at=datetime.now(UTC)
    )
    Assignment.objects.filter(booking_ref__in=refs).update(planner="manual")


def be_slow() -> None:
    Attempt.objects.update(decision_ms=400.0)


def tell_nobody() -> None:
    models.Booking.objects.update(status="pending")


def seat_fewer_than_the_legacy_planner() -> None:
    send_many_to_review(40)
    other = load("legacy", name="Elsewhere", bookings=70)
    switches.set_switch(resolution.V3_SWITCH, active=True, **WHO)
    steering.force_planner(restaurant_ref=str(other.pk), planner="legacy", **WHO)  # type: ignore[arg-type]
    dispatch.register_new()
    list(dispatch.run_pass())
    waiting = Attempt.objects.filter(planner="legacy").exclude(outcome="confirmed").values("pk")
    Attempt.objects.filter(pk__in=waiting).update(outcome="confirmed")


BREACHES: dict[str, Callable[[], None]] = {
    "lost": lose_tables,
    "unsafe_seatings": keep_too_short,
    "errors": fail_often,
    "review": send_many_to_review,
    "untold": tell_nobody,
    "decision_p95_ms": be_slow,
    "decision_p99_ms": be_slow,
    "wrong_refusals": send_many_to_review,
    "less_seated": seat_fewer_than_the_legacy_planner,
}
"""How each rail is breached. Overlaps, joins and large tables have tests of their own."""


@pytest.mark.legacy_planner
@pytest.mark.parametrize("rail", BREACHES)
def test_a_breach_rolls_back_once_keeps_why_and_exits_with_3(
    evening: models.Restaurant, rail: str, capsys: Any
) -> None:
    assert guard.run().breaches == ()
    BREACHES[rail]()
    with pytest.raises(CommandError, match=r"Rolled back to shadow") as breached:
        call_command("rollout", "guard", "--json")
    assert breached.value.returncode == 3
    findings = json.loads(capsys.readouterr().out)
    assert rail in [breach["rail"] for breach in findings["breaches"]]
    assert resolution.read().mode is Mode.SHADOW

    change = Change.objects.filter(kind="stage")[0]
    assert (change.before, change.after, change.actor) == ("full", "shadow", "guard")
    assert findings["breaches"][0]["detail"] in change.reason
    assert change.evidence["breaches"] == findings["breaches"]
    run = GuardRun.objects.all()[0]
    assert (run.stage, run.rolled_back_to, run.breaches) == ("full", "shadow", findings["breaches"])
    position = steering.current()
    assert position is not None
    assert position.cool_down_until is not None
    assert position.cool_down_until > datetime.now(UTC) + timedelta(hours=23)
    events.flush(5)
    (event,) = [each for each in events.MemorySink.events if each.type == "rollout.guard_breached"]
    assert (event.context["from_state"], event.context["to_state"]) == ("full", "shadow")

    stages = Change.objects.filter(kind="stage").count()
    call_command("rollout", "guard")
    assert "nothing to guard" in capsys.readouterr().out
    assert Change.objects.filter(kind="stage").count() == stages


@pytest.mark.legacy_planner
@pytest.mark.parametrize("rail", ["lost", "unsafe_seatings"])
def test_a_grave_breach_needs_no_sample(ladder: None, rail: str) -> None:
    restaurant = load("v3")
    climb("full")
    keep = restaurant.bookings.filter(party=2).order_by("start")[0]
    restaurant.bookings.exclude(pk=keep.pk).delete()
    dispatch.register_new()
    list(dispatch.run_pass())
    BREACHES[rail]()
    findings = guard.run()
    assert [(breach.rail, breach.grave) for breach in findings.breaches] == [(rail, True)]
    assert findings.rolled_back_to == "shadow"


@pytest.mark.legacy_planner
def test_one_overlap_is_enough(evening: models.Restaurant, capsys: Any) -> None:
    """The constraint is taken away and put back: both are rolled back."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE assignments_allocation DROP CONSTRAINT allocation_no_overlap")
        row = Allocation.objects.order_by("table_ref", "starts_at")[0]
        row.pk, row.planner, row.booking_ref = None, "", "somebody else"
        row.save()
        findings = guard.run()
        assert [breach.rail for breach in findings.breaches] == ["overlaps"]
        assert findings.rolled_back_to == "shadow"
        transaction.set_rollback(True)


@pytest.mark.parametrize("mode", ["off", "shadow"])
def test_where_v3_decides_for_nobody_there_is_nothing_to_guard(
    mode: str, capsys: Any, django_assert_max_num_queries: Any
) -> None:
    climb(mode)
    with django_assert_max_num_queries(8):
        assert guard.run() == guard.Findings(stage=mode)
    call_command("rollout", "guard")
    assert "nothing to guard" in capsys.readouterr().out
    assert not GuardRun.objects.exists()


@pytest.mark.legacy_planner
def test_an_unsafe_legacy_planner_is_a_breach_and_the_stage_stays(ladder: None, capsys: Any) -> None:
    """Whoever decides is watched: here a table is kept for too short a time, and nobody could take over."""
    load("legacy", bookings=20)
    climb("shadow")
    dispatch.register_new()
    list(dispatch.run_pass())
    call_command("rollout", "guard")
    assert "nothing to guard" in capsys.readouterr().out, "what it usually does is no breach"
    keep_too_short()
    with pytest.raises(CommandError, match="the stage stays") as breached:
        call_command("rollout", "guard", "--json")
    assert breached.value.returncode == 3
    findings = json.loads(capsys.readouterr().out)
    assert [breach["rail"] for breach in findings["breaches"]] == ["unsafe_legacy_seatings"]
    assert findings["legacy"]["reasons"] == {"kept_too_short": 1}
    assert (resolution.read().mode, steering.current().stage) == (Mode.SHADOW, "shadow")  # type: ignore[union-attr]
    assert GuardRun.objects.get().breaches == findings["breaches"]
    events.flush(5)
    (event,) = [each for each in events.MemorySink.events if each.type == "rollout.guard_breached"]
    assert (event.context["from_state"], event.context["to_state"]) == ("shadow", "shadow")


def test_a_v3_that_decides_before_the_ladder_has_begun_is_not_guarded_and_that_is_said() -> None:
    assert guard.run() == guard.Findings()
    switches.set_switch(resolution.V3_SWITCH, active=True, **WHO)
    with pytest.raises(CommandError, match="without a guard: the ladder has not begun") as refused:
        call_command("rollout", "guard")
    assert refused.value.returncode == 1


def test_a_good_evening_is_left_alone_and_kept(evening: models.Restaurant, capsys: Any) -> None:
    call_command("rollout", "guard")
    assert "full: 117 bookings by V3" in capsys.readouterr().out
    run = GuardRun.objects.get()
    assert (run.breaches, run.rolled_back_to, run.measured["v3"]["bookings"]) == ([], "", 117)
    assert resolution.read().mode is Mode.ACTIVE
    assert FloorRecord.objects.get().restaurant_ref == str(evening.pk), "its seatings are judged by the floor they knew"


def at_many_restaurants(planner: str, *, restaurants: int) -> None:
    for number in range(restaurants):
        load(planner, name=f"House {number}", bookings=2)
    dispatch.register_new()
    list(dispatch.run_pass())


@pytest.mark.legacy_planner
@pytest.mark.parametrize("decides", ["v3", "v3 without batches", "legacy"])
def test_the_restaurants_cost_it_no_queries(ladder: None, decides: str) -> None:
    """From cron it knows no floor when it begins. Once they are on record, it asks the host for fingerprints alone."""
    planner = decides.split(maxsplit=1)[0]
    climb("full" if planner == "v3" else "shadow")

    def queries() -> int:
        floor_cache.forget()
        with CaptureQueriesContext(connection) as captured:
            findings = guard.run()
        seatings = findings.facts.seatings if findings.facts else findings.legacy
        assert seatings.checked > 0
        return len(captured)

    found = []
    for restaurants in (2, 4):
        at_many_restaurants(planner, restaurants=restaurants)
        if decides == "v3 without batches":
            Attempt.objects.update(batch=None)
        guard.run()  # Audits what has been decided, and puts floors on record that no batch has.
        found.append(queries())
    assert found[0] == found[1] < 30
    FloorRecord.objects.update(fingerprint="")
    Attempt.objects.update(batch=None)
    assert queries() > found[1] + 6, "without a record each floor is read"


@pytest.mark.legacy_planner
@pytest.mark.parametrize(
    ("what", "said"),
    [("configured", "1 batches could not be audited together"), ("run", "V3's decisions could not be")],
)
def test_an_audit_that_fails_does_not_keep_the_guard_from_rolling_back(
    evening: models.Restaurant, monkeypatch: Any, caplog: Any, what: str, said: str
) -> None:
    def down() -> Any:
        raise RuntimeError("the host cannot be read")

    monkeypatch.setattr(decision_audit, what, down)
    few = Attempt.objects.order_by("pk").values_list("pk", flat=True)[:20]
    Attempt.objects.exclude(pk__in=list(few)).update(batch=None)
    lose_tables()
    assert guard.run().rolled_back_to == "shadow"
    assert said in caplog.text
    assert decision_audit.waiting()[0] > 100, "they are audited once the host can be read again"


def test_what_was_bad_before_the_window_still_counts_in_the_stage(evening: models.Restaurant) -> None:
    be_slow()
    Attempt.objects.update(at=datetime.now(UTC) - timedelta(hours=3))
    Position.objects.update(since=datetime.now(UTC) - timedelta(days=1))
    findings = guard.run()
    assert findings.facts is not None
    assert (findings.facts.v3.attempts, findings.facts.window) == (0, 24)
    assert [breach.rail for breach in findings.breaches] == ["decision_p95_ms", "decision_p99_ms"]


def test_what_was_bad_before_this_stage_is_over(evening: models.Restaurant) -> None:
    be_slow()
    Position.objects.update(since=datetime.now(UTC))
    assert guard.run().breaches == ()


def test_limits_are_settings(evening: models.Restaurant, settings: Any) -> None:
    be_slow()
    configure(settings, GUARD={"decision_p95_ms": 500, "decision_p99_ms": 500})
    assert guard.run().breaches == ()


@pytest.mark.legacy_planner
def test_v3_turned_on_by_hand_below_its_stage_is_guarded_too(evening: models.Restaurant) -> None:
    """The stage says shadow; somebody turned V3 on for the restaurants that are forced to it."""
    Position.objects.update(stage="shadow", percent=0)
    lose_tables()
    findings = guard.run()
    assert (findings.stage, findings.rolled_back_to) == ("shadow", "shadow")
    assert resolution.read().mode is Mode.SHADOW


def test_without_a_legacy_planner_it_says_so_and_leaves_v3_on(evening: models.Restaurant, settings: Any) -> None:
    """Nobody deciding at all would be worse."""
    configure(settings, LEGACY_PLANNER="")
    lose_tables()
    with pytest.raises(CommandError, match="Not rolled back: No legacy planner is installed") as breached:
        call_command("rollout", "guard")
    assert breached.value.returncode == 3
    assert resolution.read().mode is Mode.ACTIVE
    assert GuardRun.objects.all()[0].rolled_back_to == ""
    events.flush(5)
    assert "rollout.guard_breached" in [each.type for each in events.MemorySink.events]


@pytest.mark.legacy_planner
def test_a_breach_is_kept_and_said_if_somebody_else_steers_all_the_while(
    evening: models.Restaurant, monkeypatch: Any, capsys: Any
) -> None:
    keep_too_short()
    monkeypatch.setattr(change_log, "LOCK_TIMEOUT_MS", 50)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtextextended('rollout:changing', 0))")
        with pytest.raises(CommandError, match=r"Not rolled back: .*try again") as breached:
            call_command("rollout", "guard")
    finally:
        other.close()
    assert breached.value.returncode == 3
    assert "unsafe_seatings" in capsys.readouterr().err
    kept = GuardRun.objects.latest("at")
    assert (kept.stage, kept.rolled_back_to) == ("full", "")
    assert "unsafe_seatings" in {breach["rail"] for breach in kept.breaches}
    assert guard.run().rolled_back_to, "the next run rolls back"


@pytest.mark.legacy_planner
def test_of_two_guards_at_once_one_rolls_back(evening: models.Restaurant, monkeypatch: Any) -> None:
    lose_tables()
    barrier, looks = threading.Barrier(2), []
    measure = measuring.measure_live

    def measure_together(position: Position, *, minutes: float) -> Any:
        facts = measure(position, minutes=minutes)
        barrier.wait(30)
        return facts

    monkeypatch.setattr(measuring, "measure_live", measure_together)

    def look() -> None:
        try:
            looks.append(guard.run())
        finally:
            connection.close()

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(each.rolled_back_to for each in looks) == ["", "shadow"]
    assert any("has moved to shadow in the meantime" in each.problem for each in looks)
    assert Change.objects.filter(actor="guard").count() == 1


class TestFailuresThatNoAttemptTellsOf:
    """V3 raises, and what it decides afterwards looks well: each failed invocation is an error all the same."""

    def wait(self, count: int = 20) -> None:
        load("v3", bookings=count)
        climb("full")
        dispatch.register_new()

    def errors(self) -> tuple[int, int]:
        facts = guard.run().facts
        assert facts is not None
        assert facts.v3.errors == facts.stage_v3.errors
        return facts.stage_v3.errors, facts.stage_v3.attempts

    def test_a_batch_that_raises_although_each_of_its_bookings_alone_does_not(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.wait()
        plan = planned_day.plan_requests

        def raises(requests: Any, *args: Any, **options: Any) -> Any:
            if len(requests) > 1:
                raise ZeroDivisionError
            return plan(requests, *args, **options)

        monkeypatch.setattr(day_planner, "plan_requests", raises)
        list(dispatch.run_pass())
        failure = FailedInvocation.objects.get()
        assert (failure.error, failure.unstored, failure.release) == ("ZeroDivisionError", 0, release.running())
        assert not Attempt.objects.filter(reason="unexpected_error").exists()
        assert self.errors() == (1, Attempt.objects.count() + 1)

    @pytest.mark.legacy_planner
    def test_failures_that_cannot_be_stored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wait(20)

        def raises(*_args: Any, **_options: Any) -> Any:
            raise ZeroDivisionError

        monkeypatch.setattr(day_planner, "plan_requests", raises)
        monkeypatch.setattr(Settlement, "try_again", raises)
        bookings = sum(len(result.outcomes) for result in dispatch.run_pass())
        assert not Attempt.objects.exists()
        assert FailedInvocation.objects.get().unstored == bookings > 10
        with pytest.raises(CommandError, match="Rolled back to shadow"):
            call_command("rollout", "guard")
        assert GuardRun.objects.get().breaches[0]["rail"] == "errors"

    def test_what_an_attempt_tells_counts_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wait()
        monkeypatch.setattr(day_planner, "plan_requests", lambda *_args, **_options: 1 / 0)
        list(dispatch.run_pass())
        assert not FailedInvocation.objects.exists()
        count = Attempt.objects.filter(reason="unexpected_error").count()
        assert self.errors() == (count, Attempt.objects.count())

    def test_a_lost_race_is_no_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wait(8)
        plan = planned_day.plan_requests

        def loses(requests: Any, *args: Any, **options: Any) -> Any:
            if len(requests) > 1:
                raise BookingBusyError
            return plan(requests, *args, **options)

        monkeypatch.setattr(day_planner, "plan_requests", loses)
        list(dispatch.run_pass())
        assert not FailedInvocation.objects.exists()


class TestWorkers:
    def worked(self, **more: Any) -> None:
        now = datetime.now(UTC)
        Run.objects.create(**{"worker": "w:1", "last_pass_at": now, "release": release.running(), **more})

    def rails(self) -> list[str]:
        return [breach.rail for breach in guard.run().breaches]

    def overdue(self) -> None:
        waiting = Assignment.objects.filter(due_at__isnull=False, planner="v3").order_by("-starts_at")[0]
        due_at = datetime.now(UTC) - timedelta(minutes=45)
        Assignment.objects.filter(pk=waiting.pk).update(due_at=due_at)

    def test_a_booking_that_every_pass_leaves_due(self, evening: models.Restaurant) -> None:
        self.worked(succeeded_at=datetime.now(UTC))
        assert self.rails() == []
        self.overdue()
        assert self.rails() == ["waits_minutes"]

    @pytest.mark.parametrize(
        ("stage", "forced", "expected"),
        [
            ("some", "v3", ["waits_minutes"]),
            ("some", "legacy", []),
            ("full", "", ["waits_minutes"]),
            ("full", "legacy", []),
        ],
    )
    @pytest.mark.legacy_planner
    def test_one_that_no_planner_has_ever_claimed_waits_for_v3_where_v3_decides(
        self, stage: str, forced: str, expected: list[str], settings: Any
    ) -> None:
        """A V3 that passes a new booking over makes no attempt at it, so that nothing but its due date tells."""
        configure(settings)
        restaurant = load("v3", bookings=20)
        climb("full")
        if stage != "full":
            steering.roll_back(to=stage, **WHO)
        if forced:
            planner = ForcedPlanner.PlannerChoice(forced)
            steering.force_planner(restaurant_ref=str(restaurant.pk), planner=planner, **WHO)
        dispatch.register_new()
        self.worked(succeeded_at=datetime.now(UTC))
        due_at = datetime.now(UTC) - timedelta(minutes=45)
        Assignment.objects.filter(pk=Assignment.objects.latest("starts_at").pk).update(due_at=due_at)
        assert self.rails() == expected

    def test_v3s_share_of_restaurants_is_the_same_in_sql(self) -> None:
        refs = [f"R{number}" for number in range(200)]
        for percent in (0, 1, 10, 37, 50, 99, 100):
            query = f"SELECT ref, {bucketing.decides_in_sql('ref')} FROM unnest(%(refs)s::text[]) AS ref"
            found = dict(rows(query, refs=refs, share_limit=bucketing.share_limit(percent)))
            assert found == {ref: bucketing.is_in_share(ref, percent) for ref in refs}, percent

    def test_where_no_worker_runs_it_is_not_v3_that_lets_bookings_wait(self, evening: models.Restaurant) -> None:
        self.worked(succeeded_at=datetime.now(UTC) - timedelta(minutes=40))
        self.overdue()
        assert self.rails() == []

    def test_a_worker_that_grows_and_grows(self, evening: models.Restaurant) -> None:
        self.worked(memory_begun_mb=90.0, memory_mb=400.0)
        self.worked(memory_begun_mb=90.0, memory_mb=1400.0, release="another")
        assert self.rails() == []
        self.worked(memory_begun_mb=90.0, memory_mb=1400.0)
        assert self.rails() == ["memory_growth_mb"]

    def test_a_run_tells_its_release_and_memory(self, evening: models.Restaurant) -> None:
        call_command("run_coordinator")
        run = Run.objects.get()
        assert run.release == release.running()
        assert run.memory_begun_mb is not None
        assert run.memory_mb is not None
        assert 10 < run.memory_begun_mb <= run.memory_mb + 50
