"""Requesting assignments: from now on a booking has a row here, and is not forgotten."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

from django.db import OperationalError, connection, transaction

from assignments.concurrency import transactions
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, HostBooking, pages
from assignments.models import Assignment
from assignments.models.assignment import SERVICE_RULE
from assignments.planning.floor import Floor
from assignments.planning.service_day import service_date

CHUNK = 500
CREATE_LOCK_TIMEOUT_MS = 200
LARGEST_STORED = 2**31 - 1


def local_date(moment: datetime, floor: Floor | None) -> date:
    """The restaurant's date of ``moment``; UTC's where no floor tells the zone (planning then says what is wrong)."""
    if moment.tzinfo is None:
        return moment.date()
    try:
        return moment.astimezone(floor.zone if floor else UTC).date()
    except OverflowError:  # At the very end of the calendar; planning refuses it.
        return moment.date()


def stored_start(booking: HostBooking) -> datetime:
    """The start as a column can hold it: a naive one, which planning refuses, as if it were UTC."""
    return booking.starts_at if booking.starts_at.tzinfo else booking.starts_at.replace(tzinfo=UTC)


def stored_party(booking: HostBooking) -> int:
    """The covers as a column can hold them: what is no number, or beyond any, is planning's to refuse, not the insert's."""
    party = booking.party
    return max(-LARGEST_STORED, min(party, LARGEST_STORED)) if isinstance(party, int) else 0


def unsaved(booking: HostBooking, *, floor: Floor | None, now: datetime) -> Assignment:
    """A new assignment for the booking, due at once, not stored."""
    return Assignment(
        booking_ref=booking.ref,
        restaurant_ref=booking.restaurant_ref,
        service_date=service_date(floor, booking.starts_at),
        # Without a floor nobody knows its service: the first pass that has one corrects it.
        service_rule=SERVICE_RULE if floor else None,
        starts_at=stored_start(booking),
        party=stored_party(booking),
        zone_ref=booking.zone_ref or "",
        requested_at=booking.requested_at or now,
        due_at=now,
    )


def take_over_facts(assignment: Assignment, booking: HostBooking, *, floor: Floor | None) -> bool:
    """Give the assignment what the host says now of restaurant, day, time, party and zone, in memory.

    ``floor`` is the booking's restaurant's. Whether that moves it to another restaurant-day. The day changes only with the
    booking's time or restaurant: other opening hours leave bookings that are made already where they are.
    """
    before = (assignment.restaurant_ref, assignment.service_date)
    is_dated = assignment.service_rule is not None
    if not is_dated or (assignment.restaurant_ref, assignment.starts_at) != (
        booking.restaurant_ref,
        stored_start(booking),
    ):
        assignment.service_date = service_date(floor, booking.starts_at)
        assignment.service_rule = SERVICE_RULE if floor else None
    assignment.restaurant_ref = booking.restaurant_ref
    assignment.starts_at, assignment.party = stored_start(booking), stored_party(booking)
    assignment.zone_ref = booking.zone_ref or ""
    return (assignment.restaurant_ref, assignment.service_date) != before


def request(bookings: Sequence[HostBooking], *, now: datetime, host: Host) -> int:
    """Create the assignments that are missing; how many there were. Safe to repeat, and to run twice at once."""
    known = set(
        Assignment.objects.filter(booking_ref__in=[booking.ref for booking in bookings]).values_list(
            "booking_ref", flat=True
        )
    )
    missing = [booking for booking in bookings if booking.ref not in known]
    floors = {ref: floor_or_none(ref, host=host) for ref in {booking.restaurant_ref for booking in missing}}
    return _create([unsaved(booking, floor=floors[booking.restaurant_ref], now=now) for booking in missing])


def _create(assignments: Sequence[Assignment]) -> int:
    """Store them; how many. In a transaction of its own, those that somebody else is just storing are not waited for."""
    if not assignments:
        return 0
    if connection.in_atomic_block:
        Assignment.objects.bulk_create(assignments, ignore_conflicts=True)
        return len(assignments)
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [str(CREATE_LOCK_TIMEOUT_MS)])
            Assignment.objects.bulk_create(assignments, ignore_conflicts=True)
    except OperationalError as error:
        if transactions.sqlstate(error) != transactions.LOCK_NOT_AVAILABLE:
            raise
        if len(assignments) == 1:
            return 0
        middle = len(assignments) // 2
        return _create(assignments[:middle]) + _create(assignments[middle:])
    return len(assignments)


def chunks_of_unassigned(
    host: Host, *, now: datetime, restaurant_ref: str | None = None
) -> Iterable[Sequence[HostBooking]]:
    """The host's bookings that wait for a table, ``CHUNK`` at a time, so that memory stays flat."""
    return pages(lambda after: host.unassigned(after=after, limit=CHUNK, now=now, restaurant_ref=restaurant_ref))


def request_unassigned(host: Host, *, now: datetime, restaurant_ref: str | None = None) -> int:
    """Request an assignment for every booking that waits in the host and is unknown here; how many there were."""
    return sum(
        request(bookings, now=now, host=host)
        for bookings in chunks_of_unassigned(host, now=now, restaurant_ref=restaurant_ref)
    )
