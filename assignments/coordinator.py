"""V3: decides bookings, one restaurant-day or one booking at a time.

One invocation is ONE short transaction: enter (locks, permit, breaker), claim, ask the router, plan, take the tables,
move the states, write history and attempts, tell the host. The row lock is the lease; a crash is a rollback.
"""

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from django.db import DatabaseError

from assignments import breaker, conf, events, intake, ledger, locks, statemachine, transactions
from assignments.exceptions import (
    AssignmentNotFoundError,
    LockContentionError,
    TableTakenError,
    TimeBudgetExceededError,
)
from assignments.floors import floor_of, floor_or_none
from assignments.host import Host, HostBooking, configured
from assignments.models import Assignment
from assignments.outcome import Kind, Noop, Outcome, CoordinatorReason, noop
from assignments.planners import NOBODY, V3, router
from assignments.planning.decision import Decision
from assignments.planning.evening import EveningPlanner, in_order
from assignments.planning.floor import Floor, InvalidFloorError
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied
from assignments.settlement import Settlement
from assignments.snapshots import occupied_during, seating_request

logger = logging.getLogger("assignments.coordinator")


@dataclass(frozen=True, kw_only=True, slots=True)
class DayResult:
    """What one invocation did. ``handed_over``: booking refs for other planners, by planner key."""

    outcomes: tuple[Outcome, ...] = ()
    handed_over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    contended: bool = False
    circuit_open_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Invocation:
    """The circumstances of one invocation."""

    trigger: str
    correlation_id: uuid.UUID
    deadline: float | None = None

    def check_budget(self) -> None:
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise TimeBudgetExceededError

    @property
    def statement_timeout_ms(self) -> int | None:
        if self.deadline is None:
            return None
        return max(1, round((self.deadline - time.monotonic()) * 1000))


