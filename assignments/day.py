"""Planning the claimed bookings of one restaurant-day, and settling each."""

import time
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from assignments import conf, intake, ledger
from assignments.floors import floor_of, floor_or_none
from assignments.host import Host, HostBooking
from assignments.models import Assignment
from assignments.outcome import CoordinatorReason, Kind, Noop, Outcome, noop
from assignments.planners import V3
from assignments.planning.decision import Decision
from assignments.planning.evening import EveningPlanner, in_order
from assignments.planning.floor import Floor, InvalidFloorError
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied
from assignments.settlement import Settlement
from assignments.snapshots import occupied_during, seating_request
from assignments.success import success_of

CONFIRMED_BY_HOST = "The booking was confirmed without this app, so it has no tables here: staff have to choose them."


class DayPlan:
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
        self.settlement.floor = floor
        plannable = self._plannable(claimed, floor)
        if floor is None:
            for assignment, _booking in plannable:
                self.settlement.try_again(assignment, reason=CoordinatorReason.INVALID_FLOOR, detail=problem)
            return
        requests = [seating_request(booking, assignment) for assignment, booking in plannable]
        decisions, milliseconds = plan_requests(
            requests,
            floor=floor,
            occupied=occupied_during(requests, floor),
            now=self.settlement.now,
            success=success_of(self.restaurant_ref),
        )
        for assignment, _booking in plannable:
            ref = assignment.booking_ref
            self._settle(assignment, decisions[ref], milliseconds[ref])

    def _plannable(self, claimed: Sequence[Assignment], floor: Floor | None) -> list[tuple[Assignment, HostBooking]]:
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
            elif booking.is_confirmed:
                self.settlement.send_to_review(
                    assignment, reason=CoordinatorReason.CONFIRMED_BY_HOST, detail=CONFIRMED_BY_HOST
                )
            elif not self._is_moved(assignment, booking, floor):
                assignment.starts_at, assignment.party = booking.starts_at, intake.stored_party(booking)
                plannable.append((assignment, booking))
        return plannable

    def _cancel(self, assignment: Assignment, *, gone: bool) -> None:
        reason = Noop.BOOKING_NOT_FOUND if gone else "booking_cancelled"
        ledger.release([assignment.booking_ref])
        assignment.cancel(actor="host", reason=reason)
        self.settlement.store_only(
            assignment,
            noop(
                assignment.booking_ref,
                Noop.BOOKING_NOT_FOUND if gone else Noop.TERMINAL_STATE,
                planner=V3,
                detail=reason,
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
        assignment.starts_at, assignment.party = booking.starts_at, intake.stored_party(booking)
        assignment.touch()
        self.settlement.store_only(
            assignment,
            Outcome(
                booking_ref=assignment.booking_ref, kind=Kind.RETRY, planner=V3, reason=CoordinatorReason.BOOKING_MOVED
            ),
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
        settle(assignment, reason=refusal.reason, detail=refusal.detail, decision=decision, decision_ms=milliseconds)


def plan_requests(
    requests: Sequence[SeatingRequest],
    *,
    floor: Floor,
    occupied: tuple[Occupied, ...],
    now: datetime,
    success: Mapping[str, float],
) -> tuple[Mapping[str, Decision], Mapping[str, float]]:
    """Decide requests of one restaurant-day together: decisions and planning milliseconds, by booking ref."""
    rules = conf.settings().rules()
    evening = EveningPlanner(floor=floor, occupied=occupied, rules=rules, now=now, success=success)
    milliseconds = {}
    for request in in_order(requests, floor=floor, rules=rules):
        started = time.perf_counter()
        evening.decide(request)
        milliseconds[request.booking_ref] = (time.perf_counter() - started) * 1000
    return evening.decisions, milliseconds
