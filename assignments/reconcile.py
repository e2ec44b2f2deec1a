"""Reconciling: refs are text without foreign keys, so what the host did behind our back is found and mended here."""

from collections.abc import Iterator
from dataclasses import dataclass

from assignments import api, dispatch, intake, ledger
from assignments.host import configured
from assignments.models import Allocation, Assignment, State

CHUNK = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Discrepancy:
    """Something that host and ledger disagree about, and what mends it."""

    booking_ref: str
    problem: str
    remedy: str


def reconcile(*, dry_run: bool = False, restaurant_ref: str | None = None) -> Iterator[Discrepancy]:
    """Compare every assignment with its booking, ``CHUNK`` at a time, and mend what differs unless ``dry_run``."""
    host = configured()
    yield from _unrequested(dry_run=dry_run, restaurant_ref=restaurant_ref)
    after = 0
    while True:
        rows = Assignment.objects.filter(pk__gt=after).order_by("pk")
        if restaurant_ref:
            rows = rows.filter(restaurant_ref=restaurant_ref)
        chunk = list(rows[:CHUNK])
        if not chunk:
            break
        after = chunk[-1].pk
        refs = [assignment.booking_ref for assignment in chunk]
        bookings = host.bookings(refs)
        seated = ledger.tables_of(refs)
        for assignment in chunk:
            ref = assignment.booking_ref
            booking = bookings.get(ref)
            wants_table = booking is not None and booking.wants_table
            if not wants_table and assignment.state != State.CANCELLED:
                problem = "the host no longer knows the booking" if booking is None else "the host has cancelled it"
                yield Discrepancy(booking_ref=ref, problem=problem, remedy="cancelled, its tables are free")
                if not dry_run:
                    api.booking_cancelled(booking_ref=ref)
            elif not wants_table and ref in seated:
                yield Discrepancy(booking_ref=ref, problem="cancelled, but it has tables", remedy="its tables are free")
                if not dry_run:
                    ledger.release([ref])
            elif wants_table and assignment.state == State.CANCELLED:
                yield Discrepancy(booking_ref=ref, problem="cancelled here, wanted by the host", remedy="planned anew")
                if not dry_run:
                    api.booking_changed(booking_ref=ref)
            elif assignment.state == State.CONFIRMED and ref not in seated:
                yield Discrepancy(booking_ref=ref, problem="confirmed without tables", remedy="planned anew")
                if not dry_run:
                    api.release(booking_ref=ref, actor="reconcile", reason="confirmed_without_tables")
            elif assignment.state == State.CONFIRMED and _has_changed(assignment, bookings[ref]):
                yield Discrepancy(
                    booking_ref=ref, problem="time or party changed since it was confirmed", remedy="planned anew if needed"
                )
                if not dry_run:
                    api.booking_changed(booking_ref=ref)
    yield from _orphans(dry_run=dry_run, restaurant_ref=restaurant_ref)


def _has_changed(assignment: Assignment, booking: intake.HostBooking) -> bool:
    facts = (assignment.starts_at, assignment.party, assignment.restaurant_ref)
    return facts != (booking.starts_at, booking.party, booking.restaurant_ref)


def _unrequested(*, dry_run: bool, restaurant_ref: str | None) -> Iterator[Discrepancy]:
    host = configured()
    now = dispatch.database_now()
    for bookings in intake.chunks_of_unassigned(host, now=now, restaurant_ref=restaurant_ref):
        refs = [booking.ref for booking in bookings]
        known = set(Assignment.objects.filter(booking_ref__in=refs).values_list("booking_ref", flat=True))
        for ref in refs:
            if ref not in known:
                yield Discrepancy(booking_ref=ref, problem="waits in the host, unknown here", remedy="requested")
        if not dry_run:
            intake.request(bookings, now=now, host=host)


def _orphans(*, dry_run: bool, restaurant_ref: str | None) -> Iterator[Discrepancy]:
    """Tables taken for bookings that never had an assignment."""
    rows = Allocation.objects.exclude(booking_ref="").exclude(
        booking_ref__in=Assignment.objects.values_list("booking_ref", flat=True)
    )
    if restaurant_ref:
        rows = rows.filter(restaurant_ref=restaurant_ref)
    for ref in rows.order_by("booking_ref").values_list("booking_ref", flat=True).distinct():
        yield Discrepancy(booking_ref=ref, problem="has tables, but no assignment", remedy="its tables are free")
        if not dry_run:
            ledger.release([ref])