class Coordinator:
    """The V3 planner. ``host`` defaults to the configured one."""

    def __init__(self, host: Host | None = None) -> None:
        self.host = host or configured()

    def process_day(
        self, restaurant_ref: str, service_date: date, *, due_before: datetime, trigger: str = "cron", limit: int = 0
    ) -> DayResult:
        """Decide at most ``limit`` bookings of a restaurant-day that were due at ``due_before``.

        A batch that fails is done again booking by booking, so that one bad booking costs only itself.
        """
        limit = min(limit or conf.settings().BATCH_SIZE, conf.settings().BATCH_SIZE)
        due = Assignment.objects.of_day(restaurant_ref, service_date).due(due_before).order_by("due_at", "id")[:limit]
        invocation = _Invocation(trigger=trigger, correlation_id=uuid.uuid4())

        def decide() -> DayResult:
            return self._decide(restaurant_ref, service_date, lambda: list(due.claim()), invocation)

        try:
            return transactions.run(decide)
        except LockContentionError:
            return DayResult(contended=True)
        except Exception as error:  # noqa: BLE001  (whatever one booking causes, the others must be decided)
            if _is_database_away(error):
                raise
            _log_unexpected("A batch failed and is done booking by booking", error, invocation)
        results = [
            self.process(ref, trigger=trigger) for ref in list(due.values_list("booking_ref", flat=True))
        ]
        return _merged(results)

    def process(self, booking_ref: str, *, trigger: str, budget_seconds: float | None = None) -> DayResult:
        """Decide one booking now, whether due or not. The result has one outcome, or hands the booking over.

        Past ``budget_seconds`` the outcome is retry(time_budget_exceeded), and the booking is as it was: still due.
        Raises AssignmentNotFoundError when no assignment was requested for it.
        """
        invocation = _Invocation(
            trigger=trigger,
            correlation_id=uuid.uuid4(),
            deadline=None if budget_seconds is None else time.monotonic() + budget_seconds,
        )
        try:
            return transactions.run(lambda: self._decide_one(booking_ref, invocation), deadline=invocation.deadline)
        except LockContentionError as error:
            outcome = noop(booking_ref, Noop.LOCK_CONTENTION, planner=V3, detail=str(error))
        except TimeBudgetExceededError:
            outcome = Outcome(
                booking_ref=booking_ref, kind=Kind.RETRY, planner=V3, reason=CoordinatorReason.TIME_BUDGET_EXCEEDED
            )
        except AssignmentNotFoundError:
            raise
        except Exception as error:  # noqa: BLE001  (recorded with the booking; the run goes on)
            if _is_database_away(error):
                raise
            if transactions.is_lost_race(error) and not isinstance(error, TableTakenError):
                outcome = noop(booking_ref, Noop.LOCK_CONTENTION, planner=V3, detail=type(error).__name__)
            else:
                return DayResult(outcomes=(self._record_failure(booking_ref, error, invocation),))
        for record in _invocation_events([outcome], invocation):
            events.emit_now(record)
        return DayResult(outcomes=(outcome,))

    def _decide_one(self, booking_ref: str, invocation: _Invocation) -> DayResult:
        assignment = Assignment.objects.filter(booking_ref=booking_ref).claim().first()
        if assignment is None:
            if Assignment.objects.filter(booking_ref=booking_ref).exists():
                raise LockContentionError(f"Somebody else decides booking {booking_ref} right now.")
            raise AssignmentNotFoundError(f"No assignment was ever requested for booking {booking_ref}.")
        if assignment.is_terminal:
            outcome = noop(booking_ref, Noop.TERMINAL_STATE, planner=V3, detail=assignment.state)
            events.emit_all(_invocation_events([outcome], invocation))
            return DayResult(outcomes=(outcome,))
        result = self._decide(
            assignment.restaurant_ref, assignment.service_date, lambda: [assignment], invocation
        )
        if not result.circuit_open_seconds:
            return result
        outcome = Outcome(
            booking_ref=booking_ref,
            kind=Kind.RETRY,
            planner=V3,
            reason=CoordinatorReason.CIRCUIT_OPEN,
            delay_seconds=result.circuit_open_seconds,
        )
        events.emit_all(_invocation_events([outcome], invocation))
        return DayResult(outcomes=(outcome,))

    def _decide(
        self,
        restaurant_ref: str,
        service_date: date,
        claim: Callable[[], list[Assignment]],
        invocation: _Invocation,
    ) -> DayResult:
        """The one transaction. Everything that it emits is announced on commit."""
        entry = locks.try_enter(
            restaurant_ref, service_date, statement_timeout_ms=invocation.statement_timeout_ms
        )
        if not entry.granted:
            self._report_contention(restaurant_ref, service_date, entry)
        claimed = claim()
        routes = router().route(claimed) if claimed else {}
        mine = [assignment for assignment in claimed if routes[assignment.booking_ref] == V3]
        handed_over = _hand_over([assignment for assignment in claimed if assignment not in mine], routes)
        disabled = tuple(
            noop(assignment.booking_ref, Noop.PIPELINE_DISABLED, planner=V3)
            for assignment in claimed
            if routes[assignment.booking_ref] == NOBODY
        )
        announced = _invocation_events(disabled, invocation)
        if not mine:
            events.emit_all(announced)
            return DayResult(outcomes=disabled, handed_over=handed_over)
        if entry.breaker.is_open(entry.now):
            seconds_left = entry.breaker.seconds_left(entry.now)
            announced.append(
                events.event(
                    events.COORDINATOR,
                    "coordinator.circuit_open",
                    restaurant_ref=restaurant_ref,
                    correlation_id=invocation.correlation_id,
                    failures=entry.breaker.failures,
                    delay_seconds=seconds_left,
                )
            )
            events.emit_all(announced)
            return DayResult(outcomes=disabled, handed_over=handed_over, circuit_open_seconds=seconds_left)
        announced += _entry_events(restaurant_ref, service_date, entry, len(mine), invocation)
        settlement = Settlement(
            host=self.host,
            planner=V3,
            actor=V3,
            trigger=invocation.trigger,
            now=entry.now,
            correlation_id=invocation.correlation_id,
        )
        _DayPlan(self.host, settlement, restaurant_ref, service_date).settle(mine)
        invocation.check_budget()
        settlement.write()
        invocation.check_budget()
        breaker.record_success(restaurant_ref, entry.breaker)
        waits = {
            assignment.booking_ref: (entry.now - assignment.requested_at).total_seconds() for assignment in mine
        }
        attempts = {assignment.booking_ref: assignment.attempts for assignment in mine}
        announced += _invocation_events(settlement.outcomes, invocation, restaurant_ref, attempts, waits)
        events.emit_all(announced)
        return DayResult(outcomes=(*disabled, *settlement.outcomes), handed_over=handed_over)

    def _report_contention(self, restaurant_ref: str, service_date: date, entry: locks.Entry) -> None:
        detail = "all permits are taken" if entry.day_locked else "somebody else plans this day"
        events.emit_now(
            events.event(
                events.COORDINATOR,
                "coordinator.lock_contention",
                restaurant_ref=restaurant_ref,
                service_date=service_date.isoformat(),
                detail=detail,
            )
        )
        raise LockContentionError(f"Restaurant {restaurant_ref} on {service_date}: {detail}.")

    def _record_failure(self, booking_ref: str, error: Exception, invocation: _Invocation) -> Outcome:
        """Something raised: count it, put the booking back (or to review, the last time), and go on."""
        taken = isinstance(error, TableTakenError)
        if not taken:
            _log_unexpected(f"Booking {booking_ref} failed", error, invocation)

        def record() -> Outcome | None:
            assignment = Assignment.objects.filter(booking_ref=booking_ref).claim().first()
            if assignment is None or assignment.is_terminal:
                return None
            now = locks.lock_days([(assignment.restaurant_ref, assignment.service_date)])
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
            settlement.write()
            if not taken:
                breaker.record_failure(assignment.restaurant_ref, now)
            attempts = {booking_ref: assignment.attempts}
            events.emit_all(_invocation_events([outcome], invocation, assignment.restaurant_ref, attempts))
            return outcome

        try:
            recorded = transactions.run(record)
        except Exception as second:  # noqa: BLE001  (the booking stays due as it was; the next run sees it again)
            if _is_database_away(second):
                raise
            _log_unexpected(f"The failure of booking {booking_ref} could not be stored", second, invocation)
            recorded = None
        return recorded or Outcome(
            booking_ref=booking_ref,
            kind=Kind.FAILED,
            planner=V3,
            reason=CoordinatorReason.UNEXPECTED_ERROR,
            detail=type(error).__name__,
            unexpected=True,
        )


