"""Following changes in the host: an edit, an arrival, a departure, a cancellation, other tables."""

from collections.abc import Sequence
from datetime import datetime

from assignments import conf
from assignments.coordination import adoption, edits, returned_guests, shown_tables, sitting, stays
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, HostBooking, is_cancelled
from assignments.integration.planners import V3
from assignments.integration.project_host import configured
from assignments.lifecycle import intake, ledger, promise, seating_validity, sentences, transitions, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.lifecycle.staff_decisions import REJECTED
from assignments.models import GONE, Allocation, Assignment, Stage, State
from assignments.outcome import Change, CoordinatorReason
from assignments.planning.reasons import Reason

CANCELLED_BY_CALL = "cancelled_by_call"
"""Reason code: ``api.booking_cancelled`` was called. Nothing that the host shows later undoes it."""
CANCELLED_IN_HOST = "booking_cancelled"
"""Reason code: the host shows the booking as cancelled, or does not know it any more. Shown again, it is planned."""
EDIT_WITHDRAWN = stays.EDIT_WITHDRAWN
TABLES_CHANGED_BY_HOST = waiting.TABLES_CHANGED_BY_HOST

WISHES = frozenset({waiting.EDIT_UNMET, Reason.PINNED_TABLES_TAKEN, TABLES_CHANGED_BY_HOST})
"""Reasons for a review of a booking that has what was promised, while somebody asks for something else."""


def follow(assignment: Assignment, booking: HostBooking, *, host: Host, now: datetime) -> Change:
    """Bring a requested booking in line with the host's booking. The row and its service days are locked."""
    seatings = ledger.seatings_of([booking.ref]).get(booking.ref, [])
    if is_cancelled(booking):
        cancel(assignment, CANCELLED_IN_HOST)
        return Change.CANCELLED
    stage = None if seatings else returned_guests.stage_of_return(assignment, booking, now=now)
    if stage is None:
        return _follow(assignment, booking, seatings, host=host, now=now)
    change = returned_guests.take_back(assignment, booking, stage, host=host, now=now)
    if change is not Change.RESTORED:
        transitions.store([assignment])
        return change or Change.NOTHING
    seatings = ledger.seatings_of([booking.ref])[booking.ref]
    further = _follow(assignment, booking, seatings, host=host, now=now)  # They may also ask for something else.
    return change if further is Change.NOTHING else further


def _follow(
    assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], *, host: Host, now: datetime
) -> Change:
    if not seatings and may_be_adopted(assignment):
        tables = adoption.given([booking], host=host, now=now, assignments=[assignment])
        if tables:
            return _adopt(assignment, booking, tables[booking.ref], host=host, now=now)
    if not booking.wants_table:
        return _follow_guests(assignment, booking, seatings, host=host, now=now)
    if assignment.state == State.CONFIRMED and assignment.stage in GONE and not seatings:
        return Change.NOTHING
    _follow_stage(assignment, booking, now=now)
    if seatings and assignment.state in {State.CONFIRMED, State.MANUAL_REVIEW}:
        change = _follow_edit(assignment, booking, seatings, host=host, now=now)
        sits = change is not Change.MOVED and booking.stage == Stage.SEATED
        return sitting.sit_down(assignment, change, host=host, now=now) if sits else change
    if assignment.state == State.CANCELLED and assignment.reason == CANCELLED_BY_CALL:
        return Change.NOTHING
    floor = floor_or_none(booking.restaurant_ref, host=host)
    is_same = promise.asks_the_same(assignment, booking)
    if assignment.reason == REJECTED and is_same:
        return Change.NOTHING  # Staff rejected exactly that.
    if assignment.reason == waiting.CAME_AFTER_ALL and is_same:
        transitions.store([assignment])
        return Change.NOTHING  # Staff decide where they sit.
    intake.take_over_facts(assignment, booking, floor=floor)
    queue_anew(assignment, now=now, actor="host", reason="booking_changed")
    return Change.REQUESTED


