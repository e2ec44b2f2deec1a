"""Names, phones and notes of guests: on pages for those who may see them, and nowhere else."""

import logging
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.urls import reverse

from assignments.host import Guest, KnowsGuests
from assignments.integration import floor_cache
from assignments.integration.project_host import able, configured
from assignments.models import Assignment
from example import models
from example.host import ExampleHost

pytestmark = pytest.mark.django_db(transaction=True)

FIND = "admin:assignments_serviceday_find"
NAME, PHONE, NOTES = "Zwetschgenbaum", "020 79460199", "allergic to quinoa"


@pytest.fixture
def known(decided: models.Restaurant) -> Assignment:
    """One booking of the evening, of which the host knows who comes."""
    booking = decided.bookings.filter(status="confirmed").order_by("start")[3]
    decided.bookings.filter(pk=booking.pk).update(
        guest_name=f"Anna {NAME}", guest_phone=PHONE, guest_notes=NOTES, reference="Q-41700417"
    )
    return Assignment.objects.get(booking_ref=str(booking.pk))


@pytest.fixture
def staff(django_user_model: Any) -> Any:
    """A client of staff with these permissions, and no others."""

    def allowed(*codenames: str) -> Client:
        user = django_user_model.objects.create_user("mira", password="x", is_staff=True)
        user.user_permissions.set(
            Permission.objects.filter(content_type__app_label="assignments", codename__in=codenames)
        )
        client = Client()
        client.force_login(user)
        return client

    return allowed


def pages_of(known: Assignment) -> list[str]:
    day = reverse("admin:assignments_serviceday_changelist")
    query = f"?restaurant={known.restaurant_ref}&day={known.service_date}"
    local = known.starts_at.astimezone(floor_cache.floor_of(known.restaurant_ref).zone)
    return [
        f"{day}{query}&booking={known.pk}",
        f"{day}{query}&view=plan&at={local:%H:%M}",
        reverse("admin:assignments_serviceday_sheet") + query,
        reverse("admin:assignments_assignment_change", args=[known.pk]),
    ]


SEEN = ("view_serviceday", "assign", "view_assignment", "view_reviewitem")


def test_the_host_says_who_comes(known: Assignment) -> None:
    host = ExampleHost()
    assert isinstance(host, KnowsGuests)
    assert able(configured(), KnowsGuests) is not None
    guest = Guest(name=f"Anna {NAME}", phone=PHONE, notes=NOTES, reference="Q-41700417")
    assert host.guests([known.booking_ref, "walk-in:1", "0"]) == {known.booking_ref: guest}
    assert NAME not in repr(guest)


def test_they_are_on_pages_with_the_permission_only(staff: Any, known: Assignment) -> None:
    client = staff(*SEEN)
    for url in pages_of(known):
        answer = client.get(url)
        assert answer.status_code == 200
        assert not {NAME, PHONE, NOTES} & {each for each in (NAME, PHONE, NOTES) if each in answer.content.decode()}
    user_permission = Permission.objects.get(codename="view_guests")
    answer = client.get(pages_of(known)[0])
    answer.wsgi_request.user.user_permissions.add(user_permission)
    for url in pages_of(known):
        assert NAME in client.get(url).content.decode(), url
    panel = client.get(pages_of(known)[0]).content.decode()
    assert PHONE in panel
    assert NOTES in panel


@pytest.mark.parametrize("text", ["zwetschgen", "anna ZWETSCH", "79460199", "Q-41700417"])
def test_a_booking_is_found_by_who_comes(staff: Any, known: Assignment, text: str) -> None:
    client = staff(*SEEN, "view_guests")
    answer = client.post(reverse(FIND), {"q": text})
    assert [each.assignment for each in answer.context["found"]] == [known]
    assert f"booking={known.pk}" in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]


def test_without_the_permission_a_booking_is_found_by_label_and_number_alone(staff: Any, known: Assignment) -> None:
    client = staff(*SEEN)
    for text in (known.booking_ref, f"Booking {known.booking_ref}"):
        answer = client.post(reverse(FIND), {"q": text})
        assert [each.assignment for each in answer.context["found"]] == [known]
        assert NAME not in answer.content.decode()
    assert client.post(reverse(FIND), {"q": NAME}).context["found"] == []


def test_only_restaurants_that_the_user_may_see_are_searched(staff: Any, known: Assignment, monkeypatch: Any) -> None:
    client = staff(*SEEN, "view_guests")
    for refs, found in (([], []), ([known.restaurant_ref], [known])):
        monkeypatch.setattr(ExampleHost, "restaurants_of", lambda self, user, refs=refs: refs, raising=False)
        for text in (NAME, known.booking_ref):
            answer = client.post(reverse(FIND), {"q": text})
            assert [each.assignment for each in answer.context["found"]][:1] == found


def test_who_may_not_see_the_evening_may_not_search(staff: Any, known: Assignment) -> None:
    assert staff("view_guests").post(reverse(FIND), {"q": NAME}).status_code == 403


def test_an_address_never_holds_what_is_looked_for(staff: Any, known: Assignment) -> None:
    answer = staff(*SEEN, "view_guests").get(reverse(FIND), {"q": NAME})
    assert answer.context["found"] == []


def test_a_host_that_fails_names_nobody_and_its_message_is_not_logged(
    staff: Any, known: Assignment, monkeypatch: Any, caplog: Any
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"{NAME} is not there")

    monkeypatch.setattr(ExampleHost, "guests", fail)
    monkeypatch.setattr(ExampleHost, "find", fail)
    client = staff(*SEEN, "view_guests")
    with caplog.at_level(logging.DEBUG):
        for url in pages_of(known):
            assert client.get(url).status_code == 200
        assert client.post(reverse(FIND), {"q": "nobody"}).context["found"] == []
    assert "RuntimeError" in caplog.text
    assert NAME not in caplog.text


def test_nothing_of_them_is_stored_or_logged(staff: Any, known: Assignment, caplog: Any) -> None:
    client = staff(*SEEN, "view_guests")
    with caplog.at_level(logging.DEBUG, logger="assignments"), caplog.at_level(logging.DEBUG, logger="django.request"):
        for url in pages_of(known):
            assert client.get(url).status_code == 200
        client.post(reverse(FIND), {"q": NAME})
        client.post(reverse(FIND), {"q": PHONE})
        evening = pages_of(known)[0].partition("?")[2]
        client.post(
            f"{reverse('admin:assignments_serviceday_act', args=['arrived'])}?{evening}",
            {"form": "6f6f3c1e-6f8e-4d53-9c57-2f50b4f5a001", "version": known.version},
        )
    assert Assignment.objects.get(pk=known.pk).stage == "arrived"
    kept = []
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            if model._meta.app_label != "example" and not model._meta.proxy:
                cursor.execute(
                    f"SELECT to_jsonb(kept)::text FROM {connection.ops.quote_name(model._meta.db_table)} AS kept"
                )
                kept += [text for (text,) in cursor.fetchall()]
    for canary in (NAME, PHONE, "79460199", NOTES):
        assert not [text for text in [*kept, caplog.text] if canary.lower() in text.lower()], canary