class _DayPlan:
    """Plans the claimed bookings of one restaurant-day and settles each."""

    def __init__(self, host: Host, settlement: Settlement, restaurant_ref: str, service_date: date) -> None:
        self.host = host
        self.settlement = settlement
        self.restaurant_ref = restaurant_ref
        self.service_date = service_date

    def settle(self, claimed: Sequence[Assignment]) -> None:
        floor, problem = None, ""
        try:
            floor = floor_of(self.restaurant_ref, host=self.host)
        except (InvalidFloorError, LookupError) as error:
            problem = str(error)
        plannable = self._plannable(claimed, floor)
        if floor is None:
            for assignment, _booking in plannable:
                self.settlement.try_again(assignment, reason=CoordinatorReason.INVALID_FLOOR, detail=problem)
            return
        requests = [seating_request(booking, assignment) for assignment, booking in plannable]
        decisions, milliseconds = plan_requests(
            requests, floor=floor, occupied=occupied_during(requests, floor), now=self.settlement.now
        )
        for assignment, _booking in plannable:
            ref = assignment.booking_ref
            self._settle(assignment, decisions[ref], milliseconds[ref])

    def _plannable(
        self, claimed: Sequence[Assignment], floor: Floor | None
    ) -> list[tuple[Assignment, HostBooking]]:
        """The bookings to plan; those that are gone, cancelled, busy, moved or malformed are settled here."""
        refs = [assignment.booking_ref for assignment in claimed]
        bookings = self.host.bookings(refs, lock=True)
        absent = [ref for ref in refs if ref not in bookings]
        busy = self.host.bookings(absent) if absent else {}
        plannable = []
        for assignment in claimed:
            booking = bookings.get(assignment.booking_ref)
            if booking is None and assignment.booking_ref in busy:
                self.settlement.outcomes.append(
                    noop(assignment.booking_ref, Noop.LOCK_CONTENTION, planner=V3, detail="booking_busy")
                )
            elif booking is None or not booking.wants_table:
                self._cancel(assignment, gone=booking is None)
            elif booking.problem:
                self.settlement.fail(assignment, reason=CoordinatorReason.INVALID_BOOKING, detail=booking.problem)
            elif not self._is_moved(assignment, booking, floor):
                assignment.starts_at, assignment.party = booking.starts_at, booking.party
                plannable.append((assignment, booking))
        return plannable

    def _cancel(self, assignment: Assignment, *, gone: bool) -> None:
        reason = Noop.BOOKING_NOT_FOUND if gone else "booking_cancelled"
        ledger.release([assignment.booking_ref])
        assignment.cancel(actor="host", reason=reason)
        self.settlement.store_only(
            assignment,
            noop(
                assignment.booking_ref, Noop.BOOKING_NOT_FOUND if gone else Noop.TERMINAL_STATE, planner=V3, detail=reason
            ),
        )

    def _is_moved(self, assignment: Assignment, booking: HostBooking, floor: Floor | None) -> bool:
        """The host moved the booking to another day or restaurant without saying so: that day's batch decides it."""
        elsewhere = booking.restaurant_ref != self.restaurant_ref
        its_floor = floor_or_none(booking.restaurant_ref, host=self.host) if elsewhere else floor
        service_date = intake.local_date(booking.starts_at, its_floor)
        if not elsewhere and service_date == self.service_date:
            return False
        assignment.restaurant_ref, assignment.service_date = booking.restaurant_ref, service_date
        assignment.starts_at, assignment.party = booking.starts_at, booking.party
        assignment.touch()
        self.settlement.store_only(
            assignment,
            Outcome(booking_ref=assignment.booking_ref, kind=Kind.RETRY, planner=V3, reason=CoordinatorReason.BOOKING_MOVED),
        )
        return True

    def _settle(self, assignment: Assignment, decision: Decision, milliseconds: float) -> None:
        if decision.best is not None and decision.window is not None:
            self.settlement.confirm(
                assignment,
                table_refs=decision.best.table_refs,
                window=decision.window,
                strategy=decision.best.strategy,
                decision=decision,
                decision_ms=milliseconds,
            )
            return
        refusal = decision.refusal
        assert refusal is not None, f"{assignment.booking_ref}: a decision has plans or a refusal"
        if refusal.is_invalid:
            settle = self.settlement.fail
        elif refusal.is_hard:
            settle = self.settlement.send_to_review
        else:
            settle = self.settlement.try_again
        settle(
            assignment, reason=refusal.reason, detail=refusal.detail, decision=decision, decision_ms=milliseconds
        )


