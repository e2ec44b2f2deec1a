"""Operations on this project's bookings. Each tells the assignments app in the same transaction."""

from datetime import datetime
from typing import Any

from django.db import transaction

from assignments import api
from assignments.outcome import Change
from example.models import Booking, Restaurant


def make_booking(*, restaurant: Restaurant, reference: str, start: datetime, party: int, **details: Any) -> Booking:
    """Make a new booking, waiting for a table. Call ``api.assign_now`` only after the commit."""
    with transaction.atomic():
        booking = Booking.objects.create(
            restaurant=restaurant, reference=reference, start=start, party=party, **details
        )
        api.request(booking_ref=str(booking.pk))
    return booking


def save_booking(booking: Booking) -> Change:
    """Store an edited (or new) booking. Return the effect on its tables."""
    with transaction.atomic():
        booking.save()
        if booking.status in {Booking.Status.CANCELLED, Booking.Status.NO_SHOW}:
            booking.tables.clear()
        return api.booking_changed(booking_ref=str(booking.pk))


def cancel_booking(booking: Booking) -> None:
    """Cancel a booking; its tables are free immediately."""
    booking.status = Booking.Status.CANCELLED
    save_booking(booking)


def delete_booking(booking: Booking) -> None:
    """Delete a booking; its tables are free immediately."""
    with transaction.atomic():
        api.booking_cancelled(booking_ref=str(booking.pk))
        booking.delete()
