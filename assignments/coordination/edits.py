"""Settling edits: a booking that has tables keeps them until something better is settled in the same transaction.

Edits are settled here whichever planner decides (docs/living-evening.md rule 2). The same tables are tried first, then
the planner that the router names is asked for an answer without side effects. An edit that cannot be met goes to staff,
and the booking keeps its tables.

Long because all ways in which a booking with tables gets others, or keeps its own, stand beside each other.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from assignments import conf
from assignments.concurrency import transactions
from assignments.concurrency.stopwatch import Stopwatch
from assignments.coordination.coordinator import Coordinator
from assignments.coordination.own_tables import (
    NOT_OF_WHO_SITS,
    as_they_sit,
    judge_own,
    judge_promised,
    staffs_word,
    within_promise,
    without_buffers,
)
from assignments.coordination.planned_day import plan_requests
from assignments.coordination.snapshots import (
    as_promised,
    occupied_during,
    plannable_requests,
    promised_request,
    seating_request,
    to_be_kept,
)
from assignments.coordination.table_record import success_of
from assignments.exceptions import HostRefusedError
from assignments.integration.floor_cache import floor_or_problem
from assignments.integration.host import Host, HostBooking
from assignments.integration.planners import MANUAL, NOBODY, V3, Batch, Judged, Preview, kept_batch, router
from assignments.lifecycle import intake, ledger, promise, seating_validity, sentences, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.models import Allocation, Assignment, Stage, State
from assignments.outcome import Change
from assignments.planning import engine
from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.reasons import PREFERENCES, Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Occupied, Snapshot, occupied_by

SAME_TABLES = "same_tables"
"""The strategy of an edit that leaves the guests where they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """New tables and a window for a booking that has tables, and the planner that chose them.

    ``despite`` and ``overridden_by``: the rules that staff overrode before, as far as that still holds, and who did.
    ``batch``: what V3 was given, if the router keeps that.
    """

    table_refs: tuple[str, ...]
    window: SeatingWindow
    planner: str
    strategy: str
    decision: Decision | None = None
    decision_ms: float = 0.0
    batch: Batch | None = None
    despite: frozenset[str] = frozenset()
    overridden_by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A planner's answer that there are no tables. ``batch``: as in ``Answer``."""

    decision: Decision
    decision_ms: float
    batch: Batch | None = None

    @property
    def refusal(self) -> Refusal:
        """Return why there are no tables."""
        assert self.decision.refusal is not None, f"{self.decision.booking_ref}: a decision has plans or a refusal"
        return self.decision.refusal


