"""Two users of the admin: a manager who sees her own restaurant alone, and an operator who sees all."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db import transaction
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from assignments import api
from assignments.admin.floor import ShortRefs
from assignments.admin.page import PageAdmin
from assignments.admin.readonly import ReadOnlyAdmin
from assignments.lifecycle import transitions
from assignments.models import Assignment, Breaker, Closure, ReviewItem, State, TableDetails
from assignments.planning.reasons import Reason
from assignments.telemetry import events
from example import models
from example.booking import make_booking
from rollout.models import Comparison, ForcedPlanner, Waiver
from rollout.shadow import comparison_detail
from tests.built import built_once
from tests.showcase import show

# One process builds what all of these show.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("showcase")]

HERS = "Bistro"
ABOUT_EVERYTHING = {"change", "guardrun"}
"""Lists of what concerns the whole installation: whoever may see them sees them."""
LISTS = [
    model
    for model, site in admin.site._registry.items()
    if isinstance(site, ReadOnlyAdmin | ShortRefs) and not isinstance(site, PageAdmin)
]


@pytest.fixture
def theirs(transactional_db: Any, settings: Any) -> models.Restaurant:
    """A restaurant with something on every page; hers has two bookings, one of which waits for staff."""

    def build() -> None:
        with_hers(show(settings))

    built_once("something to show on every page, and a restaurant of hers", build)
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "HOST": "tests.example.hosts.HostOfManagers"}
    return models.Restaurant.objects.exclude(name=HERS).get()


def with_hers(restaurant: models.Restaurant) -> None:
    hers = models.Restaurant.objects.create(name=HERS, reference="bistro", timezone=restaurant.timezone)
    zone = models.Zone.objects.create(restaurant=hers, name="Hall")
    table = models.Table.objects.create(restaurant=hers, zone=zone, code="T1", seats=4)
    start = restaurant.bookings.order_by("start")[50].start
    for number in (1, 2):
        make_booking(restaurant=hers, reference=f"hers-{number}", start=start, party=2)
    first, second = (str(pk) for pk in hers.bookings.order_by("pk").values_list("pk", flat=True))
    api.assign(booking_ref=first, table_refs=[str(table.pk)], actor="staff:1", overriding=[Reason.OUTSIDE_SERVICE])
    with transaction.atomic():
        waits = Assignment.objects.get(booking_ref=second)
        transitions.start(waits, actor="v3", planner="v3")
        waits.send_to_review(actor="v3", reason=Reason.NO_CAPACITY)
        transitions.store([waits])
    for ref in (str(restaurant.pk), str(hers.pk)):
        api.close(restaurant_ref=ref, starts_at=start + timedelta(days=400), actor="staff:1")
        Breaker.objects.create(name=f"coordinator:{ref}", failures=1)
        TableDetails.objects.create(restaurant_ref=ref, table_ref="9")
    assert events.flush(10)


@pytest.fixture
def hers(theirs: models.Restaurant) -> models.Restaurant:
    return models.Restaurant.objects.get(name=HERS)


def client_of(django_user_model: Any, name: str) -> Client:
    client = Client()
    client.force_login(django_user_model.objects.create_superuser(name, password="x"))
    return client


@pytest.fixture
def manager(django_user_model: Any) -> Client:
    return client_of(django_user_model, HERS)


@pytest.fixture
def operator(django_user_model: Any) -> Client:
    return client_of(django_user_model, "operator")


def list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def found(client: Client, model: type[Model], **asked: str) -> set[str]:
    """The keys of the rows that the list shows on its first page."""
    return {str(row.pk) for row in shown(client.get(list_of(model), asked), "cl").result_list}


def shown(answer: Any, name: str) -> Any:
    """What the page's template is given by that name."""
    assert answer.status_code == 200
    return answer.context_data[name]


def of(model: type[Model], restaurant_ref: str) -> set[str]:
    """The keys of a restaurant's rows, by whatever names the restaurant."""
    fields = {field.name for field in model._meta.get_fields()}
    rows = model._default_manager.all()
    bookings = Assignment.objects.filter(restaurant_ref=restaurant_ref).values("booking_ref")
    if "restaurant_ref" in fields:
        rows = rows.filter(restaurant_ref=restaurant_ref)
    elif "name" in fields and model is Breaker:
        rows = rows.filter(name=f"coordinator:{restaurant_ref}")
    elif "payload" in fields:
        rows = rows.filter(booking_ref__in=bookings) | rows.filter(payload__restaurant_ref=restaurant_ref)
    else:
        rows = rows.filter(booking_ref__in=bookings)
    return {str(pk) for pk in rows.values_list("pk", flat=True)}


def test_lists_searches_and_pages_show_a_manager_her_own_restaurant(
    theirs: models.Restaurant, hers: models.Restaurant, manager: Client, operator: Client
) -> None:
    seen = 0
    for model in LISTS:
        if model._meta.model_name in ABOUT_EVERYTHING:
            assert found(manager, model) == found(operator, model)
            continue
        others = of(model, str(theirs.pk))
        by_manager = found(manager, model)
        assert by_manager <= of(model, str(hers.pk)), model
        assert not by_manager & others, model
        seen += len(by_manager)
        if not others:
            continue
        assert found(operator, model) & others, model
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[min(others)])
        assert operator.get(url).status_code == 200, url
        assert manager.get(url).status_code in {302, 404}, url
    assert seen >= 8, "her own rows are shown"
    ref = str(theirs.bookings.filter(status="confirmed").order_by("pk")[0].pk)
    assert found(operator, Assignment, q=ref)
    assert not found(manager, Assignment, q=ref)


