"""Taking back the last step of a booking: a stage, a move, tables set free, a walk-in, a longer or shorter stay.

This is possible as long as nothing has followed and the earlier tables are free. The earlier seatings are read from the
history that the database keeps.

Long because what is offered, what is locked and what is done have to agree on what happened last.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypedDict

from assignments.concurrency import transactions
from assignments.coordination import sharing, staff_actions, stays
from assignments.coordination.staff_actions import refused, still_taken
from assignments.exceptions import InvalidBookingError, TablesRefusedError, TableTakenError
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, is_cancelled, lock_bookings, named_refusals
from assignments.integration.project_host import is_walk_in
from assignments.lifecycle import ledger, promise, staff_decisions, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.lifecycle.staff_decisions import STAFF, WALK_IN, Undo
from assignments.models import GONE, Allocation, Assignment, QueuedParty, SeatingChange, Stage, State, StateTransition
from assignments.outcome import Change
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.service_day import service_date
from assignments.planning.text import gettext as _

What = SeatingChange.What
SHOWN = 60
"""Changes that are looked at: those of one transaction, and what they changed."""
STEP = timedelta(minutes=1)
"""A step of staff takes less: the changes of one transaction are this close to each other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Last:
    """The last step of a booking, in one transaction, and the seatings before it."""

    changes: list[SeatingChange]
    before: list[SeatingChange]
    transition: StateTransition | None

    @property
    def facts(self) -> Mapping[str, Any] | None:
        """Return the facts that were promised with the former seatings; None if an earlier release did not record them."""
        given_up = self.of(What.FREED, What.ENDED)
        return given_up[-1].facts if given_up else None  # Newest first, so the last is what the transaction found.

    @property
    def transaction_id(self) -> int:
        """Return the id of the transaction in which it happened."""
        return self.changes[0].transaction_id

    @property
    def is_swap(self) -> bool:
        """Return whether staff swapped the booking's tables with another's."""
        return self.transition is not None and self.transition.reason in {staff_actions.SWAPPED, Undo.SWAP}

    @property
    def is_given(self) -> bool:
        """Return whether staff gave it tables, in place of others or of none."""
        return (
            self.transition is not None
            and self.transition.name in {"reseat", "confirm"}
            and self.transition.actor.startswith(STAFF)
        )

    @property
    def is_release(self) -> bool:
        """Return whether staff set its tables free, so that it is planned again."""
        return (
            self.transition is not None
            and self.transition.name == "reopen"
            and self.transition.actor.startswith(STAFF)
            and self.transition.reason not in set(Undo)
            and bool(self.before)
            and {each.what for each in self.changes} == {What.FREED}
        )

    @property
    def tables_before(self) -> set[str]:
        return {row.table_ref for row in self.before}

    @property
    def tables_after(self) -> set[str]:
        return {row.table_ref for row in self.of(What.SEATED)}

    @property
    def is_gone_for_good(self) -> bool:
        """Return whether guests were marked as gone before their time: no seating is kept then, so it cannot be undone."""
        if self.transition is not None and self.transition.name == "reopen":
            return True  # They are now expected at the later time for which they ask.
        return bool(self.of(What.FREED)) and any(Stage(each.stage) in GONE for each in self.of(What.STAGE))

    @property
    def is_stay(self) -> bool:
        """Return whether it made the stay longer or shorter. Parties and closures next to it change its buffers alone."""
        ends = {row.seating_id: _end(row) for row in self.before}
        has_new_end = any(_end(row) != ends.get(row.seating_id, _end(row)) for row in self.of(What.CHANGED))
        return has_new_end and not self.of(What.SEATED, What.FREED, What.ENDED)

    def of(self, *kinds: str) -> list[SeatingChange]:
        return [change for change in self.changes if change.what in kinds]