def may_be_adopted(assignment: Assignment) -> bool:
    """Return whether a booking without tables here may get those that the host shows."""
    if assignment.state == State.CANCELLED:
        return assignment.reason != CANCELLED_BY_CALL
    return not (assignment.state == State.CONFIRMED and assignment.stage in GONE)


def _adopt(
    assignment: Assignment, booking: HostBooking, table_refs: Sequence[str], *, host: Host, now: datetime
) -> Change:
    """Take over the tables that the host gave a booking without tables here, or leave it to staff if others have them."""
    reviewing = Settlement(host=host, planner=V3, actor="host", trigger="adopt", now=now)
    outcome = adoption.take_over(assignment, booking, table_refs, host=host, now=now, reviewing=reviewing)
    reviewing.write()
    if outcome is None:
        return Change.NOTHING
    return Change.KEPT if assignment.state == State.CONFIRMED else Change.TO_STAFF


def is_followed(assignment: Assignment, booking: HostBooking | None, *, now: datetime) -> bool:
    """Return whether the host shows nothing new of a booking that waits, sits or is cancelled. At most one query.

    For a waiting booking ``follow`` would reset its attempts, and take it out of the review queue.
    """
    if assignment.state == State.CANCELLED:
        return assignment.reason == CANCELLED_BY_CALL or is_cancelled(booking)
    if booking is None or is_cancelled(booking) or not _asks_the_same(assignment, booking):
        return False
    if returned_guests.stage_of_return(assignment, booking, now=now) is not None:
        return False
    if not booking.wants_table:
        end = intake.asked_until(booking)
        is_at_its_end = end is not None and end <= now and assignment.stage not in GONE
        is_same_stage = assignment.stage == (booking.stage or Stage.SEATED)
        if assignment.state != State.CONFIRMED or not is_same_stage or is_at_its_end:
            return False
        return assignment.stage in GONE or not _is_shown_elsewhere(assignment, booking)
    if assignment.state == State.CONFIRMED or booking.is_confirmed or booking.table_refs:
        return False
    is_mended = assignment.reason == CoordinatorReason.INVALID_BOOKING and not booking.problem
    is_same_stage = booking.stage in (None, assignment.stage)
    return is_same_stage and not is_mended and not ledger.seatings_of([booking.ref])


def _is_shown_elsewhere(assignment: Assignment, booking: HostBooking) -> bool:
    host = configured()
    floor = floor_or_none(booking.restaurant_ref, host=host)
    return shown_tables.changed(assignment, booking, floor, host=host) is not None


def _asks_the_same(assignment: Assignment, booking: HostBooking) -> bool:
    wishes = intake.asked_features(booking, assignment)[1]
    return promise.asks_the_same(assignment, booking) and wishes == set(assignment.wishes)


def _follow_edit(
    assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], *, host: Host, now: datetime
) -> Change:
    floor = floor_or_none(booking.restaurant_ref, host=host)
    told = shown_tables.changed(assignment, booking, floor, host=host)
    is_confirmed = assignment.state == State.CONFIRMED
    if told == () and is_confirmed and seating_validity.asks_anew(assignment, booking, seatings, floor=floor):
        # If a form clears the tables along with an edit, the edit counts, which may keep the tables.
        change = _settle_edit(assignment, booking, seatings, None, host=host, now=now)
        if change is Change.KEPT and assignment.state == State.CONFIRMED:
            seating_validity.show_again(host, booking.ref, ledger.seatings_of([booking.ref])[booking.ref])
        return change
    told = shown_tables.noted(assignment, booking, seatings, told, host=host)
    if told is not None and (is_confirmed or assignment.reason == TABLES_CHANGED_BY_HOST):
        change = shown_tables.adopt(assignment, booking, seatings, told, host=host, now=now)
        if change is not Change.NOTHING:
            return change
    return _settle_edit(assignment, booking, seatings, told, host=host, now=now)


