"""Reconciling: refs are text without foreign keys, so what the host did behind our back is found and mended here."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from assignments import api, dispatch, intake, ledger, locks, transactions
from assignments.host import HostBooking, Seating, configured, is_cancelled, lock_bookings
from assignments.models import OPEN_STATES, Allocation, Assignment, State
from assignments.outcome import CoordinatorReason

logger = logging.getLogger("assignments.reconcile")

CHUNK = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Discrepancy:
    """Something that host and ledger disagree about, and what mends it. ``error``: the type of what kept it from that."""

    booking_ref: str
    problem: str
    remedy: str
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Finding:
    discrepancy: Discrepancy
    mend: Callable[[], object]


def reconcile(*, dry_run: bool = False, restaurant_ref: str | None = None) -> Iterator[Discrepancy]:
    """Compare every coming booking with its assignment, ``CHUNK`` at a time, and mend what differs unless ``dry_run``.

    What has started is history: a dinner that is over wants no table any more, and that is no discrepancy. Each is mended
    in a transaction of its own, in which it is looked at again; one that cannot be mended does not keep the others from it.
    """
    yield from _waiting(dry_run=dry_run, restaurant_ref=restaurant_ref)
    rows = Assignment.objects.filter(starts_at__gt=dispatch.database_now()).order_by("pk")
    if restaurant_ref:
        rows = rows.filter(restaurant_ref=restaurant_ref)
    after = 0
    while chunk := list(rows.filter(pk__gt=after)[:CHUNK]):
        after = chunk[-1].pk
        yield from _compared(chunk, dry_run=dry_run)
    yield from _orphans(dry_run=dry_run, restaurant_ref=restaurant_ref)


def _compared(assignments: Sequence[Assignment], *, dry_run: bool) -> Iterator[Discrepancy]:
    refs = [assignment.booking_ref for assignment in assignments]
    bookings = configured().bookings(refs)
    seated = ledger.tables_of(refs)
    for assignment in assignments:
        ref = assignment.booking_ref
        found = _difference(assignment, bookings.get(ref), has_tables=ref in seated)
        if found is None:
            continue
        yield found.discrepancy if dry_run else _mended(found.discrepancy)


def _mended(discrepancy: Discrepancy) -> Discrepancy:
    """Mend it if it is still there once the booking is locked: staff and planners have gone on meanwhile."""
    ref = discrepancy.booking_ref

    def work() -> Discrepancy:
        row = Assignment.objects.filter(booking_ref=ref)
        locks.lock_days(row.values_list("restaurant_ref", "service_date"))
        found = _difference(
            row.select_for_update().get(),
            configured().bookings([ref]).get(ref),
            has_tables=bool(ledger.tables_of([ref])),
        )
        if found is None:
            return replace(discrepancy, remedy="nothing: somebody has mended it meanwhile")
        found.mend()
        return found.discrepancy

    return _attempted(discrepancy, lambda: transactions.run(work))


def _attempted(discrepancy: Discrepancy, mend: Callable[[], Discrepancy]) -> Discrepancy:
    try:
        return mend()
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        # The type only: a host's message may name a guest.
        logger.error("Booking %s could not be mended: %s.", discrepancy.booking_ref, type(error).__name__)
        return replace(discrepancy, error=type(error).__name__)


def _difference(assignment: Assignment, booking: HostBooking | None, *, has_tables: bool) -> _Finding | None:
    """What is wrong with one assignment, and what mends it; None when nothing is."""
    ref, state = assignment.booking_ref, assignment.state

    def found(problem: str, remedy: str, mend: Callable[[], object]) -> _Finding:
        return _Finding(discrepancy=Discrepancy(booking_ref=ref, problem=problem, remedy=remedy), mend=mend)

    def plan_anew() -> object:
        return api.booking_changed(booking_ref=ref)

    if booking is None or not booking.wants_table:
        return _unwanted(assignment, booking, has_tables=has_tables)
    if state == State.CANCELLED:
        return found("cancelled here, wanted by the host", "planned anew", plan_anew)
    if state == State.CONFIRMED and not has_tables:
        return found(
            "confirmed without tables",
            "planned anew",
            lambda: api.release(booking_ref=ref, actor="reconcile", reason="confirmed_without_tables"),
        )
    if state not in OPEN_STATES and _has_changed(assignment, booking):
        return found("time, party or restaurant changed since it was decided", "planned anew", plan_anew)
    if state == State.FAILED and assignment.reason == CoordinatorReason.INVALID_BOOKING and not booking.problem:
        return found("failed as malformed, mended since", "planned anew", plan_anew)
    if state == State.CONFIRMED and configured().tracks_confirmation and not booking.is_confirmed:
        return found("confirmed here, waiting in the host", "the host is told again", lambda: _tell_again(ref))
    return None


def _unwanted(assignment: Assignment, booking: HostBooking | None, *, has_tables: bool) -> _Finding | None:
    """The host wants no table for it any more."""
    ref, state = assignment.booking_ref, assignment.state
    if state == State.CANCELLED:
        if not has_tables:
            return None
        discrepancy = Discrepancy(booking_ref=ref, problem="cancelled, but it has tables", remedy="its tables are free")
        return _Finding(discrepancy=discrepancy, mend=lambda: ledger.release([ref]))
    if is_cancelled(booking):
        problem = "the host no longer knows the booking" if booking is None else "the host has cancelled it"
        discrepancy = Discrepancy(booking_ref=ref, problem=problem, remedy="cancelled, its tables are free")
        return _Finding(discrepancy=discrepancy, mend=lambda: api.booking_cancelled(booking_ref=ref))
    if state == State.CONFIRMED:
        return None
    discrepancy = Discrepancy(booking_ref=ref, problem="seated without this app", remedy="cancelled here")
    return _Finding(discrepancy=discrepancy, mend=lambda: api.booking_changed(booking_ref=ref))


def _tell_again(booking_ref: str) -> None:
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
    return facts != (intake.stored_start(booking), intake.stored_party(booking), booking.restaurant_ref)


def _waiting(*, dry_run: bool, restaurant_ref: str | None) -> Iterator[Discrepancy]:
    """What waits in the host and was never requested here, or is known here by a start that has passed."""
    host = configured()
    now = dispatch.database_now()
    for bookings in intake.chunks_of_unassigned(host, now=now, restaurant_ref=restaurant_ref):
        known = {
            assignment.booking_ref: assignment
            for assignment in Assignment.objects.filter(booking_ref__in=[booking.ref for booking in bookings])
        }
        for booking in bookings:
            if booking.ref not in known:
                yield Discrepancy(
                    booking_ref=booking.ref, problem="waits in the host, unknown here", remedy="requested"
                )
        if not dry_run:
            intake.request(bookings, now=now, host=host)
        yield from _compared([each for each in known.values() if each.starts_at <= now], dry_run=dry_run)


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