def settle(
    assignment: Assignment,
    booking: HostBooking,
    seatings: Sequence[Allocation],
    *,
    host: Host,
    now: datetime,
    actor: str = "host",
    reason: str = "booking_changed",
    unmet: str = waiting.EDIT_UNMET,
    is_optional: bool = False,
    keeps_stay: bool = True,
    is_elsewhere: bool = False,
) -> Change:
    """Give a booking that has tables what its guest asks for now, or let it keep its tables and leave it to staff.

    The row and both service days are locked. What is asked for becomes the promise once it is settled, and is noted
    beside the promise until then.

    ``unmet``: the reason code of the review. ``is_optional``: if nothing fits, nothing changes; for a woken booking the
    result is ``Change.LATER`` while there are bookings that asked earlier and may yet get nothing. ``keeps_stay``: if
    the same time and party are asked for, the promised end is kept, whatever today's turn times are. ``is_elsewhere``:
    the host shows the booking at other tables, and staff have to decide about that. It then gets what it asks for at
    its own tables or not at all, and the host keeps the tables that it shows.
    """
    ledger.note_promise(seatings, party=assignment.party, zone_ref=assignment.zone_ref)
    chosen_by_staff = assignment.planner == MANUAL
    kept, promised = _copy(assignment), promise.facts_of(assignment)
    is_turned_down = promise.is_turned_down(assignment, booking)
    if is_turned_down:
        booking = promise.promised(booking, assignment, seatings, keeps_stay=keeps_stay)
    floor, problem = floor_or_problem(booking.restaurant_ref, host=host)
    if not is_turned_down:
        intake.take_over_facts(assignment, booking, floor=floor)
    settlement = Settlement(host=host, planner=V3, actor=actor, trigger="edit", now=now)
    answer: Answer | Refused | str = booking.problem or problem
    earlier: list[SeatingRequest] = []
    if floor is not None and not booking.problem:
        earlier = waiting_before(assignment, host=host)
        asks = as_promised(booking, assignment, seatings, facts=promised) if keeps_stay else booking
        answer = _answer(
            assignment,
            asks,
            seatings,
            floor,
            promised=promised,
            earlier=earlier,
            now=now,
            is_lenient=chosen_by_staff,
            keeps_promise=keeps_stay and promise.asks_no_more(assignment, asks, seatings, facts=promised),
            may_move=not is_elsewhere,
            host=host,
        )
    if not isinstance(answer, Answer):
        if is_optional:
            vars(assignment).update(kept)
            if not earlier and _settle_promise(assignment, booking, seatings, reason=reason, settlement=settlement):
                return Change.MOVED
            return Change.LATER if earlier and assignment.is_woken else Change.NOTHING
        _leave_to_staff(settlement, assignment, why=answer, unmet=unmet, kept=kept)
        waiting.stay_awake([assignment] if earlier else [])
        return Change.TO_STAFF
    before = _copy(assignment)
    settlement.planner, settlement.tells_host = answer.planner, not is_elsewhere
    stays, told = set(answer.table_refs) == {row.table_ref for row in seatings}, assignment.told_table_refs
    # Whatever the guests ask for, staff still decide who gets a table at which others overstay.
    is_in_review = assignment.state == State.MANUAL_REVIEW and not is_elsewhere
    sharing = ledger.overstaying(seatings, answer.window.blocked_from) if is_in_review and stays else []
    settlement.reseat(
        assignment,
        seatings,
        table_refs=answer.table_refs,
        window=answer.window,
        strategy=answer.strategy,
        planner=MANUAL if stays and chosen_by_staff else answer.planner,
        reason=reason,
        despite=answer.despite,
        overridden_by=answer.overridden_by,
        decision=answer.decision,
        decision_ms=answer.decision_ms,
        batch=answer.batch,
        stays_in_review=bool(sharing) or is_elsewhere,
    )
    _name_overlap(assignment, sharing, settlement)
    assignment.told_table_refs = told if is_elsewhere else assignment.told_table_refs
    try:
        # Only a host with its own constraints needs a savepoint, which costs two queries.
        with transactions.atomic() if getattr(host, "refuses_tables", False) else nullcontext():
            settlement.write()
    except HostRefusedError as error:
        if not getattr(host, "refuses_tables", False):
            raise
        vars(assignment).update(before)
        if is_optional:
            vars(assignment).update(kept)
            return Change.NOTHING
        settlement = Settlement(host=host, planner=V3, actor=actor, trigger="edit", now=now)
        _leave_to_staff(settlement, assignment, why=_refusal(error), unmet=unmet, kept=kept)
        return Change.TO_STAFF
    return Change.KEPT if stays else Change.MOVED


def _name_overlap(assignment: Assignment, sharing: Sequence[Allocation], settlement: Settlement) -> None:
    """Say in the review who else expects the table, if the booking was in review for another reason before."""
    if sharing and assignment.reason != waiting.OVERLAPPING:
        named = sentences.expect_the_same_table(sorted({row.booking_ref for row in sharing}))
        settlement.review_anew(assignment, reason=waiting.OVERLAPPING, detail=named)


def _settle_promise(
    assignment: Assignment,
    booking: HostBooking,
    seatings: Sequence[Allocation],
    *,
    reason: str,
    settlement: Settlement,
) -> bool:
    """Give a booking with unusable tables others for its promise, if there are any. Its edit goes on waiting for staff."""
    if assignment.reason != waiting.TABLE_OUT_OF_SERVICE or not assignment.is_wish_undecided:
        return False
    host, now = settlement.host, settlement.now
    if _is_there(assignment, booking, seatings, now=now):
        return False
    answer = tables_elsewhere(assignment, booking, seatings, instead=(), host=host, now=now)
    if answer is None:
        return False
    settlement.planner = answer.planner
    settlement.reseat(
        assignment,
        seatings,
        table_refs=answer.table_refs,
        window=answer.window,
        strategy=answer.strategy,
        reason=reason,
        decision=answer.decision,
        decision_ms=answer.decision_ms,
        batch=answer.batch,
    )
    settlement.write()
    return True


