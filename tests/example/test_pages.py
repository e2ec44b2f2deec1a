"""Every admin page of the apps opens, with data, in a number of queries that does not grow with it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assignments.coordination import dispatch
from assignments.models import Assignment
from assignments.planning import engine
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Snapshot
from assignments.testing import a_floor, a_table
from example import models
from rollout.models import Comparison
from rollout.shadow import recorder
from tests.built import built_once
from tests.example.conftest import load

MODELS = [
    model for model in admin.site._registry if model._meta.app_label in {"assignments", "rollout", "example", "waffle"}
]


@pytest.fixture
def seated(transactional_db: Any) -> models.Restaurant:
    """The real evening, decided by V3, and as many comparisons as it has bookings."""
    built_once("the evening by V3 with comparisons", _seat)
    return models.Restaurant.objects.get()


def _seat() -> None:
    load()
    dispatch.register_new()
    list(dispatch.run_pass())
    seven = (datetime.now(UTC) + timedelta(days=30)).replace(hour=19, minute=0, second=0, microsecond=0)
    floor = a_floor(tables=[a_table("T1")])
    for number in range(117):
        request = SeatingRequest(booking_ref=f"B{number}", starts_at=seven, party=2)
        snapshot = Snapshot(floor=floor, occupied=(), request=request, now=seven - timedelta(days=1))
        recorder.record(snapshot, engine.plan(snapshot), decision_ms=1.0)
    assert recorder.flush()


def test_every_list_opens_in_few_queries(admin_client: Client, seated: models.Restaurant) -> None:
    assert Comparison.objects.count() == 117
    for model in MODELS:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(url).status_code == 200, url
        assert len(captured) <= 20, f"{url}: {len(captured)} queries"


def test_every_row_opens(admin_client: Client, seated: models.Restaurant) -> None:
    opened = set()
    for model in MODELS:
        row = model._default_manager.first()
        if row is not None:
            url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])
            assert admin_client.get(url).status_code == 200, url
            opened.add(model.__name__)
    assert {"Assignment", "Allocation", "Attempt", "Event", "StateTransition", "Comparison", "Booking"} - opened <= {
        "Event"
    }


def test_a_booking_is_explained_and_cannot_be_changed(admin_client: Client, seated: models.Restaurant) -> None:
    assignment = Assignment.objects.filter(state="confirmed")[0]
    url = reverse("admin:assignments_assignment_change", args=[assignment.pk])
    page = admin_client.get(url).content.decode()
    assert "Attempt 1 by V3: D" in page
    assert "D1-T" in page or "D2-T" in page
    assert 'name="_save"' not in page
    assert admin_client.post(url, {"state": "failed"}).status_code == 403
    assert admin_client.post(reverse("admin:assignments_assignment_delete", args=[assignment.pk])).status_code == 403
    assignment.refresh_from_db()
    assert assignment.state == "confirmed"


def test_without_the_permission_there_is_no_page(
    client: Client, seated: models.Restaurant, django_user_model: Any
) -> None:
    staff = django_user_model.objects.create_user("staff", password="x", is_staff=True)
    client.force_login(staff)
    assert client.get(reverse("admin:assignments_assignment_changelist")).status_code == 403
