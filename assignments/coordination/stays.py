"""Stays: guests arrive, stay longer, leave earlier, or never come. The past stays on record; changes begin now."""

from collections.abc import Sequence, Set
from datetime import UTC, datetime
from typing import Any, NamedTuple

from assignments.concurrency.transactions import database_now
from assignments.coordination import sharing
from assignments.coordination.edits import Answer, tables_elsewhere
from assignments.exceptions import TableTakenError
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import HostBooking, lock_bookings
from assignments.lifecycle import buffers, ledger, promise, sentences, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.lifecycle.staff_decisions import STAFF
from assignments.models import Allocation, Assignment, Stage, State
from assignments.outcome import Change
from assignments.planning.floor import Floor
from assignments.planning.snapshot import Occupied, occupied_by
from assignments.planning.text import Text

EDIT_WITHDRAWN = "edit_withdrawn"
"""Reason code: the guests have withdrawn their change."""
TABLE_STAYS_OPEN = "table_stays_open"
"""Reason code: the table at which guests sit does not close before they leave, after all."""


def mark(assignment: Assignment, stage: Stage, *, now: datetime) -> None:
    """Note the stage of the guests, in memory."""
    if assignment.stage != stage:
        assignment.stage, assignment.stage_at = stage, now
        assignment.touch()


def leave(
    assignment: Assignment,
    seatings: Sequence[Allocation],
    stage: Stage,
    *,
    settlement: Settlement,
    is_over: bool = False,
) -> tuple[str, ...]:
    """Free the tables of guests who have left, or never came, from now on. Return their refs.

    That settles a booking that waits for staff, because nobody needs its tables any more. A booking that asks for a
    later time, about which nobody has decided, is planned for that time, unless ``is_over``: the host says that it
    wants no table.
    """
    if not is_over and _comes_another_time(assignment, settlement.now):
        return _expect_later(assignment, seatings, stage, settlement)
    mark(assignment, stage, now=settlement.now)
    if assignment.state == State.MANUAL_REVIEW and seatings:
        assignment.restore(actor=settlement.actor, reason=stage.value)
    settlement.changed(assignment)
    settlement.announce(assignment, "stage", stage=stage.value, actor=settlement.actor)
    ledger.vacate(seatings, at=settlement.now, has_sat=True)
    return tuple(row.table_ref for row in seatings)


def give_up(assignment: Assignment, *, now: datetime | None = None) -> bool:
    """Free all tables of a booking, held or seated, and return whether it had any.

    The time that its guests have sat until ``now`` stays on record. One query more for guests who sit.
    """
    ref = assignment.booking_ref
    seatings = ledger.seatings_of([ref]).get(ref, []) if assignment.stage == Stage.SEATED else []
    if seatings:
        ledger.vacate(seatings, at=now or database_now(), has_sat=True)
    return bool(ledger.release([ref])) or bool(seatings)


def _comes_another_time(assignment: Assignment, now: datetime) -> bool:
    asked = assignment.asked_starts_at if assignment.is_wish_undecided else None
    return assignment.state == State.MANUAL_REVIEW and asked is not None and asked > max(assignment.starts_at, now)


def _expect_later(
    assignment: Assignment, seatings: Sequence[Allocation], stage: Stage, settlement: Settlement
) -> tuple[str, ...]:
    ref = assignment.booking_ref
    ledger.vacate(seatings, at=settlement.now, has_sat=assignment.stage == Stage.SEATED)
    mark(assignment, Stage.EXPECTED, now=settlement.now)
    assignment.take_up_wish()
    assignment.reopen(actor=settlement.actor, reason=stage.value)
    assignment.due_at = settlement.now
    settlement.changed(assignment)
    lock_bookings(settlement.host, [ref])
    settlement.host.on_released([ref])
    return tuple(row.table_ref for row in seatings)


