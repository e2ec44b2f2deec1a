"""Closing tables, a zone or a restaurant, and opening them again.

Each is one transaction, which takes the restaurant's lock first.

A closure ends the promise of a booking at its tables. The booking gets other tables in the same transaction if V3 finds
some, else it goes to review. Guests who sit there keep the closing table until it closes, and their other tables until
staff have moved them.

Long because closing, editing and lifting share who is affected, by which tables, and from when.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from types import EllipsisType

from django.db.models import QuerySet

from assignments import conf
from assignments.concurrency import locks
from assignments.concurrency.stopwatch import Stopwatch
from assignments.coordination import host_changes, stays
from assignments.coordination.snapshots import occupied_during, promised_request
from assignments.coordination.table_record import success_of
from assignments.exceptions import ChangedMeanwhileError, ClosureLiftedError, ClosureNotFoundError
from assignments.integration.floor_cache import floor_of, floor_or_none
from assignments.integration.host import Host, HostBooking, is_cancelled, lock_bookings
from assignments.integration.planners import V3, Preview, kept_batch
from assignments.lifecycle import ledger, promise, seating_validity, sentences, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.lifecycle.staff_decisions import STAFF
from assignments.models import Allocation, Assignment, Closure, OutboxMessage, Stage, State
from assignments.planning.batch_planner import EveningPlanner, in_order
from assignments.planning.floor import Floor, InvalidFloorError
from assignments.planning.request import SeatingRequest
from assignments.telemetry import correlation, events
from assignments.telemetry.event_catalogue import STATE_MACHINE

TABLE_OUT_OF_SERVICE = "table_out_of_service"
"""Why a booking loses its tables when they close; kept in history, so it never changes."""

LONGEST_REASON = 500
FOR_EVER = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """What a closure closes, and when."""

    table_refs: tuple[str, ...]
    zone_ref: str
    starts_at: datetime
    ends_at: datetime | None


def close(
    restaurant_ref: str,
    *,
    table_refs: Collection[str],
    zone_ref: str,
    starts_at: datetime,
    ends_at: datetime | None,
    reason: str | None,
    actor: str,
    host: Host,
) -> Closure:
    """Close tables, a zone, or the restaurant if neither is given. Raises ValueError if that cannot be closed."""
    now = locks.lock_restaurant(restaurant_ref)
    floor = _floor_of_known(restaurant_ref, host=host)
    extent = _checked(restaurant_ref, floor, table_refs, zone_ref, starts_at, ends_at)
    closure = Closure.objects.create(
        restaurant_ref=restaurant_ref,
        table_refs=list(extent.table_refs),
        zone_ref=extent.zone_ref,
        starts_at=extent.starts_at,
        ends_at=extent.ends_at,
        reason=_checked_reason(reason),
        author=actor,
    )
    _clear(closure, floor=floor, actor=actor, now=now, host=host)
    _announce("closed", closure, actor=actor)
    return closure


def edit(
    closure_id: int,
    *,
    table_refs: Collection[str] | EllipsisType,
    zone_ref: str | EllipsisType,
    starts_at: datetime | EllipsisType,
    ends_at: datetime | EllipsisType | None,
    reason: str | EllipsisType | None,
    actor: str,
    version: int | None,
    host: Host,
) -> Closure:
    """Change the given parts of a closure. Bookings at newly closed tables make way; what it no longer closes is free."""
    closure, now = _locked(closure_id, version=version)
    floor = floor_or_none(closure.restaurant_ref, host=host)
    before = _extent(closure)
    refs, zone = before.table_refs if not before.zone_ref else (), before.zone_ref
    if table_refs is not ...:
        refs, zone = tuple(table_refs), ""
    if zone_ref is not ...:
        zone, refs = zone_ref, (() if zone_ref else refs)
    extent = _checked(
        closure.restaurant_ref,
        floor,
        refs,
        zone,
        before.starts_at if starts_at is ... else starts_at,
        before.ends_at if ends_at is ... else ends_at,
    )
    closure.table_refs, closure.zone_ref = list(extent.table_refs), extent.zone_ref
    closure.starts_at, closure.ends_at = extent.starts_at, extent.ends_at
    if reason is not ...:
        closure.reason = _checked_reason(reason)
    closure.version += 1
    closure.save()
    _clear(closure, floor=floor, actor=actor, now=now, host=host, before=before)
    if not _includes(extent, before):
        _let_stay(closure.restaurant_ref, floor=floor, actor=actor, now=now, host=host)
        _tell_freed(closure.restaurant_ref, before, now)
    _announce("edited", closure, actor=actor)
    return closure


def lift(closure_id: int, *, actor: str, version: int | None, host: Host) -> Closure:
    """End a closure now. Other closures of the same tables stay in force."""
    closure, now = _locked(closure_id, version=version)
    closure.lifted_at, closure.lifted_by = now, actor
    closure.version += 1
    closure.save(update_fields=["lifted_at", "lifted_by", "version"])
    floor = floor_or_none(closure.restaurant_ref, host=host)
    _let_stay(closure.restaurant_ref, floor=floor, actor=actor, now=now, host=host)
    _tell_freed(closure.restaurant_ref, _extent(closure), now)
    _announce("lifted", closure, actor=actor)
    return closure


def _announce(what: str, closure: Closure, *, actor: str) -> None:
    """Announce a change of a closure in the outbox and as an event. The message's booking ref is empty."""
    OutboxMessage.objects.create(
        topic=f"closure.{what}",
        booking_ref="",
        payload={
            "closure_id": closure.pk,
            "version": closure.version,
            "restaurant_ref": closure.restaurant_ref,
            "table_refs": closure.table_refs,
            "zone_ref": closure.zone_ref,
            "starts_at": closure.starts_at.isoformat(),
            "ends_at": closure.ends_at and closure.ends_at.isoformat(),
            "reason": closure.reason,
            "actor": actor,
            "correlation_id": str(correlation.id_or_new()),
        },
    )
    events.announce(
        STATE_MACHINE,
        f"closure.{what}",
        restaurant_ref=closure.restaurant_ref,
        table_refs=closure.table_refs or None,
        detail=str(closure.pk),
        actor=actor,
    )