def _settle_edit(
    assignment: Assignment,
    booking: HostBooking,
    seatings: Sequence[Allocation],
    told: tuple[str, ...] | None,
    *,
    host: Host,
    now: datetime,
) -> Change:
    """Settle the guest's edit. ``told``: changed tables that the host shows, about which staff decide, if any."""
    floor = floor_or_none(booking.restaurant_ref, host=host)
    is_elsewhere = told is not None and assignment.reason == TABLES_CHANGED_BY_HOST
    asks_anew = seating_validity.asks_anew(assignment, booking, seatings, floor=floor)
    here = floor_or_none(seatings[0].restaurant_ref, host=host)
    usable = seating_validity.is_usable(booking, seatings, floor=here, rules=conf.settings().rules())
    if not asks_anew and not booking.problem and not assignment.has_wish:
        _note_details(assignment, booking)
    is_withdrawn = promise.is_withdrawn(assignment, booking) and not booking.problem
    if assignment.state == State.MANUAL_REVIEW:
        meets = is_withdrawn or seating_validity.meets(assignment, booking, seatings, floor=floor)
        is_as_before = meets if asks_anew else _is_shown_again(assignment, booking, host=host)
        if usable and is_as_before and assignment.reason == Reason.PINNED_TABLES_TAKEN:
            intake.take_over_facts(assignment, booking, floor=floor)
            assignment.touch()
            transitions.store([assignment])
            return Change.TO_STAFF  # About the pin, which is not the guest's.
        if usable and is_as_before and not is_elsewhere:
            return restore(assignment, booking, seatings, host=host, actor="host", reason=EDIT_WITHDRAWN)
        if not asks_anew:
            transitions.store([assignment])
            return Change.NOTHING
    elif (is_withdrawn or not asks_anew) and usable and not booking.problem:
        if is_withdrawn:  # Staff had rejected it. The promise stands, whatever today's rules are.
            intake.take_over_facts(assignment, booking, floor=floor)
            assignment.touch()
        transitions.store([assignment])
        if host.tracks_confirmation and not booking.is_confirmed:
            seating_validity.confirm_again(host, booking.ref, seatings)
        return Change.KEPT if is_withdrawn else Change.NOTHING
    if asks_anew and edits.has_begun(assignment, booking, seatings, now=now):
        return sitting.follow_edit(assignment, booking, seatings, host=host, now=now)
    unmet = waiting.EDIT_UNMET if asks_anew or booking.problem else waiting.TABLE_OUT_OF_SERVICE
    reason = "booking_changed" if asks_anew else waiting.TABLE_OUT_OF_SERVICE
    return edits.settle(
        assignment, booking, seatings, host=host, now=now, reason=reason, unmet=unmet, is_elsewhere=is_elsewhere
    )


def _is_shown_again(assignment: Assignment, booking: HostBooking, *, host: Host) -> bool:
    """Return whether the host shows a booking at its own tables again, after it had shown others."""
    if assignment.reason != TABLES_CHANGED_BY_HOST or booking.problem:
        return False
    return bool(shown_tables.shown(booking, host=host))


def _note_details(assignment: Assignment, booking: HostBooking) -> None:
    """Take over, in memory, needs that the tables meet, wishes, and the end that the guest was promised anyway.

    Whoever moves the booking has to know them. An end that was not noted would look like a new one once staff gave another.
    """
    needs, wishes = (sorted(each) for each in intake.asked_features(booking, assignment))
    end = assignment.asked_until or intake.asked_until(booking)
    if (needs, wishes, end) != (assignment.needs, assignment.wishes, assignment.asked_until):
        assignment.needs, assignment.wishes, assignment.asked_until = needs, wishes, end
        assignment.touch()


