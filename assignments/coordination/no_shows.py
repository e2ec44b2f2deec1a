"""Marking guests who did not come, where the project has that done by the clock."""

import logging
from datetime import datetime, timedelta

from assignments import conf
from assignments.concurrency import locks, transactions
from assignments.coordination import staff_actions
from assignments.error_logging import log_error
from assignments.integration.host import Host
from assignments.lifecycle import ledger
from assignments.models import Assignment, Stage, State
from assignments.telemetry import correlation

logger = logging.getLogger("assignments.no_shows")

ACTOR = "no_show_minutes"
AT_ONCE = 200


def mark_due(host: Host, *, now: datetime, restaurant_ref: str | None = None) -> int:
    """Mark who is NO_SHOW_MINUTES late as a no-show, which frees their tables; how many.

    Only where the setting is given and the host reports arrivals: otherwise nobody knows who is there. No query without.
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
    return sum(_mark(ref, host) for ref in refs if ref in seated)


def _mark(booking_ref: str, host: Host) -> bool:
    def work() -> bool:
        row = Assignment.objects.of(booking_ref)
        now = locks.lock_days(row.values_list("restaurant_ref", "service_date"))
        assignment = row.claim().first()
        booking = host.bookings([booking_ref], lock=True).get(booking_ref)
        is_late = assignment is not None and assignment.stage in {Stage.EXPECTED, Stage.LATE}
        if (
            assignment is None
            or booking is None
            or not is_late
            or not booking.wants_table
            or booking.stage == "arrived"
        ):
            return False
        staff_actions.mark(assignment, Stage.NO_SHOW, host=host, now=now, actor=ACTOR)
        return True

    try:
        with correlation.scope(booking_ref=booking_ref):
            return transactions.run(work)
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        log_error(logger, error, "Booking %s could not be marked as a no-show", booking_ref)
        return False