def leave_unusable(
    assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], *, host: Host, now: datetime
) -> Change:
    """Give a booking in review whose tables cannot be used any more others for its promise, or tell staff.

    Only staff move guests who sit there. Waiting bookings that asked earlier go first. Two bookings that expect the
    same table already wait for staff because of that.
    """
    settlement = Settlement(host=host, planner=V3, actor="host", trigger="edit", now=now)
    ledger.note_promise(seatings, party=assignment.party, zone_ref=assignment.zone_ref)
    sits = _is_there(assignment, booking, seatings, now=now)
    earlier = [] if sits else waiting_before(assignment, host=host)
    answer = None
    if not sits and not earlier and not booking.problem:
        answer = tables_elsewhere(assignment, booking, seatings, instead=(), host=host, now=now)
    if answer is not None:
        shared = {row.table_ref for row in ledger.overstaying(seatings, answer.window.blocked_from)}
        settlement.planner = answer.planner
        settlement.reseat(
            assignment,
            seatings,
            table_refs=answer.table_refs,
            window=answer.window,
            strategy=answer.strategy,
            reason=waiting.TABLE_OUT_OF_SERVICE,
            decision=answer.decision,
            decision_ms=answer.decision_ms,
            batch=answer.batch,
            stays_in_review=promise.is_open(assignment) or bool(shared & set(answer.table_refs)),
        )
        settlement.write()
        return Change.MOVED
    if assignment.reason not in {waiting.OVERLAPPING, waiting.TABLE_OUT_OF_SERVICE}:
        settlement.review_anew(assignment, reason=waiting.TABLE_OUT_OF_SERVICE, detail=sentences.UNUSABLE)
        settlement.write()
    waiting.stay_awake([assignment] if earlier else [])
    return Change.TO_STAFF


def _is_there(assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], *, now: datetime) -> bool:
    """Return whether the host, staff or the clock say that the guests sit at their promised tables."""
    return assignment.stage == Stage.SEATED or not booking.wants_table or seatings[0].starts_at <= now


def _copy(assignment: Assignment) -> dict[str, Any]:
    return {name: list(each) if isinstance(each, list) else each for name, each in vars(assignment).items()}


def _refusal(error: HostRefusedError) -> str:
    return sentences.refused_by_host(str(error.context.get("constraint") or type(error).__name__))


def _leave_to_staff(
    settlement: Settlement, assignment: Assignment, *, why: Refused | str, unmet: str, kept: Mapping[str, Any]
) -> None:
    """Send the booking to review with its edit. ``kept``: the assignment's attributes as they were promised."""
    detail = why if isinstance(why, str) else why.refusal.detail
    facts = promise.facts_of(assignment)
    promised = {name: kept[name] for name in facts}
    if facts != promised:  # What the guests have been told of that evening holds again, too.
        promise.set_aside(assignment, promised | {"table_told": kept["table_told"]})
    if assignment.state == State.CONFIRMED:
        settlement.keep_for_review(assignment, reason=unmet, detail=detail)
    elif assignment.reason == waiting.EDIT_UNMET:  # There is something new for staff to decide.
        settlement.review_anew(assignment, reason=waiting.EDIT_UNMET, detail=detail)
    else:  # It already waits for staff for another reason, which still holds.
        assignment.touch()
        settlement.changed(assignment)
    if isinstance(why, Refused) and why.batch is not None:
        settlement.note_refusal(
            assignment, why.refusal, decision=why.decision, decision_ms=why.decision_ms, batch=why.batch
        )
    settlement.write()