def _locked(closure_id: int, *, version: int | None) -> tuple[Closure, datetime]:
    restaurant_ref = Closure.objects.filter(pk=closure_id).values_list("restaurant_ref", flat=True).first()
    if restaurant_ref is None:
        raise ClosureNotFoundError(f"There is no closure {closure_id}.")
    now = locks.lock_restaurant(restaurant_ref)
    closure = Closure.objects.select_for_update().get(pk=closure_id)
    if version is not None and version != closure.version:
        raise ChangedMeanwhileError(f"Closure {closure_id} was changed meanwhile. Look again.", version=version)
    if closure.lifted_at is not None:
        raise ClosureLiftedError(f"Closure {closure_id} was lifted at {closure.lifted_at:%Y-%m-%d %H:%M %Z}.")
    return closure, now


def _floor_of_known(restaurant_ref: str, *, host: Host) -> Floor | None:
    """Return the floor; None if it is not valid. Raises ValueError for a restaurant that the host does not have."""
    try:
        return floor_of(restaurant_ref, host=host)
    except InvalidFloorError:
        return None
    except LookupError:
        raise ValueError(f"There is no restaurant {restaurant_ref!r}.") from None


def _checked(
    restaurant_ref: str,
    floor: Floor | None,
    table_refs: Collection[str],
    zone_ref: str,
    starts_at: datetime,
    ends_at: datetime | None,
) -> Extent:
    """Return the extent, including the zone's tables. Raises ValueError, which says what is wrong."""
    problem = ""
    if starts_at.tzinfo is None or (ends_at is not None and ends_at.tzinfo is None):
        problem = f"starts_at and ends_at must be aware, not {starts_at} and {ends_at}."
    elif ends_at is not None and ends_at <= starts_at:
        problem = f"it cannot be closed from {starts_at} until {ends_at}."
    elif table_refs and zone_ref:
        problem = "name tables or a zone, not both."
    refs = tuple(dict.fromkeys(table_refs))
    if floor is not None and not problem:
        unknown = [ref for ref in refs if ref not in floor.table_by_ref]
        if unknown:
            problem = f"it has no table {', '.join(unknown)}."
        refs = floor.in_order(refs)
        if zone_ref:
            refs = tuple(table.ref for table in floor.tables if table.zone_ref == zone_ref)
    if zone_ref and not refs and not problem:
        problem = f"it has no table in zone {zone_ref}."
    if problem:
        raise ValueError(f"Restaurant {restaurant_ref}: {problem}")
    return Extent(table_refs=refs, zone_ref=zone_ref, starts_at=starts_at, ends_at=ends_at)


