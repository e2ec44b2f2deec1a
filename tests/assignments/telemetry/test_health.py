"""What health endpoints and the Health page say of queue, runs, breakers and permits."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F

from assignments import api
from assignments.concurrency import locks
from assignments.models import Assignment, Breaker, OutboxMessage, Run
from assignments.telemetry import diagnostics, health
from tests.assignments.conftest import TheHost, rewritten_history, run_all

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_empty_project_has_nothing_due_and_has_never_run(host: TheHost) -> None:
    found = health.vitals()
    assert (found.due_bookings, found.oldest_due_age_seconds, found.workers, found.permits_in_use) == (0, 0.0, 0, 0)
    assert (found.outbox_waiting, found.outbox_oldest_age_seconds) == (0, 0.0)
    assert found.last_success_at is None
    assert found.last_success_age_seconds is None
    assert found.cron_problem == "No run of run_coordinator has succeeded yet."


def test_the_queue_is_as_old_as_what_is_due_longest(host: TheHost, tonight: datetime) -> None:
    for ref in ("B1", "B2", "B3"):
        host.book(ref, starts_at=tonight)
        api.request(booking_ref=ref)
    now = datetime.now(UTC)
    Assignment.objects.filter(booking_ref="B1").update(due_at=now - timedelta(seconds=600))
    Assignment.objects.filter(booking_ref="B3").update(due_at=now + timedelta(seconds=600))
    found = health.vitals()
    assert found.due_bookings == 2
    assert found.oldest_due_age_seconds == pytest.approx(600, abs=30)


def test_only_watching_workers_that_gave_a_sign_of_life_count(host: TheHost) -> None:
    now = datetime.now(UTC)
    Run.objects.create(worker="a:1", watches=True, last_pass_at=now)
    Run.objects.create(worker="just-started:1", watches=True)
    Run.objects.create(worker="cron:1")
    Run.objects.create(worker="ended:1", watches=True, last_pass_at=now, ended_at=now)
    Run.objects.create(worker="dead:1", watches=True, last_pass_at=now - timedelta(seconds=1000))
    assert health.vitals().workers == 2


@pytest.mark.parametrize(
    ("success_age", "due_age", "problem"),
    [
        (10, 0, ""),
        (1000, 0, "The last successful run was 1000 s ago (limit: 180 s)."),
        (10, 1000, "A booking has been due for 1000 s (limit: 180 s)."),
    ],
)
def test_what_is_wrong_with_the_runs_is_a_sentence(success_age: int, due_age: int, problem: str) -> None:
    now = datetime.now(UTC)
    found = health.Vitals(
        now=now,
        last_success_at=now - timedelta(seconds=success_age),
        due_bookings=1,
        oldest_due_age_seconds=due_age,
        workers=0,
        breakers_open=0,
        breakers_half_open=0,
        outbox_waiting=0,
        outbox_oldest_age_seconds=0,
        permits_in_use=0,
        permits_limit=3,
    )
    assert found.cron_problem == problem


def test_breakers_are_open_or_half_open(host: TheHost) -> None:
    now = datetime.now(UTC)
    Breaker.objects.create(name="coordinator:R1", opened_until=now + timedelta(minutes=5))
    Breaker.objects.create(name="coordinator:R2", opened_until=now - timedelta(minutes=5))
    Breaker.objects.create(name="coordinator:R3", failures=2)
    found = health.vitals()
    assert (found.breakers_open, found.breakers_half_open) == (1, 1)


def test_a_breaker_at_which_nothing_is_tried_any_more_counts_for_an_hour(host: TheHost) -> None:
    """A rollback, a pin or a restaurant that has closed leaves it half open for ever, and nobody can close it."""

    def seen() -> tuple[int, list[str]]:
        return health.vitals().breakers_half_open, [each.state for each in diagnostics.run().breakers or ()]

    now = datetime.now(UTC)
    Breaker.objects.create(name="coordinator:R1", failures=5, opened_until=now - timedelta(minutes=59))
    assert seen() == (1, ["half_open"])
    Breaker.objects.update(opened_until=now - timedelta(minutes=61))
    assert seen() == (0, ["quiet"])


def test_a_quiet_breaker_is_opened_again_by_the_next_failure(host: TheHost, tonight: datetime) -> None:
    Breaker.objects.create(name="coordinator:R1", failures=5, opened_until=datetime.now(UTC) - timedelta(hours=23))
    host.book("B1", starts_at=tonight)
    host.raises["on_confirmed"] = RuntimeError("down")
    run_all()
    assert health.vitals().breakers_open == 1


def test_failures_that_go_on_keep_a_breaker_counted(host: TheHost, tonight: datetime) -> None:
    Breaker.objects.create(name="coordinator:R1", failures=5, opened_until=datetime.now(UTC) - timedelta(minutes=59))
    host.book("B1", starts_at=tonight)
    host.raises["on_confirmed"] = RuntimeError("down")
    run_all()
    Breaker.objects.update(opened_until=F("opened_until") - timedelta(minutes=59))
    found = health.vitals()
    assert (found.breakers_open, found.breakers_half_open) == (0, 1), "it half-opened 59 minutes ago, not two hours"


def test_closed_breakers_do_not_crowd_out_those_that_are_not(host: TheHost) -> None:
    now = datetime.now(UTC)
    Breaker.objects.bulk_create(
        Breaker(name=f"coordinator:A{number}", failures=1) for number in range(diagnostics.LISTED)
    )
    Breaker.objects.create(name="coordinator:R1", failures=5, opened_until=now - timedelta(minutes=5))
    Breaker.objects.create(name="coordinator:R2", failures=5, opened_until=now + timedelta(minutes=5))
    breakers = diagnostics.run().breakers or ()
    assert [each.restaurant_ref for each in breakers][:3] == ["R2", "R1", "A0"]
    assert len(breakers) == diagnostics.LISTED


def test_the_outbox_waits_for_as_long_as_its_oldest_message(host: TheHost) -> None:
    now = datetime.now(UTC)
    OutboxMessage.objects.create(topic="t", booking_ref="B1", created_at=now - timedelta(minutes=10))
    OutboxMessage.objects.create(topic="t", booking_ref="B2")
    OutboxMessage.objects.create(topic="t", booking_ref="B3", created_at=now - timedelta(days=1), delivered_at=now)
    found = health.vitals()
    assert found.outbox_waiting == 2
    assert found.outbox_oldest_age_seconds == pytest.approx(600, abs=30)


def test_permits_are_counted_while_they_are_held(host: TheHost, tonight: datetime, settings: Any) -> None:
    host.book("B1", starts_at=tonight)
    api.request(booking_ref="B1")
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "MAX_PARALLEL": 5}
    day = tonight.date()
    with transaction.atomic():
        locks.try_enter("R1", day)
        locks.try_enter("R1", day + timedelta(days=1))
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(42)")  # somebody else's
        found = health.vitals()
    # A lock that its own session asks for again is granted again: this session is one planner, with one permit.
    assert (found.permits_in_use, found.permits_limit) == (1, 5)
    assert health.vitals().permits_in_use == 0


def test_a_booking_waits_until_it_has_tables_for_the_first_time(host: TheHost, tonight: datetime) -> None:
    def waits() -> list[float]:
        hours = diagnostics.run().hours
        assert hours is not None
        return [hour.wait_seconds_p95 for hour in hours if hour.wait_seconds_p95 is not None]

    host.book("planned again", starts_at=tonight)
    api.assign_now(booking_ref="planned again")
    _three_weeks_pass()
    api.release_tables(booking_ref="planned again")
    assert api.assign_now(booking_ref="planned again").kind == "confirmed"
    host.book("adopted", starts_at=tonight, is_confirmed=True)
    api.adopt(booking_ref="adopted", table_refs=["T3"])
    Assignment.objects.update(requested_at=datetime.now(UTC) - timedelta(weeks=3))
    assert waits() == []
    host.book("new", starts_at=tonight)
    api.request(booking_ref="new")
    Assignment.objects.filter(booking_ref="new").update(requested_at=datetime.now(UTC) - timedelta(hours=1))
    api.assign_now(booking_ref="new")
    assert waits() == [pytest.approx(3600, abs=60)]


def _three_weeks_pass() -> None:
    with rewritten_history() as cursor:
        for table, moment in [("statetransition", "at"), ("attempt", "at"), ("assignment", "requested_at")]:
            cursor.execute(f"UPDATE assignments_{table} SET {moment} = {moment} - interval '3 weeks'")


def test_vitals_are_one_query(host: TheHost, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        health.vitals()
