"""One evening across midnight: who decides it, in which order, and what earlier releases stored. Rule 8."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from assignments import api
from assignments.concurrency import locks, transactions
from assignments.coordination import dispatch, service_dates
from assignments.models import Assignment
from assignments.testing import a_floor, a_service, a_table
from tests.assignments.conftest import TheHost, run_all

pytestmark = pytest.mark.django_db(transaction=True)

LONDON = ZoneInfo("Europe/London")
DAY = timedelta(days=1)
NOON = datetime.combine((datetime.now(UTC) + 5 * DAY).date(), time(12), tzinfo=UTC)
EVENING = NOON.date()


def at(hour: int, minute: int = 0) -> datetime:
    """A time of that evening; 24 is midnight."""
    midnight = datetime.combine(EVENING, time(), tzinfo=LONDON)
    return (midnight + timedelta(hours=hour, minutes=minute)).astimezone(UTC)


@pytest.fixture
def late(host: TheHost) -> TheHost:
    """One table, and a service from six to two."""
    late = a_service(key="late", starts=time(18), ends=time(2), allow_overrun=True)
    host.floors["R1"] = a_floor(tables=[a_table("T1")], services=[late])
    return host


@contextmanager
def another_planner(day: date) -> Iterator[None]:
    """In another session, somebody plans this service day."""
    locked, leave = threading.Event(), threading.Event()

    def plan() -> None:
        try:
            with transaction.atomic():
                locks.lock_days([("R1", day)])
                locked.set()
                leave.wait(20)
        finally:
            connection.close()

    thread = threading.Thread(target=plan)
    thread.start()
    assert locked.wait(20)
    try:
        yield
    finally:
        leave.set()
        thread.join(20)


def dates() -> dict[str, Any]:
    return dict(Assignment.objects.values_list("booking_ref", "service_date"))


def as_an_earlier_release_stored_them() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE assignments_assignment"
            "   SET service_date = (starts_at AT TIME ZONE 'Europe/London')::date, service_rule = NULL"
        )


def test_requests_before_and_after_midnight_are_one_evening_in_the_order_asked(late: TheHost) -> None:
    long_ago = NOON - 40 * DAY
    late.book("second", starts_at=at(23, 30), requested_at=long_ago + DAY)
    late.book("first", starts_at=at(24, 30), requested_at=long_ago)
    outcomes = run_all()
    assert dates() == {"first": EVENING, "second": EVENING}
    assert (outcomes["first"].kind, outcomes["second"].reason) == ("confirmed", "no_capacity")


def test_open_and_coming_rows_of_an_earlier_release_are_corrected_by_the_first_pass(late: TheHost) -> None:
    late.book("confirmed", starts_at=at(24, 30))
    late.book("waiting", starts_at=at(25, 30), party=2)
    late.book("dinner", starts_at=at(19))
    run_all()
    before = dict(Assignment.objects.values_list("booking_ref", "state"))
    as_an_earlier_release_stored_them()
    assert dates()["confirmed"] == EVENING + DAY
    dispatch.register_new()
    assert dates() == {"confirmed": EVENING, "waiting": EVENING, "dinner": EVENING}
    assert dict(Assignment.objects.values_list("booking_ref", "state")) == before
    now = transactions.database_now()
    with CaptureQueriesContext(connection) as captured:
        assert service_dates.correct(late, now=now) == 0
    assert len(captured) == 1


def test_what_is_over_stays_as_it_was_stored(late: TheHost) -> None:
    late.book("past", starts_at=at(24, 30))
    run_all()
    as_an_earlier_release_stored_them()
    assert service_dates.correct(late, now=at(48)) == 0
    assert dates() == {"past": EVENING + DAY}


def test_what_has_begun_is_corrected(late: TheHost) -> None:
    late.book("sitting", starts_at=at(24, 30))
    run_all()
    as_an_earlier_release_stored_them()
    assert service_dates.correct(late, now=at(26)) == 1
    assert service_dates.correct(late, now=at(26)) == 0
    assert dates() == {"sitting": EVENING}


def test_rows_of_a_restaurant_without_a_floor_wait_for_one(late: TheHost) -> None:
    floor, late.floors["R1"] = late.floors["R1"], LookupError("none")
    late.book("B1", starts_at=at(24, 30))
    run_all()
    assert Assignment.objects.get().service_rule is None
    late.floors["R1"] = floor
    dispatch.register_new()
    assert (dates(), Assignment.objects.get().service_rule) == ({"B1": EVENING}, 1)


def test_other_opening_hours_leave_a_booking_on_its_evening_and_the_guests_edit_moves_it(late: TheHost) -> None:
    late.book("B1", starts_at=at(24, 30))
    run_all()
    early = a_service(key="early", starts=time(0), ends=time(23), allow_overrun=True)
    late.floors["R1"] = a_floor(tables=[a_table("T1")], services=[early])
    late.edit("B1", party=3)
    api.booking_changed(booking_ref="B1")
    assert dates() == {"B1": EVENING}
    late.edit("B1", starts_at=at(24, 45))
    api.booking_changed(booking_ref="B1")
    assert dates() == {"B1": EVENING + DAY}


def test_a_plan_that_reaches_into_the_next_day_waits_for_whoever_plans_that_day(host: TheHost) -> None:
    around_the_clock = a_service(key="all", starts=time(0), ends=time(0), allow_overrun=True)
    host.floors["R1"] = a_floor(tables=[a_table("T1")], services=[around_the_clock])
    host.book("late", starts_at=at(23))
    host.book("noon", starts_at=at(12))
    dispatch.register_new()
    with another_planner(EVENING + DAY):
        outcome = api.assign_now(booking_ref="late")
        assert (outcome.kind, outcome.reason) == ("noop", "lock_contention")
        assert api.assign_now(booking_ref="noon").kind == "confirmed"
    assert api.assign_now(booking_ref="late").kind == "confirmed"