def test_no_filter_names_another_restaurant(theirs: models.Restaurant, manager: Client, operator: Client) -> None:
    for client, named in ((operator, True), (manager, False)):
        page = client.get(list_of(Comparison)).content.decode()
        assert (f"?restaurant={theirs.pk}" in page) is named


def test_comparisons_of_others_are_neither_counted_nor_next_to_hers(
    theirs: models.Restaurant, manager: Client, operator: Client
) -> None:
    for client, some in ((manager, False), (operator, True)):
        counted = sum(each["count"] for each in shown(client.get(list_of(Comparison)), "counts"))
        assert (counted > 0) is some
    older, newer = Comparison.objects.filter(verdict="same_tables").order_by("recorded_at", "pk")[:2]
    for within, next_to_it in ((None, newer.pk), ({str(theirs.pk)}, newer.pk), ({"hers"}, None)):
        assert comparison_detail.around(older, within).newer == next_to_it


def test_the_timeline_opens_on_her_restaurant_and_no_other(
    theirs: models.Restaurant, hers: models.Restaurant, manager: Client, operator: Client
) -> None:
    timeline = reverse("admin:assignments_serviceday_changelist")
    opened = manager.get(timeline, {"day": hers.bookings.all()[0].start.date().isoformat()})
    assert [venue.ref for venue in shown(opened, "venues")] == [str(hers.pk)]
    assert manager.get(timeline, {"restaurant": str(theirs.pk)}).status_code == 403
    both = {venue.ref for venue in shown(operator.get(timeline), "venues")}
    assert str(theirs.pk) in both


def test_the_review_queue_and_its_buttons_are_hers_alone(
    theirs: models.Restaurant, hers: models.Restaurant, manager: Client, operator: Client
) -> None:
    queue = list_of(ReviewItem)
    listed = {row.assignment.restaurant_ref for row in shown(manager.get(queue), "rows")}
    assert listed == {str(hers.pk)}
    assert {row.assignment.restaurant_ref for row in shown(operator.get(queue), "rows")} >= {str(theirs.pk)}
    assert not shown(manager.get(queue, {"restaurant": str(theirs.pk)}), "rows")
    other = Assignment.objects.filter(restaurant_ref=str(theirs.pk), state=State.MANUAL_REVIEW).order_by("pk")[0]
    page = reverse("admin:assignments_reviewitem_change", args=[other.pk])
    assert (manager.get(page).status_code, operator.get(page).status_code) == (404, 200)
    for button in ("assign", "retry", "reject", "undo"):
        url = reverse(f"admin:assignments_reviewitem_{button}", args=[other.pk])
        assert manager.post(url, {"version": other.version, "reason": "no"}).status_code == 404
    other.refresh_from_db()
    assert other.state == State.MANUAL_REVIEW


def test_she_changes_nothing_of_another_restaurant(
    theirs: models.Restaurant, hers: models.Restaurant, manager: Client
) -> None:
    before = Closure.objects.count()
    times = {"starts_at_0": "2030-01-01", "starts_at_1": "12:00", "reason": "paint"}
    for restaurant, made in ((theirs, 0), (hers, 1)):
        manager.post(reverse("admin:assignments_closure_add"), {"restaurant_ref": str(restaurant.pk), **times})
        assert Closure.objects.count() == before + made
    form = {"restaurant_ref": str(theirs.pk), "table_ref": str(theirs.tables.all()[0].pk), "zone": "hall"}
    answer = manager.post(reverse("admin:assignments_tabledetails_add"), form)
    assert "You may not change this restaurant." in answer.content.decode()
    TableDetails.objects.get(restaurant_ref=str(theirs.pk))
    forced = ForcedPlanner.objects.get(restaurant_ref=str(theirs.pk))
    page = reverse("admin:rollout_force")
    seen = shown(manager.get(page), "form")["seen"].value() or ""
    manager.post(page, {"restaurant_ref": str(theirs.pk), "planner": "legacy", "reason": "no", "seen": seen})
    assert manager.post(reverse("admin:rollout_unforce", args=[str(theirs.pk)]), {"reason": "no"}).status_code == 403
    assert ForcedPlanner.objects.get(restaurant_ref=str(theirs.pk)).planner == forced.planner
    waiver = {
        "verdict": "worse",
        "restaurant_ref": "",
        "owner": "x",
        "days": "3",
        "at_most": "5",
        "reason": "no",
        "seen": "",
    }
    manager.post(reverse("admin:rollout_waive"), waiver)
    assert not Waiver.objects.exists(), "one for all restaurants is not hers to accept"


def test_when_the_host_cannot_say_nothing_is_shown(
    theirs: models.Restaurant, django_user_model: Any, caplog: Any
) -> None:
    client = client_of(django_user_model, "unreachable")
    assert found(client, Assignment) == set()
    assert client.get(reverse("admin:assignments_serviceday_changelist")).status_code == 200
    assert "ConnectionError" in caplog.text
    assert "directory" not in caplog.text