def _answer(
    assignment: Assignment,
    booking: HostBooking,
    seatings: Sequence[Allocation],
    floor: Floor,
    *,
    promised: Mapping[str, Any],
    earlier: Sequence[SeatingRequest],
    now: datetime,
    is_lenient: bool,
    keeps_promise: bool,
    may_move: bool,
    host: Host,
) -> Answer | Refused | str:
    """Return an answer that meets the edit, or says why there is none: the planner's refusal, or a sentence.

    ``promised``: the facts of the promise. ``earlier``: requests that wait and were made earlier. ``keeps_promise``: no
    more is asked for than was promised, so rules for new bookings do not count against the guests' own tables.
    """
    own, sits = floor.in_order(row.table_ref for row in seatings), assignment.stage == Stage.SEATED
    keeps_promise = keeps_promise and not sits and not any(row.overstays_until for row in seatings)
    if sits:
        if intake.stored_start(booking) not in {seatings[0].starts_at, promised["starts_at"]}:
            return sentences.SIT_ALREADY
        booking = as_they_sit(booking, seatings, promised, now=now)
    request = to_be_kept(seating_request(booking, assignment), assignment, seatings, floor)
    window = seating_validity.window_as_the_host_has_it(booking, floor)
    taken = occupied_during([request, *earlier], floor, also=[window], remove_expired=True)
    kept = tuple(each for each in taken if each.booking_ref != booking.ref)
    snapshot = Snapshot(
        floor=floor,
        occupied=kept,
        request=request,
        now=now,
        rules=conf.settings().rules(),
        success=success_of(booking.restaurant_ref),
    )
    occupied = (*kept, *_first_served(earlier, taken, snapshot))
    if keeps_promise:
        window = within_promise(booking, seatings, floor)
    said = staffs_word(seatings, request, window, needs=promised["needs"])
    if sits:
        window = replace(window, blocked_from=max(now, seatings[0].blocked.lower))
    beside = occupied
    if Reason.BUFFER in said:
        window, beside = without_buffers(window, own, occupied)
    found = judge_own(replace(snapshot, occupied=beside), own, window)
    tolerated = {*said, *(PREFERENCES if is_lenient else ()), *(NOT_OF_WHO_SITS if sits else ())}
    against = judge_promised(replace(snapshot, occupied=beside), own, window) if keeps_promise else found
    refusals = [each for each in against if each.reason not in tolerated]
    is_here = seatings[0].restaurant_ref == floor.restaurant_ref  # Another restaurant may have the same refs.
    if not is_here or refusals:
        why = " ".join(str(refusal.detail) for refusal in refusals)
        elsewhere: Answer | Refused | str = why
        if has_begun(assignment, booking, seatings, now=now):
            elsewhere = why or sentences.SIT_ALREADY
        elif may_move:
            elsewhere = _asked(assignment, request, floor, occupied, host=host, now=now) or why
        may_stay = keeps_promise and all(each.reason in PREFERENCES for each in refusals)
        if isinstance(elsewhere, Answer) or not may_stay:
            return elsewhere
    holds = said & {*(each.reason for each in found), Reason.BUFFER}
    return _same_tables(seatings, own, window, snapshot, said=said, holds=holds)


def _same_tables(
    seatings: Sequence[Allocation],
    own: tuple[str, ...],
    window: SeatingWindow,
    snapshot: Snapshot,
    *,
    said: frozenset[str],
    holds: frozenset[str],
) -> Answer:
    """Return the answer that leaves the guests where they are. ``holds``: what of ``said`` by staff is still needed."""
    if Reason.CLOSED in said and engine.taken(snapshot.floor, snapshot.closures, own, window):
        holds |= {Reason.CLOSED}  # Also if the closure is over by now, because the row begins before its end.
    by = next((row.overridden_by for row in seatings if row.overridden_by), "") if Reason.CLOSED in holds else ""
    return Answer(
        table_refs=own,
        window=window,
        planner=seatings[0].planner or V3,
        strategy=SAME_TABLES,
        despite=holds,
        overridden_by=by,
    )


def has_begun(assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], *, now: datetime) -> bool:
    """Return whether the guests sit at these tables, by their stage or by the clock. Only staff move guests who sit."""
    begins = max(seatings[0].starts_at, intake.stored_start(booking))
    return assignment.stage == Stage.SEATED or begins <= now


