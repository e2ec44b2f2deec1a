"""V3, the planner of this app: decides one restaurant-day or one booking at a time.

One invocation is ONE short transaction: enter (locks, permit, breaker), claim, ask the router, plan, take the tables,
move the states, write history and attempts, tell the host. The row lock is the lease; a crash is a rollback.
Long because all ways into that transaction, and all ways out of it, stand beside each other.
"""

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import NamedTuple

from assignments.concurrency import circuit_breaker, locks, transactions
from assignments.coordination import quarantine
from assignments.coordination.day_planner import DayPlanner
from assignments.coordination.handover import hand_over
from assignments.coordination.invocation import DayResult, Invocation, Record, Try
from assignments.coordination.plan_ahead import PlanAhead
from assignments.coordination.planned_day import plan_requests
from assignments.error_logging import log_error
from assignments.exceptions import (
    AssignmentNotFoundError,
    HostRefusedError,
    LockContentionError,
    NestedTransactionError,
    TableTakenError,
    TimeBudgetExceededError,
)
from assignments.integration.host import Host
from assignments.integration.planners import NOBODY, V3, Preview, routes_of
from assignments.integration.project_host import configured
from assignments.integration.swaps import obstacle_to_swaps
from assignments.lifecycle import waiting
from assignments.lifecycle.settlement import Settlement
from assignments.models import Assignment, State
from assignments.models.assignment import AssignmentQuerySet
from assignments.outcome import CoordinatorReason, Kind, Noop, Outcome, noop, unstored
from assignments.planning.decision import Decision
from assignments.telemetry import correlation

logger = logging.getLogger("assignments.coordinator")
_log_failure = partial(log_error, logger, has_place=True)


