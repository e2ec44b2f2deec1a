"""What a decision costs in a real project: every query counts, the host's too, and BEGIN and COMMIT."""

from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from assignments import api
from assignments.concurrency import clock
from assignments.coordination import dispatch, table_record
from assignments.models import Assignment
from assignments.outcome import Change, Kind
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


def listed(captured: CaptureQueriesContext) -> str:
    return "\n".join(query["sql"][:150] for query in captured.captured_queries)


def test_an_edit_costs_at_most_twenty_queries_from_the_call_to_the_commit(restaurant: models.Restaurant) -> None:
    booking = restaurant.bookings.filter(party=2).order_by("start")[0]
    assert api.assign_now(booking_ref=str(booking.pk)).kind is Kind.CONFIRMED  # the floor is known from here on
    booking.refresh_from_db()
    booking.party = 6
    with CaptureQueriesContext(connection) as captured, transaction.atomic():
        booking.save()
        assert api.booking_changed(booking_ref=str(booking.pk)) is Change.MOVED
    assert len(captured) - 1 <= 20, listed(captured)  # Without the project's own UPDATE, which comes before the call.


def test_a_walk_in_costs_at_most_twenty_queries(restaurant: models.Restaurant) -> None:
    first, booking = restaurant.bookings.filter(party=2).order_by("start")[:2]
    api.assign_now(booking_ref=str(first.pk))
    api.request(booking_ref=str(booking.pk))
    with clock.at(booking.start), CaptureQueriesContext(connection) as captured:
        assert api.seat_walk_in(booking_ref=str(booking.pk), actor="staff:7").kind is Kind.CONFIRMED
    assert len(captured) - 1 <= 20, listed(captured)  # Without what moves the clock.


def test_waking_costs_at_most_five_queries_more(restaurant: models.Restaurant) -> None:
    dispatch.register_new()
    list(dispatch.run_pass())
    seated = Assignment.objects.filter(state="confirmed").order_by("id")[:2]
    costs = []
    for number, assignment in enumerate(seated):
        if number:  # The first cancellation wakes those who wait, the second one finds nobody asleep.
            Assignment.objects.filter(state="assignment_pending").update(due_at=assignment.requested_at)
        booking = models.Booking.objects.get(pk=assignment.booking_ref)
        booking.status = models.Booking.Status.CANCELLED
        booking.save()
        with CaptureQueriesContext(connection) as captured:
            api.booking_changed(booking_ref=assignment.booking_ref)
        costs.append(len(captured))
    assert max(costs) - min(costs) <= 5, costs
    assert max(costs) <= 20
