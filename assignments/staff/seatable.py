"""The bookings without a table that could be seated now, and the best tables for them."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from assignments import conf
from assignments.coordination.snapshots import seating_request
from assignments.coordination.table_record import success_of
from assignments.integration.host import HostBooking
from assignments.lifecycle import ledger
from assignments.models import Assignment
from assignments.planning import engine
from assignments.planning.floor import Floor
from assignments.planning.snapshot import Snapshot
from assignments.staff import review_queue

MOST = 40
"""Bookings of an evening that are worth looking at, the first ones by time."""
AROUND = timedelta(hours=6)


def best_tables(
    found_bookings: Mapping[str, HostBooking], floor: Floor | None, *, now: datetime
) -> Mapping[str, tuple[str, ...]]:
    """Return the best tables, by ref, for each booking that could be seated by the rules. Three queries."""
    bookings = {ref: each for ref, each in found_bookings.items() if not each.problem and each.wants_table}
    if floor is None or not bookings:
        return {}
    rows = {row.booking_ref: row for row in Assignment.objects.filter(booking_ref__in=sorted(bookings))}
    starts = [each.starts_at for each in bookings.values()]
    taken = ledger.occupied(floor.restaurant_ref, min(starts) - AROUND, max(starts) + 2 * AROUND, floor=floor)
    success = success_of(floor.restaurant_ref)
    found = {}
    for ref, booking in bookings.items():
        if ref not in rows or booking.starts_at + review_queue.LATE < now:
            continue
        snapshot = Snapshot(
            floor=floor,
            occupied=tuple(each for each in taken if each.booking_ref != ref),
            request=seating_request(booking, rows[ref]),
            now=now,
            rules=conf.settings().rules(),
            success=success,
        )
        seen = review_queue.as_staff_see_it(snapshot)
        decision = engine.plan(seen)
        is_over = decision.window is not None and decision.window.ends_at <= now
        if decision.best is not None and not is_over:
            found[ref] = decision.best.table_refs
    return found