def _asked(
    assignment: Assignment,
    request: SeatingRequest,
    floor: Floor,
    occupied: tuple[Occupied, ...],
    *,
    host: Host,
    now: datetime,
    is_promised: bool = False,
) -> Answer | Refused | None:
    """Return what the planner that the router names would answer; None if no planner decides."""
    route = router().route([_unclaimed(assignment)])[assignment.booking_ref]
    if route.planner == NOBODY:
        return None
    other = None if route.planner == V3 else router().planner(route.planner)
    rules, success = conf.settings().rules(), success_of(floor.restaurant_ref)
    if is_promised:  # They were confirmed in good time.
        rules = replace(rules, min_lead_minutes=0)
    preview = Preview(floor=floor, occupied=occupied, requests=(request,), now=now, rules=rules, success=success)
    stopwatch = Stopwatch()
    (decision,) = (other or Coordinator(host)).preview(preview)
    milliseconds = stopwatch.milliseconds
    if other is not None and route.is_recorded:
        snapshot = Snapshot(floor=floor, occupied=occupied, request=request, now=now, rules=rules, success=success)
        judged = Judged(snapshot=snapshot, decision=decision, decision_ms=milliseconds, is_recorded=True)
        transaction.on_commit(partial(other.decided, judged), robust=True)
    decided = {decision.booking_ref: decision}
    batch = kept_batch(preview, decided, service_date=assignment.service_date) if other is None else None
    if decision.best is None or decision.window is None:
        return Refused(decision=decision, decision_ms=milliseconds, batch=batch)
    return Answer(
        table_refs=decision.best.table_refs,
        window=decision.window,
        planner=route.planner,
        strategy=decision.best.strategy,
        decision=decision,
        decision_ms=milliseconds,
        batch=batch,
    )


def tables_elsewhere(
    assignment: Assignment,
    booking: HostBooking,
    seatings: Sequence[Allocation],
    *,
    instead: Sequence[Occupied],
    host: Host,
    now: datetime,
) -> Answer | None:
    """Return other tables that keep the booking's promise, whatever the host shows now; None if there are none.

    ``instead``: the tables that some bookings are going to have, in place of those that they have now.
    """
    floor, _problem = floor_or_problem(assignment.restaurant_ref, host=host)
    if floor is None:
        return None
    request = promised_request(booking, assignment, seatings, floor)
    changing = {booking.ref, *(each.booking_ref for each in instead)}
    taken = tuple(each for each in occupied_during([request], floor) if each.booking_ref not in changing)
    found = _asked(assignment, request, floor, (*taken, *instead), host=host, now=now, is_promised=True)
    return found if isinstance(found, Answer) else None


def _unclaimed(assignment: Assignment) -> Assignment:
    """Return the row as the router must see it: a decided booking belongs to no planner."""
    return Assignment(
        pk=assignment.pk,
        booking_ref=assignment.booking_ref,
        restaurant_ref=assignment.restaurant_ref,
        service_date=assignment.service_date,
    )


def waiting_before(assignment: Assignment, *, host: Host) -> list[SeatingRequest]:
    """Return the waiting requests of the same service day that were made earlier. Two queries.

    Of bookings in review only the woken ones count, because nothing has become free for the others.
    """
    rows = list(
        Assignment.objects.waiting()
        .asking_for(assignment.restaurant_ref, assignment.service_date)
        .filter(requested_at__lt=assignment.requested_at)
        .exclude(pk=assignment.pk)
        .order_by("requested_at", "id")
    )
    return plannable_requests(rows, assignment.restaurant_ref, host=host)


def _first_served(earlier: Sequence[SeatingRequest], taken: tuple[Occupied, ...], snapshot: Snapshot) -> list[Occupied]:
    """Return the tables that V3 would give to the earlier requests, which go first.

    Those that are edits keep what they have until then: pacing counts both.
    """
    if not earlier:
        return []
    planned = plan_requests(earlier, floor=snapshot.floor, occupied=taken, now=snapshot.now, success=snapshot.success)
    parties = {request.booking_ref: request.party for request in earlier}
    have = {each.booking_ref for each in taken}
    return [
        each
        for ref, decision in planned.decisions.items()
        if decision.best is not None and decision.window is not None
        for each in occupied_by(
            ref,
            decision.best.table_refs,
            decision.window,
            party=parties[ref] if snapshot.floor.is_paced else 0,
            is_wish=snapshot.floor.is_paced and ref in have,
        )
    ]
