"""Work on one booking at a time, for what a pass does beside planning: each in a transaction of its own."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from assignments.concurrency import locks, transactions
from assignments.coordination import quarantine
from assignments.error_logging import log_error
from assignments.exceptions import StaleAssignmentError
from assignments.integration.host import Host, HostBooking
from assignments.models import Assignment
from assignments.telemetry import correlation

logger = logging.getLogger("assignments.one_booking")


@dataclass(frozen=True, kw_only=True, slots=True)
class Locked:
    """A booking whose service day, row and host row are locked. ``now``: the database's time."""

    assignment: Assignment
    booking: HostBooking
    now: datetime


def attempt(booking_ref: str, work: Callable[[Locked], bool], *, host: Host, what: str) -> bool:
    """Lock the booking, do the work, and return its result.

    Returns False, too, if another process has the booking locked, or the work fails. A failure is logged by type, with
    ``what`` could not be done, and affects only this booking. Returns True without the work for a booking at which
    processes keep ending, because staff decide about it. Raises if the database cannot be reached.
    """

    def locked() -> bool:
        row = Assignment.objects.of(booking_ref)
        days = row.days()
        now = locks.lock_days(days)
        assignment = row.claim().first()
        booking = host.bookings([booking_ref], lock=True).get(booking_ref)
        if assignment is None or booking is None:
            return False
        if not assignment.days <= set(days):  # It was moved just before the lock.
            raise StaleAssignmentError([booking_ref])
        return work(Locked(assignment=assignment, booking=booking, now=now))

    try:
        with correlation.scope(booking_ref=booking_ref), quarantine.alone(booking_ref) as may_be_tried:
            return transactions.run(locked) if may_be_tried else True
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        if not transactions.is_lost_race(error):
            log_error(logger, error, "Booking %s could not be %s", booking_ref, what, has_place=True)
        return False
