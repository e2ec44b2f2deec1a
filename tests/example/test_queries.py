"""What a decision costs in a real project: every query counts, the host's too, and BEGIN and COMMIT."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assignments import api
from assignments.coordination import dispatch, table_record
from assignments.outcome import Kind
from example import models
from example.booking import make_booking


def test_one_booking_inline_costs_at_most_sixteen_queries(restaurant: models.Restaurant) -> None:
    first, second = restaurant.bookings.order_by("start")[:2]
    assert api.assign_now(booking_ref=str(first.pk)).kind is Kind.CONFIRMED  # the floor is known from here on
    api.request(booking_ref=str(second.pk))
    with CaptureQueriesContext(connection) as captured:
        outcome = api.assign_now(booking_ref=str(second.pk))
    assert outcome.kind is Kind.CONFIRMED
    assert len(captured) <= 16, "\n".join(query["sql"][:150] for query in captured.captured_queries)


@pytest.mark.parametrize("bookings", [10, 117])
def test_a_batch_costs_the_same_whatever_the_number_of_bookings(restaurant: models.Restaurant, bookings: int) -> None:
    surplus = restaurant.bookings.order_by("start")[bookings:]
    models.Booking.objects.filter(pk__in=[booking.pk for booking in surplus]).delete()
    dispatch.register_new()
    table_record.success_of(str(restaurant.pk))  # one more query, every ten minutes
    with CaptureQueriesContext(connection) as captured:
        outcomes = [outcome for progress in dispatch.run_pass() for outcome in progress.outcomes]
    assert len(outcomes) == bookings
    assert len(captured) <= 19, "\n".join(query["sql"][:150] for query in captured.captured_queries)


def test_requesting_a_booking_is_cheap(restaurant: models.Restaurant, django_assert_max_num_queries: Any) -> None:
    booking = restaurant.bookings.order_by("start")[0]
    api.request(booking_ref=str(booking.pk))
    with django_assert_max_num_queries(10):
        make_booking(restaurant=restaurant, reference="N1", start=booking.start, party=2)