def plan_requests(
    requests: Sequence[SeatingRequest], *, floor: Floor, occupied: tuple[Occupied, ...], now: datetime
) -> tuple[Mapping[str, Decision], Mapping[str, float]]:
    """Decide requests of one restaurant-day together: decisions and planning milliseconds, by booking ref."""
    rules = conf.settings().rules()
    evening = EveningPlanner(floor=floor, occupied=occupied, rules=rules, now=now)
    milliseconds = {}
    for request in in_order(requests, floor=floor, rules=rules):
        started = time.perf_counter()
        evening.decide(request)
        milliseconds[request.booking_ref] = (time.perf_counter() - started) * 1000
    return evening.decisions, milliseconds


def _hand_over(assignments: Sequence[Assignment], routes: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
    """Make the routed planners the owners of these bookings, and group them by planner."""
    by_planner: dict[str, list[str]] = {}
    for assignment in assignments:
        key = routes[assignment.booking_ref]
        if key == NOBODY:
            continue
        by_planner.setdefault(key, []).append(assignment.booking_ref)
        if assignment.planner != key:
            assignment.planner = key
            assignment.touch()
    statemachine.store(assignments)
    return by_planner


def _merged(results: Sequence[DayResult]) -> DayResult:
    handed_over: dict[str, list[str]] = {}
    for result in results:
        for key, refs in result.handed_over.items():
            handed_over.setdefault(key, []).extend(refs)
    return DayResult(
        outcomes=tuple(outcome for result in results for outcome in result.outcomes), handed_over=handed_over
    )


def _entry_events(
    restaurant_ref: str, service_date: date, entry: locks.Entry, bookings: int, invocation: _Invocation
) -> list[events.EventRecord]:
    common = {"restaurant_ref": restaurant_ref, "correlation_id": invocation.correlation_id}
    day = service_date.isoformat()
    return [
        events.event(
            events.COORDINATOR, "coordinator.lock_acquired", service_date=day, bookings=bookings, **common
        ),
        events.event(
            events.COORDINATOR, "coordinator.rate_permit_acquired", service_date=day, slot=entry.slot, **common
        ),
    ]


_TERMINAL_EVENT = {
    Kind.CONFIRMED: "coordinator.confirmed",
    Kind.RETRY: "coordinator.retry",
    Kind.MANUAL_REVIEW: "coordinator.manual_review",
    Kind.NOOP: "coordinator.noop",
    Kind.FAILED: "coordinator.error",
}


def _invocation_events(
    outcomes: Sequence[Outcome],
    invocation: _Invocation,
    restaurant_ref: str = "",
    attempts: Mapping[str, int] | None = None,
    waits: Mapping[str, float] | None = None,
) -> list[events.EventRecord]:
    """Start and exactly one terminal event for each outcome."""
    records = []
    for outcome in outcomes:
        ref = outcome.booking_ref
        attempt = (attempts or {}).get(ref)
        common = {
            "booking_ref": ref,
            "restaurant_ref": restaurant_ref,
            "correlation_id": invocation.correlation_id,
            "trigger": invocation.trigger,
            "attempt": attempt,
        }
        records.append(events.event(events.COORDINATOR, "coordinator.start", **common))
        records.append(
            events.event(
                events.COORDINATOR,
                "coordinator.error" if outcome.unexpected else _TERMINAL_EVENT[outcome.kind],
                **common,
                outcome=outcome.kind,
                reason=outcome.reason or None,
                detail=outcome.detail or None,
                error_type=outcome.detail if outcome.unexpected else None,
                strategy=outcome.strategy or None,
                table_refs=list(outcome.table_refs) or None,
                delay_seconds=round(outcome.delay_seconds, 3) if outcome.kind is Kind.RETRY else None,
                decision_ms=round(outcome.decision_ms, 3) or None,
                wait_seconds=round((waits or {}).get(ref, 0.0), 3) or None,
                party=outcome.party or None,
            )
        )
    return records


def _is_database_away(error: BaseException) -> bool:
    """Whether the database itself cannot be reached, so that going on is of no use."""
    if not isinstance(error, DatabaseError):
        return False
    state = transactions.sqlstate(error)
    return state is None or state[:2] in {"08", "57"} and state != transactions.QUERY_CANCELED


def _log_unexpected(what: str, error: Exception, invocation: _Invocation) -> None:
    # The type and the place, never the message: a host's error may quote a guest's name or e-mail.
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame is not None else "unknown"
    logger.error("%s: %s at %s (correlation id %s).", what, type(error).__name__, place, invocation.correlation_id)


