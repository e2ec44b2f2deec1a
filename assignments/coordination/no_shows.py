"""Marking no-shows by the clock, if the project's settings say so."""

from datetime import datetime, timedelta
from functools import partial

from django.db.models import Q

from assignments import conf
from assignments.coordination import one_booking, staff_actions
from assignments.coordination.one_booking import Locked
from assignments.integration.host import Host
from assignments.lifecycle import ledger, waiting
from assignments.models import Assignment, Stage, State

AT_ONCE = 200


def mark_due(host: Host, *, now: datetime, restaurant_ref: str | None = None) -> int:
    """Mark guests who are NO_SHOW_MINUTES late as no-shows, which frees their tables. Return the number of bookings.

    Those whose edit waits for staff are late, too. Does nothing, without a query, unless the setting is given and the
    host reports arrivals: otherwise nobody knows who is there.
    """
    minutes = conf.settings().NO_SHOW_MINUTES
    if not minutes or not getattr(host, "reports_arrivals", False):
        return 0
    is_known = Q(state=State.CONFIRMED) | Q(state=State.MANUAL_REVIEW, reason=waiting.EDIT_UNMET)
    late = Assignment.objects.filter(
        is_known,
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
    if not is_late or not booking.wants_table or _may_still_come(assignment, locked.now):
        return False
    staff_actions.mark(assignment, Stage.NO_SHOW, host=host, now=locked.now, actor="no_show_minutes")
    return True


def _may_still_come(assignment: Assignment, now: datetime) -> bool:
    """Return whether the guests ask for a later start, about which staff have not decided, and are not late for it.

    Who asks for a start that is still to come is planned for that one, once the promised one is over.
    """
    asked = assignment.asked_starts_at if assignment.is_wish_undecided else None
    return asked is not None and now - timedelta(minutes=conf.settings().NO_SHOW_MINUTES) < asked <= now
