"""Tables are listed in natural order, T2 before T10, in every list and form of the admin."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from django.test import Client
from django.urls import reverse
from psycopg.types.range import TimestamptzRange

from assignments.admin.natural_order import NaturalOrder
from assignments.models import AdjacentTables, Allocation, Assignment, Attempt, ListedJoin, TableDetails
from assignments.planning.natural_order import natural_key
from example import models
from example.stored_floor import Loaded

pytestmark = pytest.mark.django_db

SEVEN = datetime(2030, 1, 1, 19, tzinfo=UTC)
NAMES = ["T1", "T2", "T10", "T100"]


@pytest.fixture
def tables() -> list[models.Table]:
    """Tables in natural order, whose keys are in the order of text."""
    restaurant = models.Restaurant.objects.create(name="Numbers", reference="numbers")
    zone = models.Zone.objects.create(restaurant=restaurant, name="Room")
    for name in sorted(NAMES):
        models.Table.objects.create(restaurant=restaurant, zone=zone, code=name, seats=4)
    return sorted(models.Table.objects.all(), key=lambda table: natural_key(table.code))


def column(client: Client, page: str, name: str, order: str = "") -> list[str]:
    """Return a column of a list, as the page shows it."""
    answer = client.get(reverse(f"admin:{page}_changelist"), {"o": order} if order else {})
    assert answer.status_code == 200
    cells = re.findall(rf'class="field-{name}[^"]*">(.*?)</t[hd]>', answer.content.decode(), re.DOTALL)
    return [re.sub(r"<[^>]*>", "", cell) for cell in cells]


def named(html: str) -> list[str]:
    """Return the tables of a page in the order of their first mention in a select box."""
    return re.findall(r"<option[^>]*>(T\d+)</option>", html)


def test_the_database_orders_texts_as_python_does() -> None:
    texts = [
        "",
        "1",
        "T1",
        "T2",
        "t2",
        "T02",
        "T10",
        "T 2",
        "T-2",
        "T2a",
        "T2 b",
        "TA",
        "a10b2",
        "a10b10",
        "é1",
        "9" * 30,
    ]
    for text in Random(1).sample(texts, len(texts)):
        TableDetails.objects.create(restaurant_ref="1", table_ref=text)
    found = TableDetails.objects.order_by(NaturalOrder("table_ref"), NaturalOrder("table_ref").desc(), "pk")
    without_ties = [natural_key(row.table_ref)[0] for row in found]
    assert without_ties == sorted(without_ties)


@pytest.mark.parametrize("order", ["", "1"])
def test_the_list_of_tables(admin_client: Client, tables: list[models.Table], order: str) -> None:
    assert column(admin_client, "example_table", "code", order) == NAMES
    assert column(admin_client, "example_table", "code", "-1") == NAMES[::-1]


@pytest.mark.parametrize("order", ["", "1.2"])
def test_the_list_of_adjacent_tables(admin_client: Client, tables: list[models.Table], order: str) -> None:
    t1, t2, t10, t100 = tables
    for first, second in ((t10, t100), (t2, t100), (t2, t10), (t1, t2)):
        models.TableAdjacency.objects.create(first=first, second=second)
    assert column(admin_client, "example_tableadjacency", "first", order) == ["T1", "T2", "T2", "T10"]
    assert column(admin_client, "example_tableadjacency", "second", order) == ["T2", "T10", "T100", "T100"]


def test_the_choice_of_joined_tables(admin_client: Client, tables: list[models.Table]) -> None:
    page = reverse("admin:example_tablejoin_add")
    assert named(admin_client.get(page).content.decode()) == NAMES
    models.Table.objects.update(active=False)
    answer = admin_client.post(page, {"seats": 9, "tables": [table.pk for table in reversed(tables)]})
    assert "Out of service: T1, T2, T10, T100." in answer.content.decode()


def test_the_suggestions_for_an_adjacent_table(admin_client: Client, tables: list[models.Table]) -> None:
    field = {"app_label": "example", "model_name": "tableadjacency", "field_name": "first", "term": "T"}
    answer = admin_client.get(reverse("admin:autocomplete"), field)
    assert [each["text"] for each in json.loads(answer.content)["results"]] == NAMES


def test_the_tables_of_a_booking(admin_client: Client, tables: list[models.Table]) -> None:
    booking = models.Booking.objects.create(restaurant=tables[0].restaurant, reference="B1", start=SEVEN, party=12)
    booking.tables.set(tables)
    page = admin_client.get(reverse("admin:example_booking_change", args=[booking.pk])).content.decode()
    assert "T1 + T2 + T10 + T100" in page
    assert admin_client.get(reverse("admin:example_booking_add")).status_code == 200


@pytest.mark.parametrize("order", ["", "1"])
def test_the_list_of_table_details(admin_client: Client, order: str) -> None:
    for name in sorted(NAMES):
        TableDetails.objects.create(restaurant_ref="1", table_ref=name)
    assert column(admin_client, "assignments_tabledetails", "table_ref", order) == NAMES


@pytest.mark.parametrize("order", ["", "2.3"])
def test_the_library_s_list_of_adjacent_tables(admin_client: Client, order: str) -> None:
    for first, second in (("T10", "T2"), ("T2", "T100"), ("T2", "T10")):
        AdjacentTables.objects.create(restaurant_ref="1", first_table_ref=first, second_table_ref=second)
    page = "assignments_adjacenttables"
    assert column(admin_client, page, "first_table_ref", order) == ["T2", "T2", "T10"]
    assert column(admin_client, page, "second_table_ref", order) == ["T10", "T100", "T2"]


def test_the_list_of_joins(admin_client: Client) -> None:
    for refs in (["T10", "T2"], ["T10", "T11"], ["T100", "T1"]):
        ListedJoin.objects.create(restaurant_ref="1", table_refs=refs, seats=8)
    shown = column(admin_client, "assignments_listedjoin", "table_refs")
    assert set(shown) == {"T2 + T10", "T10 + T11", "T1 + T100"}


def test_the_ledger_sorted_by_table(admin_client: Client) -> None:
    until = SEVEN + timedelta(hours=2)
    for name in sorted(NAMES):
        Allocation.objects.create(
            restaurant_ref="1",
            table_ref=name,
            booking_ref=name,
            kind="seating",
            planner="v3",
            blocked=TimestamptzRange(SEVEN, until),
            starts_at=SEVEN,
            ends_at=until,
        )
    assert column(admin_client, "assignments_allocation", "table_ref", "0") == NAMES


def test_the_attempts_sorted_by_table(admin_client: Client) -> None:
    assignment = Assignment.objects.create(
        booking_ref="1",
        restaurant_ref="1",
        service_date=SEVEN.date(),
        starts_at=SEVEN,
        party=2,
        requested_at=SEVEN,
        due_at=SEVEN,
    )
    for number, name in enumerate(sorted(NAMES), start=1):
        Attempt.objects.create(
            assignment=assignment,
            booking_ref="1",
            number=number,
            planner="v3",
            outcome="confirmed",
            table_refs=[name],
            correlation_id=uuid.UUID(int=number),
        )
    assert column(admin_client, "assignments_attempt", "table_refs", "6") == NAMES


def test_a_pair_names_its_tables_in_order(tables: list[models.Table]) -> None:
    assert str(models.TableAdjacency(first=tables[2], second=tables[1])) == "T2 + T10"
    assert str(AdjacentTables(first_table_ref="T10", second_table_ref="T2")) == "T2 + T10"


def test_what_a_file_no_longer_has_is_listed_in_order() -> None:
    loaded = Loaded()
    for name in sorted(NAMES):
        loaded.remove("tables", name)
    assert loaded.removed == {"tables": NAMES}
