"""Trying woken bookings that still have tables: their edit may be possible now, or an overlap may be over."""

import logging
from collections.abc import Sequence
from functools import partial

from assignments.concurrency import locks, transactions
from assignments.coordination import edits, stays
from assignments.error_logging import log_error
from assignments.integration.host import Host
from assignments.integration.project_host import configured
from assignments.lifecycle import ledger, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.models import Assignment
from assignments.outcome import Change
from assignments.telemetry import correlation

logger = logging.getLogger("assignments.woken")


def settle(batch: Sequence[Assignment]) -> list[Assignment]:
    """Try those of these bookings that were woken in review and still have tables; return the others, for planners.

    Each has a transaction of its own. One that cannot be helped keeps its tables, and sleeps on. No query without woken
    bookings.
    """
    candidates = [assignment.booking_ref for assignment in batch if assignment.is_woken]
    seated = ledger.seatings_of(candidates) if candidates else {}
    for ref in seated:
        try:
            with correlation.scope(booking_ref=ref):
                transactions.run(partial(_try, ref, configured()))
        except Exception as error:
            if transactions.is_database_away(error):
                raise
            if not transactions.is_lost_race(error):
                log_error(logger, error, "Booking %s could not be tried again", ref, has_place=True)
    return [assignment for assignment in batch if assignment.booking_ref not in seated]


def _try(booking_ref: str, host: Host) -> None:
    row = Assignment.objects.of(booking_ref)
    now = locks.lock_days(row.values_list("restaurant_ref", "service_date"))
    assignment = row.claim().first()
    if assignment is None or not assignment.is_woken:
        return
    seatings = ledger.seatings_of([booking_ref]).get(booking_ref, [])
    booking = host.bookings([booking_ref], lock=True).get(booking_ref)
    if booking is None:
        return  # Locked by its host, or gone: the next pass, or reconcile, finds it.
    change = Change.NOTHING
    if assignment.reason == waiting.OVERLAPPING:
        settlement = Settlement(host=host, planner=assignment.planner, actor="waitlist", trigger="woken", now=now)
        change = stays.settle_overlap(assignment, booking, seatings, settlement=settlement)
        settlement.write()
    elif booking.wants_table and seatings:
        change = edits.settle(
            assignment, booking, seatings, host=host, now=now, actor="waitlist", reason="woken", is_optional=True
        )
    if change is Change.NOTHING:
        waiting.let_sleep([assignment])
