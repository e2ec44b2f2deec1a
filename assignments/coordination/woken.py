"""Trying woken bookings that still have tables: their edit may be possible now, or an overlap may be over."""

from collections.abc import Sequence
from functools import partial

from assignments.coordination import edits, floor_watch, host_changes, one_booking, stays
from assignments.coordination.one_booking import Locked
from assignments.integration.host import Host
from assignments.integration.project_host import configured
from assignments.lifecycle import ledger, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.models import Assignment
from assignments.outcome import Change


def settle(batch: Sequence[Assignment]) -> list[Assignment]:
    """Try those of these bookings that were woken in review and still have tables; return the others, for planners.

    One that cannot be helped keeps its tables, and sleeps on, unless others asked earlier. No query without woken bookings.
    """
    candidates = [assignment.booking_ref for assignment in batch if assignment.is_woken]
    seated = ledger.seatings_of(candidates) if candidates else {}
    for ref in seated:
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
        # Nobody looked at the tables while others expected them too.
        if floor_watch.leave_unusable(assignment, booking, host=host, now=now) is Change.MOVED:
            change = Change.MOVED
    elif assignment.reason == waiting.TABLES_CHANGED_BY_HOST and booking.wants_table and seatings:
        change = host_changes.follow(assignment, booking, host=host, now=now)
    elif booking.wants_table and seatings:
        change = edits.settle(
            assignment, booking, seatings, host=host, now=now, actor="waitlist", reason="woken", is_optional=True
        )
    if change is Change.NOTHING:
        waiting.let_sleep([assignment])
    return change not in {Change.NOTHING, Change.LATER}
