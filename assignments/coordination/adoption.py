"""Adoption: tables that the host itself gave to a booking become the booking's here, before anybody else gets them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from assignments import conf
from assignments.coordination import sharing
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, HostBooking, is_cancelled
from assignments.integration.planners import MANUAL
from assignments.lifecycle import buffers, intake, ledger, seating_validity, sentences, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.lifecycle.staff_decisions import REJECTED
from assignments.models import GONE, OPEN_STATES, Allocation, Assignment, SeatingChange, Stage, State
from assignments.outcome import CoordinatorReason, Outcome
from assignments.planning.describe import names
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason
from assignments.planning.seating_window import SeatingWindow


def is_seated(booking: HostBooking) -> bool:
    """Return whether the host shows the booking as confirmed, or its guests as sitting."""
    if is_cancelled(booking) or booking.problem or booking.stage in GONE:
        return False
    return booking.is_confirmed or (booking.keeps_tables and not booking.wants_table)


def window_of(booking: HostBooking, *, host: Host) -> SeatingWindow:
    """Return the seating window of a booking that the host has seated by itself."""
    return seating_validity.window_as_the_host_has_it(booking, floor_or_none(booking.restaurant_ref, host=host))


def given(
    bookings: Iterable[HostBooking],
    *,
    host: Host,
    now: datetime,
    assignments: Iterable[Assignment] = (),
) -> Mapping[str, tuple[str, ...]]:
    """Return the tables that the host shows for the bookings that it has seated, by ref.

    Leaves out bookings whose time is over. With ``assignments`` it also leaves out bookings whose tables were taken
    from them here and still cannot be used: the host only shows what it was told. No query, unless the host does not
    read tables along with its bookings.
    """
    seated = [each for each in bookings if is_seated(each) and window_of(each, host=host).ends_at > now]
    unread = [each.ref for each in seated if each.table_refs is None]
    read = host.tables_of(unread) if unread else {}
    known = {each.booking_ref: each for each in assignments} if seated else {}
    found = {}
    for booking in seated:
        tables = tuple(read.get(booking.ref, ()) if booking.table_refs is None else booking.table_refs)
        assignment = known.get(booking.ref)
        if tables and (assignment is None or not _was_taken_away(assignment, booking, tables, host=host)):
            found[booking.ref] = tables
    return found


def with_tables_here(bookings: Iterable[HostBooking]) -> frozenset[str]:
    """Return the refs of bookings that the host has seated and that have tables here too. At most one query.

    The host was told these tables, and staff have to decide about something else, so nothing is adopted for them.
    """
    refs = [booking.ref for booking in bookings if is_seated(booking)]
    return frozenset(ledger.seatings_of(refs)) if refs else frozenset()


def _was_taken_away(assignment: Assignment, booking: HostBooking, table_refs: tuple[str, ...], *, host: Host) -> bool:
    """Return whether these tables were taken from the booking here and cannot be given back. A few queries if so.

    If the booking had them for another time or restaurant, the host has not chosen them anew: it shows what it was
    told.
    """
    stored_form = getattr(host, "stored_form", tuple)
    if set(stored_form(tuple(assignment.told_table_refs or ()))) != set(table_refs):
        return False
    if assignment.reason == REJECTED:
        return True
    had = _had_before(booking, table_refs)
    if had is None:
        return False  # The host chose them; staff were told, because others have them.
    if assignment.state != State.CANCELLED and _is_elsewhere(booking, had):
        return True
    floor = floor_or_none(booking.restaurant_ref, host=host)
    if floor and seating_validity.against_tables(booking, table_refs, floor=floor, rules=conf.settings().rules()):
        return True
    return ledger.are_closed(booking.restaurant_ref, table_refs, window_of(booking, host=host))


def _had_before(booking: HostBooking, table_refs: Sequence[str]) -> SeatingChange | None:
    """Return the record of how the booking's last seating at one of these tables ended; None without one. One query."""
    ends = (SeatingChange.What.FREED, SeatingChange.What.ENDED)
    changes = SeatingChange.objects.filter(booking_ref=booking.ref, what__in=ends, table_ref__in=table_refs)
    return changes.order_by("-id").first()


def _is_elsewhere(booking: HostBooking, had: SeatingChange) -> bool:
    """Return whether the booking now has another restaurant or time. False for guests who sit."""
    if booking.restaurant_ref != had.restaurant_ref:
        return True
    return booking.wants_table and intake.stored_start(booking) != had.starts_at


def others_there(booking: HostBooking, table_refs: Sequence[str], *, host: Host, now: datetime) -> list[Allocation]:
    """Return the allocations of other bookings at these tables during the booking's time. One or two queries."""
    ledger.remove_expired_holds(booking.restaurant_ref)
    window = _from_now(booking, host=host, now=now)
    return buffers.in_the_way(_others(booking, table_refs, window), window, now=now)