def _checked_reason(reason: str | None) -> str:
    why = (reason or "").strip()
    if len(why) > LONGEST_REASON or "\0" in why:
        raise ValueError(f"Say in at most {LONGEST_REASON} characters why it is closed.")
    return why


def _extent(closure: Closure) -> Extent:
    return Extent(
        table_refs=tuple(closure.table_refs),
        zone_ref=closure.zone_ref,
        starts_at=closure.starts_at,
        ends_at=closure.ends_at,
    )


def _includes(extent: Extent, before: Extent) -> bool:
    """Return whether everything that was closed before still is."""
    lasts = extent.ends_at is None or (before.ends_at is not None and before.ends_at <= extent.ends_at)
    tables = not extent.table_refs or (bool(before.table_refs) and set(before.table_refs) <= set(extent.table_refs))
    return lasts and tables and extent.starts_at <= before.starts_at


def _tell_freed(restaurant_ref: str, extent: Extent, now: datetime) -> None:
    if extent.ends_at is not None and extent.ends_at <= now:
        return
    waiting.wake(restaurant_ref, max(extent.starts_at, now), extent.ends_at or FOR_EVER)


def _clear(
    closure: Closure,
    *,
    floor: Floor | None,
    actor: str,
    now: datetime,
    host: Host,
    before: Extent | None = None,
) -> None:
    """Have bookings leave what the closure closes, from now on.

    A booking stays if all of its stay that the closure meets was already closed when it was seated: by this closure as
    it was ``before``, or by other closures that staff overrode by name.
    """
    restaurant_ref, start, until = closure.restaurant_ref, max(closure.starts_at, now), closure.ends_at
    if until is not None and until <= start:
        return
    closed = None
    if not closure.is_whole_restaurant:
        closed = ledger.tables_closed(closure.table_refs, closure.zone_ref, floor)
    rows = ledger.blocked_at(restaurant_ref, closed, start, until)
    known = [_extent(each) for each in _others(closure)] if any(_is_by_staff(row) for row in rows) else []
    earlier = [before] if before else []
    first = _firsts(rows, now)
    spans = {row.pk: (max(start, first[row.pk]), min(until or FOR_EVER, row.stays_until)) for row in rows}
    rows = [
        row
        for row in rows
        if not row.overridden_by
        or not _was_closed(row, [*earlier, *known] if _is_by_staff(row) else earlier, *spans[row.pk], floor=floor)
    ]
    affected = [row for row in rows if spans[row.pk][0] < spans[row.pk][1]]
    refs = {row.booking_ref for row in affected}
    ledger.give_up_buffers((row for row in rows if row.booking_ref not in refs), start, until)
    if refs:
        _Clearing(restaurant_ref, affected, start=start, floor=floor, actor=actor, now=now, host=host).run()


def _others(closure: Closure) -> QuerySet[Closure]:
    """Return the restaurant's other closures."""
    return Closure.objects.not_lifted().filter(restaurant_ref=closure.restaurant_ref).exclude(pk=closure.pk)


