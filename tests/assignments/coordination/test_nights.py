"""A night belongs to the evening on which its service began, on every page that leads there or counts."""

import re
from datetime import UTC, date, datetime, time, timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from assignments.concurrency import transactions
from assignments.models import Assignment
from assignments.staff import review_queue, service_day
from assignments.staff.review_queue import Section
from assignments.staff.timeline import A_DAY
from assignments.testing import a_floor, a_service, a_table
from tests.assignments.conftest import TheHost, run_all

pytestmark = pytest.mark.django_db(transaction=True)

LONDON = ZoneInfo("Europe/London")
TIMELINE = "admin:assignments_serviceday_changelist"


def clocks_change(hours: int) -> date:
    """The next date on which London's clock goes forward (1) or back (-1)."""
    day = datetime.now(UTC).date() + A_DAY

    def offset(of: date) -> timedelta:
        return datetime.combine(of, time(12), tzinfo=LONDON).utcoffset() or timedelta()

    while offset(day) - offset(day - A_DAY) != timedelta(hours=hours):
        day += A_DAY
    return day


@pytest.fixture(params=[0, 1, -1], ids=["any night", "clocks go forward", "clocks go back"])
def night(host: TheHost, request: Any) -> datetime:
    """Half past midnight, of a service from seven to two. A party of forty wants to come then: staff have to decide."""
    host.floors["R1"] = a_floor(
        tables=[a_table("T1")], services=[a_service(key="late", starts=time(19), ends=time(2), allow_overrun=True)]
    )
    day = clocks_change(request.param) if request.param else datetime.now(UTC).date() + timedelta(days=5)
    start = datetime.combine(day, time(0, 30), tzinfo=LONDON).astimezone(UTC)
    host.book("B1", starts_at=start, party=40)
    run_all()
    booked = Assignment.objects.get()
    assert (booked.state, booked.service_date) == ("manual_review", day - A_DAY)
    return start


def evening_of(night: datetime) -> date:
    return night.astimezone(LONDON).date() - A_DAY


def html_of(client: Client, name: str, *args: Any, **query: str) -> str:
    answer = client.get(reverse(name, args=args), query)
    assert answer.status_code == 200
    return unescape(answer.content.decode())


@pytest.mark.parametrize("page", ["assignment", "reviewitem"])
def test_links_lead_to_the_evening_on_which_the_booking_is_shown(
    admin_client: Client, night: datetime, page: str
) -> None:
    html = html_of(admin_client, f"admin:assignments_{page}_change", Assignment.objects.get().pk)
    (link,) = set(re.findall(r'href="([^"]*/serviceday/[^"]+)"', html))
    assert link.partition("&booking=")[0].endswith(f"?restaurant=R1&day={evening_of(night)}")
    assert "Booking B1" in admin_client.get(f"{link}&waiting=1").content.decode()


def test_who_may_not_see_the_timeline_has_no_link(client: Client, night: datetime, django_user_model: Any) -> None:
    user = django_user_model.objects.create_user("anna", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_reviewitem"))
    client.force_login(user)
    html = html_of(client, "admin:assignments_reviewitem_change", Assignment.objects.get().pk)
    assert "serviceday" not in html


def test_it_counts_on_its_evening_and_on_no_other(admin_client: Client, host: TheHost, night: datetime) -> None:
    evening = evening_of(night)
    assert "Restaurant R1 (1)" in html_of(admin_client, TIMELINE, restaurant="R1", day=f"{evening}")
    assert "Restaurant R1 (1)" not in html_of(admin_client, TIMELINE, restaurant="R1", day=f"{evening + A_DAY}")


def test_the_nearest_evening_with_bookings_is_its_own(host: TheHost, night: datetime) -> None:
    evening, now = evening_of(night), transactions.database_now()
    for away in (1, 2, 3):
        earlier = service_day.service_day("R1", evening - away * A_DAY, now=now)
        assert (earlier.before, earlier.after) == (None, evening)
        later = service_day.service_day("R1", evening + away * A_DAY, now=now)
        assert (later.before, later.after) == (evening, None)


def test_the_queue_of_an_evening_has_who_comes_after_midnight(admin_client: Client, night: datetime) -> None:
    evening, calendar = evening_of(night), evening_of(night) + A_DAY
    queue = "admin:assignments_reviewitem_changelist"
    whole = html_of(admin_client, queue, restaurant="R1", date=f"{evening}")
    assert "Booking B1" in whole
    assert "Bookings after midnight are listed under the evening on which the service began." in whole
    assert re.search(r'Needs decision <span class="review-count">1<', whole)
    assert "Booking B1" not in html_of(admin_client, queue, restaurant="R1", date=f"{calendar}")


def test_without_a_restaurant_the_queue_goes_by_evenings_too(admin_client: Client, night: datetime) -> None:
    evening, queue = evening_of(night), "admin:assignments_reviewitem_changelist"
    assert "Booking B1" in html_of(admin_client, queue, date=f"{evening}")
    assert "Booking B1" not in html_of(admin_client, queue, date=f"{evening + A_DAY}")


def test_the_repeated_hour_belongs_to_one_evening_whole(host: TheHost) -> None:
    day = clocks_change(-1)
    floor = a_floor(tables=[a_table("T1")], services=[a_service(starts=time(19), ends=time(2), allow_overrun=True)])
    host.floors["R1"] = floor
    for fold in (0, 1):
        start = datetime.combine(day, time(1, 30, fold=fold), tzinfo=LONDON).astimezone(UTC)
        host.book(f"B{fold}", starts_at=start, party=40)
    run_all()
    now = transactions.database_now()
    found = review_queue.queue(Section.REVIEW, now=now, restaurant_ref="R1", day=day - A_DAY, floor=floor)
    assert [each.booking_ref for each in found] == ["B0", "B1"]
    assert not review_queue.queue(Section.REVIEW, now=now, restaurant_ref="R1", day=day, floor=floor)
