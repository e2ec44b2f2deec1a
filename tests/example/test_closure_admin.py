"""Closures and the calendar in the admin."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assignments import api
from assignments.admin import floor
from assignments.integration import floor_cache
from assignments.models import Allocation, Assignment, CalendarEntry, Closure, PacingLimit
from assignments.testing import a_table
from example import models

ADD, LIST = reverse("admin:assignments_closure_add"), reverse("admin:assignments_closure_changelist")


@pytest.fixture
def seated(restaurant: models.Restaurant) -> models.Booking:
    """A booking of the real evening that has its table."""
    booking: models.Booking = restaurant.bookings.get(reference="B001")
    assert api.assign_now(booking_ref=str(booking.pk)).table_refs
    return booking


def table_of(booking: models.Booking) -> str:
    return Allocation.objects.get(booking_ref=str(booking.pk)).table_ref


def form(booking: models.Booking, **changes: Any) -> dict[str, Any]:
    ref = str(booking.restaurant_id)
    start = (booking.start - timedelta(hours=1)).astimezone(floor_cache.floor_of(ref).zone)
    values = {
        "restaurant_ref": ref,
        "table_refs": "",
        "zone_ref": "",
        "starts_at_0": f"{start:%Y-%m-%d}",
        "starts_at_1": f"{start:%H:%M}",
        "ends_at_0": "",
        "ends_at_1": "",
        "reason": "a leg is loose",
    }
    return {**values, **changes}


def test_a_closure_is_added_edited_and_lifted_by_a_named_user(
    admin_client: Client, admin_user: User, seated: models.Booking
) -> None:
    before = table_of(seated)
    assert admin_client.post(ADD, form(seated, table_refs=before)).status_code == 302
    closure = Closure.objects.get()
    assert closure.author == f"staff:{admin_user.pk}"
    assert (closure.starts_at, closure.ends_at) == (seated.start - timedelta(hours=1), None)
    assert table_of(seated) != before, "its booking has another table already"
    page = reverse("admin:assignments_closure_change", args=[closure.pk])
    shown = admin_client.get(page).context["adminform"].form.initial
    assert shown["starts_at"].strftime("%H:%M") == form(seated)["starts_at_1"]
    edit = {**form(seated, table_refs=before, reason="mended on Monday"), "seen_version": "0"}
    assert admin_client.post(page, edit).status_code == 302
    answer = admin_client.post(page, {**edit, "reason": "somebody else"}, follow=True)
    assert "was changed meanwhile" in answer.content.decode()
    closure.refresh_from_db()
    assert (closure.reason, closure.version) == ("mended on Monday", 1)
    assert "mended on Monday" in admin_client.get(LIST, {"when": "coming"}).content.decode()
    admin_client.post(LIST, {"action": "lift", "_selected_action": [closure.pk]})
    closure.refresh_from_db()
    assert closure.lifted_by == f"staff:{admin_user.pk}"
    for when, is_listed in (("coming", False), ("current", False), ("over", False), ("lifted", True)):
        assert ("mended on Monday" in admin_client.get(LIST, {"when": when}).content.decode()) is is_listed


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"table_refs": "nowhere"}, "table_refs"),
        ({"zone_ref": "nowhere"}, "zone_ref"),
        ({"ends_at_0": "2000-01-01", "ends_at_1": "12:00"}, "ends_at"),
        ({"restaurant_ref": "404"}, "restaurant_ref"),
        ({"starts_at_1": ""}, "starts_at"),
        ({"reason": "x" * 501}, "reason"),
    ],
    ids=str,
)
def test_what_cannot_be_closed_is_said_beside_its_field(
    admin_client: Client, seated: models.Booking, changes: dict[str, str], field: str
) -> None:
    answer = admin_client.post(ADD, form(seated, **changes))
    assert field in answer.context["adminform"].form.errors
    assert not Closure.objects.exists()


def test_restaurants_and_tables_may_be_written_by_name(admin_client: Client, seated: models.Booking) -> None:
    key = table_of(seated)
    name = models.Table.objects.get(pk=key).code
    sent = form(seated, table_refs=name, restaurant_ref=seated.restaurant.name)
    assert admin_client.post(ADD, sent).status_code == 302
    closure = Closure.objects.get()
    assert (closure.restaurant_ref, closure.table_refs) == (str(seated.restaurant_id), [key])


def test_a_restaurant_that_may_be_another_one_is_asked_about(admin_client: Client, seated: models.Booking) -> None:
    models.Restaurant.objects.create(name=seated.restaurant.name, reference="other")
    answer = admin_client.post(ADD, form(seated, restaurant_ref=seated.restaurant.name))
    assert "restaurant_ref" in answer.context["adminform"].form.errors
    assert not Closure.objects.exists()


def test_a_name_that_two_tables_have_means_neither() -> None:
    tables = {ref: a_table(ref, name=name) for ref, name in (("1", "Twin"), ("2", "Twin"), ("3", "Bay"))}
    assert floor._by_name(tables) == {"Bay": "3"}


def test_lists_name_restaurants(admin_client: Client, seated: models.Booking) -> None:
    ref, name = str(seated.restaurant_id), seated.restaurant.name
    api.close(restaurant_ref=ref, starts_at=seated.start + timedelta(days=9))
    CalendarEntry.objects.create(
        restaurant_ref=ref, first_date=seated.start.date(), last_date=seated.start.date(), closed=True
    )
    for model in ("closure", "calendarentry", "allocation"):
        html = admin_client.get(reverse(f"admin:assignments_{model}_changelist")).content.decode()
        assert f'class="field-restaurant">{name}<' in html or f">{name}</a></th>" in html, model


def test_who_may_only_look_changes_nothing(client: Client, seated: models.Booking) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_closure"))
    client.force_login(viewer)
    closure_id = api.close(restaurant_ref=str(seated.restaurant_id), starts_at=seated.start + timedelta(days=9))
    assert client.get(LIST).status_code == 200
    assert client.post(ADD, form(seated)).status_code == 403
    client.post(LIST, {"action": "lift", "_selected_action": [closure_id]})
    assert Closure.objects.get().lifted_at is None


def test_the_calendar_closes_a_date_or_gives_it_hours(admin_client: Client, seated: models.Booking) -> None:
    ref, day = str(seated.restaurant_id), seated.start.date()
    inline = {"services-TOTAL_FORMS": "0", "services-INITIAL_FORMS": "0"}
    entry = {"restaurant_ref": ref, "first_date": day.isoformat(), "last_date": day.isoformat(), "weekdays": ""}
    page = reverse("admin:assignments_calendarentry_add")
    answer = admin_client.post(page, {**entry, **inline})
    assert answer.status_code == 200, "it says neither"
    assert not CalendarEntry.objects.exists()
    assert admin_client.post(page, {**entry, **inline, "closed": "on"}).status_code == 302
    floor_cache.forget()
    other = seated.start + timedelta(minutes=15)
    booking = models.Booking.objects.create(
        restaurant_id=seated.restaurant_id,
        reference="late",
        start=other,
        party=2,
        created_at=datetime.now(other.tzinfo),
    )
    outcome = api.assign_now(booking_ref=str(booking.pk))
    assert outcome.reason == "closed"
    assert Assignment.objects.get(booking_ref=str(seated.pk)).state == "confirmed", "a promise is kept"


def test_who_changes_pacing_has_its_restaurant_alone_before_anything_is_written(
    admin_client: Client, restaurant: models.Restaurant
) -> None:
    add = reverse("admin:assignments_pacinglimit_add")
    values = {"restaurant_ref": str(restaurant.pk), "weekdays": "", "interval_minutes": "15", "most_covers": "20"}
    assert written_alone(admin_client, add, values)
    limit = PacingLimit.objects.get()
    change = reverse("admin:assignments_pacinglimit_change", args=[limit.pk])
    assert written_alone(admin_client, change, {**values, "most_covers": "30"})
    assert PacingLimit.objects.get().most_covers == 30
    assert written_alone(
        admin_client, reverse("admin:assignments_pacinglimit_delete", args=[limit.pk]), {"post": "yes"}
    )
    assert not PacingLimit.objects.exists()


def written_alone(client: Client, page: str, values: dict[str, str]) -> bool:
    """Whether a page locks the restaurant before it writes its pacing."""
    with CaptureQueriesContext(connection) as captured:
        assert client.post(page, values).status_code == 302
    steps = [each["sql"] for each in captured.captured_queries]
    written = next(
        n for n, sql in enumerate(steps) if re.match(r"(INSERT INTO|UPDATE|DELETE FROM) .assignments_pacing", sql)
    )
    return any("assignments_lock(" in sql or "pg_advisory_xact_lock(" in sql for sql in steps[:written])
