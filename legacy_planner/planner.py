"""The legacy planner's loop: one booking at a time, each held in one transaction and confirmed in the next.

After a crash between the two, the hold expires and the booking is retried at its due date. Attempts are due dates, as
in V3: at most 11, 5, 15, then 45 seconds apart.

Long because the package goes as a whole, and this is all that decides in it.
"""

import logging
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Unpack

from assignments import conf
from assignments.concurrency import locks, transactions
from assignments.coordination import adoption
from assignments.coordination.day_planner import CONFIRMED_BY_HOST, cancel_unwanted
from assignments.coordination.snapshots import held_tables, occupied_during, seating_request, touched_by
from assignments.coordination.table_record import success_of
from assignments.error_logging import log_error
from assignments.exceptions import HostRefusedError, TableTakenError
from assignments.integration import floor_cache
from assignments.integration.floor_cache import floor_or_none, floor_or_problem
from assignments.integration.host import Host, HostBooking, lock_bookings
from assignments.integration.planners import Judged, Preview, Route, router
from assignments.integration.project_host import configured
from assignments.lifecycle import intake, ledger, transitions, waiting
from assignments.lifecycle.settlement import Basis, Settlement
from assignments.models import Assignment, State
from assignments.outcome import CoordinatorReason, Kind, Noop, Outcome, noop, unstored
from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied, Snapshot, occupied_by
from assignments.telemetry import correlation, events
from legacy_planner import engine
from legacy_planner.events import SOURCE

logger = logging.getLogger("legacy_planner")

KEY = "legacy"
HOLD_SECONDS = 45
"""How long a booking waits whose process died between the two transactions."""
MAX_ATTEMPTS = 11
DELAYS_SECONDS = (5.0, 15.0, 45.0)
START_CUTOFF_MINUTES = 10
DAY_LOCKED = "another process has locked the day"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Held:
    """The result of the first transaction, for the second."""

    token: uuid.UUID
    version: int
    booking: HostBooking
    decision: Decision
    decision_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Claimed:
    """A locked row that this planner decides, its route, and the database's time."""

    assignment: Assignment
    route: Route
    now: datetime


