"""What staff do with tables: they may do whatever is physically possible, and it is recorded who did it.

Refused are two parties at one table at once, and tables that do not exist. Staff can override any other rule, too few
seats included, by naming it.

Long because one place judges, does and records all of it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from assignments import conf
from assignments.coordination import sharing, stays
from assignments.coordination.edits import waiting_before
from assignments.coordination.planned_day import plan_requests
from assignments.coordination.snapshots import as_promised, occupied_during, seating_request, to_be_kept
from assignments.coordination.table_record import success_of
from assignments.exceptions import TablesRefusedError, TransitionRefusedError
from assignments.integration.floor_cache import floor_of, floor_or_none
from assignments.integration.host import Host, HostBooking, named_refusals
from assignments.integration.planners import MANUAL
from assignments.integration.swaps import obstacle_to_swaps
from assignments.lifecycle import buffers, intake, ledger, promise, seating_validity, sentences
from assignments.lifecycle.settlement import Settlement
from assignments.models import GONE, Allocation, Assignment, Stage, State
from assignments.outcome import Extension, Outcome
from assignments.planning import engine
from assignments.planning.describe import names
from assignments.planning.floor import MOST_INTERVAL, Floor
from assignments.planning.reasons import ABOUT_TIME, Reason, Refusal
from assignments.planning.seating_window import SeatingWindow, seating_window
from assignments.planning.snapshot import Occupied, Snapshot
from assignments.planning.text import gettext as _

SWAPPED = "swapped_by_staff"
"""Reason code: two bookings have each other's tables now."""

Pair = tuple[Assignment, HostBooking]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Tables that a booking may have, in the floor's order, and when. ``despite``: the rules that are overridden."""

    table_refs: tuple[str, ...]
    window: SeatingWindow
    despite: frozenset[Reason] = frozenset()


def give(
    assignment: Assignment,
    booking: HostBooking,
    table_refs: Sequence[str],
    *,
    host: Host,
    now: datetime,
    actor: str,
    reason: str,
    overriding: Collection[Reason] = (),
) -> Outcome:
    """Give a booking these tables, in place of any that it has. The row and its day are locked."""
    seatings = ledger.seatings_of([booking.ref]).get(booking.ref, [])
    place = accepted(assignment, booking, table_refs, seatings=seatings, host=host, now=now, overriding=overriding)
    grant(assignment, booking, seatings, host=host)
    return give_place(assignment, booking, place, seatings, host=host, now=now, actor=actor, reason=reason)


def give_place(
    assignment: Assignment,
    booking: HostBooking,
    place: Place,
    seatings: Sequence[Allocation],
    *,
    host: Host,
    now: datetime,
    actor: str,
    reason: str,
) -> Outcome:
    """Store that a booking has this place, in place of any tables that it has. The row and its day are locked."""
    queue = _Queue(assignment, {booking.ref}, holding=() if seatings else {booking.ref}, host=host, now=now)
    place = _with_room(place, assignment.restaurant_ref, {booking.ref})
    settlement = Settlement(host=host, planner=MANUAL, actor=actor, trigger="staff", now=now)
    detail = sentences.despite(place.despite) if place.despite else ""
    if assignment.stage in GONE:
        stays.mark(assignment, Stage.EXPECTED, now=now)
    if seatings:
        outcome = settlement.reseat(
            assignment,
            seatings,
            table_refs=place.table_refs,
            window=place.window,
            strategy=MANUAL,
            reason=reason,
            detail=detail,
            despite=place.despite,
            overridden_by=actor if Reason.CLOSED in place.despite else "",
        )
    else:
        ledger.release([booking.ref], for_others=False)
        if assignment.is_terminal:
            assignment.reopen(actor=actor, reason=reason)
            assignment.due_at = now
        if booking.is_confirmed:
            with named_refusals([booking.ref]):
                host.on_released([booking.ref])
        outcome = settlement.confirm(
            assignment,
            table_refs=place.table_refs,
            window=place.window,
            strategy=MANUAL,
            reason=reason,
            detail=detail,
            despite=place.despite,
            overridden_by=actor if Reason.CLOSED in place.despite else "",
        )
    settlement.write()
    if assignment.stage != Stage.SEATED:
        sharing.ask_about_overstaying(assignment, host=host, now=now, actor=actor, trigger="staff")
    return replace(outcome, passed=queue.passed())


