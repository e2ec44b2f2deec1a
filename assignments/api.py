"""The public API: the functions that a booking project calls. Their arguments are keyword-only and typed.

Nothing else in this package is promised to stay.

``request``, ``booking_changed``, ``booking_cancelled``, ``release_tables``, ``reopen`` and the table functions join the
caller's transaction when there is one, so that the host's change and ours commit together. ``assign_now`` must be
called outside of a transaction (after commit): it runs its own, and runs it again if it loses a race.

``actor`` says who acts: ``"host"`` (default), or ``"staff:<user id>"``. It is never a person's name.

Long because it is the one page of what a project may call; each function is short.
"""

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import wraps
from types import EllipsisType
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection

from assignments import conf
from assignments.concurrency import locks, transactions
from assignments.coordination import (
    adoption,
    closures,
    dispatch,
    edits,
    host_changes,
    queueing,
    rearrangement,
    staff_actions,
    stays,
    undoing,
    walk_ins,
)
from assignments.coordination import availability as availability_of
from assignments.coordination.availability import Wait
from assignments.coordination.snapshots import as_promised, snapshot_of
from assignments.exceptions import (
    AssignmentNotFoundError,
    BookingBusyError,
    BookingNotFoundError,
    ChangedMeanwhileError,
    HoldExpiredError,
    HostRefusedError,
    InvalidBookingError,
    TransitionRefusedError,
)
from assignments.integration import floor_cache, marks, planners
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, HostBooking, is_cancelled, lock_bookings, named_refusals
from assignments.integration.project_host import configured
from assignments.lifecycle import intake, ledger, seating_validity, sentences, staff_decisions, transitions, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.models import Allocation, Assignment, FrozenEvening, QueuedParty, Stage, State
from assignments.outcome import Change, Extension, Outcome
from assignments.planning import engine, features, service_day
from assignments.planning.decision import Decision
from assignments.planning.describe import names
from assignments.planning.reasons import OVERRIDABLE, Reason, Refusal
from assignments.planning.snapshot import Snapshot
from assignments.staff import explanation
from assignments.staff.explanation import Explanation
from assignments.telemetry import correlation, events
from assignments.telemetry.event_catalogue import STATE_MACHINE

_P = ParamSpec("_P")
_T = TypeVar("_T")

