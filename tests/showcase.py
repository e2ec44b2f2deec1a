"""Something to show on every page: for the tests that open all of them."""

from typing import Any

from assignments import dispatch, events
from example import models
from rollout import flags, steering, switches
from rollout.models import Pin
from tests import crowd
from tests.example.conftest import load
from tests.rollout.test_steering import WHO, climb, configure


def decided(settings: Any) -> models.Restaurant:
    """The real evening, decided by V3: most bookings are confirmed, some wait, a few are in review; its events stored."""
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "EVENT_SINKS": ("assignments.events.DatabaseSink",)}
    restaurant = load()
    dispatch.take_in()
    list(dispatch.run_pass())
    assert events.flush(10)
    return restaurant


def show(settings: Any) -> models.Restaurant:
    """That evening, comparisons of all kinds, and a rollout under way with a pin and a record."""
    restaurant = decided(settings)
    configure(settings, gates={"comparable": 3000})
    switches.set_switch(flags.V3_SWITCH, active=False, **WHO)
    climb("shadow")
    steering.pin(restaurant_ref=str(restaurant.pk), planner=Pin.PlannerChoice.V3, **WHO)
    crowd.compare_evening(restaurant)
    assert events.flush(10)
    return restaurant
