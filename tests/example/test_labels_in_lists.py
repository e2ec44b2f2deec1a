"""Each list names a booking as every other page does."""

from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse

from assignments import api
from assignments.models import Allocation, Assignment, Attempt, Event, OutboxMessage, StateTransition
from assignments.telemetry.event_catalogue import COORDINATOR
from example import models
from example.host import ExampleHost

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("model", [Allocation, Assignment, Attempt, Event, OutboxMessage, StateTransition])
def test_a_booking_has_its_label(admin_client: Client, restaurant: models.Restaurant, model: type) -> None:
    booking = restaurant.bookings.get(reference="B001")
    assert api.assign_now(booking_ref=str(booking.pk)).table_refs
    Event.objects.create(source=COORDINATOR, type="coordinator.noop", at=datetime.now(UTC), booking_ref=str(booking.pk))
    label = ExampleHost().label(str(booking.pk))
    assert label != str(booking.pk)
    page = admin_client.get(reverse(f"admin:assignments_{model.__name__.lower()}_changelist"), {"q": str(booking.pk)})
    assert label in page.content.decode()
