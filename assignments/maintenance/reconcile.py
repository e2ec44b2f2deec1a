"""Reconciliation: finding and repairing changes by the host of which this app was not told.

Refs are not foreign keys, so the database cannot keep host and ledger in line.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from django.db.models import Q

from assignments import api, conf
from assignments.concurrency import locks, transactions
from assignments.coordination import adoption, host_changes, shown_tables
from assignments.error_logging import log_error
from assignments.exceptions import TablesRefusedError, TableTakenError
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import HostBooking, is_cancelled
from assignments.integration.project_host import configured
from assignments.lifecycle import intake, ledger, promise, seating_validity, waiting
from assignments.maintenance import mark_following
from assignments.maintenance.host_reading import Reading
from assignments.models import GONE, Allocation, Assignment, State
from assignments.outcome import Change, CoordinatorReason
from assignments.planning.floor import Floor
from assignments.telemetry import correlation

logger = logging.getLogger("assignments.reconcile")

CHUNK = 500
LONGEST_DINNER = timedelta(hours=12)
FURTHEST = timedelta(days=730)
WITH_STAFF = "staff have to decide: it is in review"
OCCUPIED = "its tables are occupied: sent to review"
RECENT = timedelta(days=7)
"""Time after the start for which confirmed bookings are still checked. The host may have moved them to another day."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Discrepancy:
    """A discrepancy between host and ledger, and its repair. ``error``: the error's type if the repair failed."""

    booking_ref: str
    problem: str
    remedy: str
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutdatedPromise:
    """A confirmed booking that today's rules would not seat like this. It keeps its tables.

    ``because``: reason codes. ``remedy``: what was done. ``error``: the error's type if replanning failed.
    """

    booking_ref: str
    because: str
    remedy: str = "kept"
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Finding:
    """A discrepancy and its repair. ``otherwise``: the remedy if that leaves it to staff."""

    discrepancy: Discrepancy
    mend: Callable[[], object]
    otherwise: str


def reconcile(*, dry_run: bool = False, restaurant_ref: str | None = None) -> Iterator[Discrepancy]:
    """Compare all upcoming bookings with their assignments, and repair differences unless ``dry_run``.

    Bookings that have started are left alone, unless the host has seated them. Each repair has its own transaction,
    which checks again. A failed repair does not stop the others, nor does whatever the host raises an error for: that
    is reported last. Due marks are followed first.
    """
    reading = Reading()
    if not dry_run:
        mark_following.sweep()
    yield from _waiting(dry_run=dry_run, restaurant_ref=restaurant_ref, reading=reading)
    now = transactions.database_now()
    new: set[str] = set()
    for found in seated_without_us(now=now, dry_run=dry_run, restaurant_ref=restaurant_ref, reading=reading):
        new.add(found.booking_ref)
        yield found
    rows = Assignment.objects.filter(
        Q(starts_at__gt=now - LONGEST_DINNER)
        | Q(asked_starts_at__isnull=False, asked_starts_at__gt=now - LONGEST_DINNER)
        | Q(state=State.CONFIRMED, starts_at__gt=now - RECENT)
    ).order_by("pk")
    if restaurant_ref:
        rows = rows.filter(restaurant_ref=restaurant_ref)
    after = 0
    while chunk := list(rows.filter(pk__gt=after)[:CHUNK]):
        after = chunk[-1].pk
        known = [each for each in chunk if each.booking_ref not in new]
        yield from _compared(known, now=now, dry_run=dry_run, reading=reading)
    yield from _orphans(dry_run=dry_run, restaurant_ref=restaurant_ref)
    for each in reading.troubles:
        problem = f"the host raised an error for {each.what}"
        yield Discrepancy(booking_ref=each.booking_ref, problem=problem, remedy="not compared", error=each.error)


def outdated_promises(*, repair: int = 0, restaurant_ref: str | None = None) -> Iterator[OutdatedPromise]:
    """List upcoming confirmed bookings whose seating today's floor and settings would not make again.

    Promises are kept (docs/living-evening.md rule 1): an edited turn time, service or join applies only to new
    bookings. ``repair``: how many of them at most are planned again by today's rules; each keeps its tables unless
    others are settled in the same transaction. Bookings for which the host raises an error are listed last, with it.
    """
    reading = Reading()
    now, after, left = transactions.database_now(), 0, repair
    rows = Assignment.objects.filter(state=State.CONFIRMED, starts_at__gt=now).order_by("pk")
    if restaurant_ref:
        rows = rows.filter(restaurant_ref=restaurant_ref)
    while chunk := list(rows.filter(pk__gt=after)[:CHUNK]):
        after = chunk[-1].pk
        for found in reading.of(chunk, _outdated, ref=_booking_ref):
            yield _replanned(found) if left > 0 else found
            left -= 1
    for each in reading.troubles:
        because = f"unknown: the host raised an error for {each.what}"
        yield OutdatedPromise(booking_ref=each.booking_ref, because=because, error=each.error)


