"""V3: decides bookings, one restaurant-day or one booking at a time.

One invocation is ONE short transaction: enter (locks, permit, breaker), claim, ask the router, plan, take the tables,
move the states, write history and attempts, tell the host. The row lock is the lease; a crash is a rollback.
"""

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial

from django.db.models import Q

from assignments import conf, signals
from assignments.concurrency import circuit_breaker, locks, transactions
from assignments.coordination.day_planner import DayPlanner
from assignments.coordination.invocation import Invocation
from assignments.exceptions import (
    AssignmentNotFoundError,
    LockContentionError,
    NestedTransactionError,
    TableTakenError,
    TimeBudgetExceededError,
)
from assignments.integration.host import Host, configured
from assignments.integration.planners import NOBODY, V3, router
from assignments.lifecycle import transitions
from assignments.lifecycle.settlement import Settlement
from assignments.models import Assignment
from assignments.models.assignment import AssignmentQuerySet
from assignments.outcome import CoordinatorReason, Kind, Noop, Outcome, noop
from assignments.telemetry import correlation, events

logger = logging.getLogger("assignments.coordinator")

Place = tuple[datetime, int]
"""Where a booking stands in its day's queue: when it was due, and its assignment's key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DayResult:
    """What one invocation did.

    ``claimed``: how many bookings it had. ``handed_over``: refs for other planners, by planner key. ``last``: the place of
    the last one. ``is_last``: nothing is due behind it, or nothing more can be done now.
    """

    outcomes: tuple[Outcome, ...] = ()
    handed_over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    claimed: int = 0
    last: Place | None = None
    contended: bool = False
    is_last: bool = True
    circuit_open_seconds: float = 0.0


class Coordinator:
    """The V3 planner. ``host`` defaults to the configured one."""

    def __init__(self, host: Host | None = None) -> None:
        self.host = host or configured()

    def process_day(
        self,
        restaurant_ref: str,
        service_date: date,
        *,
        due_before: datetime,
        trigger: str = "cron",
        limit: int = 0,
        after: Place | None = None,
    ) -> DayResult:
        """Decide at most ``limit`` bookings of a restaurant-day that were due at ``due_before``, those behind ``after``.

        A batch that fails is done again in halves, down to single bookings, so that one bad booking costs only itself.
        """
        with correlation.scope():
            return self._process_day(
                restaurant_ref, service_date, due_before=due_before, trigger=trigger, limit=limit, after=after
            )

    def _process_day(
        self,
        restaurant_ref: str,
        service_date: date,
        *,
        due_before: datetime,
        trigger: str,
        limit: int,
        after: Place | None,
    ) -> DayResult:
        limit = min(limit or conf.settings().BATCH_SIZE, conf.settings().BATCH_SIZE)
        due = Assignment.objects.of_day(restaurant_ref, service_date).due(due_before).order_by("due_at", "id")
        if after is not None:
            due = due.filter(Q(due_at__gt=after[0]) | Q(due_at=after[0], id__gt=after[1]))
        invocation = Invocation(trigger=trigger)
        try:
            result = transactions.run(
                lambda: self._decide(restaurant_ref, service_date, lambda: _claimed(due, limit), invocation)
            )
            return replace(result, is_last=result.claimed < limit)
        except LockContentionError:
            return DayResult(contended=True)
        except Exception as error:
            if transactions.is_database_away(error):
                raise
            _log_unexpected("A batch failed and is halved", error, invocation)
        batch = list(due[:limit])
        last = _place(batch[-1]) if batch else None
        merged = _merged(self._halved(due, [assignment.booking_ref for assignment in batch], trigger))
        return replace(merged, last=last, is_last=len(batch) < limit)

    def _halved(self, due: AssignmentQuerySet, booking_refs: Sequence[str], trigger: str) -> list[DayResult]:
        """Decide a batch that failed in halves, and halves of halves, until what fails stands alone.

        ``due`` are the day's due bookings: what somebody else decides in between is theirs.
        """
        still_due = due.filter(booking_ref__in=booking_refs)
        first = still_due.first()
        if first is None:
            return []
        if len(booking_refs) == 1:
            return [self.process(first.booking_ref, trigger=trigger)]
        middle = len(booking_refs) // 2
        results = []
        for half in (booking_refs[:middle], booking_refs[middle:]):
            claim = partial(_claimed, due.filter(booking_ref__in=half))
            decide = partial(self._decide, first.restaurant_ref, first.service_date, claim, Invocation(trigger=trigger))
            try:
                results.append(transactions.run(decide))
            except LockContentionError:
                results.append(DayResult(contended=True))
            except Exception as error:
                if transactions.is_database_away(error):
                    raise
                results += self._halved(due, half, trigger)
        return results

    def process(self, booking_ref: str, *, trigger: str, budget_seconds: float | None = None) -> DayResult:
        """Decide one booking now, whether due or not. The result has one outcome, or hands the booking over.

        Past ``budget_seconds`` the outcome is retry(time_budget_exceeded), and the booking is as it was: still due.
        Raises AssignmentNotFoundError when no assignment was requested for it.
        """
        with correlation.scope(booking_ref=booking_ref):
            return self._process(booking_ref, trigger=trigger, budget_seconds=budget_seconds)

    def _process(self, booking_ref: str, *, trigger: str, budget_seconds: float | None) -> DayResult:
        invocation = Invocation(
            trigger=trigger,
            deadline=None if budget_seconds is None else time.monotonic() + budget_seconds,
        )
        try:
            with invocation.within_budget():
                return transactions.run(lambda: self._decide_one(booking_ref, invocation), deadline=invocation.deadline)
        except LockContentionError as error:
            outcome = noop(booking_ref, Noop.LOCK_CONTENTION, planner=V3, detail=str(error))
        except TimeBudgetExceededError:
            outcome = Outcome(
                booking_ref=booking_ref, kind=Kind.RETRY, planner=V3, reason=CoordinatorReason.TIME_BUDGET_EXCEEDED
            )
        except (AssignmentNotFoundError, NestedTransactionError):
            raise
        except Exception as error:
            if transactions.is_database_away(error):
                raise
            if transactions.is_lost_race(error) and not isinstance(error, TableTakenError):
                outcome = noop(booking_ref, Noop.LOCK_CONTENTION, planner=V3, detail=type(error).__name__)
            else:
                return DayResult(outcomes=(self._record_failure(booking_ref, error, invocation),))
        for record in invocation.ended([outcome]):
            events.emit_now(record)
        return DayResult(outcomes=(outcome,))

    def _decide_one(self, booking_ref: str, invocation: Invocation) -> DayResult:
        assignment = Assignment.objects.of(booking_ref).claim().first()
        if assignment is None:
            if Assignment.objects.of(booking_ref).exists():
                raise LockContentionError(f"Somebody else decides booking {booking_ref} right now.")
            raise AssignmentNotFoundError(f"No assignment was ever requested for booking {booking_ref}.")
        if assignment.is_terminal:
            outcome = noop(booking_ref, Noop.TERMINAL_STATE, planner=V3, detail=assignment.state)
            events.emit_all(invocation.ended([outcome]))
            return DayResult(outcomes=(outcome,))
        result = self._decide(assignment.restaurant_ref, assignment.service_date, lambda: [assignment], invocation)
        if not result.circuit_open_seconds:
            return result
        outcome = Outcome(
            booking_ref=booking_ref,
            kind=Kind.RETRY,
            planner=V3,
            reason=CoordinatorReason.CIRCUIT_OPEN,
            delay_seconds=result.circuit_open_seconds,
        )
        events.emit_all(invocation.ended([outcome]))
        return DayResult(outcomes=(outcome,))

    def _decide(
        self,
        restaurant_ref: str,
        service_date: date,
        claim: Callable[[], list[Assignment]],
        invocation: Invocation,
    ) -> DayResult:
        """The one transaction. Everything that it emits is announced on commit."""
        entry = locks.try_enter(restaurant_ref, service_date, statement_timeout_ms=invocation.statement_timeout_ms)
        if not entry.granted:
            detail = "all permits are taken" if entry.day_locked else "somebody else plans this day"
            events.emit_now(invocation.contended(restaurant_ref, service_date, detail))
            raise LockContentionError(f"Restaurant {restaurant_ref} on {service_date}: {detail}.")
        claimed = claim()
        last = _place(claimed[-1]) if claimed else None
        routes = {ref: route.planner for ref, route in router().route(claimed).items()} if claimed else {}
        invocation.check_budget()
        mine = [assignment for assignment in claimed if routes[assignment.booking_ref] == V3]
        theirs = [each for each in claimed if routes[each.booking_ref] != V3]
        handed_over = _handed_over(theirs, routes, invocation.correlation_id)
        disabled = tuple(
            noop(assignment.booking_ref, Noop.PIPELINE_DISABLED, planner=V3)
            for assignment in claimed
            if routes[assignment.booking_ref] == NOBODY
        )
        announced = invocation.ended(disabled)
        if not mine:
            events.emit_all(announced)
            return DayResult(outcomes=disabled, handed_over=handed_over, claimed=len(claimed), last=last)
        if entry.breaker.is_open(entry.now):
            seconds_left = entry.breaker.seconds_left(entry.now)
            announced.append(invocation.circuit_open(restaurant_ref, entry))
            events.emit_all(announced)
            return DayResult(
                outcomes=disabled,
                handed_over=handed_over,
                claimed=len(claimed),
                last=last,
                circuit_open_seconds=seconds_left,
            )
        announced += invocation.entered(restaurant_ref, service_date, entry, len(mine))
        settlement = Settlement(
            host=self.host,
            planner=V3,
            actor=V3,
            trigger=invocation.trigger,
            now=entry.now,
            correlation_id=invocation.correlation_id,
        )
        DayPlanner(self.host, settlement, restaurant_ref, service_date).settle(mine)
        invocation.check_budget()
        settlement.write()
        invocation.check_budget()
        circuit_breaker.record_success(restaurant_ref, entry.breaker)
        waits = {assignment.booking_ref: (entry.now - assignment.requested_at).total_seconds() for assignment in mine}
        attempts = {assignment.booking_ref: assignment.attempts for assignment in mine}
        announced += invocation.ended(settlement.outcomes, restaurant_ref, attempts=attempts, wait_seconds=waits)
        events.emit_all(announced)
        return DayResult(
            outcomes=(*disabled, *settlement.outcomes), handed_over=handed_over, claimed=len(claimed), last=last
        )

    def _record_failure(self, booking_ref: str, error: Exception, invocation: Invocation) -> Outcome:
        """Something raised: count it, put the booking back (or to review, the last time), and go on."""
        taken = isinstance(error, TableTakenError)
        if not taken:
            _log_unexpected(f"Booking {booking_ref} failed", error, invocation)

        def record() -> Outcome:
            row = Assignment.objects.of(booking_ref)
            now = locks.lock_days(row.values_list("restaurant_ref", "service_date"))
            assignment = row.claim().first()
            if assignment is None or assignment.is_terminal or assignment.planner not in {"", V3}:
                # Somebody else has it, or has decided it meanwhile: what they do counts.
                is_over = assignment is not None and assignment.is_terminal
                reason = Noop.TERMINAL_STATE if is_over else Noop.LOCK_CONTENTION
                outcome = noop(booking_ref, reason, planner=V3, detail=assignment.state if assignment else "")
                events.emit_all(invocation.ended([outcome]))
                return outcome
            settlement = Settlement(
                host=self.host,
                planner=V3,
                actor=V3,
                trigger=invocation.trigger,
                now=now,
                correlation_id=invocation.correlation_id,
            )
            outcome = settlement.try_again(
                assignment,
                reason=CoordinatorReason.TABLE_TAKEN if taken else CoordinatorReason.UNEXPECTED_ERROR,
                detail="" if taken else type(error).__name__,
                unexpected=not taken,
            )
            settlement.write(host_may_fail=True)
            if not taken:
                circuit_breaker.record_failure(assignment.restaurant_ref, now)
            attempts = {booking_ref: assignment.attempts}
            events.emit_all(invocation.ended([outcome], assignment.restaurant_ref, attempts=attempts))
            return outcome

        try:
            return transactions.run(record)
        except Exception as second:
            if transactions.is_database_away(second):
                raise
            _log_unexpected(f"The failure of booking {booking_ref} could not be stored", second, invocation)
        # Nothing was stored: the booking is as it was, and still due.
        outcome = Outcome(
            booking_ref=booking_ref,
            kind=Kind.RETRY,
            planner=V3,
            reason=CoordinatorReason.UNEXPECTED_ERROR,
            detail=type(error).__name__,
            unexpected=True,
        )
        for announced in invocation.ended([outcome]):
            events.emit_now(announced)
        return outcome


def _claimed(assignments: AssignmentQuerySet, limit: int | None = None) -> list[Assignment]:
    return list(assignments.claim()[:limit])


def _place(assignment: Assignment) -> Place:
    assert assignment.due_at is not None, f"{assignment.booking_ref} is open: a check constraint says that it is due"
    return assignment.due_at, assignment.pk


def _handed_over(
    assignments: Sequence[Assignment], routes: Mapping[str, str], correlation_id: uuid.UUID
) -> Mapping[str, Sequence[str]]:
    """The refs of these bookings by the planner that the router gives them to.

    What V3 had claimed belongs to nobody from now on: the other planner asks the router again when it begins a booking, and
    claims it then.
    """
    by_planner: dict[str, list[str]] = {}
    handed_back: dict[str, list[str]] = {}
    for assignment in assignments:
        key = routes[assignment.booking_ref]
        if key == NOBODY:
            continue
        by_planner.setdefault(key, []).append(assignment.booking_ref)
        if assignment.planner == V3:
            assignment.planner = ""
            assignment.touch()
            handed_back.setdefault(key, []).append(assignment.booking_ref)
    transitions.store(assignments, correlation_id=correlation_id)
    for key, booking_refs in handed_back.items():
        transitions.send_on_commit(
            signals.handed_back,
            correlation_id=correlation_id,
            sender=Assignment,
            planner=key,
            booking_refs=booking_refs,
        )
    return by_planner


def _merged(results: Sequence[DayResult]) -> DayResult:
    handed_over: dict[str, list[str]] = {}
    for result in results:
        for key, refs in result.handed_over.items():
            handed_over.setdefault(key, []).extend(refs)
    return DayResult(
        outcomes=tuple(outcome for result in results for outcome in result.outcomes),
        handed_over=handed_over,
        contended=any(result.contended for result in results),
        is_last=False,
    )


def _log_unexpected(what: str, error: Exception, invocation: Invocation) -> None:
    # The type and the place, never the message: a host's error may quote a guest's name or e-mail.
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame is not None else "unknown"
    logger.error("%s: %s at %s (correlation id %s).", what, type(error).__name__, place, invocation.correlation_id)
