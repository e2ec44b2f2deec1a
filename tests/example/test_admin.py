"""The booking project's admin: what staff change there reaches the assignments app in the same transaction."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assignments import api
from assignments.models import Allocation, Assignment
from example import models

PAGES = ["restaurant", "table", "tableadjacency", "tablejoin", "serviceperiod", "booking"]


@pytest.fixture
def seated(restaurant: models.Restaurant) -> models.Booking:
    """A booking of the real evening that has its table."""
    booking = restaurant.bookings.get(reference="B001")
    assert api.assign_now(booking_ref=str(booking.pk)).table_refs
    booking.refresh_from_db()
    return booking


def form_of(booking: models.Booking, **changes: Any) -> dict[str, Any]:
    start = booking.start
    values = {
        "restaurant": booking.restaurant_id,
        "reference": booking.reference,
        "start_0": start.date().isoformat(),
        "start_1": start.time().isoformat(),
        "party": booking.party,
        "status": booking.status,
        "created_at_0": "2030-01-01",
        "created_at_1": "12:00:00",
    }
    return {**values, **changes}


def change(client: Client, booking: models.Booking, **changes: Any) -> None:
    answer = client.post(reverse("admin:example_booking_change", args=[booking.pk]), form_of(booking, **changes))
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    booking.refresh_from_db()


@pytest.mark.parametrize("page", PAGES)
def test_every_list_can_be_opened_and_searched_and_every_form_opened(
    admin_client: Client, seated: models.Booking, page: str
) -> None:
    models.TableJoin.objects.create(seats=7).tables.set(models.Table.objects.all()[:2])
    assert admin_client.get(reverse(f"admin:example_{page}_changelist")).status_code == 200
    assert admin_client.get(reverse(f"admin:example_{page}_changelist"), {"q": "T01"}).status_code == 200
    assert admin_client.get(reverse(f"admin:example_{page}_add")).status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_a_longer_list_costs_no_more_queries(admin_client: Client, restaurant: models.Restaurant, page: str) -> None:
    zone = models.Zone.objects.get(name="Dining 1")
    model: Any = {
        "restaurant": models.Restaurant,
        "table": models.Table,
        "tableadjacency": models.TableAdjacency,
        "tablejoin": models.TableJoin,
        "serviceperiod": models.ServicePeriod,
        "booking": models.Booking,
    }[page]
    for _ in range(6):
        models.TableJoin.objects.create(seats=7).tables.set(zone.tables.all()[:2])
        models.Restaurant.objects.create(name="Another", reference=f"another-{models.Restaurant.objects.count()}")
        models.ServicePeriod.objects.create(
            restaurant=restaurant, key=f"s{models.ServicePeriod.objects.count()}", start="10:00", end="11:00"
        )

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(reverse(f"admin:example_{page}_changelist")).status_code == 200
        return len(captured)

    queries()
    many = queries()
    model.objects.exclude(pk__in=model.objects.order_by("pk").values("pk")[:2]).delete()
    assert queries() >= many


def test_the_list_shows_the_tables(admin_client: Client, seated: models.Booking) -> None:
    (table,) = seated.tables.all()
    answer = admin_client.get(reverse("admin:example_booking_changelist"), {"q": "B001"})
    assert f">{table.code}<" in answer.content.decode()


def test_a_new_booking_is_requested(admin_client: Client, seated: models.Booking) -> None:
    values = form_of(seated, reference="N1", status="pending")
    assert admin_client.post(reverse("admin:example_booking_add"), values).status_code == 302
    added = models.Booking.objects.get(reference="N1")
    assert Assignment.objects.get(booking_ref=str(added.pk)).state == "created"


def test_a_larger_party_is_planned_anew(admin_client: Client, seated: models.Booking) -> None:
    change(admin_client, seated, party=8)
    assert seated.status == "confirmed"
    assert sum(table.seats for table in seated.tables.all()) >= 8
    assert {row.table_ref for row in Allocation.objects.all()} == {str(table.pk) for table in seated.tables.all()}


def test_a_spelling_correction_keeps_the_table(admin_client: Client, seated: models.Booking) -> None:
    tables = set(seated.tables.all())
    change(admin_client, seated, guest_name="Someone Else")
    assert (seated.status, set(seated.tables.all())) == ("confirmed", tables)


def test_cancelling_frees_the_table(admin_client: Client, seated: models.Booking) -> None:
    change(admin_client, seated, status="cancelled")
    assert seated.tables.count() == 0
    assert not Allocation.objects.exists()


def test_a_guest_who_has_left_keeps_the_record_of_the_table(admin_client: Client, seated: models.Booking) -> None:
    change(admin_client, seated, status="completed")
    assert seated.tables.count() == 1


@pytest.mark.parametrize("how", ["one", "several"])
def test_deleting_frees_the_table(admin_client: Client, seated: models.Booking, how: str) -> None:
    if how == "one":
        admin_client.post(reverse("admin:example_booking_delete", args=[seated.pk]), {"post": "yes"})
    else:
        admin_client.post(
            reverse("admin:example_booking_changelist"),
            {"action": "delete_selected", "_selected_action": [seated.pk], "post": "yes"},
        )
    assert not models.Booking.objects.filter(pk=seated.pk).exists()
    assert not Allocation.objects.exists()
    assert Assignment.objects.get().state == "cancelled"


@pytest.mark.parametrize(
    ("codes", "complaint"),
    [
        (["D1-T01"], "at least two tables"),
        (["D1-T01", "D1-T03"], "Out of service: D1-T03."),
        (["D1-T01", "D1-T02"], ""),
        (["D1-T01", "D2-T01"], ""),
    ],
)
def test_a_join_is_of_tables_that_can_be_joined(
    admin_client: Client, restaurant: models.Restaurant, codes: list[str], complaint: str
) -> None:
    models.Table.objects.filter(code="D1-T03").update(active=False)
    tables = models.Table.objects.filter(code__in=codes)
    answer = admin_client.post(
        reverse("admin:example_tablejoin_add"), {"seats": 6, "tables": [table.pk for table in tables]}
    )
    assert models.TableJoin.objects.count() == (0 if complaint else 1)
    assert complaint in answer.content.decode()


def test_tables_of_different_zones_are_not_adjacent(admin_client: Client, restaurant: models.Restaurant) -> None:
    first, second = (models.Table.objects.get(code=code) for code in ("D1-T01", "D2-T01"))
    answer = admin_client.post(reverse("admin:example_tableadjacency_add"), {"first": first.pk, "second": second.pk})
    assert "different zones" in answer.content.decode()


def test_a_service_says_how_long_guests_stay(admin_client: Client, restaurant: models.Restaurant) -> None:
    values = {
        "restaurant": restaurant.pk,
        "key": "late",
        "start": "22:00",
        "end": "02:00",
        "weekdays": "",
        "buffer_before_minutes": 0,
        "buffer_after_minutes": 5,
        "early_minutes": 15,
        "late_minutes": 0,
        "turn_times-TOTAL_FORMS": 0,
        "turn_times-INITIAL_FORMS": 0,
    }
    page = reverse("admin:example_serviceperiod_add")
    assert "at least 1" in admin_client.post(page, values).content.decode()
    assert not models.ServicePeriod.objects.filter(key="late").exists()
    with_turn = {**values, "turn_times-TOTAL_FORMS": 1, "turn_times-0-max_party": 4, "turn_times-0-minutes": 90}
    assert admin_client.post(page, with_turn).status_code == 302
    too_long = {**with_turn, "key": "later", "allow_overrun": "on", "late_minutes": 22 * 60}
    assert "By then it is the day after next." in admin_client.post(page, too_long).content.decode()
    assert not models.ServicePeriod.objects.filter(key="later").exists()
    assert models.ServicePeriod.objects.get(key="late").turn_times.count() == 1


def test_moving_a_booking_moves_its_table(admin_client: Client, seated: models.Booking) -> None:
    moved = seated.start + timedelta(hours=8)
    change(admin_client, seated, start_0=moved.date().isoformat(), start_1=moved.time().isoformat())
    assert (seated.start, seated.status) == (moved, "confirmed")
    assert {row.starts_at for row in Allocation.objects.all()} == {moved}