def grant(assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], *, host: Host) -> None:
    """Take over the guest's edit, in memory, unless staff have rejected it before."""
    ledger.note_promise(seatings, party=assignment.party, zone_ref=assignment.zone_ref)
    if not seatings or not promise.is_turned_down(assignment, booking):
        intake.take_over_facts(assignment, booking, floor=floor_or_none(booking.restaurant_ref, host=host))


def swap(
    one: Pair, other: Pair, *, host: Host, now: datetime, actor: str, overriding: Collection[Reason] = ()
) -> tuple[Outcome, Outcome]:
    """Give two bookings each other's tables. Their rows and days are locked."""
    if obstacle := obstacle_to_swaps():
        raise TransitionRefusedError(
            f"Bookings {one[1].ref} and {other[1].ref} cannot swap tables in the booking project's rows. {obstacle}"
        )
    seatings = ledger.seatings_of([one[1].ref, other[1].ref])
    for _assignment, booking in (one, other):
        if booking.ref not in seatings:
            raise TransitionRefusedError(f"Booking {booking.ref} has no tables to swap.")
    settlement = Settlement(host=host, planner=MANUAL, actor=actor, trigger="staff", now=now)
    places = []
    for (assignment, booking), (_other, partner) in ((one, other), (other, one)):
        theirs = [row.table_ref for row in seatings[partner.ref]]
        place = accepted(
            assignment,
            booking,
            theirs,
            seatings=seatings[booking.ref],
            host=host,
            now=now,
            overriding=overriding,
            leaving={partner.ref},
        )
        places.append(place)
    for assignment, booking in (one, other):
        grant(assignment, booking, seatings[booking.ref], host=host)
    queues = [_Queue(assignment, set(seatings), host=host, now=now) for assignment, _booking in (one, other)]
    places = [
        _with_room(place, assignment.restaurant_ref, set(seatings))
        for (assignment, _booking), place in zip((one, other), places, strict=True)
    ]
    outcomes = [
        settlement.reseat(
            assignment,
            seatings[booking.ref],
            table_refs=place.table_refs,
            window=place.window,
            strategy=MANUAL,
            reason=SWAPPED,
            despite=place.despite,
            overridden_by=actor if Reason.CLOSED in place.despite else "",
        )
        for (assignment, booking), place in zip((one, other), places, strict=True)
    ]
    settlement.write()
    for assignment, _booking in (one, other):
        if assignment.stage != Stage.SEATED:
            sharing.ask_about_overstaying(assignment, host=host, now=now, actor=actor, trigger="staff")
    first, second = (replace(outcome, passed=queue.passed()) for outcome, queue in zip(outcomes, queues, strict=True))
    return first, second


def extend(
    assignment: Assignment,
    until: datetime,
    *,
    host: Host,
    now: datetime,
    actor: str,
    overriding: Collection[Reason] = (),
) -> Extension:
    """Let guests have their tables until ``until``. The row and its day are locked.

    Raises TablesRefusedError if a table closes before that, unless ``overriding`` has ``CLOSED``.
    """
    seatings = _seatings(assignment)
    if until <= max(now, seatings[0].starts_at):
        raise ValueError(
            f"Booking {assignment.booking_ref} cannot end at {until}: that is not after its start, and now."
        )
    against = closing_before(seatings, until, floor=floor_or_none(assignment.restaurant_ref, host=host))
    if any(each.reason not in overriding for each in against):
        raise refused(assignment.booking_ref, [row.table_ref for row in seatings], against)
    queue = _Queue(assignment, {assignment.booking_ref}, host=host, now=now)
    settlement = Settlement(host=host, planner=assignment.planner, actor=actor, trigger="staff", now=now)
    change = stays.stay_until(assignment, seatings, until, settlement=settlement)
    settlement.write()
    return Extension(change=change, passed=queue.passed())