def stay_until(
    assignment: Assignment,
    seatings: Sequence[Allocation],
    until: datetime,
    *,
    settlement: Settlement,
    reason: str = "stays_longer",
    is_optional: bool = False,
) -> Change:
    """Change the end of the guests' stay to ``until``, later or earlier.

    The next booking at one of these tables gets another if there is one. Otherwise both wait for staff, each with the
    other's ref, and the overstay is noted beside the time for which the tables are blocked; with ``is_optional``
    nothing changes then.
    """
    before, despite = seatings[0].stays_until, set(seatings[0].despite)
    cut = _cut(seatings) if assignment.reason == waiting.TABLE_OUT_OF_SERVICE else []
    leaves_before = bool(cut) and until <= min(row.blocked.upper for row in cut)
    if until < before and not settlement.actor.startswith(STAFF) and _closes_before(seatings, until):
        ledger.leave_earlier(seatings, until)
        return _note_stay(assignment, seatings, until, "shortened", settlement=settlement)
    overstay = seatings[0].overstays_until is not None
    floor = floor_or_none(seatings[0].restaurant_ref, host=settlement.host) if overstay else None
    blocked_until = until + buffers.after(seatings[0], floor)
    next_ones = ledger.followers(seatings, blocked_until)
    if overstay:  # What was left of the buffer is not known: nobody who comes in time goes for it.
        blocked_until = min([blocked_until, *(row.blocked.lower for row in next_ones if until <= row.blocked.lower)])
        next_ones = [row for row in next_ones if row.blocked.lower < blocked_until]
    refs = list(dict.fromkeys(row.booking_ref for row in next_ones))
    moves = _others_for(refs, seatings, blocked_until, settlement) if refs else []
    if moves is None:
        return Change.NOTHING if is_optional else _overlap(assignment, seatings, until, refs, settlement)
    # Guests who sit there go before a hold, whose guests are still deciding.
    ledger.release([ref for ref in refs if ref not in {move.follower.booking_ref for move in moves}], for_others=False)
    for move in moves:
        _send_elsewhere(move, settlement)
    settlement.write_tables()
    by_staff = settlement.actor.startswith(STAFF)
    if not ledger.stay_until(seatings, until, blocked_until, actor=settlement.actor, into_closures=by_staff):
        raise TableTakenError  # Somebody was faster: the whole transaction runs again.
    is_settled = assignment.state == State.MANUAL_REVIEW and (
        (assignment.reason == waiting.OVERLAPPING and not ledger.sharing_tables(seatings))
        or (cut and (by_staff or leaves_before))
    )
    if is_settled:
        assignment.restore(actor=settlement.actor, reason=reason)
    what = "extended" if until >= before else "shortened"
    change = _note_stay(assignment, seatings, until, what, settlement=settlement, **_passed_over(seatings, despite))
    return Change.TO_STAFF if ask_about_cut(assignment, seatings, settlement=settlement) else change


def _note_stay(
    assignment: Assignment,
    seatings: Sequence[Allocation],
    until: datetime,
    what: str,
    *,
    settlement: Settlement,
    **passed_over: Any,
) -> Change:
    if not assignment.is_changed:
        assignment.touch()
    settlement.changed(assignment)
    settlement.announce(
        assignment,
        what,
        ends_at=until.isoformat(),
        table_refs=[row.table_ref for row in seatings],
        actor=settlement.actor,
        **passed_over,
    )
    return Change.KEPT


def _passed_over(seatings: Sequence[Allocation], before: Set[str]) -> dict[str, Any]:
    """Return the payload about rules that the stay overrides now, and did not ``before``."""
    now = sorted({each for row in seatings for each in row.despite} - before)
    return {"despite": now} if now else {}


class _Move(NamedTuple):
    """A booking whose tables others need for longer, with its seatings and the tables that it can have instead."""

    follower: Assignment
    seatings: list[Allocation]
    answer: Answer


def _send_elsewhere(move: _Move, settlement: Settlement) -> None:
    settlement.reseat(
        move.follower,
        move.seatings,
        table_refs=move.answer.table_refs,
        window=move.answer.window,
        strategy=move.answer.strategy,
        planner=move.answer.planner,
        reason="table_needed_longer",
        decision=move.answer.decision,
        batch=move.answer.batch,
        stays_in_review=promise.is_open(move.follower),
    )