class Coordinator:
    """The V3 planner. ``host`` defaults to the configured one.

    Implements ``assignments.integration.planners.Planner``. It returns outcomes and announces nothing itself;
    ``Invocation`` does.
    """

    key = V3

    def __init__(self, host: Host | None = None) -> None:
        self.host = host or configured()

    def process(
        self, booking_refs: Sequence[str], *, trigger: str, due_before: datetime | None = None
    ) -> Sequence[Outcome]:
        """Decide these bookings, together for each restaurant-day, as far as the router still gives them to V3."""
        by_day: dict[tuple[str, date], list[str]] = {}
        rows = Assignment.objects.filter(booking_ref__in=booking_refs).order_by("due_at", "id")
        for ref, restaurant_ref, day in rows.values_list("booking_ref", "restaurant_ref", "service_date"):
            by_day.setdefault((restaurant_ref, day), []).append(ref)
        return [
            outcome
            for (restaurant_ref, day), refs in by_day.items()
            for outcome in self.process_day(restaurant_ref, day, refs, due_before=due_before, trigger=trigger).outcomes
        ]

    def preview(self, preview: Preview) -> Sequence[Decision]:
        """Return the decisions for the day's requests, planned together."""
        planned = plan_requests(
            preview.requests,
            floor=preview.floor,
            occupied=preview.occupied,
            now=preview.now,
            success=preview.success,
            rules=preview.rules,
        )
        return list(planned.decisions.values())

    def process_day(
        self,
        restaurant_ref: str,
        service_date: date,
        booking_refs: Sequence[str],
        *,
        due_before: datetime | None = None,
        trigger: str = "cron",
        ahead: PlanAhead | None = None,
    ) -> DayResult:
        """Decide together those bookings of a restaurant-day that are still open, and due at ``due_before``.

        ``ahead``: the plan that is shared by a day's batches, for a day with more due bookings than these. All of them
        are planned together; pass the same object with each batch.

        A batch that fails is decided again in halves, down to single bookings, so that one bad booking affects only
        itself.
        """
        with correlation.scope():
            invocation = Invocation(trigger=trigger)
            day = Assignment.objects.of_day(restaurant_ref, service_date).order_by("requested_at", "id")
            waiting = day.open() if due_before is None else day.due(due_before)
            batch = _Batch(restaurant_ref, service_date, waiting, due_before, invocation, ahead)
            return invocation.execute(lambda: self._decide_batch(batch, booking_refs))

    def _decide_batch(self, batch: "_Batch", booking_refs: Sequence[str], *, is_half: bool = False) -> DayResult:
        try:
            with quarantine.marked(batch.restaurant_ref, batch.service_date, booking_refs) as mark:
                return batch.invocation.transact(
                    lambda record: self._decide(
                        batch.restaurant_ref,
                        batch.service_date,
                        lambda: batch.claim(booking_refs),
                        batch.invocation,
                        record,
                        mark,
                        batch.ahead,
                    )
                )
        except _TakenForDeadError:
            quarantine.take_back_death(booking_refs)
            return DayResult(contended=True)
        except LockContentionError:
            return DayResult(contended=True)
        except Exception as error:
            if transactions.is_database_away(error):
                raise
            batch.invocation.note_batch(error)
            if not is_half:
                _log_failure(error, "A batch failed and is halved (correlation id %s)", batch.invocation.correlation_id)
        return self._decide_in_halves(batch, booking_refs)

    def _decide_in_halves(self, batch: "_Batch", booking_refs: Sequence[str]) -> DayResult:
        """Decide a failed batch in halves, and these in halves again, until the booking that fails is alone.

        Bookings that another worker decides in between are left out. Nothing is planned ahead, because a large day may
        have been what took too long.
        """
        batch = replace(batch, ahead=None)
        still_waiting = batch.waiting.filter(booking_ref__in=booking_refs)
        left = list(still_waiting.values_list("booking_ref", flat=True))
        if not left:
            return DayResult()
        if len(left) == 1:
            with correlation.scope(booking_ref=left[0]):
                return self._decide_alone(batch, left[0])
        middle = len(left) // 2
        return merged([self._decide_batch(batch, half, is_half=True) for half in (left[:middle], left[middle:])])

    def _decide_alone(self, batch: "_Batch", booking_ref: str) -> DayResult:
        """Decide one booking of a failed batch. Its mark stays until the result, or the failure, is stored."""
        with quarantine.marked(batch.restaurant_ref, batch.service_date, [booking_ref]) as mark:
            result = self._process_one(booking_ref, batch.invocation)
            if not quarantine.take_back(mark):
                quarantine.take_back_death([booking_ref])
            return result

    def process_one(
        self, booking_ref: str, *, trigger: str, deadline: float | None = None, day: tuple[str, date] | None = None
    ) -> DayResult:
        """Decide one booking now, whether due or not. The result has one outcome, or hands the booking over.

        After ``deadline`` (a ``time.monotonic()`` value) the outcome is retry(time_budget_exceeded), and the booking is
        unchanged and still due. ``day``: its restaurant-day, looked up if not given. Raises AssignmentNotFoundError if
        no assignment was requested for it.
        """
        with correlation.scope(booking_ref=booking_ref):
            invocation = Invocation(trigger=trigger, deadline=deadline)
            return invocation.execute(lambda: self._process_one(booking_ref, invocation, day))

    def _process_one(self, booking_ref: str, invocation: Invocation, day: tuple[str, date] | None = None) -> DayResult:
        try:
            with invocation.within_budget():
                return self._transact_one(booking_ref, invocation, day)
        except LockContentionError as error:
            outcome = noop(booking_ref, Noop.LOCK_CONTENTION, planner=V3, detail=str(error))
        except TimeBudgetExceededError:
            outcome = invocation.out_of_time(booking_ref)
        except (AssignmentNotFoundError, NestedTransactionError):
            raise
        except Exception as error:
            if transactions.is_database_away(error):
                raise
            if not transactions.is_lost_race(error) or isinstance(error, TableTakenError):
                return self._record_failure(booking_ref, error, invocation)
            outcome = noop(booking_ref, Noop.LOCK_CONTENTION, planner=V3, detail=type(error).__name__)
        return DayResult(outcomes=(outcome,))

    def _transact_one(self, booking_ref: str, invocation: Invocation, day: tuple[str, date] | None) -> DayResult:
        """Decide one booking, a second time without tables that other rows show if the host's rows allow no swaps."""
        decide = partial(self._decide_one, booking_ref, invocation, day=day)
        try:
            return invocation.transact(decide, deadline=invocation.deadline)
        except HostRefusedError:
            if not obstacle_to_swaps():
                raise
        return invocation.transact(partial(decide, leaves_shown=True), deadline=invocation.deadline)

    def _decide_one(
        self,
        booking_ref: str,
        invocation: Invocation,
        record: Record,
        *,
        day: tuple[str, date] | None,
        leaves_shown: bool = False,
    ) -> DayResult:
        if day is None:
            day = Assignment.objects.of(booking_ref).values_list("restaurant_ref", "service_date").first()
        if day is None:
            raise AssignmentNotFoundError(f"No assignment was ever requested for booking {booking_ref}.")
        restaurant_ref, service_date = day

        def claim() -> _Claim:
            rows = list(Assignment.objects.asking_for(restaurant_ref, service_date).with_earlier([booking_ref]).claim())
            this = next((row for row in rows if row.booking_ref == booking_ref), None)
            if this is None:
                raise LockContentionError(f"Another process is deciding booking {booking_ref}.")
            if this.is_terminal:
                raise _DecidedError(this.state)
            return _Claim([this], [row for row in rows if row is not this])

        try:
            result = self._decide(restaurant_ref, service_date, claim, invocation, record, leaves_shown=leaves_shown)
        except _DecidedError as decided:
            return DayResult(outcomes=(noop(booking_ref, Noop.TERMINAL_STATE, planner=V3, detail=str(decided)),))
        if not result.circuit_open_seconds:
            return result
        outcome = Outcome(
            booking_ref=booking_ref,
            kind=Kind.RETRY,
            planner=V3,
            reason=CoordinatorReason.CIRCUIT_OPEN,
            delay_seconds=result.circuit_open_seconds,
        )
        return DayResult(outcomes=(outcome,))

    def _decide(
        self,
        restaurant_ref: str,
        service_date: date,
        claim: "Callable[[], _Claim]",
        invocation: Invocation,
        record: Record,
        mark: uuid.UUID | None = None,
        ahead: PlanAhead | None = None,
        leaves_shown: bool = False,
    ) -> DayResult:
        """Decide the claimed bookings in one transaction. ``mark``: the batch mark, which the commit deletes.

        Raises MovesRefusedError if the host refuses to move confirmed bookings; the next try moves nobody.
        """
        entry = locks.try_enter(
            restaurant_ref, service_date, statement_timeout_ms=invocation.statement_timeout_ms, mark=mark
        )
        if not entry.granted:
            detail = "all permits are taken" if entry.day_locked else "another process is planning this day"
            invocation.announce_contention(restaurant_ref, service_date, detail)
            if entry.was_taken_for_dead:
                raise _TakenForDeadError(f"Restaurant {restaurant_ref} on {service_date}: {detail}.")
            raise LockContentionError(f"Restaurant {restaurant_ref} on {service_date}: {detail}.")
        claimed, earlier, later = claim()
        routes = routes_of([*claimed, *later]) if claimed else {}
        invocation.check_budget()
        mine = [assignment for assignment in claimed if routes[assignment.booking_ref].planner == V3]
        handed_over = hand_over(claimed, routes, correlation_id=invocation.correlation_id)
        disabled = tuple(
            noop(assignment.booking_ref, Noop.PIPELINE_DISABLED, planner=V3)
            for assignment in claimed
            if routes[assignment.booking_ref].planner == NOBODY
        )
        if not mine:
            return DayResult(outcomes=disabled, handed_over=handed_over)
        if entry.breaker.is_open(entry.now):
            record.about_day.append(invocation.circuit_open(restaurant_ref, entry))
            return DayResult(
                outcomes=disabled,
                handed_over=handed_over,
                circuit_open_seconds=entry.breaker.seconds_left(entry.now),
            )
        record.about_day += invocation.entered(restaurant_ref, service_date, entry, len(mine))
        settlement = self._settlement(entry.now, invocation)
        try:
            later = [each for each in later if routes[each.booking_ref].planner == V3]
            may_all_move = all(routes[each.booking_ref].may_rearrange for each in (*mine, *later))
            day_planner = DayPlanner(
                self.host,
                settlement,
                restaurant_ref,
                service_date,
                may_rearrange=invocation.may_move and may_all_move and not leaves_shown,
                leaves_shown=leaves_shown,
            )
            day_planner.settle(mine, earlier=earlier, later=later, ahead=ahead)
        except LockContentionError as contended:
            invocation.announce_contention(restaurant_ref, service_date, str(contended))
            raise LockContentionError(f"Restaurant {restaurant_ref} on {service_date}: {contended}.") from contended
        invocation.check_budget()
        settlement.write()
        waiting.stay_awake(each for each in day_planner.gave_way if each.state == State.MANUAL_REVIEW)
        invocation.check_budget()
        circuit_breaker.record_success(restaurant_ref, entry.breaker)
        settled = {outcome.booking_ref for outcome in settlement.outcomes}
        for assignment in mine:
            if assignment.booking_ref not in settled:
                continue
            record.tries[assignment.booking_ref] = Try(
                restaurant_ref=restaurant_ref,
                attempt=assignment.attempts,
                wait_seconds=(entry.now - assignment.requested_at).total_seconds(),
            )
        return DayResult(outcomes=(*disabled, *settlement.outcomes), handed_over=handed_over)

    def _record_failure(self, booking_ref: str, error: Exception, invocation: Invocation) -> DayResult:
        """Count an error, and put the booking back; send it to review after the last try."""
        taken, refused = isinstance(error, TableTakenError), isinstance(error, HostRefusedError)
        constraint = str(error.context.get("constraint") or error) if isinstance(error, HostRefusedError) else ""
        if not taken:
            _log_failure(error, "Booking %s failed (correlation id %s)", booking_ref, invocation.correlation_id)

        def work(record: Record) -> DayResult:
            row = Assignment.objects.of(booking_ref)
            now = locks.lock_days(row.days())
            assignment = row.claim().first()
            if assignment is not None and assignment.is_woken:
                waiting.let_sleep([assignment])  # It is in review already; the next free table wakes it again.
            if assignment is None or assignment.is_terminal or assignment.planner not in {"", V3}:
                # Another process has it, or has decided it in the meantime, and takes precedence.
                is_over = assignment is not None and assignment.is_terminal
                reason = Noop.TERMINAL_STATE if is_over else Noop.LOCK_CONTENTION
                detail = assignment.state if assignment else ""
                return DayResult(outcomes=(noop(booking_ref, reason, planner=V3, detail=detail),))
            settlement = self._settlement(now, invocation)
            if refused:
                # The same tables would be refused again; other bookings are not affected.
                outcome = settlement.send_to_review(
                    assignment, reason=CoordinatorReason.REFUSED_BY_HOST, detail=constraint
                )
            else:
                outcome = settlement.try_again(
                    assignment,
                    reason=CoordinatorReason.TABLE_TAKEN if taken else CoordinatorReason.UNEXPECTED_ERROR,
                    detail="" if taken else type(error).__name__,
                    unexpected=not taken,
                )
            settlement.write(host_may_fail=True)
            if not taken and not refused:
                circuit_breaker.record_failure(assignment.restaurant_ref, now)
            record.tries[booking_ref] = Try(restaurant_ref=assignment.restaurant_ref, attempt=assignment.attempts)
            return DayResult(outcomes=(outcome,))

        try:
            return invocation.transact(work)
        except Exception as second:
            if transactions.is_database_away(second):
                raise
            _log_failure(
                second,
                "The failure of booking %s could not be stored (correlation id %s)",
                booking_ref,
                invocation.correlation_id,
            )
        # Nothing was stored: the booking is unchanged and still due.
        invocation.note_unstored(error)
        return DayResult(outcomes=(unstored(booking_ref, type(error).__name__, planner=V3),))

    def _settlement(self, now: datetime, invocation: Invocation) -> Settlement:
        return Settlement(
            host=self.host,
            planner=V3,
            actor=V3,
            trigger=invocation.trigger,
            now=now,
            correlation_id=invocation.correlation_id,
        )


