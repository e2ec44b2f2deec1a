"""Something to show on every page: for the tests that open all of them."""

import uuid
from datetime import timedelta
from typing import Any

from django.db import transaction

from assignments.coordination import dispatch
from assignments.models import Assignment, State
from assignments.planning.reasons import Reason
from assignments.telemetry import events
from example import models
from example.booking import cancel_booking
from rollout.control import steering, switches
from rollout.flags import resolution
from rollout.models import ForcedPlanner
from tests import crowd
from tests.built import built_once
from tests.example.conftest import load
from tests.rollout.control.test_steering import WHO, climb, configure


def decided(settings: Any) -> models.Restaurant:
    """The real evening, decided by V3: most bookings are confirmed, some wait, a few are in review; its events stored."""
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "EVENT_SINKS": ("assignments.telemetry.events.DatabaseSink",)}
    attempts = settings.ASSIGNMENTS.get("MAX_ATTEMPTS", "as many as by default")
    built_once(f"the evening by V3 with its events, attempts: {attempts}", _decide)
    return models.Restaurant.objects.get()


def _decide() -> models.Restaurant:
    restaurant = load()
    dispatch.register_new()
    list(dispatch.run_pass())
    assert events.flush(10)
    return restaurant


def ask_staff(restaurant: models.Restaurant) -> None:
    """Some of those that wait go to review; then parties cancel, so that for the first of them there is room."""
    with transaction.atomic():
        waiting = Assignment.objects.open().filter(restaurant_ref=str(restaurant.pk), state=State.ASSIGNMENT_PENDING)
        sent = list(waiting.order_by("starts_at", "pk")[:6])
        for assignment in sent:
            assignment.send_to_review(actor=assignment.planner, reason=Reason.NO_CAPACITY)
        Assignment.objects.persist(sent, correlation_id=uuid.uuid4())
    around = (sent[0].starts_at - timedelta(minutes=100), sent[0].starts_at + timedelta(minutes=100))
    for booking in restaurant.bookings.filter(status="confirmed", start__range=around).order_by("-party", "pk")[:12]:
        cancel_booking(booking)


def show(settings: Any) -> models.Restaurant:
    """That evening, comparisons of all kinds, and a rollout under way with a forced planner and a record."""
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "EVENT_SINKS": ("assignments.telemetry.events.DatabaseSink",)}
    configure(settings, gates={"comparable": 3000})
    built_once("something to show on every page", _fill)
    return models.Restaurant.objects.get()


def _fill() -> None:
    restaurant = _decide()
    switches.set_switch(resolution.V3_SWITCH, active=False, **WHO)
    climb("shadow")
    steering.force_planner(restaurant_ref=str(restaurant.pk), planner=ForcedPlanner.PlannerChoice.V3, **WHO)
    crowd.compare_evening(restaurant)
    ask_staff(restaurant)
    assert events.flush(10)