def _partner(assignment: Assignment, last: _Last | None) -> Assignment | None:
    """Return the booking that staff moved together with this one, if that was the last step of both.

    One has the tables that the other left, so both are undone or none. Two queries, and two for each other booking of
    that transaction.
    """
    if last is None or not last.is_given:
        return None
    refs = (
        SeatingChange.objects.filter(
            transaction_id=last.transaction_id, at__range=(last.changes[-1].at - STEP, last.changes[0].at + STEP)
        )
        .exclude(booking_ref=assignment.booking_ref)
        .values("booking_ref")
    )
    for other in Assignment.objects.filter(booking_ref__in=refs).order_by("id"):
        theirs = _last(other)
        if theirs is None or not theirs.is_given or theirs.transaction_id != last.transaction_id:
            continue
        hands_over = last.tables_before & theirs.tables_after or last.tables_after & theirs.tables_before
        if hands_over and all(
            step.tables_before or staff_decisions.undoable(row) for row, step in ((assignment, last), (other, theirs))
        ):
            return other
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """What an undo touches besides the booking: the booking that staff moved with it, and the service days to lock."""

    partner_ref: str
    days: frozenset[tuple[str, date]]


def reach(booking_ref: str, *, host: Host) -> Reach:
    """Return what undoing the last step would touch. Nothing is locked yet, so call it again once the days are."""
    assignment = Assignment.objects.of(booking_ref).first()
    last = _last(assignment) if assignment is not None else None
    if assignment is None or last is None:
        return Reach(partner_ref="", days=frozenset())
    days = _days_before(assignment, last, host=host)
    partner = _partner(assignment, last)
    if partner is None:
        return Reach(partner_ref="", days=frozenset(days))
    theirs = _last(partner)
    days += [*partner.days, *(_days_before(partner, theirs, host=host) if theirs else ())]
    return Reach(partner_ref=partner.booking_ref, days=frozenset(days))


def _days_before(assignment: Assignment, last: _Last, *, host: Host) -> list[tuple[str, date]]:
    """Return the service days (restaurant ref and date) of the tables that the booking would have again."""
    if last.facts is not None:
        facts = promise.from_record(last.facts)
        return [(facts["restaurant_ref"], facts["service_date"])]
    return [
        (row.restaurant_ref, service_date(floor_or_none(row.restaurant_ref, host=host), row.starts_at))
        for row in last.before
        if row.starts_at is not None
        and (row.restaurant_ref, row.starts_at) != (assignment.restaurant_ref, assignment.starts_at)
    ]


def undo_both(one: Assignment, other: Assignment, *, host: Host, now: datetime, actor: str) -> Undo:
    """Give two bookings back the tables that they had before staff moved both. The rows and their days are locked.

    Raises TablesRefusedError when somebody else has one of the tables by now.
    """
    settlement = Settlement(host=host, planner=one.planner, actor=actor, trigger="staff", now=now)
    steps, undone = [], Undo.MOVE
    for assignment in (one, other):
        last = _last(assignment)
        assert last is not None, f"{assignment.booking_ref} was moved"
        undone = Undo.SWAP if last.is_swap else Undo.MOVE
        _move_back(assignment, last, settlement, reason=undone)
        steps.append((assignment, last))
    try:
        with transactions.atomic():
            settlement.write()
            for assignment, last in steps:
                _overlap_again(assignment, last, host=host, now=now, actor=actor)
    except TableTakenError as error:
        refs = {one.booking_ref, other.booking_ref}
        refusals = tuple(each for _row, last in steps for each in _against(last, now, host=host, leaving=refs))
        raise refused(one.booking_ref, sorted(steps[0][1].tables_before), refusals) from error
    return undone


def undo(assignment: Assignment, *, host: Host, now: datetime, actor: str) -> Undo | None:
    """Undo the booking's last step, and return which kind it was; None if nothing can be undone.

    The row and its day are locked. Raises TablesRefusedError when somebody else has one of the tables by now.
    """
    last = _last(assignment)
    if last is None:
        return None
    try:
        with transactions.atomic():
            return _undo(assignment, last, host=host, now=now, actor=actor)
    except TableTakenError as error:
        raise _taken(assignment, last, now=now, host=host) from error


