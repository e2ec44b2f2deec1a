"""What the lists of records read: however large a table is, no list, filter, search or sorting reads all of it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from assignments.admin import bounded_changelist, paginator
from assignments.admin.page import PageAdmin
from assignments.admin.readonly import ReadOnlyAdmin
from assignments.coordination import dispatch
from assignments.models import Allocation, Assignment, Attempt, Event, StateTransition
from example import models
from rollout.admin import comparisons
from rollout.models import Comparison, GuardRun
from tests import crowd
from tests.reading import reading
from tests.showcase import show

# One process builds what all of these show.
pytestmark = pytest.mark.xdist_group("showcase")

LATEST = 500
ON_A_PAGE = 4
"""What a row costs to be drawn is not the question here."""
LARGE = (Allocation, Assignment, Attempt, Event, StateTransition, Comparison, GuardRun)
LISTS = [
    model
    for model, site in admin.site._registry.items()
    if isinstance(site, ReadOnlyAdmin) and not isinstance(site, PageAdmin)
]


@pytest.fixture
def grown(transactional_db: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> models.Restaurant:
    """Thousands of rows in each large table, of which the latest LATEST are looked through."""
    restaurant = show(settings)
    crowd.grow(restaurant, bookings=5_000, events=10_000, comparisons=5_000)
    now = timezone.now()
    GuardRun.objects.bulk_create(
        GuardRun(environment="dev", stage="full", at=now - timedelta(minutes=5 * ago)) for ago in range(4_000, 0, -1)
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    monkeypatch.setattr(bounded_changelist, "LOOKED_THROUGH", LATEST)
    monkeypatch.setattr(paginator, "MOST_PAGES", LATEST // ON_A_PAGE)
    for model in LISTS:
        monkeypatch.setattr(admin.site._registry[model], "list_per_page", ON_A_PAGE)
    monkeypatch.setattr(admin.site, "get_app_list", lambda *_args: [])  # nor is the sidebar
    monkeypatch.setattr(comparisons, "COUNTED", LATEST // 10)
    monkeypatch.setattr(comparisons, "LATEST_ERRORS", LATEST)
    return restaurant


def url_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def ways_to_look(client: Client, model: type[Model]) -> Iterator[dict[str, str]]:
    """The list as it opens; of a large table also each choice of each of its filters, a search, and each sorting."""
    yield {}
    if model not in LARGE:
        return
    shown = client.get(url_of(model)).context["cl"]
    for spec in shown.filter_specs:
        for choice in spec.choices(shown):
            if query := dict(parse_qsl(choice["query_string"].lstrip("?"))):  # otherwise it is the list as it opens
                yield query
    if shown.search_fields:
        yield {"q": "nobody"}
    for number in range(len(shown.list_display)):
        yield {"o": str(number)}


def test_no_list_reads_a_whole_table_however_it_is_looked_at(admin_client: Client, grown: models.Restaurant) -> None:
    sizes = {model._meta.db_table: model._default_manager.count() for model in LARGE}
    assert min(sizes.values()) >= 3_000
    assert set(LARGE) <= set(LISTS)
    looked = 0
    for model in LISTS:
        for query in ways_to_look(admin_client, model):
            with reading() as scans:
                assert admin_client.get(url_of(model), query).status_code == 200, (model, query)
            looked += 1
            for scan in scans:
                if scan.table in sizes:
                    assert scan.rows < sizes[scan.table] / 2, (model.__name__, query, scan)
    assert looked > 100


def test_what_no_index_finds_is_found_among_the_latest_and_the_page_says_so(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    GuardRun.objects.create(environment="dev", stage="full", rolled_back_to="off")
    GuardRun.objects.bulk_create(GuardRun(environment="dev", stage="full") for _each in range(LATEST))
    for looked_through, found in ((LATEST, 0), (LATEST + 1, 1)):
        monkeypatch.setattr(bounded_changelist, "LOOKED_THROUGH", looked_through)
        answer = admin_client.get(url_of(GuardRun), {"rolled_back_to": "off"})
        assert answer.context["cl"].result_count == found
        says_so = f"This searches the latest {looked_through} entries only." in answer.content.decode()
        assert says_so is not bool(found)


def test_what_an_index_finds_is_found_however_old_it_is(
    admin_client: Client, restaurant: models.Restaurant, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatch.register_new()
    monkeypatch.setattr(bounded_changelist, "LOOKED_THROUGH", 10)
    # The list is searched for restaurants as well.
    oldest = Assignment.objects.exclude(booking_ref=str(restaurant.pk)).order_by("pk")[0]
    answer = admin_client.get(url_of(Assignment), {"q": oldest.booking_ref, "planner": "nobody"})
    assert [row.pk for row in answer.context["cl"].result_list] == [oldest.pk]
    assert "looked through" not in answer.content.decode()
    answer = admin_client.get(url_of(Assignment), {"state__exact": oldest.state})
    assert answer.context["cl"].result_count == 117
    assert "looked through" not in answer.content.decode()