def _others_for(
    refs: Sequence[str], seatings: Sequence[Allocation], blocked_until: datetime, settlement: Settlement
) -> list[_Move] | None:
    """Return other tables for the bookings that come next; None if there are none for one of them.

    These were promised a seat, so waiting bookings do not go first, even if they asked earlier.
    """
    seated = ledger.seatings_of(refs)
    followers = (
        Assignment.objects.select_for_update().filter(booking_ref__in=list(seated)).order_by("requested_at", "id")
    )
    bookings = settlement.host.bookings(list(seated), lock=True)
    instead = [
        Occupied(
            table_ref=row.table_ref,
            blocked_from=row.blocked.lower,
            blocked_until=blocked_until,
            booking_ref=row.booking_ref,
            **ledger.sitting(row),
        )
        for row in seatings
    ]
    moves: list[_Move] = []
    for follower in followers:
        booking = bookings.get(follower.booking_ref)
        if booking is None or booking.problem or not _may_be_moved(follower):
            return None
        answer = tables_elsewhere(
            follower, booking, seated[booking.ref], instead=instead, host=settlement.host, now=settlement.now
        )
        if answer is None:
            return None
        instead += occupied_by(booking.ref, answer.table_refs, answer.window, party=follower.party)
        moves.append(_Move(follower, seated[booking.ref], answer))
    return moves


def _may_be_moved(assignment: Assignment) -> bool:
    is_promised = assignment.state == State.CONFIRMED or (
        assignment.state == State.MANUAL_REVIEW
        and (assignment.reason == waiting.OVERLAPPING or promise.is_open(assignment))
    )
    return is_promised and assignment.stage != Stage.SEATED and not assignment.pinned_table_refs


def _overlap(
    assignment: Assignment, seatings: Sequence[Allocation], until: datetime, refs: Sequence[str], settlement: Settlement
) -> Change:
    by_staff = settlement.actor.startswith(STAFF)
    ledger.overstay(seatings, until, actor=settlement.actor, into_closures=by_staff)
    return sharing.ask_staff(assignment, seatings, refs, settlement=settlement)


def tell_what_is_open(assignment: Assignment, seatings: Sequence[Allocation], *, settlement: Settlement) -> Change:
    """Ask staff about guests who have their tables again, if others expect these by now, or they close under them."""
    if others := ledger.sharing_tables(seatings):
        return sharing.ask_staff(assignment, seatings, others, settlement=settlement)
    return Change.TO_STAFF if ask_about_cut(assignment, seatings, settlement=settlement) else Change.RESTORED


def sit_down_early(assignment: Assignment, seatings: Sequence[Allocation], *, settlement: Settlement) -> Change:
    """Block the tables of guests who, says the host, sit there before their time, from now on.

    If others are still there, staff are told once.
    """
    now = settlement.now
    if seatings[0].blocked.lower <= now or _begins(seatings, settlement):
        return Change.NOTHING
    there = {row.booking_ref for row in (*ledger.overstaying(seatings, now), *ledger.still_there(seatings, now))}
    if not there or (assignment.reason == waiting.OVERLAPPING and assignment.stage_at != now):
        return Change.NOTHING
    return sharing.ask_staff(assignment, seatings, there, settlement=settlement)


def _begins(seatings: Sequence[Allocation], settlement: Settlement) -> bool:
    """Block the tables from now on, unless others are still there. Return whether they are blocked."""
    now = settlement.now
    return not ledger.overstaying(seatings, now) and ledger.begin_at(seatings, now, actor=settlement.actor)


def where_it_closes(at: datetime, floor: Floor | None) -> Text:
    """Return a sentence that says that guests sit at a table that closes then, and have to be moved."""
    return sentences.sits_where_it_closes(f"{at.astimezone(floor.zone if floor else UTC):%H:%M}")