def _undo(assignment: Assignment, last: _Last, *, host: Host, now: datetime, actor: str) -> Undo | None:
    settlement = Settlement(host=host, planner=assignment.planner, actor=actor, trigger="staff", now=now)
    stages = last.of(What.STAGE)
    if last.of(What.SEATED) and last.transition is not None and last.transition.reason == WALK_IN:
        _send_away(assignment, settlement)
        found = Undo.WALK_IN
    elif last.is_release and _is_untouched(assignment, last):
        _give_again(assignment, last, settlement)
        return Undo.RELEASE
    elif last.is_gone_for_good:
        return None
    elif stages:
        _take_back_stage(assignment, stages[0], last, settlement)
        settlement.write()
        if Stage(stages[0].stage) in GONE:
            _tell_again(assignment, host=host, now=now, actor=actor)
        return Undo.STAGE
    elif last.transition is not None and last.transition.name == "reseat":
        if not last.transition.actor.startswith(STAFF):
            return None
        _move_back(assignment, last, settlement)
        settlement.write()
        _overlap_again(assignment, last, host=host, now=now, actor=actor)
        return Undo.MOVE
    elif last.is_stay:
        seatings = ledger.seatings_of([assignment.booking_ref])[assignment.booking_ref]
        until = _stayed_until(last, now)
        against = _closing_before(seatings, until, host=host)
        if against:
            raise refused(assignment.booking_ref, [row.table_ref for row in seatings], against)
        change = stays.stay_until(assignment, seatings, until, settlement=settlement, reason=Undo.STAY.value)
        ledger.forget_closures(seatings)
        found = Undo.STAY
        assert change is not Change.NOTHING
    else:
        return None
    settlement.write()
    return found


def _stayed_until(last: _Last, now: datetime) -> datetime:
    """Return the end of the stay that guests have again once a longer or shorter stay is undone."""
    until = _end(last.before[0])
    assert until is not None
    return max(until, now)


def _end(row: SeatingChange) -> datetime | None:
    """Return when the guests of the seating leave, as of this change."""
    return promise.moment((row.facts or {}).get("overstays_until")) or row.ends_at


def _closing_before(seatings: Sequence[Allocation], until: datetime, *, host: Host) -> tuple[Refusal, ...]:
    floor = floor_or_none(seatings[0].restaurant_ref, host=host) if seatings else None
    return staff_actions.closing_before(seatings, until, floor=floor) if seatings else ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """What ``undo`` would undo. ``against``: who has the tables now; unless it is empty, ``undo`` raises.

    ``partner_ref``: the other booking for which it would be undone.
    """

    what: Undo
    against: tuple[Refusal, ...] = ()
    partner_ref: str = ""


def offered(assignment: Assignment, *, now: datetime, host: Host) -> Offer | None:
    """Return what could be undone now; None if there is nothing. Writes nothing, and runs few queries."""
    transitions = list(assignment.transitions.order_by("version"))
    last = _last(assignment, transitions)
    what = _what(assignment, last) if last is not None else None
    if last is None or what is None:
        decision = staff_decisions.undoable(assignment, transitions)
        if decision is None or decision.what is Undo.REJECTION:
            return Offer(what=decision.what) if decision else None
        return _offer(decision.what, assignment, last, now=now, host=host)
    if what is Undo.STAGE and Stage(last.of(What.STAGE)[0].stage) not in GONE:
        return Offer(what=what)
    if what is Undo.STAY:
        seatings = ledger.seatings_of([assignment.booking_ref]).get(assignment.booking_ref, [])
        return Offer(what=what, against=_closing_before(seatings, _stayed_until(last, now), host=host))
    return _offer(what, assignment, last, now=now, host=host)


def _offer(what: Undo, assignment: Assignment, last: _Last | None, *, now: datetime, host: Host) -> Offer:
    partner = _partner(assignment, last)
    theirs = _last(partner) if partner is not None else None
    refs = {assignment.booking_ref, *([partner.booking_ref] if partner is not None else [])}
    given_up = (None if what is Undo.ASSIGNMENT else last, theirs)
    against = tuple(
        refusal for step in given_up if step is not None for refusal in _against(step, now, host=host, leaving=refs)
    )
    return Offer(what=what, against=against, partner_ref=partner.booking_ref if partner is not None else "")