def _booking_ref(assignment: Assignment) -> str:
    return assignment.booking_ref


def _outdated(assignments: Sequence[Assignment]) -> Iterator[OutdatedPromise]:
    rules = conf.settings().rules()
    for assignment, booking, seatings, floor, _shown in _with_facts(assignments):
        if booking is None or floor is None or not seatings:
            continue  # For ``reconcile``.
        if seating_validity.stands(assignment, booking, seatings, floor=floor, rules=rules):
            because = seating_validity.outdated_because(booking, seatings, floor=floor, rules=rules)
            if because:
                yield OutdatedPromise(booking_ref=assignment.booking_ref, because=because)


def _replanned(found: OutdatedPromise) -> OutdatedPromise:
    try:
        with correlation.scope(booking_ref=found.booking_ref):
            has_moved = api.replan(booking_ref=found.booking_ref, actor="reconcile")
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        log_error(logger, error, "Booking %s could not be planned again", found.booking_ref)
        return replace(found, error=type(error).__name__)
    return replace(found, remedy="planned again" if has_moved else "kept: nothing else fits")


def _compared(
    assignments: Sequence[Assignment], *, now: datetime, dry_run: bool, reading: Reading
) -> Iterator[Discrepancy]:
    for found in reading.of(assignments, partial(_findings, now=now), ref=_booking_ref):
        yield found.discrepancy if dry_run else _mended(found.discrepancy, now=now)


_TO_STAFF = (Change.TO_STAFF, Change.NOTHING)
"""What comes of a repair that staff have to decide about, or know of already."""

_Facts = tuple[Assignment, HostBooking | None, list[Allocation], Floor | None, tuple[str, ...]]
"""An assignment, with what the host, the ledger and the floor say of its booking, and the tables that the host shows."""


def _with_facts(assignments: Sequence[Assignment]) -> Iterator[_Facts]:
    """Yield these assignments with their facts. Three queries, and those of the floor per restaurant."""
    refs = [assignment.booking_ref for assignment in assignments]
    bookings = configured().bookings(refs)
    seatings = ledger.seatings_of(refs)
    shown = configured().tables_of(refs)
    floors = {ref: floor_or_none(ref) for ref in {booking.restaurant_ref for booking in bookings.values()}}
    for assignment in assignments:
        booking = bookings.get(assignment.booking_ref)
        floor = floors[booking.restaurant_ref] if booking else None
        ref = assignment.booking_ref
        yield assignment, booking, seatings.get(ref, []), floor, tuple(shown.get(ref, ()))


def _findings(assignments: Sequence[Assignment], *, now: datetime) -> Iterator[_Finding]:
    """Yield the discrepancies of these assignments."""
    for assignment, booking, seatings, floor, shown in _with_facts(assignments):
        found = (
            _seated_by_host(assignment, booking, seatings, shown, now=now)
            or _difference(assignment, booking, seatings, floor, now=now)
            or _chosen_elsewhere(assignment, booking, seatings, shown, floor, now=now)
        )
        if found is not None:
            yield found


def _mended(discrepancy: Discrepancy, *, now: datetime) -> Discrepancy:
    """Repair a discrepancy, if it is still there once the booking is locked."""
    ref = discrepancy.booking_ref

    def work() -> Discrepancy:
        row = Assignment.objects.filter(booking_ref=ref)
        locks.lock_days(row.days())
        found = next(_findings([row.select_for_update().get()], now=now), None)
        if found is None:
            return replace(discrepancy, remedy="nothing: already repaired in the meantime")
        change = found.mend()
        return replace(found.discrepancy, remedy=found.otherwise) if change in _TO_STAFF else found.discrepancy

    return _attempted(discrepancy, lambda: transactions.run(work))


def _attempted(discrepancy: Discrepancy, mend: Callable[[], Discrepancy]) -> Discrepancy:
    try:
        with correlation.scope(booking_ref=discrepancy.booking_ref):
            return mend()
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        # The type only: a host's message may name a guest.
        log_error(logger, error, "Booking %s could not be repaired", discrepancy.booking_ref)
        return replace(discrepancy, error=type(error).__name__)


