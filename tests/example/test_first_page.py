"""The admin's first page: the five pages of every day with their counts, for those who may see them."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assignments.admin import first_page
from assignments.models import Assignment, State
from example import models
from example.host import ExampleHost
from tests.showcase import ask_staff

pytestmark = pytest.mark.django_db(transaction=True)


def section(client: Client) -> str:
    answer = client.get(reverse("admin:index"))
    assert answer.status_code == 200
    return answer.content.decode().partition('<section class="first-page"')[2].partition("</section>")[0]


@pytest.fixture
def asked(decided: models.Restaurant) -> models.Restaurant:
    """The real evening, of which some bookings are in review."""
    ask_staff(decided)
    return decided


@pytest.fixture
def staff(client: Client, django_user_model: Any) -> Any:
    def allowed(*codenames: str) -> Client:
        user = django_user_model.objects.create_user("anna", password="x", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return allowed


def test_it_has_the_five_pages_with_their_counts(admin_client: Client, asked: models.Restaurant) -> None:
    html = section(admin_client)
    for title in ("Service timeline", "Review queue", "Health", "Events", "Rollout"):
        assert f">{title}</a>" in html
    waiting = Assignment.objects.filter(state=State.MANUAL_REVIEW).count()
    assert waiting > 1
    assert f"{waiting} bookings need a decision" in html
    assert "The ladder has not begun" in html


def test_each_is_shown_to_who_may_see_it(staff: Any, asked: models.Restaurant) -> None:
    html = section(staff("view_reviewitem"))
    assert "Review queue" in html
    assert "Rollout" not in html
    assert "Health" not in html


def test_who_may_see_none_has_djangos_own_page(staff: Any) -> None:
    assert section(staff("view_session")) == ""


def test_only_the_users_restaurants_are_counted(staff: Any, asked: models.Restaurant, monkeypatch: Any) -> None:
    monkeypatch.setattr(ExampleHost, "restaurants_of", lambda self, user: [], raising=False)
    assert "nobody waits for a decision" in section(staff("view_reviewitem"))


def test_a_part_that_fails_is_left_out(admin_client: Client, monkeypatch: Any) -> None:
    def fail(request: Any) -> Any:
        raise RuntimeError

    monkeypatch.setitem(first_page._panels, "rollout", fail)
    monkeypatch.setattr("assignments.admin.first_page.venues", fail)
    html = section(admin_client)
    assert "Service timeline" not in html
    assert "Review queue" in html
    assert "Events" in html


def test_a_project_keeps_a_template_of_its_own(monkeypatch: Any) -> None:
    monkeypatch.setattr(admin.site, "index_template", "own.html")
    first_page.install()
    assert admin.site.index_template == "own.html"


def test_it_costs_few_queries_whatever_the_number_of_bookings(admin_client: Client, asked: models.Restaurant) -> None:
    with CaptureQueriesContext(connection) as captured:
        section(admin_client)
    assert len(captured) < 20
