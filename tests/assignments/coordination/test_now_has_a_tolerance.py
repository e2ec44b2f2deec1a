"""Guests come now, came five minutes ago, or came while cron was down: they are seated, or staff know of them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import connection

from assignments import api, conf
from assignments.concurrency import clock
from assignments.coordination import dispatch
from assignments.lifecycle import intake
from assignments.models import Allocation, Assignment, Run, State
from assignments.outcome import Kind
from assignments.planning.reasons import Reason
from assignments.staff import review_queue
from assignments.telemetry import run_log
from assignments.telemetry.invariants import LOST, STAY_HOURS
from assignments.testing import a_floor, a_table, at, shifted
from tests.assignments.conftest import HOST_PATH, TheHost, run_all

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)


@pytest.fixture
def seven(host: TheHost, tonight: datetime) -> Iterator[datetime]:
    """It is 19:00 at the restaurant, and stays so for this test."""
    with at(tonight):
        yield tonight


def a_run_succeeded(ago: timedelta = timedelta(0)) -> None:
    with shifted(-ago):
        recorder = run_log.Recorder(watches=False)
        recorder.begin()
        recorder.passed(run_log.Pass(unseen=0))
        recorder.end()


def lost() -> int:
    with connection.cursor() as cursor:
        cursor.execute(LOST, {"stay_hours": STAY_HOURS})
        return cursor.fetchone()[0]  # type: ignore[no-any-return]


def test_a_walk_in_who_starts_now_this_minute_or_five_minutes_ago_is_seated(host: TheHost, seven: datetime) -> None:
    for number, ago in enumerate([0 * MINUTE, MINUTE / 2, 5 * MINUTE]):
        host.book(f"W{number}", starts_at=seven - ago, party=2)
        assert api.assign_now(booking_ref=f"W{number}").kind is Kind.CONFIRMED
    latest = Allocation.objects.get(booking_ref="W2")
    assert latest.starts_at == seven - 5 * MINUTE
    assert latest.ends_at == seven + 115 * MINUTE
    assert seven <= latest.blocked.lower < seven + MINUTE
    assert latest.blocked.upper == seven + 115 * MINUTE


def test_a_walk_in_gets_a_table_that_became_free_after_the_walk_in_had_come(host: TheHost, seven: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1")])
    host.book("BEFORE", starts_at=seven - timedelta(hours=2), ends_at=seven - 2 * MINUTE)
    with shifted(timedelta(hours=-3)):
        assert api.assign_now(booking_ref="BEFORE").kind is Kind.CONFIRMED
    host.book("W", starts_at=seven - 5 * MINUTE)
    api.request(booking_ref="W")
    assert api.judge(booking_ref="W", table_refs=["T1"]) == ()
    waiting = Assignment.objects.get(booking_ref="W")
    offered = review_queue.options(host.rows["W"], waiting, host=host, now=clock.now())
    assert [option.table_refs for option in offered.fitting] == [("T1",)]
    assert api.assign_now(booking_ref="W").kind is Kind.CONFIRMED


def test_who_came_longer_ago_than_the_grace_is_not_planned_but_staff_may_seat_them(
    host: TheHost, seven: datetime
) -> None:
    host.book("W", starts_at=seven - 16 * MINUTE)
    outcome = api.assign_now(booking_ref="W")
    assert (outcome.kind, outcome.reason) == (Kind.FAILED, Reason.STARTS_IN_PAST)
    assert api.assign(booking_ref="W", table_refs=["T1"], actor="staff:1").kind is Kind.CONFIRMED
    assert seven <= Allocation.objects.get().blocked.lower < seven + MINUTE


def test_the_minimum_lead_time_binds_the_planner_and_not_staff(seven: datetime, settings: Any) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "MIN_LEAD_MINUTES": 60}
    host = conf.load(HOST_PATH)
    host.book("W", starts_at=seven - 5 * MINUTE)
    outcome = api.assign_now(booking_ref="W")
    assert (outcome.kind, outcome.reason) == (Kind.MANUAL_REVIEW, Reason.START_TOO_NEAR)
    assert api.assign(booking_ref="W", table_refs=["T1"], actor="staff:1").kind is Kind.CONFIRMED


def test_a_table_that_opened_after_the_start_can_be_given(host: TheHost, seven: datetime) -> None:
    api.close(restaurant_ref="R1", starts_at=seven - 60 * MINUTE, ends_at=seven - 2 * MINUTE, actor="staff:1")
    host.book("B", starts_at=seven - 5 * MINUTE)
    assert api.assign_now(booking_ref="B").kind is Kind.CONFIRMED


def test_cron_was_down_for_two_hours(host: TheHost, seven: datetime) -> None:
    with shifted(timedelta(days=-2)):
        a_run_succeeded()
    a_run_succeeded(timedelta(hours=2))
    host.book("KNOWN", starts_at=seven - timedelta(hours=1), requested_at=seven - timedelta(hours=3))
    with shifted(timedelta(hours=-3)):
        api.request(booking_ref="KNOWN")
    host.book("MISSED", starts_at=seven - timedelta(hours=1))
    host.book("LATE", starts_at=seven - 10 * MINUTE)
    host.book("COMING", starts_at=seven + timedelta(hours=1))
    outcomes = {ref: (outcome.kind, outcome.reason) for ref, outcome in run_all().items()}
    assert outcomes == {
        "KNOWN": (Kind.MANUAL_REVIEW, "started_undecided"),
        "MISSED": (Kind.MANUAL_REVIEW, "started_undecided"),
        "LATE": (Kind.CONFIRMED, ""),
        "COMING": (Kind.CONFIRMED, ""),
    }
    assert host.reviews == {"KNOWN": "started_undecided", "MISSED": "started_undecided"}


def test_a_booking_made_and_started_between_two_runs_is_decided(host: TheHost, seven: datetime) -> None:
    with shifted(timedelta(days=-2)):
        a_run_succeeded()
    a_run_succeeded(3 * MINUTE)
    host.book("B", starts_at=seven - 2 * MINUTE)
    with mock.patch.object(host, "unassigned", wraps=host.unassigned) as asked:
        assert run_all()["B"].kind is Kind.CONFIRMED
    # The run of three minutes ago, and before that the grace and an interval of cron.
    assert seven - 22 * MINUTE < asked.call_args.kwargs["now"] < seven - 20 * MINUTE


def test_intake_looks_back_to_the_last_success_24_hours_at_most_and_never_before_installation(seven: datetime) -> None:
    assert intake.look_back(seven) == seven
    with shifted(timedelta(hours=-2)):
        run_log.Recorder(watches=False).begin()
    assert intake.look_back(seven) == Run.objects.get().started_at
    with shifted(timedelta(days=-3)):
        a_run_succeeded()
    assert intake.look_back(seven) == seven - timedelta(hours=24)
    a_run_succeeded(timedelta(hours=1))
    succeeded_at = Run.objects.latest("id").succeeded_at
    assert succeeded_at is not None
    assert intake.look_back(seven) == succeeded_at - 18 * MINUTE


def test_who_started_and_cannot_be_taken_in_counts_as_lost_until_in_review(
    host: TheHost, seven: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shifted(timedelta(days=-2)):
        a_run_succeeded()
    host.book("B", starts_at=seven - timedelta(hours=1))
    with monkeypatch.context() as patched:
        patched.setattr(intake, "_create", lambda assignments: 0)
        registered = dispatch.register_new()
    assert (registered.new, registered.unseen) == (0, 1)
    recorder = run_log.Recorder(watches=False)
    recorder.begin()
    recorder.passed(run_log.Pass(unseen=registered.unseen))
    assert lost() == 1
    recorder.passed(run_log.Pass(host_raised=True, unexpected=1))
    assert lost() == 1  # The host did not say.
    registered = dispatch.register_new()
    assert (registered.new, registered.unseen) == (1, 0)
    recorder.passed(run_log.Pass(unseen=registered.unseen))
    assert lost() == 0
    assert Assignment.objects.get().state == State.CREATED
