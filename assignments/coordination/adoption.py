"""Adopting: tables that the host gave a booking by itself are the booking's here as well, before anybody else gets them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, HostBooking, is_cancelled
from assignments.integration.planners import MANUAL
from assignments.lifecycle import intake, ledger, seating_validity, sentences
from assignments.lifecycle.settlement import Settlement
from assignments.models import GONE, OPEN_STATES, Allocation, Assignment, Stage, State
from assignments.outcome import CoordinatorReason, Outcome
from assignments.planning.seating_window import SeatingWindow


def is_seated(booking: HostBooking) -> bool:
    """Return whether the host shows the booking as confirmed, or its guests as sitting."""
    if is_cancelled(booking) or booking.problem or booking.stage in GONE:
        return False
    return booking.is_confirmed or (booking.keeps_tables and not booking.wants_table)


def window_of(booking: HostBooking, *, host: Host) -> SeatingWindow:
    """Return when a booking sits that the host has seated by itself."""
    return seating_validity.window_as_the_host_has_it(booking, floor_or_none(booking.restaurant_ref, host=host))


def given(bookings: Iterable[HostBooking], *, host: Host, now: datetime) -> Mapping[str, tuple[str, ...]]:
    """Return the tables that the host shows for those of these bookings that it has seated, by ref.

    Those whose time is over are left out. No query, unless the host does not read tables along with its bookings.
    """
    seated = [each for each in bookings if is_seated(each) and window_of(each, host=host).ends_at > now]
    unread = [each.ref for each in seated if each.table_refs is None]
    read = host.tables_of(unread) if unread else {}
    shown = {each.ref: read.get(each.ref, ()) if each.table_refs is None else each.table_refs for each in seated}
    return {ref: tuple(tables) for ref, tables in shown.items() if tables}


def others_there(booking: HostBooking, table_refs: Sequence[str], *, host: Host, now: datetime) -> list[Allocation]:
    """Return what other bookings have of these tables at the booking's time. One or two queries."""
    ledger.remove_expired_holds(booking.restaurant_ref)
    window = _from_now(window_of(booking, host=host), now)
    return _others(booking, table_refs, _bare(window))


def take_over(
    assignment: Assignment,
    booking: HostBooking,
    table_refs: Sequence[str],
    *,
    host: Host,
    now: datetime,
    reviewing: Settlement,
) -> Outcome | None:
    """Seat a booking that has no tables here at those that the host shows for it. Its row and its day are locked.

    Where others have them, it goes to review by ``reviewing``, which the caller writes: the sentence names them. None for a
    booking that is there for that reason already.
    """
    there = others_there(booking, table_refs, host=host, now=now)
    is_told = assignment.state == State.MANUAL_REVIEW and assignment.reason == CoordinatorReason.CONFIRMED_BY_HOST
    if there and is_told:
        return None
    floor = floor_or_none(booking.restaurant_ref, host=host)
    intake.take_over_facts(assignment, booking, floor=floor)
    _note_stage(assignment, booking, now=now)
    ledger.release([booking.ref], for_others=bool(there))
    _open(assignment, now=now)
    if not there:
        return seat(assignment, booking, table_refs, host=host, now=now)
    tables = floor.in_order(table_refs) if floor else tuple(table_refs)
    detail = sentences.shown_elsewhere(tables, {row.booking_ref for row in there})
    return reviewing.send_to_review(assignment, reason=CoordinatorReason.CONFIRMED_BY_HOST, detail=detail)


def seat(
    assignment: Assignment, booking: HostBooking, table_refs: Sequence[str], *, host: Host, now: datetime
) -> Outcome:
    """Confirm an open booking at tables that the host gave it. The host has decided: nothing is judged, and it is not told.

    Raises TableTakenError when somebody else has one of the tables then.
    """
    floor = floor_or_none(booking.restaurant_ref, host=host)
    window = _from_now(window_of(booking, host=host), now)
    if _others(booking, table_refs, window) and not _others(booking, table_refs, _bare(window)):
        window = _bare(window)  # The host does without the time to clear and set its tables.
    settlement = Settlement(host=host, planner=MANUAL, actor="host", trigger="adopt", now=now, tells_host=False)
    outcome = settlement.confirm(
        assignment,
        table_refs=floor.in_order(table_refs) if floor else tuple(table_refs),
        window=window,
        strategy=MANUAL,
        reason=CoordinatorReason.CONFIRMED_BY_HOST,
        overridden_by=over_a_closure(booking.restaurant_ref, table_refs, window),
    )
    settlement.write()
    return outcome


def over_a_closure(restaurant_ref: str, table_refs: Sequence[str], window: SeatingWindow) -> str:
    """Return who seats guests at these tables although one is closed: the host; empty if none is. One query."""
    return "host" if ledger.are_closed(restaurant_ref, table_refs, window) else ""


def _open(assignment: Assignment, *, now: datetime) -> None:
    """Bring a booking that has no tables to a state in which it can be decided, in memory."""
    if assignment.state in {State.ASSIGNMENT_IN_PROGRESS, State.ASSIGNED}:
        assignment.put_back(actor="host", reason=CoordinatorReason.CONFIRMED_BY_HOST)
    elif assignment.state not in OPEN_STATES:
        assignment.reopen(actor="host", reason=CoordinatorReason.CONFIRMED_BY_HOST)
    assignment.due_at = now


def _note_stage(assignment: Assignment, booking: HostBooking, *, now: datetime) -> None:
    stage = Stage(booking.stage) if booking.stage else None
    if not booking.wants_table:
        stage = stage or Stage.SEATED
    if stage and stage != assignment.stage:
        assignment.stage, assignment.stage_at = stage, now
    assignment.table_told = assignment.table_told or booking.table_told


def _from_now(window: SeatingWindow, now: datetime) -> SeatingWindow:
    """Leave out what is past: whoever had the tables until now may have left them without a word."""
    if not window.blocked_from < now < window.ends_at:
        return window
    return replace(window, blocked_from=now)


def _bare(window: SeatingWindow) -> SeatingWindow:
    """Return the window without buffers."""
    start = max(window.starts_at, window.blocked_from)
    return replace(window, blocked_from=start, blocked_until=window.ends_at)


def _others(booking: HostBooking, table_refs: Sequence[str], window: SeatingWindow) -> list[Allocation]:
    rows = ledger.taken_at(booking.restaurant_ref, table_refs, window.blocked_from, window.blocked_until)
    return [row for row in rows if row.booking_ref != booking.ref]