def _what(assignment: Assignment, last: _Last) -> Undo | None:
    """Return which kind of step ``_undo`` would undo."""
    if last.of(What.SEATED) and last.transition is not None and last.transition.reason == WALK_IN:
        return Undo.WALK_IN
    if last.is_release and _is_untouched(assignment, last):
        return Undo.RELEASE
    if last.is_gone_for_good:
        return None
    if last.of(What.STAGE):
        return Undo.STAGE
    if last.transition is not None and last.transition.name == "reseat":
        if not last.transition.actor.startswith(STAFF):
            return None
        return Undo.SWAP if last.is_swap else Undo.MOVE
    return Undo.STAY if last.is_stay else None


def _is_untouched(assignment: Assignment, last: _Last) -> bool:
    return last.transition is not None and last.transition.version == assignment.version


def _last(assignment: Assignment, transitions: Sequence[StateTransition] | None = None) -> _Last | None:
    """Return the booking's last step, if it can be told. ``transitions``: all of its transitions, if they are known."""
    rows = list(SeatingChange.objects.filter(booking_ref=assignment.booking_ref).order_by("-id")[:SHOWN])
    if not rows:
        return None
    changes = [row for row in rows if row.transaction_id == rows[0].transaction_id]
    if transitions is None:
        transitions = list(StateTransition.objects.filter(assignment=assignment).order_by("-version")[:1])
    transition = transitions[-1] if transitions else None
    happened_then = transition is not None and transition.transaction_id == rows[0].transaction_id
    if transition is not None and not happened_then and transition.at > rows[0].at:
        return None  # Something followed.
    if transition is not None and happened_then and _is_by_closure(transition):
        return None  # Lifting the closure undoes it.
    before: dict[int | None, SeatingChange] = {}
    for change in changes:
        earlier = [row for row in rows if row.seating_id == change.seating_id and row.id < changes[-1].id]
        if change.seating_id is not None and earlier and change.what != What.SEATED:
            before[change.seating_id] = earlier[0]
    return _Last(
        changes=changes,
        before=sorted(before.values(), key=lambda row: row.table_ref),
        transition=transition if happened_then else None,
    )


def _is_by_closure(transition: StateTransition) -> bool:
    return transition.name == "send_to_review" and transition.reason == waiting.TABLE_OUT_OF_SERVICE


def _send_away(assignment: Assignment, settlement: Settlement) -> None:
    """Undo a walk-in whose guests did not sit down after all: their table is free, and a booking of the host waits.

    Guests who came from the queue at the door have their place there again.
    """
    ref = assignment.booking_ref
    QueuedParty.objects.filter(booking_ref=ref).update(left_at=None, booking_ref="")
    stays.mark(assignment, Stage.EXPECTED, now=settlement.now)
    ledger.release([ref])
    if is_walk_in(ref):
        assignment.cancel(actor=settlement.actor, reason=Undo.WALK_IN.value)
    else:
        with named_refusals([ref]):
            settlement.host.on_released([ref])
        assignment.reopen(actor=settlement.actor, reason=Undo.WALK_IN.value)
        assignment.due_at = settlement.now
    settlement.changed(assignment)


def _take_back_stage(assignment: Assignment, change: SeatingChange, last: _Last, settlement: Settlement) -> None:
    before = Stage(change.previous_stage)
    if Stage(change.stage) in GONE or last.of(What.CHANGED):
        _put_back(assignment, last.before)
    stays.mark(assignment, before, now=settlement.now)
    settlement.changed(assignment)
    settlement.announce(assignment, "stage", stage=before.value, actor=settlement.actor)