class _TakenForDeadError(LockContentionError):
    """Another process took this one for dead, and counted a death for its bookings."""


class _DecidedError(Exception):
    """The booking is already decided; the message is its state."""


class _Claim(NamedTuple):
    """Locked rows: those to decide, waiting ones of the day that asked earlier, and those of its later batches."""

    claimed: list[Assignment]
    earlier: list[Assignment]
    later: Sequence[Assignment] = ()


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch of a restaurant-day's waiting bookings, due at ``due_before``, and the invocation that decides it."""

    restaurant_ref: str
    service_date: date
    waiting: AssignmentQuerySet
    due_before: datetime | None
    invocation: Invocation
    ahead: PlanAhead | None = None

    def claim(self, booking_refs: Sequence[str]) -> _Claim:
        """Lock the bookings that still wait, waiting ones that asked earlier, and those of later batches. One query."""
        wanted = set(booking_refs)
        day = Assignment.objects.asking_for(self.restaurant_ref, self.service_date)
        later_too = self.due_before if self.ahead is not None and not self.ahead.is_planned else None
        rows = list(day.with_earlier(booking_refs, due_before=later_too).claim())
        last = max((place for place, row in enumerate(rows) if row.booking_ref in wanted), default=-1)
        others = [(place, row) for place, row in enumerate(rows) if row.booking_ref not in wanted and not row.deaths]
        return _Claim(
            [row for row in rows if row.booking_ref in wanted and self._still_waits(row)],
            [row for place, row in others if place < last],
            [row for place, row in others if place > last and self._is_of_day(row)],
        )

    def _is_of_day(self, row: Assignment) -> bool:
        """Return whether the row is decided here. One that only asks for this day is decided on the day of its promise."""
        return (row.restaurant_ref, row.service_date) == (self.restaurant_ref, self.service_date)

    def _still_waits(self, row: Assignment) -> bool:
        if self.due_before is None:
            return not row.is_terminal
        due_at = row.wake_at if row.is_woken else row.due_at
        return due_at is not None and due_at <= self.due_before


def merged(results: Sequence[DayResult]) -> DayResult:
    """Return the combined result of several invocations on one restaurant-day."""
    handed_over: dict[str, list[str]] = {}
    for result in results:
        for key, refs in result.handed_over.items():
            handed_over.setdefault(key, []).extend(refs)
    return DayResult(
        outcomes=tuple(outcome for result in results for outcome in result.outcomes),
        handed_over=handed_over,
        contended=any(result.contended for result in results),
        circuit_open_seconds=max((result.circuit_open_seconds for result in results), default=0.0),
    )