def _let_stay(restaurant_ref: str, *, floor: Floor | None, actor: str, now: datetime, host: Host) -> None:
    """Let guests keep tables that were to close under them, before anybody else gets these tables."""
    cut = ledger.closing_later(restaurant_ref, now)
    refs = sorted({row.booking_ref for row in cut})
    if not refs:
        return
    theirs = Assignment.objects.filter(booking_ref__in=refs, state__in=[State.CONFIRMED, State.MANUAL_REVIEW])
    rows = list(theirs.exclude(reason=waiting.OVERLAPPING).select_for_update().order_by("id"))
    seatings, bookings = ledger.seatings_of(refs), host.bookings(refs)
    settlement = Settlement(host=host, planner=V3, actor=actor, trigger="staff", now=now)
    rules = conf.settings().rules()
    for assignment in rows:
        booking, own = bookings.get(assignment.booking_ref), seatings[assignment.booking_ref]
        if booking is not None and seating_validity.is_usable(booking, own, floor=floor, rules=rules):
            stays.stay_after_all(assignment, own, settlement=settlement)
    settlement.write()


def _firsts(rows: Sequence[Allocation], now: datetime) -> dict[int, datetime]:
    """Return when the guests of each row come, by key: early ones may sit there already. At most one query."""
    early = [row for row in rows if row.blocked.lower <= now < row.starts_at]
    sitting: set[str] = set()
    if early:
        theirs = Assignment.objects.filter(booking_ref__in=[row.booking_ref for row in early], stage=Stage.SEATED)
        sitting = set(theirs.values_list("booking_ref", flat=True))
    return {row.pk: row.blocked.lower if row in early and row.booking_ref in sitting else row.starts_at for row in rows}


def _is_by_staff(row: Allocation) -> bool:
    """Return whether staff seated it despite closures; a host or a pass may not have known all of them."""
    return bool(row.overridden_by.startswith(STAFF))


def _was_closed(
    row: Allocation, known: Sequence[Extent], first: datetime, last: datetime, *, floor: Floor | None
) -> bool:
    """Return whether these together close the row's table for all of ``[first, last)``. False for an empty time."""
    if last <= first:
        return False
    for each in sorted(known, key=lambda extent: extent.starts_at):
        refs = each.table_refs and ledger.tables_closed(each.table_refs, each.zone_ref, floor)
        if each.starts_at <= first and (not refs or row.table_ref in refs):
            first = max(first, each.ends_at or FOR_EVER)
    return last <= first