def closing_before(seatings: Sequence[Allocation], until: datetime, *, floor: Floor | None) -> tuple[Refusal, ...]:
    """Return a refusal for each of these tables that closes before guests who stay until then leave. At most one query.

    Leaves out tables that were closed while the guests had them, if staff overrode the closure.
    """
    since = min(min(row.ends_at, row.blocked.upper) for row in seatings)
    closures = ledger.closed_during(seatings, since, until)
    closing = [
        row.table_ref
        for row in seatings
        if any(ledger.closes(each, row) and not (row.overridden_by and each.starts_at < since) for each in closures)
    ]
    named = [floor.table_by_ref[ref].name if floor and ref in floor.table_by_ref else ref for ref in closing]
    return tuple(Refusal(Reason.CLOSED, _("Table %(table)s is closed at that time.", table=name)) for name in named)


def mark(assignment: Assignment, stage: Stage, *, host: Host, now: datetime, actor: str) -> tuple[str, ...]:
    """Note the stage of the guests, and free the tables of those who are gone. Returns the tables concerned."""
    settlement = Settlement(host=host, planner=assignment.planner, actor=actor, trigger="staff", now=now)
    tables: tuple[str, ...] = ()
    if stage in {Stage.LATE, Stage.ARRIVED}:
        _require_expected(assignment)
        stays.mark(assignment, stage, now=now)
        settlement.changed(assignment)
        settlement.announce(assignment, "stage", stage=stage.value, actor=actor)
    else:
        seatings = _seatings(assignment)
        tables = tuple(row.table_ref for row in seatings)
        if stage == Stage.NO_SHOW and seatings[0].starts_at > now:
            raise TransitionRefusedError(
                f"Booking {assignment.booking_ref} starts later: its guests cannot have failed to come yet."
            )
        if stage == Stage.SEATED:
            _sit_down(assignment, seatings, settlement, host=host)
        else:
            stays.leave(assignment, seatings, stage, settlement=settlement)
    settlement.write()
    return tables


def _require_expected(assignment: Assignment) -> None:
    if assignment.stage in GONE:
        raise TransitionRefusedError(
            f"The guests of booking {assignment.booking_ref} are marked as {assignment.stage}: undo that, or assign tables."
        )
    if assignment.state in {State.CANCELLED, State.FAILED}:
        raise TransitionRefusedError(
            f"Booking {assignment.booking_ref} is {assignment.state}: nobody is expected. Reopen it first."
        )


def _sit_down(assignment: Assignment, seatings: Sequence[Allocation], settlement: Settlement, *, host: Host) -> None:
    now = settlement.now
    rows = ledger.overstaying(seatings, now)
    early, despite = seatings[0].blocked.lower > now, set(seatings[0].despite)
    if rows or (early and not ledger.begin_at(seatings, now, actor=settlement.actor)):
        floor = floor_or_none(assignment.restaurant_ref, host=host)
        rows = rows or ledger.taken_at(
            assignment.restaurant_ref, [row.table_ref for row in seatings], now, seatings[0].blocked.lower
        )
        refusals = tuple(still_taken(row, floor) for row in rows if row.booking_ref != assignment.booking_ref)
        raise refused(assignment.booking_ref, [row.table_ref for row in seatings], refusals)
    stays.mark(assignment, Stage.SEATED, now=now)
    settlement.changed(assignment)
    passed_over = sorted({each for row in seatings for each in row.despite} - despite)
    said = {"despite": passed_over} if passed_over else {}  # They do sit there: nobody was asked.
    settlement.announce(assignment, "stage", stage=Stage.SEATED.value, actor=settlement.actor, **said)


def still_taken(row: Allocation, floor: Floor | None) -> Refusal:
    """Return the refusal that says who has the row's table."""
    table = floor.table_by_ref.get(row.table_ref) if floor else None
    return Refusal(
        Reason.TABLE_TAKEN,
        _(
            "Table %(table)s is still taken by booking %(booking)s.",
            table=table.name if table else row.table_ref,
            booking=row.booking_ref,
        ),
    )


def no_time_between(taken: Occupied, floor: Floor) -> Refusal:
    """Return the refusal that says at which table, and next to which booking, a buffer does not fit."""
    text = _(
        "There is no time to clear and set table %(table)s between this booking and booking %(booking)s.",
        table=floor.table_by_ref[taken.table_ref].name,
        booking=taken.booking_ref or "",
    )
    return Refusal(Reason.BUFFER, text)


