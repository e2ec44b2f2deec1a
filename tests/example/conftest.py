"""The real evening, loaded through the example project."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from assignments.coordination import dispatch
from example import demo, evening, models
from rollout.control import switches
from rollout.flags import resolution
from tests.built import built_once


def load(planner: str = "v3", name: str = "", *, bookings: int = 0) -> models.Restaurant:
    """A copy of the real evening on a coming day, and the switch set for the planner; or so many bookings of its middle."""

    def store() -> models.Restaurant:
        text = demo.REAL_EVENING.read_text()
        source = evening.parse_json_ahead(text, datetime.now(UTC) + timedelta(days=30))
        if bookings:
            rows = sorted(source.bookings, key=lambda row: row.start)
            source = replace(source, bookings=tuple(rows[40 : 40 + bookings]))
        return evening.store(source, restaurant_name=name).restaurants[0]

    # Beside another one it is stored, as it is where triggers have to go on afterwards.
    if connection.in_atomic_block or models.Restaurant.objects.exists():
        restaurant = store()
    else:
        built_once(f"{bookings or 'all'} bookings of the real evening as {name or 'itself'}", store)
        restaurant = models.Restaurant.objects.get()
    switches.set_switch(resolution.V3_SWITCH, active=planner == "v3", actor="test", reason="test")
    return restaurant


def keep_few(restaurant: models.Restaurant, bookings: int = 20) -> None:
    """Leave it so many bookings, of the middle of its evening: where how many there are makes no difference."""
    keep = restaurant.bookings.order_by("start")[40 : 40 + bookings]
    restaurant.bookings.exclude(pk__in=[booking.pk for booking in keep]).delete()


def turn_keys_around() -> None:
    """Give all tables keys that run against their names, as numbers and as text."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE example_tableadjacency SET first_id = 1000000 - first_id, second_id = 1000000 - second_id"
        )
        cursor.execute("UPDATE example_table SET id = 1000000 - id")


@pytest.fixture
def restaurant(transactional_db: Any) -> models.Restaurant:
    """The real evening, with V3 on."""
    built_once("the real evening", load)
    return models.Restaurant.objects.get()


@pytest.fixture
def decided(transactional_db: Any) -> models.Restaurant:
    """The real evening, decided by V3."""
    built_once("the evening by V3", _decide)
    return models.Restaurant.objects.get()


@pytest.fixture
def decided_few(transactional_db: Any) -> models.Restaurant:
    """A few bookings of the real evening, decided by V3."""
    built_once("a few bookings by V3", _decide_few)
    return models.Restaurant.objects.get()


def _decide() -> None:
    load()
    _run()


def _decide_few() -> None:
    load(bookings=20)
    _run()


def _run() -> None:
    dispatch.register_new()
    list(dispatch.run_pass())