class LegacyPlanner:
    """Implements ``assignments.integration.planners.Planner``."""

    key = KEY

    def __init__(self, host: Host | None = None) -> None:
        self.host = host or configured()

    def process(
        self, booking_refs: Sequence[str], *, trigger: str, due_before: datetime | None = None
    ) -> Sequence[Outcome]:
        """Decide those of these bookings that belong to this planner and are open and (at ``due_before``) due.

        Stops early if another process has locked their day, because the others would wait as long. They stay due.
        """
        with correlation.scope():
            return self._process_all(booking_refs, trigger, due_before)

    def _process_all(self, booking_refs: Sequence[str], trigger: str, due_before: datetime | None) -> Sequence[Outcome]:
        started = time.perf_counter()
        events.emit(events.event(SOURCE, "auto_assign.started", trigger=trigger, bookings=len(booking_refs)))
        outcomes = []
        for ref in self._seated_first(booking_refs):
            outcomes.append(self._process(ref, trigger, due_before))
            if outcomes[-1].detail == DAY_LOCKED:
                break
        kinds = Counter(outcome.kind.value for outcome in outcomes)
        events.emit(
            events.event(
                SOURCE,
                "auto_assign.summary",
                trigger=trigger,
                bookings=len(outcomes),
                detail=", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())),
                total_ms=round((time.perf_counter() - started) * 1000, 3),
            )
        )
        return outcomes

    def _seated_first(self, booking_refs: Sequence[str]) -> Sequence[str]:
        """Return these bookings, first those that the host has seated by itself, so that nobody else gets their tables."""
        if len(booking_refs) < 2:
            return booking_refs
        shown = self.host.bookings(booking_refs)
        seated = {ref for ref in booking_refs if ref in shown and adoption.is_seated(shown[ref])}
        return sorted(booking_refs, key=lambda ref: ref not in seated)

    def preview(self, preview: Preview) -> Sequence[Decision]:
        """Return the decisions that it would make, one booking at a time, with earlier ones applied."""
        occupied = list(preview.occupied)
        decisions = []
        for asked in preview.requests:
            request, others = _with_its_hold(asked, occupied, floor=preview.floor, now=preview.now)
            decision = engine.plan(
                Snapshot(
                    floor=preview.floor,
                    occupied=others,
                    request=request,
                    now=preview.now,
                    rules=preview.rules,
                    success=preview.success,
                )
            )
            decisions.append(decision)
            if decision.best is not None and decision.window is not None:
                occupied += occupied_by(request.booking_ref, decision.best.table_refs, decision.window)
        return decisions

    def decided(self, judged: Judged) -> None:
        """Hook, called after the transactions with each decision, and each answer to an edit. Used to compare planners."""

    def _process(self, booking_ref: str, trigger: str, due_before: datetime | None = None) -> Outcome:
        judged: list[Judged] = []
        with correlation.scope(booking_ref=booking_ref):
            outcome = self._attempt(booking_ref, trigger, judged, due_before)
            if judged:
                self.decided(judged[-1])  # The last one, if a conflict caused another.
            return outcome

    def _attempt(self, booking_ref: str, trigger: str, judged: list[Judged], due_before: datetime | None) -> Outcome:
        try:
            # One more wait for a locked day is enough: its owner continues there.
            with floor_cache.one_reading():
                held = transactions.run(lambda: self._hold(booking_ref, trigger, judged, due_before), retries=1)
            if isinstance(held, Outcome):
                return held
            return transactions.run(lambda: self._confirm(booking_ref, held, trigger))
        except Exception as error:
            if transactions.is_database_away(error):
                raise
            if transactions.is_lost_race(error) and not isinstance(error, TableTakenError):
                locked = transactions.sqlstate(error) == transactions.LOCK_NOT_AVAILABLE
                detail = DAY_LOCKED if locked else type(error).__name__
                return noop(booking_ref, Noop.LOCK_CONTENTION, planner=KEY, detail=detail)
            return self._record_failure(booking_ref, error, trigger)

    def _claim(self, booking_ref: str, *, begins: bool = False) -> _Claimed | Outcome:
        """Return the row, locked after its day, if this planner decides it; else the outcome.

        For bookings without a planner the router is asked again, because the flags may have changed since they were
        handed over. A booking that this planner has claimed stays with it; the router is asked about it only when it
        ``begins`` again.
        """
        row = Assignment.objects.of(booking_ref)
        now = locks.lock_days(row.values_list("restaurant_ref", "service_date"))
        assignment = row.claim().first()
        if assignment is None:
            return noop(booking_ref, Noop.LOCK_CONTENTION, planner=KEY)
        if assignment.is_terminal and not assignment.is_woken:
            return noop(booking_ref, Noop.TERMINAL_STATE, planner=KEY, detail=assignment.state)
        if not assignment.is_woken and assignment.planner not in {"", KEY}:
            return noop(booking_ref, Noop.PIPELINE_DISABLED, planner=KEY, detail="another planner has claimed it")
        route = Route(planner=KEY)
        if begins or not assignment.planner:
            route = router().route([assignment])[booking_ref]
        if (assignment.is_woken or not assignment.planner) and route.planner != KEY:
            return noop(booking_ref, Noop.PIPELINE_DISABLED, planner=KEY, detail="another planner is active now")
        return _Claimed(assignment=assignment, route=route, now=now)

    def _hold(
        self, booking_ref: str, trigger: str, judged: list[Judged], due_before: datetime | None = None
    ) -> _Held | Outcome:
        """Run the first transaction: choose tables and hold them, or settle the booking."""
        claimed = self._claim(booking_ref, begins=True)
        if isinstance(claimed, Outcome):
            return claimed
        assignment, now = claimed.assignment, claimed.now
        if assignment.is_woken and not self._finds_tables(claimed):
            waiting.let_sleep([assignment])
            return noop(booking_ref, Noop.TERMINAL_STATE, planner=KEY, detail=assignment.state)
        if due_before is not None and assignment.due_at is not None and assignment.due_at > due_before:
            return noop(
                booking_ref, Noop.LOCK_CONTENTION, planner=KEY, detail="another pass has processed it meanwhile"
            )
        settlement = self._settlement(now, trigger)
        booking = self._booking(assignment, settlement)
        if isinstance(booking, Outcome):
            return self._written(settlement, booking)
        starts_in = intake.stored_start(booking) - now
        if timedelta(0) < starts_in < timedelta(minutes=START_CUTOFF_MINUTES):
            return self._written(settlement, self._cut_off(assignment, settlement))
        floor, problem = floor_or_problem(booking.restaurant_ref, host=self.host)
        if floor is None:
            outcome = self._try_again(settlement, assignment, reason=CoordinatorReason.INVALID_FLOOR, detail=problem)
            return self._written(settlement, outcome)
        touched = touched_by([seating_request(booking, assignment)], floor) - {assignment.service_date}
        if touched and not locks.try_days(assignment.restaurant_ref, touched):
            return noop(booking_ref, Noop.LOCK_CONTENTION, planner=KEY, detail=DAY_LOCKED)
        judged.append(self._judge(claimed, booking, floor, settlement))
        decision, milliseconds = judged[-1].decision, judged[-1].decision_ms
        if decision.best is None or decision.window is None:
            return self._written(settlement, self._refused(settlement, assignment, decision, milliseconds))
        ledger.release([booking_ref], for_others=False)  # Its own hold, which the decision counted as free.
        token = ledger.hold(
            ledger.Placement(
                restaurant_ref=assignment.restaurant_ref,
                booking_ref=booking_ref,
                table_refs=decision.best.table_refs,
                window=decision.window,
                planner=KEY,
                party=assignment.party,
                zone_ref=assignment.zone_ref,
            ),
            seconds=HOLD_SECONDS,
            now=now,
        )
        assignment.attempts += 1
        transitions.start(assignment, actor=KEY, planner=KEY)
        assignment.due_at = now + timedelta(seconds=HOLD_SECONDS)
        transitions.store([assignment], correlation_id=settlement.correlation_id)
        return _Held(
            token=token,
            version=assignment.version,
            booking=booking,
            decision=decision,
            decision_ms=milliseconds,
        )

    def _finds_tables(self, claimed: _Claimed) -> bool:
        """Return whether a booking that was woken in review can be seated now. Changes nothing."""
        ref = claimed.assignment.booking_ref
        booking = self.host.bookings([ref], lock=True).get(ref)
        shown = [booking] if booking else []
        if adoption.with_tables_here(shown):
            return False  # It keeps them until staff have decided.
        given = adoption.given(shown, host=self.host, now=claimed.now, assignments=[claimed.assignment])
        if booking is not None and given:
            return not adoption.others_there(booking, given[ref], host=self.host, now=claimed.now)
        if booking is None or not booking.wants_table:
            return booking is None and ref not in self.host.bookings([ref])  # Gone, which ``_hold`` settles.
        if booking.problem or booking.is_confirmed:
            return False
        starts_in = intake.stored_start(booking) - claimed.now
        floor, _problem = floor_or_problem(booking.restaurant_ref, host=self.host)
        if floor is None or starts_in < timedelta(minutes=START_CUTOFF_MINUTES):
            return False
        settlement = self._settlement(claimed.now, "woken")
        return self._judge(claimed, booking, floor, settlement).decision.best is not None

    def _confirm(self, booking_ref: str, held: _Held, trigger: str) -> Outcome:
        """Run the second transaction: turn the hold into a seating."""
        claimed = self._claim(booking_ref)
        if isinstance(claimed, Outcome):
            return claimed
        assignment, now = claimed.assignment, claimed.now
        if assignment.version != held.version or assignment.state != State.ASSIGNMENT_IN_PROGRESS:
            # Edited or cancelled in between, which freed the hold.
            return noop(booking_ref, Noop.LOCK_CONTENTION, planner=KEY, detail="changed meanwhile")
        assert held.decision.window is not None
        settlement = self._settlement(now, trigger, resumes=True)
        booking = lock_bookings(self.host, [booking_ref]).get(booking_ref)
        if booking is None or not booking.wants_table:
            ledger.release([booking_ref])
            cancelled = cancel_unwanted(assignment, booking, planner=KEY)
            return self._written(settlement, settlement.store_only(assignment, cancelled))
        if replace(booking, requested_at=held.booking.requested_at) != held.booking:
            # Edited in between without notice: the tables were chosen for another party.
            ledger.release([booking_ref])
            outcome = self._try_again(settlement, assignment, reason=CoordinatorReason.BOOKING_MOVED)
            return self._written(settlement, outcome)
        assert held.decision.best is not None
        ledger.seat_hold(held.token)
        outcome = settlement.confirm(
            assignment,
            table_refs=held.decision.best.table_refs,
            window=held.decision.window,
            strategy="penalty",
            decision=held.decision,
            decision_ms=held.decision_ms,
            already_seated=True,
        )
        return self._written(settlement, outcome, attempt=assignment.attempts)

    def _booking(self, assignment: Assignment, settlement: Settlement) -> HostBooking | Outcome:
        """Return the host's booking, locked, or the outcome if it is gone, cancelled or busy."""
        ref = assignment.booking_ref
        booking = self.host.bookings([ref], lock=True).get(ref)
        if booking is None and ref in self.host.bookings([ref]):
            return noop(ref, Noop.LOCK_CONTENTION, planner=KEY, detail=CoordinatorReason.BOOKING_BUSY)
        shown = [booking] if booking else []
        given = adoption.given(shown, host=self.host, now=settlement.now, assignments=[assignment])
        if booking is not None and given:
            outcome = adoption.take_over(
                assignment, booking, given[ref], host=self.host, now=settlement.now, reviewing=settlement
            )
            return outcome or noop(ref, Noop.TERMINAL_STATE, planner=KEY, detail=assignment.state)
        if booking is None or not booking.wants_table:
            ledger.release([ref])
            return settlement.store_only(assignment, cancel_unwanted(assignment, booking, planner=KEY))
        if booking.problem:
            return settlement.fail(assignment, reason=CoordinatorReason.INVALID_BOOKING, detail=booking.problem)
        if booking.is_confirmed:
            return settlement.send_to_review(
                assignment, reason=CoordinatorReason.CONFIRMED_BY_HOST, detail=CONFIRMED_BY_HOST
            )
        if intake.take_over_facts(
            assignment, booking, floor=floor_or_none(booking.restaurant_ref, host=self.host)
        ):  # Moved without notice: its new restaurant-day is not the locked one.
            assignment.touch()
            moved = Outcome(booking_ref=ref, kind=Kind.RETRY, planner=KEY, reason=CoordinatorReason.BOOKING_MOVED)
            return settlement.store_only(assignment, moved)
        return booking

    def _judge(self, claimed: _Claimed, booking: HostBooking, floor: Floor, settlement: Settlement) -> Judged:
        request = seating_request(booking, claimed.assignment)
        occupied = occupied_during([request], floor, remove_expired=True)
        request, others = _with_its_hold(request, occupied, floor=floor, now=settlement.now)
        snapshot = Snapshot(
            floor=floor,
            occupied=others,
            request=request,
            now=settlement.now,
            # The legacy planner has its own rules; these are for V3 when the two are compared.
            rules=conf.settings().rules(),
            success=success_of(booking.restaurant_ref),
        )
        started = time.perf_counter()
        decision = engine.plan(snapshot)
        milliseconds = (time.perf_counter() - started) * 1000
        return Judged(
            snapshot=snapshot,
            decision=decision,
            decision_ms=milliseconds,
            is_recorded=claimed.route.is_recorded,
        )

    def _refused(
        self, settlement: Settlement, assignment: Assignment, decision: Decision, milliseconds: float
    ) -> Outcome:
        refusal = decision.refusal
        assert refusal is not None, f"{assignment.booking_ref}: a decision has plans or a refusal"
        basis: Basis = {"detail": refusal.detail, "decision": decision, "decision_ms": milliseconds}
        if intake.came_too_late(assignment, refusal):
            return settlement.send_to_review(assignment, reason=CoordinatorReason.STARTED_UNDECIDED, **basis)
        if refusal.is_invalid or refusal.is_hard:
            settle = settlement.fail if refusal.is_invalid else settlement.send_to_review
            return settle(assignment, reason=refusal.reason, **basis)
        return self._try_again(settlement, assignment, reason=refusal.reason, **basis)

    def _try_again(
        self,
        settlement: Settlement,
        assignment: Assignment,
        *,
        reason: str,
        **basis: Unpack[Basis],
    ) -> Outcome:
        attempt = assignment.attempts + (0 if settlement.resumes else 1)
        return settlement.try_again(
            assignment,
            reason=reason,
            delay_seconds=DELAYS_SECONDS[min(attempt, len(DELAYS_SECONDS)) - 1],
            last_try=attempt >= MAX_ATTEMPTS,
            **basis,
        )

    def _cut_off(self, assignment: Assignment, settlement: Settlement) -> Outcome:
        events.emit(
            events.event(
                SOURCE,
                "auto_assign.cutoff_skipped",
                booking_ref=assignment.booking_ref,
                restaurant_ref=assignment.restaurant_ref,
                trigger=settlement.trigger,
                reason=Reason.START_TOO_NEAR,
            )
        )
        return settlement.send_to_review(
            assignment,
            reason=Reason.START_TOO_NEAR,
            detail=f"It starts in less than {START_CUTOFF_MINUTES} minutes.",
        )

    def _record_failure(self, booking_ref: str, error: Exception, trigger: str) -> Outcome:
        taken, refused = isinstance(error, TableTakenError), isinstance(error, HostRefusedError)
        if not taken and not refused:
            log_error(logger, error, "Booking %s failed", booking_ref)

        def record() -> Outcome:
            claimed = self._claim(booking_ref)
            if isinstance(claimed, Outcome):
                return claimed
            assignment, now = claimed.assignment, claimed.now
            settlement = self._settlement(now, trigger)
            if assignment.state == State.ASSIGNMENT_IN_PROGRESS:
                ledger.release([booking_ref])  # The hold of the first transaction.
            if isinstance(error, HostRefusedError):
                detail = str(error.context.get("constraint") or error)
                review = settlement.send_to_review(assignment, reason=CoordinatorReason.REFUSED_BY_HOST, detail=detail)
                return self._written(settlement, review, host_may_fail=True)
            outcome = self._try_again(
                settlement,
                assignment,
                reason=CoordinatorReason.TABLE_TAKEN if taken else CoordinatorReason.UNEXPECTED_ERROR,
                detail="" if taken else type(error).__name__,
                unexpected=not taken,
            )
            return self._written(settlement, outcome, host_may_fail=True)

        try:
            return transactions.run(record)
        except Exception as second:
            if transactions.is_database_away(second):
                raise
            log_error(logger, second, "The failure of booking %s could not be stored", booking_ref)
        # Nothing was stored: the booking is unchanged and still due.
        return unstored(booking_ref, type(error).__name__, planner=KEY)

    def _settlement(self, now: datetime, trigger: str, *, resumes: bool = False) -> Settlement:
        return Settlement(host=self.host, planner=KEY, actor=KEY, trigger=trigger, now=now, resumes=resumes)

    def _written(
        self, settlement: Settlement, outcome: Outcome, attempt: int | None = None, *, host_may_fail: bool = False
    ) -> Outcome:
        """Write the settlement in the open transaction and emit its events."""
        settlement.write(host_may_fail=host_may_fail)
        kind = _EVENTS.get(outcome.kind)
        if outcome.unexpected:
            kind = "auto_assign.attempt_error"
        if kind is not None:
            events.emit(
                events.event(
                    SOURCE,
                    kind,
                    booking_ref=outcome.booking_ref,
                    correlation_id=settlement.correlation_id,
                    trigger=settlement.trigger,
                    attempt=attempt,
                    reason=outcome.reason or None,
                    detail=(outcome.detail or None) if not outcome.unexpected else None,
                    error_type=outcome.detail if outcome.unexpected else None,
                    table_refs=list(outcome.table_refs) or None,
                    delay_seconds=outcome.delay_seconds or None,
                    decision_ms=round(outcome.decision_ms, 3) or None,
                    party=outcome.party or None,
                )
            )
        return outcome


def _with_its_hold(
    request: SeatingRequest, occupied: Sequence[Occupied], *, floor: Floor, now: datetime
) -> tuple[SeatingRequest, tuple[Occupied, ...]]:
    """Return the request, limited to the tables that the booking still validly holds, and the tables of others."""
    held = held_tables([request], occupied, floor=floor, now=now)
    if held:
        request = replace(request, pinned_table_refs=held[request.booking_ref])
    return request, tuple(taken for taken in occupied if taken.booking_ref not in held)


_EVENTS = {
    Kind.CONFIRMED: "auto_assign.succeeded",
    Kind.RETRY: "auto_assign.attempt",
    Kind.MANUAL_REVIEW: "auto_assign.failed",
    Kind.FAILED: "auto_assign.failed",
}