def _with_room(place: Place, restaurant_ref: str, booking_refs: Collection[str]) -> Place:
    """Shrink the buffers that staff do without: those of the place, and those of its neighbours.

    ``booking_refs``: the bookings that leave these tables, or get them.
    """
    if Reason.BUFFER not in place.despite:
        return place
    window = place.window
    taken = ledger.taken_at(restaurant_ref, place.table_refs, window.blocked_from, window.blocked_until)
    rows = [row for row in taken if row.booking_ref not in booking_refs]
    window = buffers.fitted(window, buffers.spans(rows))
    ledger.make_room(rows, window)
    return replace(place, window=window)


def accepted(
    assignment: Assignment,
    booking: HostBooking,
    table_refs: Sequence[str],
    *,
    host: Host,
    now: datetime,
    seatings: Sequence[Allocation] = (),
    overriding: Collection[Reason] = (),
    leaving: Collection[str] = (),
) -> Place:
    """Return the place that the party gets at these tables.

    Guests who already sit, and those whose time has begun, have the tables from now on. ``leaving``: refs of bookings
    whose tables are free by then. Raises TablesRefusedError.
    """
    booking = as_promised(booking, assignment, seatings)
    floor = floor_of(booking.restaurant_ref, host=host)
    place = possible(assignment, booking, floor=floor, now=now, seatings=seatings, leaving=leaving, remove_expired=True)
    window, against = place.window, place.against(table_refs)
    if any(each.reason not in overriding for each in against):
        raise refused(booking.ref, table_refs, against)
    return Place(
        table_refs=floor.in_order(table_refs),
        window=window,
        despite=frozenset(each.reason for each in against),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Possible:
    """When a booking would have tables, regardless of the rules, and what is taken then.

    ``snapshot`` is for exactly that time. ``about_time``: refusals because of the time itself. ``sits``: the guests
    already sit, so that these do not count.
    """

    snapshot: Snapshot
    window: SeatingWindow
    about_time: tuple[Refusal, ...] = ()
    sits: bool = False

    def against(self, table_refs: Sequence[str]) -> tuple[Refusal, ...]:
        """Return every rule that the booking would break at these tables."""
        floor = self.snapshot.floor
        there = [each for each in self.snapshot.occupied if self.is_there(each)]
        clearing = [each for each in self.snapshot.occupied if not self.is_there(each)]
        found = engine.judge(replace(self.snapshot, occupied=()), tuple(table_refs))
        refusals = [
            *self.about_time,
            *(each for each in found if each.reason not in ABOUT_TIME | {Reason.CLOSED, Reason.PACING}),
            *(engine.paced(self.snapshot, self.window) if not self.sits else ()),
            *engine.taken(floor, there, table_refs, self.window),
            *(no_time_between(each, floor) for each in clearing if self._is_next_to(each, table_refs)),
        ]
        return tuple(dict.fromkeys(each for each in refusals if not (self.sits and each.reason in ABOUT_TIME)))

    def is_there(self, taken: Occupied) -> bool:
        """Return whether the table cannot be had then: it is closed, or other guests are there at the same time."""
        if taken.closed or taken.starts_at is None or taken.ends_at is None:
            return True
        stay = (taken.starts_at, taken.ends_at)
        there = buffers.stay_of(taken.blocked_from, taken.blocked_until, stay, now=self.snapshot.now)
        return buffers.meet(there, buffers.stay_in(self.window))

    def _is_next_to(self, taken: Occupied, table_refs: Sequence[str]) -> bool:
        blocked = (taken.blocked_from, taken.blocked_until)
        is_next = buffers.meet(blocked, (self.window.blocked_from, self.window.blocked_until))
        return is_next and taken.table_ref in table_refs and taken.table_ref in self.snapshot.floor.places


def possible(
    assignment: Assignment,
    booking: HostBooking,
    *,
    floor: Floor,
    now: datetime,
    seatings: Sequence[Allocation] = (),
    leaving: Collection[str] = (),
    remove_expired: bool = False,
) -> Possible:
    """Return when the booking would have tables if staff gave it some. ``leaving``: as for ``accepted``.

    Guests who sit (at ``seatings``) have them from now on. One query. ``remove_expired``: see ``ledger.occupied``.
    """
    sits = bool(seatings) and assignment.stage == Stage.SEATED
    window = _window(booking, floor, seatings=seatings if sits else (), now=now)
    about_time: tuple[Refusal, ...] = ()
    if isinstance(window, Refusal):
        about_time = (window,)
        window = _from_now_on(seating_validity.window_as_the_host_has_it(booking, floor), now)
    # Parties that come and leave before this one count too, within its interval of the pacing.
    start = window.blocked_from - (timedelta(minutes=MOST_INTERVAL) if floor.is_paced else timedelta(0))
    occupied = ledger.occupied(
        floor.restaurant_ref,
        start,
        window.blocked_until,
        floor=floor,
        remove_expired=remove_expired,
        with_stays=True,
    )
    gone = {booking.ref, *leaving}
    request = seating_request(booking, assignment)
    if seatings:
        request = replace(request, promised_party=to_be_kept(request, assignment, seatings, floor).promised_party)
    if window.ends_at > now:
        request = replace(request, starts_at=max(window.starts_at, now), ends_at=window.ends_at)
    snapshot = Snapshot(
        floor=floor,
        occupied=tuple(each for each in occupied if each.booking_ref not in gone),
        request=request,
        now=now,
        rules=conf.settings().rules().by_staff(),
    )
    return Possible(snapshot=snapshot, window=window, about_time=about_time, sits=sits)


def _window(
    booking: HostBooking, floor: Floor, *, seatings: Sequence[Allocation], now: datetime
) -> SeatingWindow | Refusal:
    """Return when the party has tables: from now on if its time has begun. ``seatings``: where it sits."""
    if seatings:
        end = max(seatings[0].stays_until, now + timedelta(minutes=1))
        until = end + buffers.after(seatings[0], floor)
        return SeatingWindow(starts_at=now, ends_at=end, blocked_from=now, blocked_until=until)
    window = seating_window(floor, starts_at=booking.starts_at, party=booking.party, ends_at=booking.ends_at)
    return _from_now_on(window, now) if isinstance(window, SeatingWindow) else window


def _from_now_on(window: SeatingWindow, now: datetime) -> SeatingWindow:
    """Return the window; if it has begun, it blocks the tables from now on."""
    return replace(window, blocked_from=now) if window.blocked_from < now < window.blocked_until else window


def refused(booking_ref: str, table_refs: Sequence[str], refusals: tuple[Refusal, ...]) -> TablesRefusedError:
    """Return the error for tables that a booking may not have."""
    tables = names(table_refs, None) or "no tables"
    why = " ".join(refusal.detail for refusal in refusals)
    return TablesRefusedError(f"Booking {booking_ref} cannot have {tables}: {why}", refusals)


class _Queue:
    """The waiting bookings that asked before some booking, seen before and after staff do something for it.

    ``refs``: the bookings for which it is done. ``holding``: those of them that had no seating, whose held tables count
    as free before.
    """

    def __init__(
        self,
        assignment: Assignment,
        refs: Collection[str],
        *,
        holding: Collection[str] = (),
        host: Host,
        now: datetime,
    ) -> None:
        self._floor, self._now = floor_or_none(assignment.restaurant_ref, host=host), now
        self._earlier = [each for each in waiting_before(assignment, host=host) if each.booking_ref not in refs]
        self._before = self._seatable(without=holding)

    def passed(self) -> tuple[str, ...]:
        """Return the refs of bookings that could have been seated before, and cannot be any more."""
        return tuple(sorted(self._before - self._seatable())) if self._before else ()

    def _seatable(self, without: Collection[str] = ()) -> set[str]:
        if not self._earlier or self._floor is None:
            return set()
        occupied = occupied_during(self._earlier, self._floor)
        planned = plan_requests(
            self._earlier,
            floor=self._floor,
            occupied=tuple(each for each in occupied if each.booking_ref not in without),
            now=self._now,
            success=success_of(self._floor.restaurant_ref),
        )
        return {ref for ref, decision in planned.decisions.items() if decision.best is not None}


def _seatings(assignment: Assignment) -> list[Allocation]:
    seatings = ledger.seatings_of([assignment.booking_ref]).get(assignment.booking_ref, [])
    if not seatings or assignment.state not in {State.CONFIRMED, State.MANUAL_REVIEW}:
        raise TransitionRefusedError(f"Booking {assignment.booking_ref} is {assignment.state} and has no tables.")
    return seatings
