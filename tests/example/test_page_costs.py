"""What each page costs: few queries, and the same for a few bookings and for ten thousand."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from example import models
from tests import crowd, pages
from tests.showcase import show

# One process builds what all of these show.
pytestmark = pytest.mark.xdist_group("showcase")

MOST = 20


@pytest.fixture
def shown(transactional_db: Any, settings: Any) -> models.Restaurant:
    return show(settings)


def queries(client: Client, page: pages.Page) -> list[str]:
    """What opening the page asks, the session's and the user's included, once a process knows the restaurants' floors."""
    client.get(page.path())
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(page.path())
    assert answer.status_code == 200, f"{page}: {answer.status_code}"
    return [query["sql"] for query in captured.captured_queries]


def test_each_page_costs_few_queries_and_no_more_for_ten_thousand_bookings(
    admin_client: Client, shown: models.Restaurant
) -> None:
    few = {page.key: queries(admin_client, page) for page in pages.PAGES}
    crowd.grow(shown, bookings=10_000, events=20_000, comparisons=10_000)
    assert models.Booking.objects.count() > 10_000
    many = {page.key: queries(admin_client, page) for page in pages.PAGES}
    # Of a crowd the legacy planner has refused some, which the gates look at, in one query.
    more = {"promote": 1}
    grown = [
        f"{key}: {len(few[key])} queries, then {len(many[key])}"
        for key in few
        if len(many[key]) > len(few[key]) + more.get(key, 0)
    ]
    assert not grown, grown
    costly = [f"{key}: {len(asked)} queries" for key, asked in many.items() if len(asked) >= MOST]
    assert not costly, costly