def _tell_again(assignment: Assignment, *, host: Host, now: datetime, actor: str) -> None:
    """Send guests who have their tables again to review if others expect these by now, or these close under them.

    Raises TablesRefusedError if the others sit there.
    """
    seatings = ledger.seatings_of([assignment.booking_ref])[assignment.booking_ref]
    next_ones = ledger.followers(seatings, seatings[0].stays_until)
    sitting = Assignment.objects.filter(booking_ref__in=[row.booking_ref for row in next_ones], stage=Stage.SEATED)
    there = set(sitting.values_list("booking_ref", flat=True)) if next_ones else set()
    if there:
        floor = floor_or_none(assignment.restaurant_ref, host=host)
        refusals = tuple(still_taken(row, floor) for row in next_ones if row.booking_ref in there)
        raise refused(assignment.booking_ref, [row.table_ref for row in seatings], refusals)
    settlement = Settlement(host=host, planner=assignment.planner, actor=actor, trigger="staff", now=now)
    stays.tell_what_is_open(assignment, seatings, settlement=settlement)
    settlement.write()


def _put_back(assignment: Assignment, rows: Sequence[SeatingChange]) -> None:
    """Give the booking the seatings that these rows describe. Raises TableTakenError."""
    ledger.reinstate([(row.seating_id, row.blocked) for row in rows if row.seating_id is not None])


def _move_back(assignment: Assignment, last: _Last, settlement: Settlement, *, reason: Undo = Undo.MOVE) -> None:
    seatings = ledger.seatings_of([assignment.booking_ref])[assignment.booking_ref]
    place = _place_before(assignment, last, settlement)
    settlement.reseat(assignment, seatings, planner=last.before[0].planner, reason=reason.value, **place)


def _give_again(assignment: Assignment, last: _Last, settlement: Settlement) -> None:
    """Give the booking the tables that staff had set free. It waits for staff again if it did before."""
    assert last.transition is not None
    ref = assignment.booking_ref
    booking = lock_bookings(settlement.host, [ref]).get(ref)
    if booking is None or is_cancelled(booking) or not booking.wants_table:
        raise InvalidBookingError(f"Booking {ref} no longer needs a table: it is cancelled or over.")
    place = _place_before(assignment, last, settlement)
    settlement.planner = last.before[0].planner or settlement.planner
    settlement.confirm(assignment, reason=Undo.RELEASE.value, **place)
    settlement.write()
    _overlap_again(assignment, last, host=settlement.host, now=settlement.now, actor=settlement.actor)
    if last.transition.source != State.MANUAL_REVIEW or assignment.state != State.CONFIRMED:
        return
    earlier = assignment.transitions.filter(version__lt=last.transition.version).order_by("-version").first()
    if earlier is not None and earlier.reason != waiting.OVERLAPPING:  # Nobody overlaps any more.
        again = Settlement(
            host=settlement.host,
            planner=settlement.planner,
            actor=settlement.actor,
            trigger="staff",
            now=settlement.now,
        )
        again.keep_for_review(assignment, reason=earlier.reason, detail=earlier.detail)
        again.write()


class _Place(TypedDict):
    table_refs: Sequence[str]
    window: SeatingWindow
    strategy: str
    despite: Collection[str]
    overridden_by: str


def _place_before(assignment: Assignment, last: _Last, settlement: Settlement) -> _Place:
    """Return the booking's earlier place; what was promised with it is promised again, in memory."""
    first = last.before[0]
    starts_at, ends_at, blocked = first.starts_at, first.ends_at, first.blocked
    assert starts_at is not None
    assert ends_at is not None
    assert blocked is not None
    floor = floor_or_none(first.restaurant_ref, host=settlement.host)
    refs = [row.table_ref for row in last.before]
    facts = last.facts or {}
    _promise_again(assignment, last, floor)
    is_on = blocked.lower < settlement.now < blocked.upper
    window = SeatingWindow(
        starts_at=starts_at,
        ends_at=ends_at,
        blocked_from=settlement.now if is_on else blocked.lower,
        blocked_until=blocked.upper,
    )
    return _Place(
        table_refs=floor.in_order(refs) if floor else refs,
        window=window,
        strategy="undone",
        despite=facts.get("despite", ()),
        overridden_by=facts.get("overridden_by", ""),
    )