def _seated_by_host(
    assignment: Assignment,
    booking: HostBooking | None,
    seatings: Sequence[Allocation],
    shown: tuple[str, ...],
    *,
    now: datetime,
) -> _Finding | None:
    """Return the finding that the host has seated a booking without tables here, or None."""
    if booking is None or seatings or not shown or not host_changes.may_be_adopted(assignment):
        return None
    booking = replace(booking, table_refs=shown)
    if not adoption.given([booking], host=configured(), now=now, assignments=[assignment]):
        return None
    ref = assignment.booking_ref
    return _finding(
        ref,
        "seated by the host, without tables here",
        "its tables are taken over",
        lambda: api.booking_changed(booking_ref=ref),
        otherwise=OCCUPIED,
    )


def _difference(
    assignment: Assignment,
    booking: HostBooking | None,
    seatings: Sequence[Allocation],
    floor: Floor | None,
    *,
    now: datetime,
) -> _Finding | None:
    """Return an assignment's discrepancy and its repair, or None."""
    state = assignment.state
    comes_later = booking is not None and intake.stored_start(booking) > now
    if assignment.starts_at <= now and state != State.FAILED and not comes_later:
        return None  # In the past.
    if booking is None or not booking.wants_table:
        return _unwanted(assignment, booking, has_tables=bool(seatings))
    if state == State.CONFIRMED:
        return _wrong_with_confirmed(assignment, booking, seatings, floor)
    problem = ""
    if state == State.CANCELLED and assignment.reason != host_changes.CANCELLED_BY_CALL:
        problem = "cancelled here, active in the host"
    elif state in {State.FAILED, State.MANUAL_REVIEW} and _has_changed(assignment, booking, seatings, floor):
        problem = "what is asked for changed since the decision"
    elif state == State.FAILED and assignment.reason == CoordinatorReason.INVALID_BOOKING and not booking.problem:
        problem = "failed as invalid, corrected since"
    return _plan_anew(assignment, problem) if problem else None


def _wrong_with_confirmed(
    assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], floor: Floor | None
) -> _Finding | None:
    ref = assignment.booking_ref
    if not seatings and assignment.stage in GONE:
        return None
    if not seatings:
        return _finding(
            ref,
            "confirmed without tables",
            "planned again",
            lambda: api.release_tables(booking_ref=ref, actor="reconcile", reason="confirmed_without_tables"),
        )
    if not seating_validity.stands(assignment, booking, seatings, floor=floor, rules=conf.settings().rules()):
        return _plan_anew(assignment, "changed since it was confirmed: its tables are no longer valid")
    if configured().tracks_confirmation and not booking.is_confirmed:
        return _finding(
            ref,
            "confirmed here, waiting in the host",
            "the host is notified again",
            lambda: seating_validity.confirm_again(configured(), ref, seatings),
        )
    return None


def _chosen_elsewhere(
    assignment: Assignment,
    booking: HostBooking | None,
    seatings: Sequence[Allocation],
    shown: tuple[str, ...],
    floor: Floor | None,
    *,
    now: datetime,
) -> _Finding | None:
    """Return the finding that the host's staff chose other tables for a booking whose stay is not over, or None."""
    if booking is None or not seatings or assignment.stage in GONE or not (booking.wants_table or booking.keeps_tables):
        return None
    if max(row.stays_until for row in seatings) <= now:
        return None
    if assignment.state != State.CONFIRMED and assignment.reason != host_changes.TABLES_CHANGED_BY_HOST:
        return None
    differing = shown_tables.differing(assignment, booking, shown, floor, host=configured())
    if differing is None:
        return None
    ref = assignment.booking_ref
    return _finding(
        ref,
        "other tables in the host than here" if differing else "no tables in the host, but here",
        "taken over if they are free, else sent to review",
        lambda: api.booking_changed(booking_ref=ref),
        otherwise=WITH_STAFF,
    )


def _finding(
    booking_ref: str, problem: str, remedy: str, mend: Callable[[], object], *, otherwise: str = ""
) -> _Finding:
    discrepancy = Discrepancy(booking_ref=booking_ref, problem=problem, remedy=remedy)
    return _Finding(discrepancy=discrepancy, mend=mend, otherwise=otherwise or remedy)


def _plan_anew(assignment: Assignment, problem: str) -> _Finding:
    ref = assignment.booking_ref
    return _finding(ref, problem, "planned again", lambda: api.booking_changed(booking_ref=ref))


