"""What happens to bookings in this project. The assignments app is told in the same transaction, each time."""

from datetime import datetime
from typing import Any

from django.db import transaction

from assignments import api
from example.models import Booking, Restaurant


def make_booking(*, restaurant: Restaurant, reference: str, start: datetime, party: int, **details: Any) -> Booking:
    """A new booking, waiting for a table. ``api.assign_now`` may be called once this has committed."""
    with transaction.atomic():
        booking = Booking.objects.create(
            restaurant=restaurant, reference=reference, start=start, party=party, **details
        )
        api.request(booking_ref=str(booking.pk))
    return booking


def save_booking(booking: Booking) -> bool:
    """Store an edited (or new) booking; True when its tables no longer stand and it is planned anew."""
    with transaction.atomic():
        booking.save()
        if booking.status in {Booking.Status.CANCELLED, Booking.Status.NO_SHOW}:
            booking.tables.clear()
        return api.booking_changed(booking_ref=str(booking.pk))


def cancel_booking(booking: Booking) -> None:
    """The guest does not come: the tables are free at once."""
    booking.status = Booking.Status.CANCELLED
    save_booking(booking)


def delete_booking(booking: Booking) -> None:
    """The booking is gone altogether: its tables are free at once."""
    with transaction.atomic():
        api.booking_cancelled(booking_ref=str(booking.pk))
        booking.delete()
