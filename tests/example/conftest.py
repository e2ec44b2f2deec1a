"""The real evening, loaded through the example project."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from example import demo, evening, models
from rollout import flags, switches


def load(planner: str = "v3", name: str = "") -> models.Restaurant:
    """A copy of the real evening on a coming day, and the switch set for the planner."""
    text = demo.REAL_EVENING.read_text()
    source = evening.parse_json_ahead(text, datetime.now(UTC) + timedelta(days=30))
    restaurant = evening.store(source, restaurant_name=name).restaurants[0]
    switches.set_switch(flags.V3_SWITCH, active=planner == "v3", actor="test", reason="test")
    return restaurant


@pytest.fixture
def restaurant(transactional_db: Any) -> models.Restaurant:
    """The real evening, with V3 on."""
    return load()
