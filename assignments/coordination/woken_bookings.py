"""Trying woken bookings that have tables: their edit may be possible now, or an overlap may be over."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from assignments import conf
from assignments.coordination import edits, floor_watch, host_changes, one_booking, sitting, stays
from assignments.coordination.one_booking import Locked
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, HostBooking
from assignments.integration.project_host import configured
from assignments.lifecycle import ledger, seating_validity, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.models import Allocation, Assignment, Stage
from assignments.outcome import Change


def settle(batch: Sequence[Assignment], *, should_stop: Callable[[], bool] = lambda: False) -> list[Assignment]:
    """Try the bookings that were woken in review and still have tables. Return the others, for planners.

    A booking that gets nothing better keeps its tables and waits for the next wake, unless others asked earlier. No
    query without woken bookings.
    """
    candidates = [assignment.booking_ref for assignment in batch if assignment.is_woken]
    seated = ledger.seatings_of(candidates) if candidates else {}
    for ref in seated:
        if should_stop():
            break
        host = configured()
        one_booking.attempt(ref, partial(_try, host=host), host=host, what="tried again")
    return [assignment for assignment in batch if assignment.booking_ref not in seated]


def _try(locked: Locked, *, host: Host) -> bool:
    assignment, booking, now = locked.assignment, locked.booking, locked.now
    if not assignment.is_woken:
        return False
    seatings = ledger.seatings_of([booking.ref]).get(booking.ref, [])
    change = Change.NOTHING
    if assignment.reason == waiting.OVERLAPPING:
        settlement = Settlement(host=host, planner=assignment.planner, actor="waitlist", trigger="woken", now=now)
        change = stays.settle_overlap(assignment, booking, seatings, settlement=settlement)
        settlement.write()
        # The tables were not checked while others expected them too.
        if floor_watch.leave_unusable(assignment, booking, host=host, now=now) is Change.MOVED:
            change = Change.MOVED
    elif assignment.reason == waiting.TABLE_OUT_OF_SERVICE and _may_stay(booking, seatings, host=host, now=now):
        settlement = Settlement(host=host, planner=assignment.planner, actor="waitlist", trigger="woken", now=now)
        change = stays.stay_after_all(assignment, seatings, settlement=settlement)
        settlement.write()
    elif assignment.reason == waiting.TABLES_CHANGED_BY_HOST and seatings and not booking.wants_table:
        change = sitting.adopt_where_they_sit(assignment, booking, seatings, host=host, now=now)
    elif assignment.reason == waiting.TABLES_CHANGED_BY_HOST and seatings:
        change = host_changes.follow(assignment, booking, host=host, now=now)
    elif seatings and (booking.wants_table or assignment.stage == Stage.SEATED):
        change = edits.settle(
            assignment, booking, seatings, host=host, now=now, actor="waitlist", reason="woken", is_optional=True
        )
    if change is Change.NOTHING:
        waiting.let_sleep([assignment])
    return change not in {Change.NOTHING, Change.LATER}


def _may_stay(booking: HostBooking, seatings: Sequence[Allocation], *, host: Host, now: datetime) -> bool:
    """Return whether guests sit at tables that can be used. Only staff give them others."""
    if not seatings or now < seatings[0].starts_at:
        return False
    floor = floor_or_none(seatings[0].restaurant_ref, host=host)
    return seating_validity.is_usable(booking, seatings, floor=floor, rules=conf.settings().rules())