def take_over(
    assignment: Assignment,
    booking: HostBooking,
    table_refs: Sequence[str],
    *,
    host: Host,
    now: datetime,
    reviewing: Settlement,
) -> Outcome | None:
    """Seat a booking without tables here at those that the host shows for it. Its row and its day are locked.

    If others have them, or the floor has no such table, it goes to review through the settlement ``reviewing``, which
    the caller writes; the review's sentence names them. Returns None for a booking that is already in review for that
    reason, and for one that has tables here after all.
    """
    if ledger.seatings_of([booking.ref]):
        return None
    there = others_there(booking, table_refs, host=host, now=now)
    told_before = {CoordinatorReason.CONFIRMED_BY_HOST, waiting.CAME_AFTER_ALL}
    is_told = assignment.state == State.MANUAL_REVIEW and assignment.reason in told_before
    floor = floor_or_none(booking.restaurant_ref, host=host)
    unknown = seating_validity.unknown_tables(table_refs, floor)
    if (there or unknown) and is_told:
        return None
    intake.take_over_facts(assignment, booking, floor=floor)
    _note_stage(assignment, booking, now=now)
    ledger.release([booking.ref], for_others=bool(there or unknown))
    _open(assignment, now=now)
    if not (there or unknown):
        return seat(assignment, booking, table_refs, host=host, now=now)
    tables = floor.in_order(table_refs) if floor else tuple(table_refs)
    assignment.told_table_refs = list(tables)  # So that the host shows nothing new with these once staff reject it.
    if unknown:
        detail = sentences.not_on_the_floor(names(unknown, floor))
    else:
        detail = sentences.shown_elsewhere(names(tables, floor), {row.booking_ref for row in there})
    return reviewing.send_to_review(assignment, reason=CoordinatorReason.CONFIRMED_BY_HOST, detail=detail)


def seat(
    assignment: Assignment, booking: HostBooking, table_refs: Sequence[str], *, host: Host, now: datetime
) -> Outcome:
    """Confirm an open booking at tables that the host gave it.

    The host has decided, so no rule is judged and it is not told. If others overstay at one of the tables, staff are
    asked about all of them.

    Raises TableTakenError if somebody else has one of the tables at that time.
    """
    floor = floor_or_none(booking.restaurant_ref, host=host)
    window = _from_now(booking, host=host, now=now)
    others, despite = _others(booking, table_refs, window), _passed_over(booking, table_refs, floor)
    if others and not buffers.in_the_way(others, window, now=now):
        # The host does without buffers.
        window, gives_up = buffers.squeezed(window, others)
        ledger.make_room(others, window)
        despite |= {Reason.BUFFER} if gives_up else set()
    window, overridden_by = over_closures(booking.restaurant_ref, table_refs, window)
    despite |= {Reason.CLOSED} if overridden_by else set()
    settlement = Settlement(host=host, planner=MANUAL, actor="host", trigger="adopt", now=now, tells_host=False)
    outcome = settlement.confirm(
        assignment,
        table_refs=floor.in_order(table_refs) if floor else tuple(table_refs),
        window=window,
        strategy=MANUAL,
        reason=CoordinatorReason.CONFIRMED_BY_HOST,
        despite=despite,
        overridden_by=overridden_by,
    )
    settlement.write()
    sharing.ask_about_overstaying(assignment, host=host, now=now, actor="host", trigger="adopt")
    return outcome


def _passed_over(booking: HostBooking, table_refs: Sequence[str], floor: Floor | None) -> set[str]:
    """Return the rules that the host's staff overrode, so that no later pass moves the guests for them."""
    if floor is None:
        return set()
    rules = conf.settings().rules()
    return {each.reason for each in seating_validity.against_tables(booking, table_refs, floor=floor, rules=rules)}


def over_closures(restaurant_ref: str, table_refs: Sequence[str], window: SeatingWindow) -> tuple[SeatingWindow, str]:
    """Return when the guests block these tables, and who overrides closures for them ("" if no table is closed).

    If a closure meets only the buffers, the window loses them. One query, two at closed tables.
    """
    if not ledger.are_closed(restaurant_ref, table_refs, _with_buffers(window)):
        return window, ""
    if ledger.are_closed(restaurant_ref, table_refs, window):
        return window, "host"
    return buffers.bare(window), ""


def _open(assignment: Assignment, *, now: datetime) -> None:
    """Bring a booking without tables into a state in which it can be decided, in memory."""
    if assignment.state in {State.ASSIGNMENT_IN_PROGRESS, State.ASSIGNED}:
        assignment.put_back(actor="host", reason=CoordinatorReason.CONFIRMED_BY_HOST)
    elif assignment.state not in OPEN_STATES:
        assignment.reopen(actor="host", reason=CoordinatorReason.CONFIRMED_BY_HOST)
    assignment.due_at = now


def _note_stage(assignment: Assignment, booking: HostBooking, *, now: datetime) -> None:
    stage = _stage_of(booking)
    if stage and stage != assignment.stage:
        assignment.stage, assignment.stage_at = stage, now
    assignment.table_told = assignment.table_told or booking.table_told


def _stage_of(booking: HostBooking) -> Stage | None:
    if booking.stage:
        return Stage(booking.stage)
    return None if booking.wants_table else Stage.SEATED


def _from_now(booking: HostBooking, *, host: Host, now: datetime) -> SeatingWindow:
    """Return the booking's window from now on: earlier guests may have left without a report.

    For guests who already sit it begins now, too.
    """
    window = window_of(booking, host=host)
    is_early = _stage_of(booking) == Stage.SEATED and now < window.blocked_from
    if is_early or window.blocked_from < now < window.ends_at:
        return replace(window, blocked_from=now)
    return window


def _with_buffers(window: SeatingWindow) -> SeatingWindow:
    """Return the window with its buffers counted as part of the stay."""
    first, last = min(window.starts_at, window.blocked_from), max(window.ends_at, window.blocked_until)
    return replace(window, starts_at=first, ends_at=last)


def _others(booking: HostBooking, table_refs: Sequence[str], window: SeatingWindow) -> list[Allocation]:
    rows = ledger.taken_at(booking.restaurant_ref, table_refs, window.blocked_from, window.blocked_until)
    return [row for row in rows if row.booking_ref != booking.ref]