MANUAL = planners.MANUAL
FOLLOWING_RETRIES = 1
"""Retries of a transaction in which we follow a guest's own change, for which nobody should wait longer than seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """Tables reserved for a booking until ``expires_at`` (aware), while its guests decide."""

    token: uuid.UUID
    booking_ref: str
    table_refs: tuple[str, ...]
    expires_at: datetime


def _in_transaction(work: Callable[_P, _T], *, retries: int | None = None) -> Callable[_P, _T]:
    """Run in the caller's transaction if there is one (the caller then decides about retries), else in our own."""

    def once(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with floor_cache.one_reading():
            return work(*args, **kwargs)

    @wraps(work)
    def function(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with correlation.scope(booking_ref=str(kwargs.get("booking_ref", ""))):
            if not connection.in_atomic_block:
                return transactions.run(lambda: once(*args, **kwargs), retries=retries)
            with transactions.atomic():
                result = once(*args, **kwargs)
                transactions.require_intact()
                return result

    return function


def _left_for_a_pass(error: OperationalError | BookingBusyError, booking_ref: str, *, cancels: bool = False) -> bool:
    """Leave a mark if the booking or its day is busy, once that work is rolled back. Returns False for other errors.

    A transaction of ours around this one fails instead, because it is run again.
    """
    is_busy = isinstance(error, BookingBusyError) or transactions.sqlstate(error) == transactions.LOCK_NOT_AVAILABLE
    if not is_busy or transactions.is_retried():
        return False
    marks.leave_for_a_pass(booking_ref, cancels=cancels)
    return True


def request(*, booking_ref: str) -> None:
    """Request a table: from now on the booking is due, and is tried until it is decided. It is safe to repeat.

    Reopens a booking that ``booking_cancelled`` has cancelled, or that the next pass would have cancelled because of it.
    Raises BookingNotFoundError; for a cancelled booking also DayBusyError, if another process works on the
    restaurant-day: nothing has changed then, and the caller's transaction can go on.
    """
    host = configured()
    with transactions.atomic():
        marks.settle(booking_ref)
        booking = _booking(host, booking_ref)
        now = transactions.database_now()
        if not intake.request([booking], now=now, host=host) and booking.wants_table:
            marks.take_back_cancellation(booking_ref)
            _revive(booking, host=host)
        queueing.on_commit(booking_ref)


def assign_now(*, booking_ref: str, budget_seconds: float = 2.0) -> Outcome:
    """Decide the booking now, with the planner that is responsible for it. Booking views call this after their commit.

    After ``budget_seconds`` the outcome is retry(time_budget_exceeded), and the booking stays due for cron. A planner
    other than V3 is first given the due bookings of the day that asked earlier, a few at a time; once the time is up it
    gets no more of them.

    Raises BookingNotFoundError, and NestedTransactionError inside a transaction.
    """
    return dispatch.assign_one(booking_ref, trigger="inline", budget_seconds=budget_seconds)


def evaluate(*, booking_ref: str) -> Decision:
    """Return what V3 would decide for the booking now: ranked plans, or the refusal. Writes nothing.

    Raises BookingNotFoundError, InvalidBookingError, InvalidFloorError.
    """
    return engine.plan(_snapshot(booking_ref))


def judge(*, booking_ref: str, table_refs: Sequence[str]) -> tuple[Refusal, ...]:
    """Return every reason why the booking may not have these tables; empty if it may.

    Raises BookingNotFoundError, InvalidBookingError, InvalidFloorError.
    """
    return engine.judge(_snapshot(booking_ref), tuple(table_refs))


def availability(
    *,
    restaurant_ref: str,
    service_date: date,
    party: int,
    needs: Iterable[str] = (),
    zone_ref: str | None = None,
    step_minutes: int = 15,
    stay_minutes: int | None = None,
) -> tuple[datetime, ...]:
    """Return the starts (UTC) at which a party could be seated on a service day, for a booking form. Writes nothing.

    Takes into account the calendar, pacing, closures, bookings that already wait, and parties that may change tables.
    ``stay_minutes``: how long the party stays, for a project whose bookings have an end; otherwise the turn times apply.
    ``assign_now`` seats a booking for one of these times, as long as nobody writes in between and the planner stays the
    same. Raises InvalidFloorError, LookupError for an unknown restaurant, ValueError for a party, step or stay below 1.
    """
    if party < 1 or step_minutes < 1 or (stay_minutes is not None and stay_minutes < 1):
        raise ValueError(f"A party, a step and a stay are at least 1, not {party}, {step_minutes} and {stay_minutes}.")
    with floor_cache.one_reading():
        found = availability_of.times(
            restaurant_ref,
            service_date,
            party=party,
            needs=features.words(needs),
            zone_ref=zone_ref,
            step=timedelta(minutes=step_minutes),
            stay=None if stay_minutes is None else timedelta(minutes=stay_minutes),
            host=configured(),
            now=transactions.database_now(),
        )
        return tuple(found)


def quote_wait(*, restaurant_ref: str, party: int, needs: Iterable[str] = ()) -> Wait:
    """Estimate how long guests without a booking would wait for a table, behind those already in the queue.

    The estimate follows from expected departures. Writes nothing. Raises InvalidFloorError, LookupError for an unknown
    restaurant, ValueError for a party below 1.
    """
    if party < 1:
        raise ValueError(f"A party has at least one cover, not {party}.")
    now = transactions.database_now()
    wanted = availability_of.AtTheDoor(party=party, needs=features.words(needs))
    return availability_of.waits(restaurant_ref, host=configured(), now=now, newcomer=wanted)[-1]


@_in_transaction
def join_queue(*, restaurant_ref: str, party: int, actor: str, needs: Iterable[str] = ()) -> Wait:
    """Put guests without a booking into the queue at the door, and return how long they wait. See ``quote_wait``."""
    wait = quote_wait(restaurant_ref=restaurant_ref, party=party, needs=needs)
    row = QueuedParty.objects.create(
        restaurant_ref=restaurant_ref,
        party=party,
        needs=sorted(features.words(needs)),
        joined_at=transactions.database_now(),
        actor=actor,
    )
    return replace(wait, queued_id=row.pk)


def queue_at_the_door(*, restaurant_ref: str) -> tuple[Wait, ...]:
    """Return the queue at the door, in order, with how long each party still has to wait. Raises as ``quote_wait``."""
    return tuple(availability_of.waits(restaurant_ref, host=configured(), now=transactions.database_now()))


@_in_transaction
def leave_queue(*, queued_id: int, booking_ref: str = "") -> bool:
    """Take guests out of the queue: they were seated, as ``booking_ref``, or went away. Returns False if they were out."""
    if "\0" in booking_ref:
        raise BookingNotFoundError(booking_ref)
    waiting = QueuedParty.objects.filter(pk=queued_id, left_at__isnull=True)
    return waiting.update(left_at=transactions.database_now(), booking_ref=booking_ref) > 0


@_in_transaction
def rejoin_queue(*, queued_id: int) -> bool:
    """Give guests who had left the queue at the door their place again. Returns False if they were seated, or wait there."""
    gone = QueuedParty.objects.filter(pk=queued_id, left_at__isnull=False, booking_ref="")
    return gone.update(left_at=None) > 0


@_in_transaction
def note_features(*, booking_ref: str, needs: Iterable[str] = (), wishes: Iterable[str] = ()) -> Change:
    """Note needs and wishes of the guests that the host does not store. They replace what was noted before.

    ``needs`` and ``wishes`` are features of the restaurant's tables, such as ``step-free``. A booking whose tables do
    not meet the new needs gets others, or keeps its tables and goes to staff. Raises AssignmentNotFoundError,
    BookingNotFoundError.
    """
    host, assignment, booking, now = _locked(booking_ref, may_sit=True)
    assignment.told_needs, assignment.told_wishes = sorted(features.words(needs)), sorted(features.words(wishes))
    Assignment.objects.filter(pk=assignment.pk).update(
        told_needs=assignment.told_needs, told_wishes=assignment.told_wishes
    )
    return host_changes.follow(assignment, booking, host=host, now=now)


@_in_transaction
def hold(*, booking_ref: str, table_refs: Sequence[str], seconds: float | None = None) -> Hold:
    """Hold these tables for the booking for ``seconds`` (default: the HOLD_SECONDS setting).

    Replaces an earlier hold of the same booking. Raises TablesRefusedError with every reason, TableTakenError if
    somebody was faster, BookingNotFoundError, InvalidBookingError.
    """
    length = conf.settings().HOLD_SECONDS if seconds is None else seconds
    if length <= 0:
        raise ValueError(f"A hold lasts more than 0 seconds, not {length}.")
    host, assignment, booking, now = _locked(booking_ref)
    if ledger.seatings_of([booking_ref]):
        raise TransitionRefusedError(f"Booking {booking_ref} has its tables already: release them before a new hold.")
    place = staff_actions.accepted(assignment, booking, table_refs, host=host, now=now)
    ledger.release([booking_ref], for_others=False)
    if assignment.state in {State.ASSIGNMENT_IN_PROGRESS, State.ASSIGNED}:
        # A planner is between its two transactions: it finds that the booking has changed, and tries again later.
        assignment.put_back(actor="host", reason="held")
        assignment.due_at = now
        transitions.store([assignment])
    placement = ledger.Placement(
        restaurant_ref=booking.restaurant_ref,
        booking_ref=booking_ref,
        table_refs=place.table_refs,
        window=place.window,
        planner=MANUAL,
        party=intake.stored_party(booking),
        zone_ref=booking.zone_ref or "",
    )
    token = ledger.hold(placement, seconds=length, now=now)
    return Hold(
        token=token,
        booking_ref=booking_ref,
        table_refs=place.table_refs,
        expires_at=now + timedelta(seconds=length),
    )


@_in_transaction
def release_hold(*, token: uuid.UUID) -> bool:
    """Release a hold before it expires. Returns False if it was already gone."""
    return ledger.release_hold(token) > 0


@contextmanager
def _refused_by_constraints() -> Iterator[None]:
    """Turn a refusal by a database constraint of the booking project into TransitionRefusedError.

    The error's context has the constraint's name as ``constraint``; empty if it has none.
    """
    try:
        yield
    except HostRefusedError as error:
        raise TransitionRefusedError(str(error), **{"constraint": "", **error.context}) from error


@_in_transaction
@_refused_by_constraints()
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
    """Give the booking these tables by hand, in place of any that it has, and confirm it.

    Guests who already sit are moved from now on. ``hold_token``: the tables must be those of this hold. ``version``:
    the version of the assignment that the user saw. ``overriding``: rules that staff override, out of ``OVERRIDABLE``;
    they are kept with the seating and in the history. The outcome's ``passed`` has the bookings that asked earlier and
    could have had these tables.

    Raises TablesRefusedError with every reason (capacity, overlap, adjacency, zone, ...), HoldExpiredError,
    TableTakenError, BookingNotFoundError, BookingBusyError, ChangedMeanwhileError if the assignment no longer has that
    ``version``, and TransitionRefusedError if a constraint of the booking project refuses.
    """
    if not OVERRIDABLE.issuperset(overriding):
        raise ValueError(f"Nobody may pass over {sorted(set(overriding) - OVERRIDABLE)}, only {sorted(OVERRIDABLE)}.")
    host, assignment, booking, now = _locked(booking_ref, version=version, may_sit=True)
    if hold_token is not None:
        _check_hold(hold_token, booking_ref, table_refs)
    return staff_actions.give(
        assignment, booking, table_refs, host=host, now=now, actor=actor, reason=reason, overriding=overriding
    )


def move(
    *,
    booking_ref: str,
    table_refs: Sequence[str],
    actor: str,
    version: int | None = None,
    overriding: Collection[Reason] = (),
) -> Outcome:
    """Move a booking that has tables to these; guests who already sit move now. See ``assign``.

    Raises TransitionRefusedError for a booking without tables, and if a constraint of the booking project refuses.
    """
    if not ledger.seatings_of([booking_ref]):
        raise TransitionRefusedError(f"Booking {booking_ref} has no tables to be moved from: assign some.")
    return assign(
        booking_ref=booking_ref,
        table_refs=table_refs,
        actor=actor,
        reason="moved_by_staff",
        version=version,
        overriding=overriding,
    )


@_in_transaction
@_refused_by_constraints()
def swap(
    *,
    booking_ref: str,
    other_ref: str,
    actor: str,
    version: int | None = None,
    other_version: int | None = None,
    overriding: Collection[Reason] = (),
) -> tuple[Outcome, Outcome]:
    """Give two bookings each other's tables, in one step; each keeps its own time.

    The ``passed`` of each outcome has the bookings that asked before that one and could have had one of its new tables.
    Raises ChangedMeanwhileError if an assignment no longer has the given ``version`` or ``other_version``;
    TablesRefusedError if one of them cannot sit at the other's tables, and then nothing has changed;
    TransitionRefusedError if one has no tables, if the host's rows allow no swaps (``assignments.W010``), or if a
    constraint of the booking project refuses; ValueError for one booking given twice, BookingNotFoundError,
    BookingBusyError.
    """
    if booking_ref == other_ref:
        raise ValueError(f"Booking {booking_ref} cannot swap tables with itself.")
    refs = sorted([booking_ref, other_ref])
    known = Assignment.objects.filter(booking_ref__in=[ref for ref in refs if "\0" not in ref])
    if known.count() < len(refs):
        raise AssignmentNotFoundError(f"No assignment was requested for one of the bookings {' and '.join(refs)}.")
    days = known.days()
    now = locks.lock_days(days)
    host = configured()
    rows = {row.booking_ref: row for row in locks.lock_rows(refs)}
    for ref, seen in ((booking_ref, version), (other_ref, other_version)):
        _require_version(rows[ref], seen)
        if not rows[ref].days <= set(days):
            raise _changed_before_it_was_locked(ref)
    bookings = lock_bookings(host, refs)
    pair = [(rows[ref], _known(ref, bookings)) for ref in (booking_ref, other_ref)]
    return staff_actions.swap(pair[0], pair[1], host=host, now=now, actor=actor, overriding=overriding)


@_in_transaction
def extend(
    *,
    booking_ref: str,
    until: datetime,
    actor: str,
    version: int | None = None,
    overriding: Collection[Reason] = (),
) -> Extension:
    """Change the end of the guests' stay to ``until`` (aware): they keep their tables longer, or for less time.

    The next party at one of the tables gets another if there is one. Otherwise both bookings go to staff, each with the
    other's ref, and the result's ``change`` is ``Change.TO_STAFF``. Its ``passed`` has the bookings that asked earlier
    and could have had the tables that these guests, or those who make way for them, have now. Raises TablesRefusedError
    if a table closes before they leave, unless ``overriding`` has ``Reason.CLOSED``, which is then kept with the
    seating; ValueError if ``until`` is naive, or not after both the start and now; TransitionRefusedError for a booking
    without tables.
    """
    if until.tzinfo is None:
        raise ValueError(f"Booking {booking_ref}: the end must be aware, not {until}.")
    host, assignment, now = _locked_assignment(booking_ref, version=version)
    return staff_actions.extend(assignment, until, host=host, now=now, actor=actor, overriding=overriding)


@_in_transaction
def late(*, booking_ref: str, actor: str, version: int | None = None) -> None:
    """Note that the guests will come later than booked. They keep their tables and the promised end.

    Raises TransitionRefusedError for guests who are marked as gone (``undo`` takes that back), and for a booking that is
    cancelled or failed.
    """
    _mark(booking_ref, Stage.LATE, actor=actor, version=version)


@_in_transaction
def arrived(*, booking_ref: str, actor: str, version: int | None = None) -> None:
    """Note that the guests have arrived, but do not sit at their tables yet. Raises as ``late``."""
    _mark(booking_ref, Stage.ARRIVED, actor=actor, version=version)


@_in_transaction
def seated(*, booking_ref: str, actor: str, version: int | None = None) -> None:
    """Note that the guests sit at their tables.

    Guests who come early have the tables from now on, even closed ones: they do sit there, and the seating records
    ``closed`` as overridden.

    Guests who sit down late keep the promised end (``extend`` changes it). Raises TablesRefusedError if somebody else
    still has one of the tables, TransitionRefusedError for a booking without tables.
    """
    _mark(booking_ref, Stage.SEATED, actor=actor, version=version)


@_in_transaction
def left(*, booking_ref: str, actor: str, version: int | None = None) -> tuple[str, ...]:
    """Note that the guests have left: their tables are free from now on. Returns these tables.

    Raises TransitionRefusedError for a booking without tables.
    """
    return _mark(booking_ref, Stage.LEFT, actor=actor, version=version)


@_in_transaction
def no_show(*, booking_ref: str, actor: str, version: int | None = None) -> tuple[str, ...]:
    """Note that the guests did not come: their tables are free from now on. Returns these tables.

    ``undo`` takes it back while the tables are free. A booking that asks for a later time, about which staff have not
    decided, is planned for that time. Raises TransitionRefusedError for a booking without tables, and for one that has
    not begun.
    """
    return _mark(booking_ref, Stage.NO_SHOW, actor=actor, version=version)


def _mark(booking_ref: str, stage: Stage, *, actor: str, version: int | None) -> tuple[str, ...]:
    host, assignment, now = _locked_assignment(booking_ref, version=version)
    return staff_actions.mark(assignment, stage, host=host, now=now, actor=actor)


@_in_transaction
def seat_walk_in(
    *,
    actor: str,
    booking_ref: str = "",
    restaurant_ref: str = "",
    party: int = 0,
    table_refs: Sequence[str] = (),
    until: datetime | None = None,
    version: int | None = None,
    overriding: Collection[Reason] = (),
    needs: Iterable[str] = (),
    queued_id: int | None = None,
) -> Outcome:
    """Seat guests who have just come in, now: a booking that was just saved, or ``party`` covers at ``restaurant_ref``.

    Without ``table_refs`` they get the best tables that are free: by the rules, else by passing over some of ``overriding``.
    Tables whose guests are seated past their time, and may still be there, come last. The host makes the booking
    (``create_walk_in``) if it can; otherwise the ref is ours, begins with ``walk-in:``, and is never given to the host.
    Walk-ins may go first: the outcome names in ``passed`` whoever asked earlier and could have had these tables.
    ``needs``: as for ``note_features``, besides what the host stores. ``queued_id``: they waited at the door, and leave the
    queue when they are seated; what they said there that they need counts as well.
    With ``version`` nobody may have changed the assignment of ``booking_ref`` since it was that.
    Raises NoTableFreeError, which says in how many minutes there will be one, TablesRefusedError, ValueError,
    BookingNotFoundError, ChangedMeanwhileError; TransitionRefusedError if they have left the queue.
    """
    if bool(booking_ref) == bool(restaurant_ref):
        raise ValueError("A walk-in is either a booking_ref, or a restaurant_ref and a party.")
    if restaurant_ref and version is not None:
        raise ValueError("Guests without a booking have no version.")
    if restaurant_ref and party < 1:
        raise ValueError(f"A party of walk-ins has at least one cover, not {party}.")
    is_new, queued = not booking_ref, None
    if queued_id is not None:
        queued = QueuedParty.objects.select_for_update().filter(pk=queued_id, left_at__isnull=True).first()
        if queued is None:
            raise TransitionRefusedError(f"Party {queued_id} no longer waits at the door.")
    if not booking_ref:
        now = transactions.database_now()
        booking_ref = intake.request_walk_in(
            configured(), restaurant_ref=restaurant_ref, party=party, now=now, until=until
        )
    host, assignment, booking, now = _locked(booking_ref, version=version)
    if queued is not None and queued.restaurant_ref != booking.restaurant_ref:
        raise ValueError(
            f"Party {queued_id} waits at restaurant {queued.restaurant_ref}, not {booking.restaurant_ref}."
        )
    if wanted := features.words(needs) | frozenset(queued.needs if queued else ()):
        assignment.told_needs = sorted(wanted | frozenset(assignment.told_needs))
        Assignment.objects.filter(pk=assignment.pk).update(told_needs=assignment.told_needs)
    outcome = walk_ins.seat(
        assignment,
        booking,
        table_refs,
        host=host,
        now=now,
        actor=actor,
        until=until,
        overriding=overriding,
        queued_id=queued_id,
        is_new=is_new,
    )
    if queued_id is not None:
        leave_queue(queued_id=queued_id, booking_ref=booking_ref)
    return outcome


@_in_transaction
def replan(*, booking_ref: str, actor: str, reason: str = "replanned") -> bool:
    """Seat a confirmed booking again under today's rules: at its own tables if they allow it, else at others.

    The planner that the router names decides. The booking keeps its tables until others are settled in the same
    transaction. Returns False, and changes nothing, if nothing fits. Raises TransitionRefusedError for a booking that
    is not confirmed, BookingNotFoundError, BookingBusyError, InvalidBookingError, InvalidFloorError.
    """
    host, assignment, booking, now = _locked(booking_ref)
    if assignment.state != State.CONFIRMED:
        raise TransitionRefusedError(f"Booking {booking_ref} is {assignment.state}, not confirmed.")
    seatings = ledger.seatings_of([booking_ref]).get(booking_ref, [])
    change = edits.settle(
        assignment,
        booking,
        seatings,
        host=host,
        now=now,
        actor=actor,
        reason=reason,
        is_optional=True,
        keeps_stay=False,
    )
    return change is not Change.NOTHING


@_in_transaction
def adopt(*, booking_ref: str, table_refs: Sequence[str]) -> None:
    """Take over a seating that the host made by itself, before this app was installed.

    The tables are the booking's from now on. No rule is judged and the host is not told, because it has decided.
    ``reconcile_assignments`` calls this for all such bookings. Raises TableTakenError if somebody else has one of the
    tables at that time, TablesRefusedError for a table that the floor does not have, BookingNotFoundError,
    TransitionRefusedError for a booking that is already decided here.
    """
    host = configured()
    booking = _booking(host, booking_ref)
    intake.request([booking], now=transactions.database_now(), host=host)
    _host, assignment, now = _locked_assignment(booking_ref)
    if assignment.is_terminal:
        raise TransitionRefusedError(f"Booking {booking_ref} is {assignment.state} already.")
    if unknown := seating_validity.unknown_tables(table_refs, floor_or_none(booking.restaurant_ref, host=host)):
        refusal = Refusal(Reason.UNKNOWN_TABLE, sentences.not_on_the_floor(names(unknown, None)))
        raise staff_actions.refused(booking_ref, table_refs, (refusal,))
    adoption.seat(assignment, booking, table_refs, host=host, now=now)


@_in_transaction
def pin(*, booking_ref: str, table_refs: Sequence[str], actor: str) -> Change:
    """Pin the booking to these tables: from now on it gets these or none.

    A booking with other tables is moved in this transaction; if these are taken, it keeps its own and goes to staff. A
    booking that waits is planned again. Raises TablesRefusedError if the tables could not seat it even if nobody else
    were there, and if its guests already sit at other tables: use ``move`` for those.
    """
    host, assignment, booking, now = _locked(booking_ref)
    seatings = ledger.seatings_of([booking_ref]).get(booking_ref, [])
    promised = as_promised(booking, assignment, seatings)
    snapshot = snapshot_of(promised, assignment, host=host, now=now, with_occupancy=False)
    found = engine.judge(snapshot, tuple(table_refs))
    refusals = tuple(each for each in found if each.reason is not Reason.PACING)  # A pin fixes tables, not times.
    is_elsewhere = bool(seatings) and set(table_refs) != {row.table_ref for row in seatings}
    if is_elsewhere and edits.has_begun(assignment, booking, seatings, now=now):
        refusals = (*refusals, Refusal(Reason.PINNED_TABLES_UNFIT, sentences.SIT_ALREADY))
    if refusals:
        raise staff_actions.refused(booking_ref, table_refs, refusals)
    assignment.pinned_table_refs = sorted(table_refs)
    if not seatings:
        return _plan_anew(host, assignment, now=now, actor=actor, reason="pinned")
    if not is_elsewhere:
        assignment.touch()
        transitions.store([assignment])
        return Change.NOTHING
    return edits.settle(
        assignment,
        booking,
        seatings,
        host=host,
        now=now,
        actor=actor,
        reason="pinned",
        unmet=Reason.PINNED_TABLES_TAKEN,
    )


@_in_transaction
def unpin(*, booking_ref: str, actor: str) -> Change:
    """Remove the pin, so that any tables will do. The booking keeps its tables; if it waits, it is tried at once."""
    host, assignment, booking, now = _locked(booking_ref)
    assignment.pinned_table_refs = []
    if assignment.state == State.CONFIRMED:
        assignment.touch()
        transitions.store([assignment])
        _wake_for_moves(assignment.restaurant_ref, assignment.starts_at, assignment.starts_at + waiting.LONGEST_STAY)
        return Change.NOTHING
    return _try_again(host, assignment, booking, now=now, actor=actor, reason="unpinned")


@_in_transaction
def release_tables(*, booking_ref: str, actor: str = "host", reason: str = "released") -> tuple[str, ...]:
    """Free the booking's tables and plan it again. Returns the tables that it had.

    The stay of guests who sit ends now: the time that they have sat there stays on record, and they are expected again.
    """
    host, assignment, now = _locked_assignment(booking_ref)
    freed = ledger.tables_of([booking_ref]).get(booking_ref, ())
    _plan_anew(host, assignment, now=now, actor=actor, reason=reason)
    return freed


@_in_transaction
def reopen(*, booking_ref: str, actor: str, reason: str = "retry", version: int | None = None) -> Change:
    """Try a booking again that failed, is in the review queue or was cancelled, with its number of attempts reset.

    A booking that still has tables keeps them, and is tried in this transaction. Raises ChangedMeanwhileError if the
    assignment no longer has the given ``version``, and TransitionRefusedError for a booking in any other state (use
    ``release_tables`` for one that has tables).
    """
    host, assignment, now = _locked_assignment(booking_ref, version=version)
    if assignment.state not in staff_decisions.WAITING_FOR_STAFF | {State.CANCELLED}:
        raise TransitionRefusedError(
            f"Booking {booking_ref} is {assignment.state}: only one that waits for staff, failed or is cancelled, is tried "
            "again."
        )
    booking = host.bookings([booking_ref]).get(booking_ref)
    return _try_again(host, assignment, booking, now=now, actor=actor, reason=reason)


@_in_transaction
@_refused_by_constraints()
def reject(*, booking_ref: str, actor: str, reason: str, version: int | None = None) -> None:
    """Reject a booking that failed or is in the review queue, so that it is not planned any more.

    A booking that waits because of an edit keeps its tables, as promised: only the edit is rejected, and the booking is
    confirmed again with the reason ``edit_rejected``. A host that shows other tables, or none, is told the promised
    ones again. Any other booking fails with the reason ``rejected_by_staff``. ``reason`` says why; it stays in the
    history for ever, so it must not name a guest. The outbox tells the host, which tells the guest. ``version`` as for
    ``reopen``. TransitionRefusedError for a booking in any other state, for guests who sit at their tables, and if a
    constraint of the booking project refuses; ChangedMeanwhileError.

    Raises ValueError for a reason that is empty or too long,
    """
    why = reason.strip()
    if not why or len(why) > staff_decisions.LONGEST_REASON or "\0" in why:
        problem = f"Say in 1 to {staff_decisions.LONGEST_REASON} characters why booking {booking_ref} is rejected."
        raise ValueError(problem)
    host, assignment, now = _locked_assignment(booking_ref, version=version)
    if assignment.state not in staff_decisions.WAITING_FOR_STAFF or assignment.reason == staff_decisions.REJECTED:
        raise TransitionRefusedError(
            f"Booking {booking_ref} is {assignment.state} ({assignment.reason}): only one that waits for staff, or "
            "failed, can be rejected."
        )
    seatings = ledger.seatings_of([booking_ref]).get(booking_ref, [])
    if not host_changes.may_be_rejected(assignment, seatings):
        is_shared = assignment.reason == waiting.OVERLAPPING
        why_not = "shares a table with another: move one of them" if is_shared else "has guests who sit: move them"
        raise TransitionRefusedError(f"Booking {booking_ref} {why_not}, or mark the guests as gone.")
    if host_changes.is_wish_alone(assignment, seatings):
        host_changes.restore(
            assignment, None, seatings, host=host, actor=actor, reason=staff_decisions.EDIT_REJECTED, detail=why
        )
        settlement = Settlement(host=host, planner=assignment.planner, actor=actor, trigger="staff", now=now)
        stays.ask_about_cut(assignment, seatings, settlement=settlement)
        settlement.write()
        return
    ledger.release([booking_ref])
    assignment.take_up_wish()
    owner, attempts = assignment.planner, assignment.attempts
    assignment.reopen(actor=actor, reason=staff_decisions.REJECTED)
    assignment.planner, assignment.attempts, assignment.due_at = owner, attempts, now
    assignment.fail(actor=actor, reason=staff_decisions.REJECTED, detail=why)
    transitions.store([assignment])


@_in_transaction
@_refused_by_constraints()
def undo(*, booking_ref: str, actor: str, version: int | None = None) -> staff_decisions.Undoable:
    """Take back the last step: tables given or freed by staff, a rejection, a move, a swap, a stage, a stay, a walk-in.

    A swap is taken back for both bookings, and so is any transaction in which one booking got the other's tables. A
    booking that was in the review queue waits there again with its earlier reason, and its tables are free; one that
    waited for a planner is due again. Otherwise the guests get back the tables and the stage that they had. This is
    possible as long as nothing else has happened to the booking; ``version`` as for ``reopen``. ChangedMeanwhileError,
    BookingNotFoundError, InvalidBookingError (guests sit there), BookingBusyError.

    Raises TablesRefusedError if somebody else has one of the earlier tables by now; TransitionRefusedError if there is
    nothing to take back, and if a constraint of the booking project refuses;
    """
    reach = undoing.reach(booking_ref, host=configured())
    host, assignment, now = _locked_assignment(booking_ref, version=version, also=sorted(reach.days))
    if undoing.reach(booking_ref, host=host) != reach:
        raise _changed_before_it_was_locked(booking_ref)
    before = assignment.state, assignment.reason, assignment.planner, assignment.attempts
    if reach.partner_ref:
        (partner,) = locks.lock_rows([reach.partner_ref])
        undone = _undo_both(host, assignment, partner, now=now, actor=actor)
    else:
        undone = undoing.undo(assignment, host=host, now=now, actor=actor)
    if undone is not None:
        state, code, planner, attempts = before
        return staff_decisions.Undoable(
            what=undone, actor=actor, at=now, state=state, reason=code, detail="", planner=planner, attempts=attempts
        )
    undoable = staff_decisions.undoable(assignment)
    if undoable is None:
        raise TransitionRefusedError(f"Booking {booking_ref} is {assignment.state}: nothing can be taken back there.")
    _take_back(host, assignment, undoable, now=now, actor=actor)
    return undoable


def _undo_both(
    host: Host, one: Assignment, other: Assignment, *, now: datetime, actor: str
) -> staff_decisions.Undo | None:
    """Take back a step in which staff moved two bookings. One of them may have waited without tables before."""
    for waited, moved in ((one, other), (other, one)):
        undoable = staff_decisions.undoable(waited)
        if undoable is not None:
            _take_back(host, waited, undoable, now=now, actor=actor)
            undone = undoing.undo(moved, host=host, now=now, actor=actor)
            return undoable.what if waited is one else undone
    return undoing.undo_both(one, other, host=host, now=now, actor=actor)


def _take_back(
    host: Host, assignment: Assignment, undoable: staff_decisions.Undoable, *, now: datetime, actor: str
) -> None:
    """Take back a decision of staff: the booking is in the state that it had before."""
    booking_ref = assignment.booking_ref
    if undoable.what is staff_decisions.Undo.ASSIGNMENT:
        _lock_plannable(host, booking_ref)
        ledger.release([booking_ref])
        with named_refusals([booking_ref]):
            host.on_released([booking_ref])
    assignment.reopen(actor=actor, reason=undoable.what.value)
    assignment.planner, assignment.attempts, assignment.due_at = undoable.planner, undoable.attempts, now
    if undoable.state == State.MANUAL_REVIEW:
        assignment.send_to_review(actor=actor, reason=undoable.reason, detail=undoable.detail)
    elif undoable.state == State.FAILED:
        assignment.fail(actor=actor, reason=undoable.reason, detail=undoable.detail)
    transitions.store([assignment])
    if undoable.state == State.MANUAL_REVIEW:
        if undoable.what is not staff_decisions.Undo.ASSIGNMENT:
            waiting.stay_awake([assignment])  # What became free woke only bookings that were in review then.
        host.on_review({booking_ref: undoable.reason})


@_in_transaction
def table_told(*, booking_ref: str) -> None:
    """Note that the guests have been told their table, so that V3 does not move them to seat somebody else.

    For hosts that do not say so themselves (``HostBooking.table_told``). Raises AssignmentNotFoundError, and
    TransitionRefusedError for a booking that is not confirmed.
    """
    _host, assignment, _now = _locked_assignment(booking_ref)
    if assignment.state != State.CONFIRMED:
        raise TransitionRefusedError(
            f"Booking {booking_ref} is {assignment.state}: it has no table that could be told."
        )
    if not assignment.table_told:
        assignment.table_told = True
        assignment.touch()
        transitions.store([assignment])


@_in_transaction
def freeze(*, restaurant_ref: str, service_date: date, actor: str) -> bool:
    """Freeze a restaurant's service day: from now on no booking is moved to seat another.

    Staff can still move any booking. Returns False if the day was already frozen. Raises DayBusyError while a planner
    works on the day.
    """
    locks.lock_days([(restaurant_ref, service_date)])
    _evening, is_new = FrozenEvening.objects.get_or_create(
        restaurant_ref=restaurant_ref, service_date=service_date, defaults={"actor": actor}
    )
    if is_new:
        _announce_evening("frozen", restaurant_ref, service_date, actor=actor)
    return is_new


@_in_transaction
def unfreeze(*, restaurant_ref: str, service_date: date, actor: str) -> bool:
    """End the freeze of a service day, and wake who waits. Returns False if it was not frozen. Raises DayBusyError."""
    locks.lock_days([(restaurant_ref, service_date)])
    deleted, _rows = FrozenEvening.objects.filter(restaurant_ref=restaurant_ref, service_date=service_date).delete()
    if deleted:
        _announce_evening("unfrozen", restaurant_ref, service_date, actor=actor)
        noon = datetime.combine(service_date, time(12), tzinfo=UTC)
        _wake_for_moves(restaurant_ref, noon - timedelta(days=1), noon + timedelta(days=1))
    return bool(deleted)


def _wake_for_moves(restaurant_ref: str, start: datetime, until: datetime) -> None:
    """Wake those who may be seated by moves of others from now on. No query where nobody may be moved."""
    if rearrangement.is_possible(configured(), restaurant_ref):
        waiting.wake(restaurant_ref, start, until)


def _announce_evening(what: str, restaurant_ref: str, service_date: date, *, actor: str) -> None:
    events.announce(
        STATE_MACHINE,
        f"evening.{what}",
        restaurant_ref=restaurant_ref,
        service_date=service_date.isoformat(),
        actor=actor,
    )


def booking_changed(*, booking_ref: str) -> Change:
    """Follow an edit of the booking by the host. Call it in the host's transaction, after the change.

    A guest who asks for something else (time, stay, party, zone, restaurant) keeps the tables until the edit is settled
    in this transaction: at the same tables if they will do, else at others. An edit that cannot be met goes to staff,
    and the guest keeps what was promised (docs/living-evening.md rule 2). Nobody loses a table because of a corrected
    name, or because the floor, a service or a setting was edited since (rule 1).

    Arrivals, longer or shorter stays and departures are followed. Tables that staff chose in the host are taken over,
    even for a booking that has none here (``Change.KEPT``, or ``TO_STAFF`` if others have them). A booking that is gone
    from the host, or hidden there as deleted, is cancelled.

    Returns what the change led to; ``Change.LATER`` if another process works on the restaurant-day, so that the next
    pass follows the change. Raises BookingNotFoundError for a booking that neither the host nor this app knows.
    """
    try:
        return _in_transaction(_follow_change, retries=FOLLOWING_RETRIES)(booking_ref=booking_ref)
    except (OperationalError, BookingBusyError) as error:
        if not _left_for_a_pass(error, booking_ref):
            raise
    return Change.LATER


def _follow_change(*, booking_ref: str) -> Change:
    queueing.on_commit(booking_ref)
    marks.settle(booking_ref)
    host = configured()
    booking = host.bookings([booking_ref]).get(booking_ref)
    if booking is None:
        return _cancel_gone(booking_ref)
    try:
        _host, assignment, now = _locked_assignment(booking_ref, also=[_day_of(booking, host)])
    except AssignmentNotFoundError:
        return _register_new(booking, host=host)
    return host_changes.follow(assignment, booking, host=host, now=now)


def _register_new(booking: HostBooking, *, host: Host) -> Change:
    """Request a table for a booking that is unknown here, or take over the tables that the host has given it."""
    now = transactions.database_now()
    is_seated = bool(adoption.given([booking], host=host, now=now))
    if not booking.wants_table and not is_seated:
        return Change.NOTHING
    intake.request([booking], now=now, host=host)
    if not is_seated:
        return Change.REQUESTED
    _host, assignment, now = _locked_assignment(booking.ref)
    return host_changes.follow(assignment, booking, host=host, now=now)


def _cancel_gone(booking_ref: str) -> Change:
    try:
        _host, assignment, _now = _locked_assignment(booking_ref)
    except AssignmentNotFoundError:
        raise BookingNotFoundError(f"The host knows no booking {booking_ref!r}.") from None
    if assignment.state == State.CANCELLED:
        return Change.NOTHING
    host_changes.cancel(assignment, host_changes.CANCELLED_IN_HOST)
    return Change.CANCELLED


def booking_cancelled(*, booking_ref: str) -> None:
    """Follow a cancellation or deletion by the host: free the booking's tables in the same transaction.

    Only ``request`` and ``reopen`` undo this; no later change in the host does. It also holds for a booking that was
    unknown here until now. If another process works on the restaurant-day, the next pass frees the tables.
    """
    try:
        _in_transaction(_follow_cancellation, retries=FOLLOWING_RETRIES)(booking_ref=booking_ref)
    except (OperationalError, BookingBusyError) as error:
        if not _left_for_a_pass(error, booking_ref, cancels=True):
            raise


def _follow_cancellation(*, booking_ref: str) -> None:
    marks.settle(booking_ref)
    assignment = _known_or_new(booking_ref)
    if assignment is not None:
        host_changes.cancel(assignment, host_changes.CANCELLED_BY_CALL)


def _known_or_new(booking_ref: str) -> Assignment | None:
    """Return the booking's assignment, locked, and created if only the host knew the booking; None if nobody knows it."""
    try:
        return _locked_assignment(booking_ref)[1]
    except AssignmentNotFoundError:
        host = configured()
        booking = host.bookings([booking_ref]).get(booking_ref)
    if booking is None:
        return None
    intake.request([booking], now=transactions.database_now(), host=host)
    return _locked_assignment(booking_ref)[1]


@_in_transaction
def close(
    *,
    restaurant_ref: str,
    starts_at: datetime,
    ends_at: datetime | None = None,
    table_refs: Collection[str] = (),
    zone_ref: str = "",
    reason: str | None = "",
    actor: str = "host",
) -> int:
    """Close tables, a zone, or the whole restaurant if neither is named, for ``[starts_at, ends_at)`` (aware).

    Without ``ends_at`` the closure lasts until it is lifted. ``reason`` is for staff, and must not name a guest.
    Returns the closure's id. Bookings with tables there get others in the same transaction, or go to review if V3 finds
    none. Guests who already sit there go to review, and keep those of their joined tables that stay open. Planners seat
    nobody there until the closure is over or lifted; staff can, with ``assign(overriding=[Reason.CLOSED])``.

    Raises ValueError for times that are naive or in the wrong order, and for an unknown restaurant, table or zone.
    """
    closure = closures.close(
        restaurant_ref,
        table_refs=table_refs,
        zone_ref=zone_ref,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason,
        actor=actor,
        host=configured(),
    )
    return closure.pk


@_in_transaction
def edit_closure(
    *,
    closure_id: int,
    actor: str,
    version: int | None = None,
    starts_at: datetime | EllipsisType = ...,
    ends_at: datetime | EllipsisType | None = ...,
    table_refs: Collection[str] | EllipsisType = ...,
    zone_ref: str | EllipsisType = ...,
    reason: str | EllipsisType | None = ...,
) -> None:
    """Change a closure; arguments that are not given stay as they are. ``table_refs=()`` means the whole restaurant.

    Bookings make way as for ``close``, except those that staff seated by an override at what was already closed. Raises
    ChangedMeanwhileError if the closure no longer has the given ``version``; ClosureNotFoundError, ClosureLiftedError,
    ValueError.
    """
    closures.edit(
        closure_id,
        table_refs=table_refs,
        zone_ref=zone_ref,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason,
        actor=actor,
        version=version,
        host=configured(),
    )


@_in_transaction
def lift_closure(*, closure_id: int, actor: str, version: int | None = None) -> None:
    """End a closure now. It stays on record with who lifted it; other closures of the same tables stay in force.

    ``version`` and exceptions as for ``edit_closure``.
    """
    closures.lift(closure_id, actor=actor, version=version, host=configured())


def explain(*, booking_ref: str) -> Explanation:
    """Return the explanation of a booking: its state, every attempt, every transition, and a sentence for staff.

    Raises AssignmentNotFoundError.
    """
    return explanation.explain(booking_ref)


def _snapshot(booking_ref: str) -> Snapshot:
    """Return the input for planning the booking now, whether or not a table was requested for it."""
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


def _revive(booking: HostBooking, *, host: Host) -> None:
    if not Assignment.objects.of(booking.ref).filter(state=State.CANCELLED).exists():
        return
    _host, assignment, now = _locked_assignment(booking.ref, also=[_day_of(booking, host)])
    if assignment.state == State.CANCELLED:
        intake.take_over_facts(assignment, booking, floor=floor_or_none(booking.restaurant_ref, host=host))
        host_changes.queue_anew(assignment, now=now, actor="host", reason="requested_again")


def _day_of(booking: HostBooking, host: Host) -> tuple[str, date]:
    floor = floor_or_none(booking.restaurant_ref, host=host)
    return booking.restaurant_ref, service_day.service_date(floor, booking.starts_at)


def _locked_assignment(
    booking_ref: str, *, version: int | None = None, also: Sequence[tuple[str, date]] = ()
) -> tuple[Host, Assignment, datetime]:
    """Lock the booking's service days, then its row: everybody locks in this order. Raises ChangedMeanwhileError.

    ``also``: further service days (restaurant ref and date) to which the booking goes.
    """
    days = Assignment.objects.of(booking_ref).days()
    if not days:
        raise AssignmentNotFoundError(f"No assignment was ever requested for booking {booking_ref!r}.")
    now = locks.lock_days([*days, *also])
    (assignment,) = locks.lock_rows([booking_ref])
    _require_version(assignment, version)
    if not assignment.days <= {*days, *also}:
        raise _changed_before_it_was_locked(booking_ref)
    return configured(), assignment, now


def _changed_before_it_was_locked(booking_ref: str) -> BookingBusyError:
    """Return the error that makes our transaction run again with the right locks."""
    return BookingBusyError(f"Booking {booking_ref} was changed just now; try again.", booking_ref=booking_ref)


def _require_version(assignment: Assignment, version: int | None) -> None:
    """Raise ChangedMeanwhileError if the locked row is not the version that the user saw."""
    if version is not None and version != assignment.version:
        ref = assignment.booking_ref
        problem = f"Booking {ref} was changed meanwhile: it is {assignment.state} now. Look again."
        raise ChangedMeanwhileError(problem, booking_ref=ref, version=version)


def _locked(
    booking_ref: str, *, version: int | None = None, may_sit: bool = False
) -> tuple[Host, Assignment, HostBooking, datetime]:
    try:
        host, assignment, now = _locked_assignment(booking_ref, version=version)
    except AssignmentNotFoundError:
        request(booking_ref=booking_ref)
        host, assignment, now = _locked_assignment(booking_ref, version=version)
    return host, assignment, _lock_plannable(host, booking_ref, may_sit=may_sit), now


def _lock_plannable(host: Host, booking_ref: str, *, may_sit: bool = False) -> HostBooking:
    booking = _known(booking_ref, lock_bookings(host, [booking_ref]))
    if is_cancelled(booking) or not (booking.wants_table or may_sit):
        raise InvalidBookingError(f"Booking {booking_ref} no longer needs a table: it is cancelled or over.")
    return booking


def _check_hold(token: uuid.UUID, booking_ref: str, table_refs: Sequence[str]) -> None:
    held = Allocation.objects.filter(
        token=token, kind=Allocation.Kind.HOLD, booking_ref=booking_ref, expires_at__gt=transactions.database_now()
    ).values_list("table_ref", flat=True)
    if sorted(held) != sorted(table_refs):
        problem = f"Hold {token} of booking {booking_ref} has expired or is for other tables; take a new one."
        raise HoldExpiredError(problem)


def _try_again(
    host: Host, assignment: Assignment, booking: HostBooking | None, *, now: datetime, actor: str, reason: str
) -> Change:
    """Try a waiting booking now if it has tables, which it keeps until others are settled; else make it due."""
    seatings = ledger.seatings_of([assignment.booking_ref]).get(assignment.booking_ref, [])
    if not seatings or booking is None:
        return _plan_anew(host, assignment, now=now, actor=actor, reason=reason)
    lock_bookings(host, [assignment.booking_ref])
    if assignment.reason == waiting.OVERLAPPING:
        settlement = Settlement(host=host, planner=assignment.planner, actor=actor, trigger="staff", now=now)
        change = stays.settle_overlap(assignment, booking, seatings, settlement=settlement)
        settlement.write()
        return Change.TO_STAFF if change is Change.NOTHING else change
    return edits.settle(assignment, booking, seatings, host=host, now=now, actor=actor, reason=reason)


def _plan_anew(host: Host, assignment: Assignment, *, now: datetime, actor: str, reason: str) -> Change:
    """Free the booking's tables and make it due at once. Guests who sat there are expected again."""
    has_tables = stays.give_up(assignment, now=now)
    was_told = has_tables or assignment.state == State.CONFIRMED
    if has_tables and assignment.stage == Stage.SEATED:
        stays.mark(assignment, Stage.EXPECTED, now=now)
    host_changes.queue_anew(assignment, now=now, actor=actor, reason=reason)
    if was_told:
        lock_bookings(host, [assignment.booking_ref])
        host.on_released([assignment.booking_ref])
    return Change.REQUESTED