class _Clearing:
    """Moves bookings away from tables (``rows``) that close at ``start``, or asks staff to."""

    def __init__(
        self,
        restaurant_ref: str,
        rows: Sequence[Allocation],
        *,
        start: datetime,
        floor: Floor | None,
        actor: str,
        now: datetime,
        host: Host,
    ) -> None:
        self.restaurant_ref, self.floor, self.now, self.host = restaurant_ref, floor, now, host
        self.start = start
        self.cut: list[Allocation] = []
        self.closing: dict[str, list[Allocation]] = defaultdict(list)
        for row in rows:
            self.closing[row.booking_ref].append(row)
        self.settlement = Settlement(host=host, planner=V3, actor=actor, trigger="staff", now=now)

    def run(self) -> None:
        refs = sorted(self.closing)
        assignments = locks.lock_rows(refs)
        bookings = lock_bookings(self.host, [assignment.booking_ref for assignment in assignments])
        seatings = ledger.seatings_of(refs)
        by_day: dict[date, list[_Guests]] = defaultdict(list)
        for assignment in assignments:
            ref = assignment.booking_ref
            booking, rows = bookings.get(ref), seatings.get(ref, [])
            if not rows or booking is None or is_cancelled(booking):
                self._put_back(assignment)
            elif not booking.wants_table or rows[0].starts_at <= self.now or assignment.stage == Stage.SEATED:
                if self._is_known(assignment):
                    continue
                kept = ledger.close_at(self.closing[ref], self.start, now=self.now)
                if not kept and len(self.closing[ref]) == len(rows):
                    assignment.take_up_wish()  # Nothing of its promise is left.
                self.cut += kept
                why = stays.where_it_closes(self.start, self.floor) if kept else sentences.SAT_THERE
                self._ask_staff(assignment, why)
            elif assignment.restaurant_ref != self.restaurant_ref or booking.problem or self.floor is None:
                ledger.vacate(rows, at=self.now, has_sat=False)
                assignment.take_up_wish()
                self._ask_staff(assignment, booking.problem or sentences.NO_FLOOR)
            else:
                by_day[assignment.service_date].append(_Guests(assignment, booking, rows))
        for group in by_day.values():
            self._seat_evening(group)
        self.settlement.write()
        ledger.reach_closures(row for row in self.cut if ledger.is_cut(row))  # The next bookings are gone.

    def _is_known(self, assignment: Assignment) -> bool:
        """Return whether staff already have to move its guests, because the tables close even earlier."""
        is_asked = assignment.state == State.MANUAL_REVIEW and assignment.reason == TABLE_OUT_OF_SERVICE
        rows = self.closing[assignment.booking_ref]
        return is_asked and all(ledger.is_cut(row) and row.blocked.upper <= self.start for row in rows)

    def _ask_staff(self, assignment: Assignment, detail: str) -> None:
        if assignment.state == State.CONFIRMED:
            self.settlement.keep_for_review(assignment, reason=TABLE_OUT_OF_SERVICE, detail=detail)
        elif assignment.state == State.MANUAL_REVIEW:
            self.settlement.review_anew(assignment, reason=TABLE_OUT_OF_SERVICE, detail=detail)
        else:
            assignment.touch()
            self.settlement.changed(assignment)

    def _put_back(self, assignment: Assignment) -> None:
        """Make a booking due at once that only holds tables, or that the host has cancelled."""
        was_told = assignment.state == State.CONFIRMED
        stays.give_up(assignment, now=self.now)
        host_changes.queue_anew(assignment, now=self.now, actor=self.settlement.actor, reason=TABLE_OUT_OF_SERVICE)
        if was_told:
            self.host.on_released([assignment.booking_ref])

    def _seat_evening(self, group: Sequence["_Guests"]) -> None:
        """Give other tables to the bookings of one evening, planned together; send those that get none to review."""
        assert self.floor is not None
        requests = {guests.booking.ref: guests.request(self.floor) for guests in group}
        taken = occupied_during(requests.values(), self.floor, remove_expired=True)
        occupied = [each for each in taken if each.booking_ref not in requests]
        rules = replace(conf.settings().rules(), min_lead_minutes=0)  # They were confirmed in good time.
        success: Mapping[str, float] = success_of(self.restaurant_ref)
        evening = EveningPlanner(floor=self.floor, occupied=occupied, rules=rules, now=self.now, success=success)
        ordered = in_order(requests.values(), floor=self.floor, rules=rules)
        stopwatch, milliseconds = Stopwatch(), dict[str, float]()
        for request in ordered:
            evening.decide(request)
            milliseconds[request.booking_ref] = stopwatch.lap()
        decisions = evening.decisions
        preview = Preview(
            floor=self.floor,
            occupied=tuple(occupied),
            requests=tuple(ordered),
            now=self.now,
            rules=rules,
            success=success,
        )
        batch = kept_batch(preview, decisions, service_date=group[0].assignment.service_date)
        for guests in group:
            decision, decision_ms = decisions[guests.booking.ref], milliseconds[guests.booking.ref]
            if decision.best is None or decision.window is None:
                assert decision.refusal is not None
                ledger.vacate(guests.seatings, at=self.now, has_sat=False)
                guests.assignment.take_up_wish()
                self._ask_staff(guests.assignment, decision.refusal.detail)
                if batch is not None:
                    self.settlement.note_refusal(
                        guests.assignment, decision.refusal, decision=decision, decision_ms=decision_ms, batch=batch
                    )
                continue
            self.settlement.reseat(
                guests.assignment,
                guests.seatings,
                table_refs=decision.best.table_refs,
                window=decision.window,
                strategy=decision.best.strategy,
                decision=decision,
                decision_ms=decision_ms,
                batch=batch,
                reason=TABLE_OUT_OF_SERVICE,
                stays_in_review=promise.is_open(guests.assignment),
            )


@dataclass(frozen=True, slots=True)
class _Guests:
    """A confirmed booking that needs other tables."""

    assignment: Assignment
    booking: HostBooking
    seatings: Sequence[Allocation]

    def request(self, floor: Floor) -> SeatingRequest:
        """Return a request for the promised stay, whatever today's turn times are."""
        kept = promised_request(self.booking, self.assignment, self.seatings, floor)
        return replace(kept, current_table_refs=())
