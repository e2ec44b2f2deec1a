"""Moments in the lists of records: never the server's time, and each by a clock that is named."""

import re
from datetime import UTC
from html import unescape
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import DateTimeField
from django.test import Client
from django.urls import reverse
from django.utils import dateformat, formats
from django.utils.html import strip_tags

from assignments.admin.readonly import ReadOnlyAdmin
from assignments.integration import floor_cache
from assignments.models import Allocation, Attempt, Breaker, StateTransition
from assignments.staff.moments import local_moment, moment
from example import models
from example.host import ExampleHost


@pytest.fixture(autouse=True)
def _in_a_server_elsewhere(settings: Any) -> None:
    """Its own time is nobody's here."""
    settings.TIME_ZONE = "Asia/Tokyo"


def listed(client: Client, model: Any, **query: str) -> str:
    answer = client.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"), query)
    assert answer.status_code == 200
    return " ".join(unescape(strip_tags(answer.content.decode())).split())


def test_no_list_shows_a_moment_as_the_server_has_it() -> None:
    raw = [
        f"{model.__name__}.{name}"
        for model, site in admin.site._registry.items()
        if isinstance(site, ReadOnlyAdmin)
        for name in site.list_display
        if isinstance(name, str) and name in {field.name for field in model._meta.fields}
        if isinstance(model._meta.get_field(name), DateTimeField)
    ]
    assert raw == []


@pytest.mark.parametrize("model", [Attempt, StateTransition])
def test_what_was_recorded_is_told_in_utc(admin_client: Client, decided: models.Restaurant, model: Any) -> None:
    row = model.objects.order_by("-at", "-id")[0]
    text = listed(admin_client, model, q=row.booking_ref)
    assert "When (UTC)" in text
    assert moment(row.at, UTC, "seconds") in text


@pytest.mark.parametrize("model", [Attempt, StateTransition, Allocation])
def test_the_page_of_one_row_tells_moments_in_utc(admin_client: Client, decided: models.Restaurant, model: Any) -> None:
    row = model.objects.order_by("-pk")[0]
    answer = admin_client.get(reverse(f"admin:assignments_{model._meta.model_name}_change", args=[row.pk]))
    text = " ".join(unescape(strip_tags(answer.content.decode())).split())
    assert f"{row} (times are UTC)" in text
    at = getattr(row, "at", None) or row.starts_at
    assert dateformat.format(at.astimezone(UTC), formats.get_format("DATETIME_FORMAT")) in text


def test_a_moment_that_is_not_there_is_a_dash(admin_client: Client, db: None) -> None:
    Breaker.objects.create(name="R1")
    assert "Open until (UTC)" in listed(admin_client, Breaker)
    assert re.search(r"R100-\d+ \w+ 20\d\d", listed(admin_client, Breaker))


def test_the_ledger_tells_when_guests_sit_by_the_restaurants_clock(
    admin_client: Client, decided: models.Restaurant, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.Restaurant.objects.update(timezone="Asia/Kathmandu")
    row = Allocation.objects.order_by("pk")[0]
    there = row.starts_at.astimezone(floor_cache.floor_of(row.restaurant_ref).zone)
    assert f"{local_moment(there)} +0545" in listed(admin_client, Allocation, q=row.booking_ref)

    def raises(*_args: Any, **_named: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(ExampleHost, "floor", raises)
    floor_cache.forget()
    assert f"{moment(row.starts_at, UTC)} UTC" in listed(admin_client, Allocation, q=row.booking_ref)


def test_lists_can_be_sorted_by_their_moments(admin_client: Client, decided: models.Restaurant) -> None:
    url = reverse("admin:assignments_allocation_changelist")
    column = admin_client.get(url).context["cl"].list_display.index("starts")
    found = admin_client.get(url, {"o": str(column)}).context["cl"].result_list
    assert [row.starts_at for row in found] == sorted(row.starts_at for row in found)
    assert found[0].starts_at == Allocation.objects.order_by("starts_at")[0].starts_at
