"""Following changes in the host of a booking whose guests sit: only staff move them."""

from collections.abc import Sequence
from datetime import datetime

from assignments.coordination import shown_tables, stays
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, HostBooking
from assignments.lifecycle import intake, ledger, promise, seating_validity, sentences, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.models import Allocation, Assignment, Stage, State
from assignments.outcome import Change
from assignments.planning.units import seats_of


def follow_edit(
    assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], *, host: Host, now: datetime
) -> Change:
    """Follow an edit of guests who sit: they stay longer or shorter, and staff are told of more guests than seats."""
    settlement = Settlement(host=host, planner=assignment.planner, actor="host", trigger="edit", now=now)
    ledger.note_promise(seatings, party=assignment.party, zone_ref=assignment.zone_ref)
    end, change = intake.asked_until(booking), Change.KEPT
    is_known = end == promise.last_end_asked(assignment)  # Staff may have let them stay longer than the host knows.
    if end is not None and not is_known and end != seatings[0].stays_until and end > max(now, seatings[0].starts_at):
        change = stays.stay_until(assignment, seatings, end, settlement=settlement, reason="booking_changed")
    change = _worse(change, _take_over(assignment, booking, seatings, settlement=settlement))
    assignment.touch()
    settlement.changed(assignment)
    settlement.write()
    if change is Change.RESTORED and host.tracks_confirmation and not booking.is_confirmed:
        seating_validity.confirm_again(host, booking.ref, seatings)
    return change


def follow_guests(
    assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], *, settlement: Settlement
) -> Change:
    """Follow the host's report that the guests sit at their tables, or at others, and until when."""
    end = intake.asked_until(booking)
    is_known = end == promise.last_end_asked(assignment)  # Staff may have let them stay longer than the host knows.
    moved = adopt_where_they_sit(assignment, booking, seatings, host=settlement.host, now=settlement.now)
    seatings = ledger.seatings_of([booking.ref]).get(booking.ref, [])
    change = Change.NOTHING
    if end is not None and not is_known and end != seatings[0].stays_until:
        change = stays.stay_until(assignment, seatings, end, settlement=settlement, reason="booking_changed")
    else:
        settlement.changed(assignment)
    if not promise.is_shown(assignment, booking):  # Sitting down grants nothing else that they ask for.
        change = _worse(change, _take_over(assignment, booking, seatings, settlement=settlement))
    if moved is Change.NOTHING and assignment.stage == Stage.SEATED:
        change = _worse(change, stays.sit_down_early(assignment, seatings, settlement=settlement))
    assignment.touch()
    settlement.write()
    return moved if change in {Change.NOTHING, Change.KEPT} and moved is not Change.NOTHING else change


def _worse(one: Change, other: Change) -> Change:
    """Return ``TO_STAFF`` if either change is that, then ``RESTORED``, else the first one."""
    return other if other in {Change.TO_STAFF, Change.RESTORED} and one is not Change.TO_STAFF else one


def _take_over(
    assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], *, settlement: Settlement
) -> Change:
    """Take over what the host says of guests who sit. Staff are told of more guests than seats, and of unmet needs."""
    floor = floor_or_none(booking.restaurant_ref, host=settlement.host)
    here = floor_or_none(seatings[0].restaurant_ref, host=settlement.host)
    party, promised = intake.stored_party(booking), promise.facts_of(assignment)
    tables = [row.table_ref for row in seatings]
    is_known = here is not None and not seating_validity.unknown_tables(tables, here)
    seats = seats_of(here, tables) if here is not None and is_known else party
    added = intake.asked_features(booking, assignment)[0] - set(promised["needs"])
    lacking = frozenset(each for each in added if is_known and not seating_validity.have({each}, seatings, here))
    if party <= max(seats, promised["party"]) and not lacking:
        promise.take_over_here(assignment, booking, floor=floor)
        is_over = assignment.reason == waiting.EDIT_UNMET and not assignment.is_wish_undecided
        if assignment.state != State.MANUAL_REVIEW or not (is_over and is_known):
            return Change.KEPT
        assignment.restore(actor=settlement.actor, reason=stays.EDIT_WITHDRAWN)
        settlement.changed(assignment)
        return stays.tell_what_is_open(assignment, seatings, settlement=settlement)
    intake.take_over_facts(assignment, booking, floor=floor)
    promise.set_aside(assignment, promised | {"asked_until": assignment.asked_until})
    is_too_large = party > max(seats, promised["party"])
    detail = sentences.more_guests_than_seats(seats, party) if is_too_large else sentences.sit_without(lacking)
    if assignment.state == State.CONFIRMED:
        settlement.keep_for_review(assignment, reason=waiting.EDIT_UNMET, detail=detail)
    elif assignment.reason == waiting.EDIT_UNMET:
        settlement.review_anew(assignment, reason=waiting.EDIT_UNMET, detail=detail)
    return Change.TO_STAFF


def adopt_where_they_sit(
    assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], *, host: Host, now: datetime
) -> Change:
    """Take over other tables at which the host shows guests who sit. That grants nothing else that they ask for."""
    floor = floor_or_none(booking.restaurant_ref, host=host)
    told = shown_tables.changed(assignment, booking, floor, host=host)
    if assignment.state in {State.CONFIRMED, State.MANUAL_REVIEW}:
        told = shown_tables.noted(assignment, booking, seatings, told, host=host)
        if told is not None:
            return shown_tables.adopt(assignment, booking, seatings, told, host=host, now=now, sits=True)
    return Change.NOTHING


def sit_down(assignment: Assignment, change: Change, *, host: Host, now: datetime) -> Change:
    """Block the tables of guests who, says the host, sit there before their time, after ``change`` was written."""
    seatings = ledger.seatings_of([assignment.booking_ref]).get(assignment.booking_ref, [])
    settlement = Settlement(host=host, planner=assignment.planner, actor="host", trigger="edit", now=now)
    if not seatings or stays.sit_down_early(assignment, seatings, settlement=settlement) is Change.NOTHING:
        return change
    settlement.write()
    return Change.TO_STAFF