def _unwanted(assignment: Assignment, booking: HostBooking | None, *, has_tables: bool) -> _Finding | None:
    """Return the discrepancy of a booking that no longer needs a table."""
    ref, state = assignment.booking_ref, assignment.state
    if state == State.CANCELLED:
        if not has_tables:
            return None
        return _finding(ref, "cancelled, but has tables", "its tables are freed", lambda: ledger.release([ref]))
    if is_cancelled(booking):
        problem = "the booking no longer exists in the host" if booking is None else "cancelled in the host"
        # This follows a change, and is no call to cancel: if the host shows the booking again, it is planned again.
        return _finding(ref, problem, "cancelled, its tables are freed", lambda: api.booking_changed(booking_ref=ref))
    if state == State.CONFIRMED or assignment.reason == waiting.CAME_AFTER_ALL:
        return None
    action = "left to staff" if state == State.MANUAL_REVIEW else "cancelled here"
    return _finding(ref, "seated without this app", action, lambda: api.booking_changed(booking_ref=ref))


def _has_changed(
    assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], floor: Floor | None
) -> bool:
    if seatings:
        return seating_validity.asks_anew(assignment, booking, seatings, floor=floor)
    return not promise.asks_the_same(assignment, booking)


def _waiting(*, dry_run: bool, restaurant_ref: str | None, reading: Reading) -> Iterator[Discrepancy]:
    """Find bookings that wait in the host and were never requested here, or have a past start here."""
    host = configured()
    now = transactions.database_now()
    for bookings in reading.pages(
        lambda after, ref: host.unassigned(after=after, limit=intake.CHUNK, now=now, restaurant_ref=ref), restaurant_ref
    ):
        known = {
            assignment.booking_ref: assignment
            for assignment in Assignment.objects.filter(booking_ref__in=[booking.ref for booking in bookings])
        }
        for booking in bookings:
            if booking.ref not in known:
                yield Discrepancy(
                    booking_ref=booking.ref, problem="waiting in the host, unknown here", remedy="requested"
                )
        if not dry_run:
            list(reading.of(bookings, lambda part: [intake.request(part, now=now, host=host)], ref=_host_ref))
        past = [each for each in known.values() if each.starts_at <= now]
        yield from _compared(past, now=now, dry_run=dry_run, reading=reading)


def _host_ref(booking: HostBooking) -> str:
    return booking.ref


def seated_without_us(
    *, now: datetime, dry_run: bool, restaurant_ref: str | None, reading: Reading
) -> Iterator[Discrepancy]:
    """Find bookings that the host has confirmed with tables, or seated, and that were never requested here.

    Unless ``dry_run``, take over their tables.
    """
    host = configured()
    span = {"start": now - LONGEST_DINNER, "until": now + FURTHEST}
    for bookings in reading.pages(
        lambda after, ref: host.history(**span, after=after, limit=CHUNK, restaurant_ref=ref), restaurant_ref
    ):
        seated = {
            each.ref: each for each in bookings if each.is_confirmed or (each.keeps_tables and not each.wants_table)
        }
        known = Assignment.objects.filter(booking_ref__in=list(seated)).values_list("booking_ref", flat=True)
        unknown = sorted(set(seated) - set(known))
        tables = reading.of(unknown, lambda part: host.tables_of(part).items(), ref=str)
        for ref, table_refs in sorted(tables):
            discrepancy = Discrepancy(
                booking_ref=ref, problem="seated by the host, unknown here", remedy="its tables are taken over"
            )
            yield discrepancy if dry_run else _attempted(discrepancy, partial(_adopted, discrepancy, table_refs))


def _adopted(discrepancy: Discrepancy, table_refs: Sequence[str]) -> Discrepancy:
    try:
        api.adopt(booking_ref=discrepancy.booking_ref, table_refs=table_refs)
    except (TableTakenError, TablesRefusedError) as error:
        # The host has two bookings at one table, or one at a table that the floor does not have: this one goes to review.
        api.booking_changed(booking_ref=discrepancy.booking_ref)
        return replace(discrepancy, remedy=OCCUPIED if isinstance(error, TableTakenError) else WITH_STAFF)
    return discrepancy


def _orphans(*, dry_run: bool, restaurant_ref: str | None) -> Iterator[Discrepancy]:
    """Find occupied tables of bookings without an assignment."""
    rows = Allocation.objects.exclude(booking_ref="").exclude(
        booking_ref__in=Assignment.objects.values_list("booking_ref", flat=True)
    )
    if restaurant_ref:
        rows = rows.filter(restaurant_ref=restaurant_ref)
    for ref in rows.order_by("booking_ref").values_list("booking_ref", flat=True).distinct():
        found = Discrepancy(booking_ref=ref, problem="has tables, but no assignment", remedy="its tables are freed")
        yield found if dry_run else _attempted(found, partial(_freed, found))


def _freed(discrepancy: Discrepancy) -> Discrepancy:
    transactions.run(partial(ledger.release, [discrepancy.booking_ref]))
    return discrepancy
