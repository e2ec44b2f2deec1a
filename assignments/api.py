"""The public API: what a booking project calls. Keyword-only, typed; nothing else in this package is promised to stay.

``request``, ``booking_changed``, ``booking_cancelled``, ``release_tables``, ``reopen`` and the table functions join the
caller's transaction when there is one, so that the host's change and ours commit together. ``assign_now`` must be called
outside of one (after commit): it runs its own, and runs it again when it lost a race.

``actor`` says on whose behalf: ``"host"`` (default), or ``"staff:<user id>"``. Never a name.

Long because it is the one page of what a project may call; each function is short.
"""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import connection, transaction

from assignments import conf
from assignments.concurrency import locks, transactions
from assignments.coordination import dispatch
from assignments.coordination.snapshots import snapshot_of
from assignments.exceptions import (
    AssignmentNotFoundError,
    BookingNotFoundError,
    ChangedMeanwhileError,
    HoldExpiredError,
    InvalidBookingError,
    TablesRefusedError,
    TransitionRefusedError,
)
from assignments.integration import planners
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, HostBooking, configured, is_cancelled, lock_bookings
from assignments.lifecycle import intake, ledger, seating_validity, staff_decisions, transitions
from assignments.lifecycle.settlement import Settlement
from assignments.models import Allocation, Assignment, State
from assignments.outcome import Outcome
from assignments.planning import engine
from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.reasons import PREFERENCES, Reason, Refusal
from assignments.planning.seating_window import SeatingWindow, from_now_on, seating_window
from assignments.planning.snapshot import Snapshot
from assignments.staff import explanation
from assignments.staff.explanation import Explanation
from assignments.telemetry import correlation

_P = ParamSpec("_P")
_T = TypeVar("_T")

MANUAL = planners.MANUAL

TABLE_OUT_OF_SERVICE = "table_out_of_service"