def restore(
    assignment: Assignment,
    booking: HostBooking | None,
    seatings: Sequence[Allocation],
    *,
    host: Host,
    actor: str,
    reason: str,
    detail: str = "",
) -> Change:
    """Confirm a booking that waits for staff again, with the tables that it has.

    With ``booking``, the guest asks for exactly that; without, the guest does not get what was asked for. A host that
    shows other tables, or none, is told the booking's own again.
    """
    is_shown_elsewhere = booking is None and (
        assignment.reason == TABLES_CHANGED_BY_HOST or _shows_none(assignment, seatings, host=host)
    )
    if booking is None:
        assignment.wish_settled = assignment.has_wish
    elif not promise.is_shown(assignment, booking):
        intake.take_over_facts(assignment, booking, floor=floor_or_none(booking.restaurant_ref, host=host))
    assignment.restore(actor=actor, reason=reason, detail=detail)
    closing, sharing = ledger.closing_under(seatings), ledger.sharing_tables(seatings)
    # Its tables, or its guest's edit, are not settled yet.
    if closing or sharing or assignment.is_wish_undecided:
        why, says = waiting.EDIT_UNMET, sentences.STILL_ASKED
        if sharing:
            why, says = waiting.OVERLAPPING, sentences.expect_the_same_table(sharing)
        elif closing:
            floor = floor_or_none(closing[0].restaurant_ref, host=host)
            why = waiting.TABLE_OUT_OF_SERVICE
            says = stays.where_it_closes(min(row.blocked.upper for row in closing), floor)
        assignment.send_to_review(actor=actor, reason=why, detail=says)
        transitions.store([assignment])
        host.on_review({assignment.booking_ref: why})
        return Change.TO_STAFF
    transitions.store([assignment])
    if is_shown_elsewhere:
        seating_validity.show_again(host, assignment.booking_ref, seatings)
    elif host.tracks_confirmation and booking is not None and not booking.is_confirmed:
        seating_validity.confirm_again(host, assignment.booking_ref, seatings)
    return Change.RESTORED


def is_wish_alone(assignment: Assignment, seatings: Sequence[Allocation]) -> bool:
    """Return whether rejecting a booking in review rejects only its guest's edit, and leaves its promise."""
    is_cut = assignment.is_wish_undecided and any(ledger.is_cut(row) for row in seatings)
    return bool(seatings) and (assignment.reason in WISHES or is_cut)


def may_be_rejected(assignment: Assignment, seatings: Sequence[Allocation]) -> bool:
    """Return whether staff may reject a booking in review: not if it shares a table, or its guests sit at theirs."""
    if assignment.reason == waiting.OVERLAPPING:
        return False
    return is_wish_alone(assignment, seatings) or not (seatings and assignment.stage == Stage.SEATED)


def _shows_none(assignment: Assignment, seatings: Sequence[Allocation], *, host: Host) -> bool:
    """Return whether the host has cleared the booking's tables, and staff have not been asked about that yet."""
    booking = host.bookings([assignment.booking_ref]).get(assignment.booking_ref)
    if booking is None or is_cancelled(booking):
        return False
    here = floor_or_none(seatings[0].restaurant_ref, host=host)
    return shown_tables.changed(assignment, booking, here, host=host) == ()


