"""Reconciling: refs are text without foreign keys, so what the host did behind our back is found and mended here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import transaction

from assignments import api, dispatch, intake, ledger
from assignments.host import HostBooking, Seating, configured, lock_bookings
from assignments.models import Allocation, Assignment, State

CHUNK = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Discrepancy:
    """Something that host and ledger disagree about, and what mends it."""

    booking_ref: str
    problem: str
    remedy: str


def reconcile(*, dry_run: bool = False, restaurant_ref: str | None = None) -> Iterator[Discrepancy]:
    """Compare every coming booking with its assignment, ``CHUNK`` at a time, and mend what differs unless ``dry_run``.

    What has started is history: a dinner that is over wants no table any more, and that is no discrepancy.
    """
    yield from _unrequested(dry_run=dry_run, restaurant_ref=restaurant_ref)
    rows = Assignment.objects.filter(starts_at__gt=dispatch.database_now()).order_by("pk")
    if restaurant_ref:
        rows = rows.filter(restaurant_ref=restaurant_ref)
    after = 0
    while chunk := list(rows.filter(pk__gt=after)[:CHUNK]):
        after = chunk[-1].pk
        refs = [assignment.booking_ref for assignment in chunk]
        bookings = configured().bookings(refs)
        seated = ledger.tables_of(refs)
        for assignment in chunk:
            ref = assignment.booking_ref
            found = _difference(assignment, bookings.get(ref), has_tables=ref in seated)
            if found is not None:
                discrepancy, mend = found
                yield discrepancy
                if not dry_run:
                    mend()
    yield from _orphans(dry_run=dry_run, restaurant_ref=restaurant_ref)


def _difference(
    assignment: Assignment, booking: HostBooking | None, *, has_tables: bool
) -> tuple[Discrepancy, Callable[[], object]] | None:
    """What is wrong with one assignment, and what mends it; None when nothing is."""
    ref, state = assignment.booking_ref, assignment.state

    def found(problem: str, remedy: str) -> Discrepancy:
        return Discrepancy(booking_ref=ref, problem=problem, remedy=remedy)

    if booking is None or not booking.wants_table:
        if state != State.CANCELLED:
            problem = "the host no longer knows the booking" if booking is None else "the host has cancelled it"
            return found(problem, "cancelled, its tables are free"), lambda: api.booking_cancelled(booking_ref=ref)
        if has_tables:
            return found("cancelled, but it has tables", "its tables are free"), lambda: ledger.release([ref])
        return None
    if state == State.CANCELLED:
        problem = "cancelled here, wanted by the host"
        return found(problem, "planned anew"), lambda: api.booking_changed(booking_ref=ref)
    if state == State.CONFIRMED and not has_tables:
        return found("confirmed without tables", "planned anew"), lambda: api.release(
            booking_ref=ref, actor="reconcile", reason="confirmed_without_tables"
        )
    if state == State.CONFIRMED and configured().tracks_confirmation and not booking.is_confirmed:
        return found("confirmed here, waiting in the host", "the host is told again"), lambda: _tell_again(ref)
    if state == State.CONFIRMED and _has_changed(assignment, booking):
        problem = "time or party changed since it was confirmed"
        return found(problem, "planned anew if needed"), lambda: api.booking_changed(booking_ref=ref)
    return None


def _tell_again(booking_ref: str) -> None:
    with transaction.atomic():
        rows = list(Allocation.objects.filter(booking_ref=booking_ref, kind=Allocation.Kind.SEATING))
        lock_bookings(configured(), [booking_ref])
        configured().on_confirmed(
            [
                Seating(
                    booking_ref=booking_ref,
                    table_refs=tuple(sorted(row.table_ref for row in rows)),
                    starts_at=rows[0].starts_at,
                    ends_at=rows[0].ends_at,
                )
            ]
        )


def _has_changed(assignment: Assignment, booking: HostBooking) -> bool:
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