MAX_LOCKED_DAYS = 62
"""Days that a closure keeps planners out of while it is entered. Advisory locks take shared memory of the server."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """Tables kept for a booking until ``expires_at`` (aware), while somebody thinks."""

    token: uuid.UUID
    booking_ref: str
    table_refs: tuple[str, ...]
    expires_at: datetime


def _in_transaction(work: Callable[_P, _T]) -> Callable[_P, _T]:
    """In the caller's transaction if there is one (which then decides about retries), else in one of our own."""

    @wraps(work)
    def function(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with correlation.scope(booking_ref=str(kwargs.get("booking_ref", ""))):
            if not connection.in_atomic_block:
                return transactions.run(lambda: work(*args, **kwargs))
            with transaction.atomic():
                result = work(*args, **kwargs)
                transactions.require_intact()
                return result

    return function


def request(*, booking_ref: str) -> None:
    """Ask for a table: from now on the booking is due, and not forgotten. Safe to repeat.

    Raises BookingNotFoundError.
    """
    host = configured()
    with transaction.atomic():
        intake.request([_booking(host, booking_ref)], now=transactions.database_now(), host=host)


def assign_now(*, booking_ref: str, budget_seconds: float = 2.0) -> Outcome:
    """Decide the booking now, by the planner that is on duty: what a booking view calls after its commit.

    Past ``budget_seconds`` the outcome is retry(time_budget_exceeded) and the booking stays due for cron; another planner
    than V3 is not begun then, and not interrupted once it has begun. Raises
    BookingNotFoundError, and NestedTransactionError inside a transaction.
    """
    return dispatch.assign_one(booking_ref, trigger="inline", budget_seconds=budget_seconds)


def evaluate(*, booking_ref: str) -> Decision:
    """What V3 would decide for the booking as things stand: ranked plans, or the refusal. Writes nothing.

    Raises BookingNotFoundError, InvalidBookingError, InvalidFloorError.
    """
    return engine.plan(_snapshot(booking_ref))


def judge(*, booking_ref: str, table_refs: Sequence[str]) -> tuple[Refusal, ...]:
    """Every reason why these tables may not be given to the booking; empty when they may.

    Raises BookingNotFoundError, InvalidBookingError, InvalidFloorError.
    """
    return engine.judge(_snapshot(booking_ref), tuple(table_refs))


@_in_transaction
def hold(*, booking_ref: str, table_refs: Sequence[str], seconds: float | None = None) -> Hold:
    """Keep these tables for the booking for ``seconds`` (default: the HOLD_SECONDS setting).

    A hold of the same booking that is still there is replaced. Raises TablesRefusedError with every reason,
    TableTakenError when somebody is faster, BookingNotFoundError, InvalidBookingError.
    """
    length = conf.settings().HOLD_SECONDS if seconds is None else seconds
    if length <= 0:
        raise ValueError(f"A hold lasts more than 0 seconds, not {length}.")
    host, assignment, booking, now = _locked(booking_ref)
    if assignment.state == State.CONFIRMED:
        raise TransitionRefusedError(f"Booking {booking_ref} has its tables already: release them before a new hold.")
    window, tables = _accepted(host, assignment, booking, table_refs, now)
    ledger.release([booking_ref])
    if assignment.state in {State.ASSIGNMENT_IN_PROGRESS, State.ASSIGNED}:
        # A planner is between its two transactions: it finds that the booking has changed, and tries again later.
        assignment.put_back(actor="host", reason="held")
        assignment.due_at = now
        transitions.store([assignment])
    placement = ledger.Placement(
        restaurant_ref=booking.restaurant_ref,
        booking_ref=booking_ref,
        table_refs=tables,
        window=window,
        planner=MANUAL,
    )
    token = ledger.hold(placement, seconds=length, now=now)
    return Hold(
        token=token,
        booking_ref=booking_ref,
        table_refs=tables,
        expires_at=now + timedelta(seconds=length),
    )


@_in_transaction
def release_hold(*, token: uuid.UUID) -> bool:
    """Give a hold back before its time; False if it was gone already."""
    return ledger.release_hold(token) > 0


@_in_transaction
def assign(
    *,
    booking_ref: str,
    table_refs: Sequence[str],
    actor: str,
    hold_token: uuid.UUID | None = None,
    reason: str = "by_hand",
    version: int | None = None,
    overriding: Collection[Reason] = (),
) -> Outcome:
    """Give the booking these tables by hand, whatever it had before, and confirm it.

    With ``hold_token`` the tables must be those of that hold. With ``version`` nobody may have changed the assignment since
    it was that. ``overriding``: reasons against the tables that staff pass over; some of ``PREFERENCES``, kept in history.
    Raises TablesRefusedError with every reason (capacity, overlap, adjacency, zone, ...), HoldExpiredError, TableTakenError,
    BookingNotFoundError, BookingBusyError, ChangedMeanwhileError.
    """
    if not PREFERENCES.issuperset(overriding):
        raise ValueError(f"Nobody may pass over {sorted(set(overriding) - PREFERENCES)}, only {sorted(PREFERENCES)}.")
    host, assignment, booking, now = _locked(booking_ref, version=version)
    if hold_token is not None:
        _check_hold(hold_token, booking_ref, table_refs)
    window, tables = _accepted(host, assignment, booking, table_refs, now, overriding=overriding)
    had_tables = bool(ledger.release([booking_ref]))
    if assignment.is_terminal:
        assignment.reopen(actor=actor, reason=reason)
        assignment.due_at = now
    if had_tables or booking.is_confirmed:
        host.on_released([booking_ref])
    intake.take_over_facts(assignment, booking, floor=floor_or_none(booking.restaurant_ref, host=host))
    settlement = Settlement(host=host, planner=MANUAL, actor=actor, trigger="staff", now=now)
    outcome = settlement.confirm(
        assignment,
        table_refs=tables,
        window=window,
        strategy=MANUAL,
        reason=reason,
        detail=f"Despite {', '.join(sorted(overriding))}." if overriding else "",
    )
    settlement.write()
    return outcome


@_in_transaction
def replan(*, booking_ref: str, actor: str, reason: str = "replanned") -> bool:
    """Seat a confirmed booking again by today's rules: at its own tables if they allow it, else at others that V3 finds.

    The booking keeps its tables until others are settled, in the same transaction. Returns False if nothing fits, and then
    nothing has changed. Raises TransitionRefusedError for a booking that is not confirmed, BookingNotFoundError,
    BookingBusyError, InvalidBookingError, InvalidFloorError.
    """
    host, assignment, booking, now = _locked(booking_ref)
    if assignment.state != State.CONFIRMED:
        raise TransitionRefusedError(f"Booking {booking_ref} is {assignment.state}, not confirmed.")
    snapshot = snapshot_of(booking, assignment, host=host, now=now)
    own = snapshot.floor.in_order(row.table_ref for row in seating_validity.seatings_of(booking_ref))
    decision = engine.plan(replace(snapshot, request=replace(snapshot.request, pinned_table_refs=own)))
    if decision.best is None:
        decision = engine.plan(snapshot)
    if decision.best is None or decision.window is None:
        return False
    ledger.release([booking_ref])
    assignment.reopen(actor=actor, reason=reason)
    assignment.due_at = now
    host.on_released([booking_ref])
    intake.take_over_facts(assignment, booking, floor=snapshot.floor)
    settlement = Settlement(host=host, planner=planners.V3, actor=actor, trigger="staff", now=now)
    settlement.confirm(
        assignment,
        table_refs=decision.best.table_refs,
        window=decision.window,
        strategy=decision.best.strategy,
        decision=decision,
        reason=reason,
    )
    settlement.write()
    return True


@_in_transaction
def adopt(*, booking_ref: str, table_refs: Sequence[str]) -> None:
    """The host has seated this booking by itself, before this app was installed: its tables are taken from now on.

    Nothing is judged and the host is not told: it has decided. ``reconcile_assignments`` calls this for all of them. Raises
    TableTakenError when somebody else has one of the tables then, BookingNotFoundError, TransitionRefusedError for a booking
    that is decided here already.
    """
    host = configured()
    booking = _booking(host, booking_ref)
    intake.request([booking], now=transactions.database_now(), host=host)
    _host, assignment, now = _locked_assignment(booking_ref)
    if assignment.is_terminal:
        raise TransitionRefusedError(f"Booking {booking_ref} is {assignment.state} already.")
    settlement = Settlement(host=host, planner=MANUAL, actor="host", trigger="adopt", now=now, tells_host=False)
    floor = floor_or_none(booking.restaurant_ref, host=host)
    settlement.confirm(
        assignment,
        table_refs=floor.in_order(table_refs) if floor else table_refs,
        window=seating_validity.window_as_the_host_has_it(booking, floor),
        strategy=MANUAL,
        reason="confirmed_by_host",
    )
    settlement.write()


@_in_transaction
def pin(*, booking_ref: str, table_refs: Sequence[str], actor: str) -> None:
    """From now on only these tables will do for the booking; planned anew if it sits elsewhere.

    Raises TablesRefusedError when they could never seat it, whoever else is there.
    """
    host, assignment, booking, now = _locked(booking_ref)
    refusals = engine.judge(
        snapshot_of(booking, assignment, host=host, now=now, with_occupancy=False), tuple(table_refs)
    )
    if refusals:
        raise _refused(booking_ref, table_refs, refusals)
    assignment.pinned_table_refs = sorted(table_refs)
    seated = ledger.tables_of([booking_ref]).get(booking_ref, ())
    if assignment.is_terminal and set(table_refs) == set(seated):
        assignment.touch()
        transitions.store([assignment])
    else:
        _plan_anew(host, assignment, now=now, actor=actor, reason="pinned")


@_in_transaction
def unpin(*, booking_ref: str, actor: str) -> None:
    """Any tables will do again. The booking keeps those it has; if it waits, it is tried at once."""
    host, assignment, _booking_now, now = _locked(booking_ref)
    assignment.pinned_table_refs = []
    if assignment.state == State.CONFIRMED:
        assignment.touch()
        transitions.store([assignment])
    else:
        _plan_anew(host, assignment, now=now, actor=actor, reason="unpinned")


@_in_transaction
def release_tables(*, booking_ref: str, actor: str = "host", reason: str = "released") -> tuple[str, ...]:
    """Free the booking's tables and have it planned anew; the tables that it had."""
    host, assignment, now = _locked_assignment(booking_ref)
    return _plan_anew(host, assignment, now=now, actor=actor, reason=reason)


@_in_transaction
def reopen(*, booking_ref: str, actor: str, reason: str = "retry", version: int | None = None) -> None:
    """Have a booking that failed or waits in the review queue tried again, with all its attempts.

    With ``version`` nobody may have changed the assignment since it was that: raises ChangedMeanwhileError. Raises
    TransitionRefusedError for a booking in any other state: ``release_tables`` frees the tables of one that has some.
    """
    host, assignment, now = _locked_assignment(booking_ref, version=version)
    if assignment.state not in staff_decisions.WAITING_FOR_STAFF:
        raise TransitionRefusedError(
            f"Booking {booking_ref} is {assignment.state}: only one that waits for staff, or failed, is tried again."
        )
    _plan_anew(host, assignment, now=now, actor=actor, reason=reason)


@_in_transaction
def reject(*, booking_ref: str, actor: str, reason: str, version: int | None = None) -> None:
    """Staff turn a booking of the review queue, or one that failed, down: nobody plans it any more.

    It ends as failed with the reason ``rejected_by_staff``; ``reason`` says why and is kept in the history for ever, so it
    names no guest. The host hears of it by the outbox, and tells the guest. ``version`` as for ``reopen``. Raises ValueError
    for a reason that is empty or too long, TransitionRefusedError for a booking in any other state, ChangedMeanwhileError.
    """
    why = reason.strip()
    if not why or len(why) > staff_decisions.LONGEST_REASON or "\0" in why:
        problem = f"Say in 1 to {staff_decisions.LONGEST_REASON} characters why booking {booking_ref} is rejected."
        raise ValueError(problem)
    _host, assignment, now = _locked_assignment(booking_ref, version=version)
    if assignment.state not in staff_decisions.WAITING_FOR_STAFF or assignment.reason == staff_decisions.REJECTED:
        raise TransitionRefusedError(
            f"Booking {booking_ref} is {assignment.state} ({assignment.reason}): only one that waits for staff, or "
            "failed, can be rejected."
        )
    ledger.release([booking_ref])
    owner, attempts = assignment.planner, assignment.attempts
    assignment.reopen(actor=actor, reason=staff_decisions.REJECTED)
    assignment.planner, assignment.attempts, assignment.due_at = owner, attempts, now
    assignment.fail(actor=actor, reason=staff_decisions.REJECTED, detail=why)
    transitions.store([assignment])


@_in_transaction
def undo(*, booking_ref: str, actor: str, version: int | None = None) -> staff_decisions.Undoable:
    """Take back what staff decided last: tables that they gave to a booking of the review queue, or its rejection.

    The booking waits again where it did, with its earlier reason, and its tables are free. Possible as long as nothing
    else has happened to it; ``version`` as for ``reopen``. Raises TransitionRefusedError when there is nothing that could
    be taken back, ChangedMeanwhileError, BookingNotFoundError, InvalidBookingError (guests sit there), BookingBusyError.
    """
    host, assignment, now = _locked_assignment(booking_ref, version=version)
    undoable = staff_decisions.undoable(assignment)
    if undoable is None:
        raise TransitionRefusedError(f"Booking {booking_ref} is {assignment.state}: nothing can be taken back there.")
    if undoable.what is staff_decisions.Undo.ASSIGNMENT:
        _lock_plannable(host, booking_ref)
        ledger.release([booking_ref])
        host.on_released([booking_ref])
    assignment.reopen(actor=actor, reason=undoable.what.value)
    assignment.planner, assignment.attempts, assignment.due_at = undoable.planner, undoable.attempts, now
    end = assignment.send_to_review if undoable.state == State.MANUAL_REVIEW else assignment.fail
    end(actor=actor, reason=undoable.reason, detail=undoable.detail)
    transitions.store([assignment])
    if undoable.state == State.MANUAL_REVIEW:
        host.on_review({booking_ref: undoable.reason})
    return undoable


@_in_transaction
def booking_changed(*, booking_ref: str) -> bool:
    """The host has edited the booking: call it in the same transaction, after the change.

    Where the guest wants something else (time, stay, party, zone, restaurant) or cancels, the tables are free again at once
    and the booking is planned anew. True if so. False if the promise still stands: a corrected name, or a floor, service or
    setting that was edited since, costs nobody a table, and guests who sit there, or sat, keep theirs. Raises
    BookingNotFoundError.
    """
    host = configured()
    if not Assignment.objects.of(booking_ref).exists():
        booking = _booking(host, booking_ref, must_be_plannable=False)
        if booking.wants_table:
            intake.request([booking], now=transactions.database_now(), host=host)
        return booking.wants_table
    _host, assignment, now = _locked_assignment(booking_ref)
    booking = _booking(host, booking_ref, must_be_plannable=False)
    if not booking.wants_table:
        if not is_cancelled(booking) and assignment.state == State.CONFIRMED:
            return False  # Guests sit there, or sat.
        _cancel(assignment, "booking_cancelled" if is_cancelled(booking) else "no_table_wanted")
        return True
    floor = floor_or_none(booking.restaurant_ref, host=host)
    if assignment.state == State.CONFIRMED and _keeps_tables(host, assignment, booking, floor, now):
        return False
    intake.take_over_facts(assignment, booking, floor=floor)
    _plan_anew(host, assignment, now=now, actor="host", reason="booking_changed")
    return True


@_in_transaction
def booking_cancelled(*, booking_ref: str) -> None:
    """The host has cancelled (or deleted) the booking: its tables are free again in the same transaction."""
    try:
        _host, assignment, _now = _locked_assignment(booking_ref)
    except AssignmentNotFoundError:
        return
    _cancel(assignment, "booking_cancelled")


@_in_transaction
def table_out_of_service(
    *, restaurant_ref: str, table_ref: str, starts_at: datetime, ends_at: datetime, actor: str = "host"
) -> tuple[str, ...]:
    """The table cannot be used over ``[starts_at, ends_at)`` (aware): who was to sit there then is planned anew, at once.

    Guests who sit there already go to review: staff have to move them. Gives the refs of all of them. Nobody is seated there
    until ``table_in_service``. Raises ValueError for times that are naive or the wrong way round, and for a table that the
    restaurant does not have.
    """
    if starts_at.tzinfo is None or ends_at.tzinfo is None:
        raise ValueError(f"Table {table_ref}: starts_at and ends_at must be aware, not {starts_at} and {ends_at}.")
    if ends_at <= starts_at:
        raise ValueError(f"Table {table_ref}: it cannot be out of service from {starts_at} until {ends_at}.")
    host = configured()
    floor = floor_or_none(restaurant_ref, host=host)
    if floor is not None and table_ref not in floor.table_by_ref:
        raise ValueError(f"Restaurant {restaurant_ref} has no table {table_ref}.")
    refs = {row.booking_ref for row in ledger.blocked_at(restaurant_ref, table_ref, starts_at, ends_at)}
    days = Assignment.objects.filter(booking_ref__in=refs).values_list("restaurant_ref", "service_date")
    now = locks.lock_days([*days, *((restaurant_ref, day) for day in _days_between(floor, starts_at, ends_at))])
    rows = ledger.blocked_at(restaurant_ref, table_ref, starts_at, ends_at)
    affected = [row for row in rows if row.starts_at < ends_at and starts_at < row.ends_at]
    refs = {row.booking_ref for row in affected}
    ledger.give_up_buffers((row for row in rows if row.booking_ref not in refs), starts_at, ends_at)
    here_now = {row.booking_ref for row in affected if row.kind == Allocation.Kind.SEATING and row.starts_at <= now}
    for assignment in Assignment.objects.select_for_update().filter(booking_ref__in=refs).order_by("id"):
        if assignment.booking_ref in here_now and assignment.state == State.CONFIRMED:
            _ask_staff_to_move(host, assignment, actor=actor)
        else:
            _plan_anew(host, assignment, now=now, actor=actor, reason=TABLE_OUT_OF_SERVICE)
    ledger.release(sorted(refs))
    ledger.close_table(restaurant_ref, table_ref, starts_at, ends_at)
    return tuple(dict.fromkeys(row.booking_ref for row in affected))


@_in_transaction
def table_in_service(*, restaurant_ref: str, table_ref: str) -> int:
    """The table can be used again; how many closures that ended."""
    return ledger.open_table(restaurant_ref, table_ref)


def explain(*, booking_ref: str) -> Explanation:
    """Why the booking stands where it stands: state, every attempt, every transition, and a sentence for staff.

    Raises AssignmentNotFoundError.
    """
    return explanation.explain(booking_ref)


def _snapshot(booking_ref: str) -> Snapshot:
    """What planning looks at for the booking, as things stand, whether or not a table was requested for it."""
    host = configured()
    booking = _booking(host, booking_ref)
    now = transactions.database_now()
    assignment = Assignment.objects.of(booking_ref).first()
    if assignment is None:
        assignment = intake.unsaved(booking, floor=floor_or_none(booking.restaurant_ref, host=host), now=now)
    return snapshot_of(booking, assignment, host=host, now=now)


def _booking(host: Host, booking_ref: str, *, must_be_plannable: bool = True) -> HostBooking:
    return _known(booking_ref, host.bookings([booking_ref]), must_be_plannable=must_be_plannable)


def _known(booking_ref: str, found: Mapping[str, HostBooking], *, must_be_plannable: bool = True) -> HostBooking:
    booking = found.get(booking_ref)
    if booking is None:
        raise BookingNotFoundError(f"The host knows no booking {booking_ref!r}.")
    if must_be_plannable and booking.problem:
        raise InvalidBookingError(f"Booking {booking_ref}: {booking.problem}")
    return booking


def _locked_assignment(booking_ref: str, *, version: int | None = None) -> tuple[Host, Assignment, datetime]:
    """Lock the restaurant-day, then the row: the order that everybody keeps. Raises ChangedMeanwhileError."""
    days = list(Assignment.objects.of(booking_ref).values_list("restaurant_ref", "service_date"))
    if not days:
        raise AssignmentNotFoundError(f"No assignment was ever requested for booking {booking_ref!r}.")
    now = locks.lock_days(days)
    assignment = Assignment.objects.select_for_update().get(booking_ref=booking_ref)
    if version is not None and version != assignment.version:
        problem = f"Booking {booking_ref} was changed meanwhile: it is {assignment.state} now. Look again."
        raise ChangedMeanwhileError(problem, booking_ref=booking_ref, version=version)
    return configured(), assignment, now


def _locked(booking_ref: str, *, version: int | None = None) -> tuple[Host, Assignment, HostBooking, datetime]:
    if not Assignment.objects.of(booking_ref).exists():
        request(booking_ref=booking_ref)
    host, assignment, now = _locked_assignment(booking_ref, version=version)
    return host, assignment, _lock_plannable(host, booking_ref), now


def _lock_plannable(host: Host, booking_ref: str) -> HostBooking:
    booking = _known(booking_ref, lock_bookings(host, [booking_ref]))
    if not booking.wants_table:
        raise InvalidBookingError(f"Booking {booking_ref} wants no table any more: it is cancelled or over.")
    return booking


def _days_between(floor: Floor | None, starts_at: datetime, ends_at: datetime) -> list[date]:
    """The restaurant's days whose bookings may sit at some moment of ``[starts_at, ends_at)``: the day before too, since a
    service may run past midnight.

    At most ``MAX_LOCKED_DAYS``, the first ones: who plans a later day meets the closure in the ledger, and tries again.
    """
    first = intake.local_date(starts_at, floor) - timedelta(days=1)
    days = (intake.local_date(ends_at, floor) - first).days + 1
    return [first + timedelta(days=number) for number in range(min(days, MAX_LOCKED_DAYS))]


def _accepted(
    host: Host,
    assignment: Assignment,
    booking: HostBooking,
    table_refs: Sequence[str],
    now: datetime,
    *,
    overriding: Collection[Reason] = (),
) -> tuple[SeatingWindow, tuple[str, ...]]:
    """When the party sits, and the tables in the floor's order. Raises TablesRefusedError."""
    snapshot = snapshot_of(booking, assignment, host=host, now=now, remove_expired=True)
    refusals = engine.judge(snapshot, tuple(table_refs))
    if all(refusal.reason in overriding for refusal in refusals):
        refusals = ()
    window = seating_window(snapshot.floor, starts_at=booking.starts_at, party=booking.party, ends_at=booking.ends_at)
    if isinstance(window, Refusal):
        refusals = refusals or (window,)
    if refusals:
        raise _refused(booking.ref, table_refs, refusals)
    assert isinstance(window, SeatingWindow)
    return from_now_on(window, now), snapshot.floor.in_order(table_refs)


def _refused(booking_ref: str, table_refs: Sequence[str], refusals: tuple[Refusal, ...]) -> TablesRefusedError:
    tables = " + ".join(table_refs) or "no tables"
    why = " ".join(refusal.detail for refusal in refusals)
    return TablesRefusedError(f"Booking {booking_ref} cannot have {tables}: {why}", refusals)


def _check_hold(token: uuid.UUID, booking_ref: str, table_refs: Sequence[str]) -> None:
    held = Allocation.objects.filter(
        token=token, kind=Allocation.Kind.HOLD, booking_ref=booking_ref, expires_at__gt=transactions.database_now()
    ).values_list("table_ref", flat=True)
    if sorted(held) != sorted(table_refs):
        problem = f"Hold {token} of booking {booking_ref} has expired or is for other tables; take a new one."
        raise HoldExpiredError(problem)


def _keeps_tables(host: Host, assignment: Assignment, booking: HostBooking, floor: Floor | None, now: datetime) -> bool:
    """Whether a confirmed booking keeps its tables after an edit: they still stand, or its guests sit there already."""
    seatings = seating_validity.seatings_of(booking.ref)
    if seating_validity.stands(assignment, booking, seatings, floor=floor, rules=conf.settings().rules()):
        if host.tracks_confirmation and not booking.is_confirmed:
            seating_validity.confirm_again(host, booking.ref, seatings)
        return True
    if not seatings or seatings[0].starts_at > now or intake.stored_start(booking) > now:
        return False
    if floor is not None:
        window = seating_window(floor, starts_at=booking.starts_at, party=booking.party, ends_at=booking.ends_at)
        if isinstance(window, SeatingWindow):
            ledger.stay_until(seatings, window)
    intake.take_over_facts(assignment, booking, floor=floor)
    assignment.touch()
    transitions.store([assignment])
    return True


def _plan_anew(host: Host, assignment: Assignment, *, now: datetime, actor: str, reason: str) -> tuple[str, ...]:
    """Free what the booking has and make it due at once."""
    freed = ledger.release([assignment.booking_ref]).get(assignment.booking_ref, ())
    was_told = bool(freed) or assignment.state == State.CONFIRMED
    if assignment.is_terminal:
        assignment.reopen(actor=actor, reason=reason)
    elif assignment.state in {State.ASSIGNMENT_IN_PROGRESS, State.ASSIGNED}:
        assignment.put_back(actor=actor, reason=reason)
    else:
        assignment.reason = reason
        assignment.touch()
    assignment.attempts = 0
    assignment.due_at = now
    transitions.store([assignment])
    if was_told:
        lock_bookings(host, [assignment.booking_ref])
        host.on_released([assignment.booking_ref])
    return freed


def _ask_staff_to_move(host: Host, assignment: Assignment, *, actor: str) -> None:
    """Guests sit at a table that is out of service: nobody can plan what has begun, and their tables are free in the
    ledger."""
    assignment.reopen(actor=actor, reason=TABLE_OUT_OF_SERVICE)
    assignment.send_to_review(
        actor=actor, reason=TABLE_OUT_OF_SERVICE, detail="Its guests sat there when the table was taken out of service."
    )
    transitions.store([assignment])
    host.on_review({assignment.booking_ref: TABLE_OUT_OF_SERVICE})


def _cancel(assignment: Assignment, reason: str) -> None:
    ledger.release([assignment.booking_ref])
    if assignment.state != State.CANCELLED:
        assignment.cancel(actor="host", reason=reason)
        transitions.store([assignment])