def _follow_guests(
    assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], *, host: Host, now: datetime
) -> Change:
    """Follow the host's report that the guests sit at their tables, or have left them."""
    if not seatings:
        if assignment.state == State.CONFIRMED or (assignment.is_terminal and assignment.stage in GONE):
            return Change.NOTHING
        if _are_there(assignment, booking, host=host, now=now):
            return _follow_without_table(assignment, booking, host=host, now=now)
        cancel(assignment, "no_table_wanted")
        return Change.CANCELLED
    settlement = Settlement(host=host, planner=assignment.planner, actor="host", trigger="edit", now=now)
    stage = Stage(booking.stage) if booking.stage else Stage.SEATED
    if stage in GONE:
        stays.leave(assignment, seatings, stage, settlement=settlement, is_over=True)
        settlement.write()
        return Change.CANCELLED if stage == Stage.NO_SHOW else Change.NOTHING
    stays.mark(assignment, stage, now=now)
    end = intake.asked_until(booking)
    is_known = end == promise.last_end_asked(assignment)  # Staff may have let them stay longer than the host knows.
    is_over = end is not None and end <= now and not (is_known and now < seatings[0].stays_until)
    if not is_over:
        return sitting.follow_guests(assignment, booking, seatings, settlement=settlement)
    stays.leave(assignment, seatings, Stage.LEFT, settlement=settlement, is_over=True)  # Whatever the status is.
    if not promise.is_shown(assignment, booking):
        promise.take_over_here(assignment, booking, floor=floor_or_none(booking.restaurant_ref, host=host))
    assignment.touch()
    settlement.write()
    return Change.NOTHING


def _are_there(assignment: Assignment, booking: HostBooking, *, host: Host, now: datetime) -> bool:
    """Return whether a booking that waits for staff without tables has guests who sit somewhere, or have sat."""
    if assignment.state != State.MANUAL_REVIEW:
        return False
    if assignment.reason == waiting.CAME_AFTER_ALL:
        return True
    return adoption.is_seated(booking) and adoption.window_of(booking, host=host).ends_at > now


def _follow_without_table(assignment: Assignment, booking: HostBooking, *, host: Host, now: datetime) -> Change:
    """Follow guests who sit at tables that nobody knows: staff decide, unless the guests have left."""
    stage = Stage(booking.stage) if booking.stage else Stage.SEATED
    stays.mark(assignment, stage, now=now)
    if stage in GONE:
        assignment.restore(actor="host", reason=stage.value)
    elif assignment.reason != waiting.CAME_AFTER_ALL:
        settlement = Settlement(host=host, planner=assignment.planner, actor="host", trigger="edit", now=now)
        settlement.review_anew(assignment, reason=waiting.CAME_AFTER_ALL, detail=sentences.SIT_SOMEWHERE)
        settlement.write()
        return Change.TO_STAFF
    transitions.store([assignment])
    return Change.NOTHING


def _follow_stage(assignment: Assignment, booking: HostBooking, *, now: datetime) -> None:
    if booking.table_told and not assignment.table_told:
        assignment.table_told = True
        assignment.touch()
    if booking.stage and booking.stage != assignment.stage:
        stays.mark(assignment, Stage(booking.stage), now=now)


def cancel(assignment: Assignment, reason: str) -> None:
    """Cancel the booking and free its tables."""
    assignment.take_up_wish()
    stays.give_up(assignment)
    if assignment.state != State.CANCELLED:
        assignment.cancel(actor="host", reason=reason)
        transitions.store([assignment])
    elif reason == CANCELLED_BY_CALL and assignment.reason != reason:
        assignment.reason = reason
        assignment.touch()
        transitions.store([assignment])


def queue_anew(assignment: Assignment, *, now: datetime, actor: str, reason: str) -> None:
    """Make a booking without tables due at once, with its number of attempts reset.

    Its guests are expected again if they were marked as gone, or sat when it was cancelled.
    """
    if assignment.stage in GONE or (assignment.stage == Stage.SEATED and assignment.state == State.CANCELLED):
        stays.mark(assignment, Stage.EXPECTED, now=now)
    assignment.take_up_wish()
    if assignment.is_terminal:
        assignment.reopen(actor=actor, reason=reason)
    elif assignment.state in {State.ASSIGNMENT_IN_PROGRESS, State.ASSIGNED}:
        assignment.put_back(actor=actor, reason=reason)
        ledger.release([assignment.booking_ref])
    else:
        assignment.reason = reason
        assignment.touch()
    assignment.attempts = 0
    assignment.due_at = now
    transitions.store([assignment])