def _promise_again(assignment: Assignment, last: _Last, floor: Floor | None) -> None:
    """Restore the promise of the seating that the assignment has again, in memory. Anything else becomes an open edit.

    ``floor``: the floor of that restaurant.
    """
    facts = _facts_before(assignment, last.before[0], floor) if last.facts is None else promise.from_record(last.facts)
    if facts != promise.facts_of(assignment):
        promise.set_aside(assignment, facts)


def _facts_before(assignment: Assignment, before: SeatingChange, floor: Floor | None) -> dict[str, Any]:
    """Return the promised facts as far as the history of an earlier release has them: restaurant, time and party."""
    facts = promise.facts_of(assignment)
    facts["restaurant_ref"] = before.restaurant_ref
    if before.party is not None:
        facts["party"] = before.party
    if (
        before.starts_at is not None and assignment.stage != Stage.SEATED
    ):  # Guests who sit have moved, not come at another time.
        if before.starts_at != assignment.starts_at:
            facts["service_date"] = service_date(floor, before.starts_at)
            # The end that the host gives now belongs to the other time.
            facts["asked_until"] = before.ends_at if assignment.asked_until is not None else None
        facts["starts_at"] = before.starts_at
    return facts


def _overlap_again(assignment: Assignment, last: _Last, *, host: Host, now: datetime, actor: str) -> None:
    """Send the booking to review if others overstay at a table that it has again, or its own guests overstay there."""
    until = promise.moment((last.facts or {}).get("overstays_until"))
    seatings = ledger.seatings_of([assignment.booking_ref])[assignment.booking_ref]
    settlement = Settlement(host=host, planner=assignment.planner, actor=actor, trigger="staff", now=now)
    if until is not None and until > max(now, seatings[0].ends_at):
        stays.stay_until(assignment, seatings, until, settlement=settlement)
    settlement.write()
    sharing.ask_about_overstaying(assignment, host=host, now=now, actor=actor, trigger="staff")


def _taken(assignment: Assignment, last: _Last, *, now: datetime, host: Host) -> TablesRefusedError:
    """Return the error that says who has the tables now."""
    refusals = _against(last, now, host=host, leaving={assignment.booking_ref})
    return refused(assignment.booking_ref, sorted(last.tables_before), refusals)


def _against(last: _Last, now: datetime, *, host: Host, leaving: Collection[str]) -> tuple[Refusal, ...]:
    """Return why the booking cannot have its earlier tables: taken or closed. ``leaving``: refs that give theirs up."""
    if not last.before:
        return ()
    floor = floor_or_none(last.before[0].restaurant_ref, host=host)
    others = [row for row in _there(last, now) if row.booking_ref not in leaving]
    return tuple(still_taken(row, floor) for row in others) or tuple(_closed(last, floor, now))


def _closed(last: _Last, floor: Floor | None, now: datetime) -> Iterator[Refusal]:
    """Yield a refusal for each earlier table that is closed for some part of the time that is still to come."""
    for row in last.before:
        start, until = max(now, row.starts_at or now), row.ends_at or now
        window = SeatingWindow(starts_at=start, ends_at=until, blocked_from=start, blocked_until=until)
        if start < until and ledger.are_closed(row.restaurant_ref, [row.table_ref], window):
            table = floor.table_by_ref.get(row.table_ref) if floor else None
            name = table.name if table else row.table_ref
            yield Refusal(Reason.CLOSED, _("Table %(table)s is closed at that time.", table=name))


def _there(last: _Last, now: datetime) -> list[Allocation]:
    """Return what others have of the booking's earlier tables for the time that is still to come."""
    refs = [row.table_ref for row in last.before]
    spans = [row.blocked for row in last.before if row.blocked is not None]
    start, until = max(now, min(span.lower for span in spans)), max(span.upper for span in spans)
    return ledger.taken_at(last.before[0].restaurant_ref, refs, start, until) if start < until else []
