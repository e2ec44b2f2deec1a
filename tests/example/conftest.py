"""The real evening, loaded through the example project."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from example import demo, evening, models
from rollout.control import switches
from rollout.flags import resolution


def load(planner: str = "v3", name: str = "") -> models.Restaurant:
    """A copy of the real evening on a coming day, and the switch set for the planner."""
    text = demo.REAL_EVENING.read_text()
    source = evening.parse_json_ahead(text, datetime.now(UTC) + timedelta(days=30))
    restaurant = evening.store(source, restaurant_name=name).restaurants[0]
    switches.set_switch(resolution.V3_SWITCH, active=planner == "v3", actor="test", reason="test")
    return restaurant


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
    return load()