def stay_after_all(assignment: Assignment, seatings: Sequence[Allocation], *, settlement: Settlement) -> Change:
    """Let guests keep the tables at which they sit, until they leave or the tables close.

    Another booking that has one of the tables by then gets another table, or both bookings wait for staff.
    """
    cut = _cut(seatings)
    if cut:
        until = max(row.stays_until for row in cut)
        if ledger.closed_during(cut, min(row.blocked.upper for row in cut), until):
            return _ask_staff(assignment, cut, settlement) if ledger.reach_closures(cut) else Change.NOTHING
        change = stay_until(assignment, seatings, until, settlement=settlement, reason=TABLE_STAYS_OPEN)
        if change is Change.TO_STAFF:
            return change
    if assignment.state == State.MANUAL_REVIEW and assignment.reason == waiting.TABLE_OUT_OF_SERVICE:
        assignment.restore(actor=settlement.actor, reason=TABLE_STAYS_OPEN)
    settlement.changed(assignment)
    return Change.RESTORED


def ask_about_cut(assignment: Assignment, seatings: Sequence[Allocation], *, settlement: Settlement) -> bool:
    """Ask staff to move guests of a confirmed booking whose tables close before they leave. Return whether that was so."""
    cut = ledger.closing_under(seatings)
    if cut and assignment.state == State.CONFIRMED:
        _ask_staff(assignment, cut, settlement)
        return True
    return False


def _cut(seatings: Sequence[Allocation]) -> list[Allocation]:
    return [row for row in seatings if ledger.is_cut(row)]


def _ask_staff(assignment: Assignment, cut: Sequence[Allocation], settlement: Settlement) -> Change:
    """Tell staff when the first of these tables closes under its guests."""
    at = min(row.blocked.upper for row in cut)
    detail = where_it_closes(at, floor_or_none(cut[0].restaurant_ref, host=settlement.host))
    if assignment.state == State.CONFIRMED:
        settlement.keep_for_review(assignment, reason=waiting.TABLE_OUT_OF_SERVICE, detail=detail)
    else:
        settlement.review_anew(assignment, reason=waiting.TABLE_OUT_OF_SERVICE, detail=detail)
    return Change.TO_STAFF


def settle_overlap(
    assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], *, settlement: Settlement
) -> Change:
    """Confirm the booking again if it no longer expects the same table as another one.

    Guests who overstay get their tables for as long as they stay, if the next booking is gone or can have other tables.
    The next booking keeps the tables if nobody overstays there any more; else it gets others that are free, unless its
    guests sit. Guests who sit there before their time have the tables once the others are gone.
    """
    is_early = assignment.stage == Stage.SEATED and settlement.now < seatings[0].blocked.lower
    if is_early and not _begins(seatings, settlement):
        return Change.NOTHING
    until = seatings[0].overstays_until
    if until is not None and _closes_before(seatings, until):
        if ledger.followers(seatings, until):
            return Change.NOTHING
        ledger.reach_closures(seatings)
        return _ask_staff(assignment, _cut(seatings), settlement)
    if until is not None:
        return stay_until(assignment, seatings, until, settlement=settlement, reason="overlap_over", is_optional=True)
    if not ledger.sharing_tables(seatings):
        assignment.restore(actor=settlement.actor, reason="overlap_over")
        settlement.changed(assignment)
        return Change.RESTORED
    if assignment.stage == Stage.SEATED or not ledger.overstaying(seatings):
        return Change.NOTHING  # Only staff move guests who sit.
    answer = tables_elsewhere(assignment, booking, seatings, instead=(), host=settlement.host, now=settlement.now)
    if answer is None or set(answer.table_refs) & {row.table_ref for row in seatings}:
        return Change.NOTHING
    _send_elsewhere(_Move(assignment, list(seatings), answer), settlement)
    return Change.MOVED


def _closes_before(seatings: Sequence[Allocation], until: datetime) -> bool:
    """Return whether one of these tables closes before its guests leave, and staff have not overridden the closure."""
    asked = [row for row in _cut(seatings) if not row.overridden_by.startswith(STAFF)]
    return bool(asked and ledger.closed_during(asked, min(row.blocked.upper for row in asked), until))
