"""Marking no-shows by the clock, if the project's settings say so."""

from datetime import datetime, timedelta
from functools import partial

from assignments import conf
from assignments.coordination import one_booking, staff_actions
from assignments.coordination.one_booking import Locked
from assignments.integration.host import Host
from assignments.lifecycle import ledger
from assignments.models import Assignment, Stage, State

AT_ONCE = 200


def mark_due(host: Host, *, now: datetime, restaurant_ref: str | None = None) -> int:
    """Mark guests who are NO_SHOW_MINUTES late as no-shows, which frees their tables. Return the number of bookings.

    Does nothing, without a query, unless the setting is given and the host reports arrivals: otherwise nobody knows who
    is there.
    """
    minutes = conf.settings().NO_SHOW_MINUTES
    if not minutes or not getattr(host, "reports_arrivals", False):
        return 0
    late = Assignment.objects.filter(
        state=State.CONFIRMED,
        stage__in=[Stage.EXPECTED, Stage.LATE],
        starts_at__lte=now - timedelta(minutes=minutes),
        starts_at__gt=now - timedelta(days=1),
    )
    if restaurant_ref:
        late = late.filter(restaurant_ref=restaurant_ref)
    refs = list(late.order_by("starts_at", "id").values_list("booking_ref", flat=True)[:AT_ONCE])
    seated = ledger.seatings_of(refs) if refs else {}
    mark = partial(_mark, host=host)
    return sum(one_booking.attempt(ref, mark, host=host, what="marked as a no-show") for ref in refs if ref in seated)


def _mark(locked: Locked, *, host: Host) -> bool:
    assignment, booking = locked.assignment, locked.booking
    is_late = assignment.stage in {Stage.EXPECTED, Stage.LATE} and booking.stage not in {Stage.ARRIVED, Stage.SEATED}
    if not is_late or not booking.wants_table:
        return False
    staff_actions.mark(assignment, Stage.NO_SHOW, host=host, now=locked.now, actor="no_show_minutes")
    return True
