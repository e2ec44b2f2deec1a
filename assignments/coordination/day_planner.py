"""Planning the claimed bookings of one restaurant-day, and settling each."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from assignments import conf
from assignments.concurrency import locks
from assignments.coordination import adoption, rearrangement
from assignments.coordination.plan_ahead import MOST_SECONDS, PlanAhead
from assignments.coordination.planned_day import PlannedDay, plan_requests
from assignments.coordination.rearrangement import Rearrangement
from assignments.coordination.snapshots import (
    is_plannable,
    occupied_during,
    requests_of,
    seating_request,
    shown_for_others,
    touched_during,
    windows_of,
)
from assignments.coordination.table_record import success_of
from assignments.exceptions import LockContentionError
from assignments.integration.floor_cache import floor_or_none, floor_or_problem
from assignments.integration.host import Host, HostBooking, is_cancelled
from assignments.integration.planners import V3, Preview, kept_batch
from assignments.integration.swaps import obstacle_to_swaps
from assignments.lifecycle import intake, ledger, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.models import Assignment
from assignments.outcome import CoordinatorReason, Kind, Noop, Outcome, noop
from assignments.planning import writing_order
from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Movable, Occupied

MOST_PLANS = 4
"""How often a day is planned again, at most, where the host's rows allow no swaps."""
CONFIRMED_BY_HOST = "The booking was confirmed without this app, so it has no tables here: staff have to choose them."


class DayPlanner:
    """Plans the claimed bookings of one restaurant-day and settles each."""

    def __init__(
        self,
        host: Host,
        settlement: Settlement,
        restaurant_ref: str,
        service_date: date,
        *,
        may_rearrange: bool = False,
        leaves_shown: bool = False,
    ) -> None:
        self.host = host
        self.settlement = settlement
        self.restaurant_ref = restaurant_ref
        self.service_date = service_date
        self._may_rearrange = may_rearrange
        self.gave_way: list[Assignment] = []
        """Who got no table, while others that asked earlier and are decided later may have it."""
        self._leaves_shown = leaves_shown
        """Whether tables that the host shows for others who wait count as taken, and nothing else that these may get.

        Where rows allow no swaps, two who wait could otherwise keep each other from any table.
        """
        self._kept: tuple[Occupied, ...] = ()
        """What rows show that keep it, because they cannot be written otherwise."""
        self._locked_by_host: list[SeatingRequest] = []

    def settle(
        self,
        claimed: Sequence[Assignment],
        *,
        earlier: Sequence[Assignment] = (),
        later: Sequence[Assignment] = (),
        ahead: PlanAhead | None = None,
    ) -> None:
        """Plan and settle these bookings.

        Those that asked ``earlier`` and wait are planned with them, and so are those that the host has locked: nobody gets a
        table that they could have had. They are settled when their own turn comes. Those of ``later`` batches are planned
        with them too, and ``ahead`` keeps what was planned for them; where it knows these bookings already, it decides.
        """
        floor, problem = floor_or_problem(self.restaurant_ref, host=self.host)
        plannable = self._plannable(claimed, floor)
        if floor is None:
            for assignment, _booking in plannable:
                if not assignment.is_woken:
                    self.settlement.try_again(assignment, reason=CoordinatorReason.INVALID_FLOOR, detail=problem)
            return
        requests = [seating_request(booking, assignment) for assignment, booking in plannable]
        first, behind = self._before_and_after(earlier, later) if requests and not self._leaves_shown else ([], [])
        windows = windows_of(requests, floor)
        self._lock_touched_days(windows, floor)
        together = [*first, *requests, *behind]
        occupied = self._occupied([*first, *behind], requests, windows, floor)
        success = success_of(self.restaurant_ref)
        found: Rearrangement | None = None
        own, now = [request.booking_ref for request in requests], self.settlement.now
        if ahead is not None and ahead.holds_for(together, occupied, own=own, floor=floor, now=now):
            decisions, milliseconds = ahead.decisions, ahead.milliseconds
        else:
            decisions, milliseconds, found = self._plan(
                together, occupied, floor, success=success, first=first, seats=requests, behind=behind
            )
            together = [request for request in together if request.booking_ref in decisions]
            if ahead is not None and behind and not (found and found.moves):
                ahead.keep(together, decisions, milliseconds, occupied=occupied, own=own, floor=floor, now=now)
            elif ahead is not None:
                ahead.forget()
        if requests:
            preview = Preview(
                floor=floor,
                occupied=(found.occupied if found else occupied) + self._kept,
                requests=tuple(together),
                now=now,
                rules=conf.settings().rules(),
                success=success,
            )
            self._keep(preview, decisions, movable=found.movable if found else ())
        holding = {taken.booking_ref for taken in occupied}
        mine = [assignment.booking_ref for assignment, _booking in plannable]
        ledger.release([ref for ref in mine if decisions[ref].best is not None and ref in holding], for_others=False)
        for assignment, _booking in plannable:
            ref = assignment.booking_ref
            self._settle(assignment, decisions[ref], milliseconds[ref])
        if any(decisions[request.booking_ref].best is not None for request in first):
            self.gave_way = [each for each, _booking in plannable if decisions[each.booking_ref].best is None]
        else:
            waiting.let_sleep(each for each, _booking in plannable if each.is_woken)

    def _occupied(
        self,
        others: Sequence[SeatingRequest],
        requests: Sequence[SeatingRequest],
        windows: Sequence[SeatingWindow],
        floor: Floor,
    ) -> tuple[Occupied, ...]:
        """Return what is taken during these ``requests``, whose ``windows`` are given, and during those of ``others``."""
        occupied = occupied_during(others, floor, also=windows, remove_expired=True)
        if not self._leaves_shown:
            return occupied
        own = {request.booking_ref for request in requests}
        return occupied + shown_for_others(self.restaurant_ref, self.service_date, own, floor, host=self.host)

    def _keep(self, preview: Preview, decisions: Mapping[str, Decision], *, movable: tuple[Movable, ...]) -> None:
        """Have what was planned together kept for the audit, and the attempts that follow refer to it."""
        planned = {request.booking_ref: decisions[request.booking_ref] for request in preview.requests}
        batch = kept_batch(preview, planned, service_date=self.service_date, movable=movable)
        if batch is not None:
            self.settlement.batch = batch.key
            self.settlement.keep(batch)

    def _plan(
        self,
        requests: Sequence[SeatingRequest],
        occupied: tuple[Occupied, ...],
        floor: Floor,
        *,
        success: Mapping[str, float],
        first: Sequence[SeatingRequest],
        seats: Sequence[SeatingRequest],
        behind: Sequence[SeatingRequest],
    ) -> tuple[Mapping[str, Decision], Mapping[str, float], Rearrangement | None]:
        """Return decisions on ``requests``, their milliseconds, and what was found when others might move.

        Confirmed parties may move to seat more of ``seats`` and ``behind``. Those ``behind`` are of later batches, and may
        be left out for want of time. They may move for those that are ``first``, too: nobody gets a table here that these
        need then, but it is in their own turn that the others move, unless somebody here needs that.
        """
        found = None

        def plan() -> PlannedDay:
            return plan_requests(
                requests,
                floor=floor,
                occupied=occupied + self._kept,
                now=self.settlement.now,
                success=success,
                may_wait={request.booking_ref for request in behind},
                seconds=MOST_SECONDS,
            )

        decisions, milliseconds, _moves = plan()
        if obstacle_to_swaps() and not self._leaves_shown:
            decisions, milliseconds = self._without_swaps(decisions, milliseconds, plan, floor, seats)
        requests = [request for request in requests if request.booking_ref in decisions]
        seats = [*seats, *(request for request in behind if request.booking_ref in decisions)]
        wants_tables = self._may_rearrange and not self._kept and _want_tables([*first, *seats], decisions)
        if wants_tables and rearrangement.is_possible(self.host, self.restaurant_ref):
            found = rearrangement.find(
                requests,
                decisions,
                floor=floor,
                service_date=self.service_date,
                host=self.host,
                now=self.settlement.now,
                success=success,
                may_wait={request.booking_ref for request in behind},
                seconds=MOST_SECONDS,
            )
            if found is not None and found.moves:
                decisions, milliseconds = found.decisions, found.milliseconds
                seats = [request for request in seats if request.booking_ref in decisions]
                if found.serves([request.booking_ref for request in seats]):
                    found.apply(self.settlement)
        return decisions, milliseconds, found

    def _without_swaps(
        self,
        decisions: Mapping[str, Decision],
        milliseconds: Mapping[str, float],
        plan: Callable[[], PlannedDay],
        floor: Floor,
        seats: Sequence[SeatingRequest],
    ) -> tuple[Mapping[str, Decision], Mapping[str, float]]:
        """Plan again until no row would need a table that another one has: those that do keep what they show, if it does.

        What is still impossible in the end, the host's database refuses, and each is decided alone.
        """
        own = [request.booking_ref for request in seats]
        shown = shown_for_others(self.restaurant_ref, self.service_date, (), floor, host=self.host)
        for _attempt in range(MOST_PLANS):
            stuck = writing_order.stuck(decisions, own, shown)
            keeping = {each.booking_ref for each in self._kept}
            new = tuple(each for each in shown if each.booking_ref in stuck - keeping)
            if not new:
                break
            self._kept += new
            decisions, milliseconds, _moves = plan()
        return decisions, milliseconds

    def _before_and_after(
        self, earlier: Sequence[Assignment], later: Sequence[Assignment]
    ) -> tuple[list[SeatingRequest], list[SeatingRequest]]:
        """Return the requests that are planned with those of the batch: before them, and after them.

        The tables of those that the host has seated by itself are taken over first, where they are free. None after them
        where rows allow no swaps: what these could be given depends on what is written first.
        """
        later = () if obstacle_to_swaps() else later
        rows = [*earlier, *later]
        bookings = self.host.bookings([row.booking_ref for row in rows]) if rows else {}
        here = adoption.with_tables_here(bookings.values())  # Woken in review: others decide what becomes of them.
        shown = [booking for booking in bookings.values() if booking.ref not in here]
        given = adoption.given(shown, host=self.host, now=self.settlement.now, assignments=rows)
        for row in rows:
            booking, tables = bookings.get(row.booking_ref), given.get(row.booking_ref)
            if booking is not None and tables and self._is_free(booking, tables):
                adoption.take_over(
                    row, booking, tables, host=self.host, now=self.settlement.now, reviewing=self.settlement
                )
        first = requests_of(earlier, self.restaurant_ref, bookings)
        return [*first, *self._locked_by_host], requests_of(later, self.restaurant_ref, bookings)

    def _lock_touched_days(self, windows: Sequence[SeatingWindow], floor: Floor) -> None:
        """Lock the days before and after into which these seatings reach, if any. Raises LockContentionError.

        They are tried, never waited for: whoever plans such a day may be trying this one.
        """
        days = touched_during(windows, floor) - {self.service_date}
        if days and not locks.try_days(self.restaurant_ref, days):
            raise LockContentionError("another process is planning a day that this one reaches into")

    def _plannable(self, claimed: Sequence[Assignment], floor: Floor | None) -> list[tuple[Assignment, HostBooking]]:
        """The bookings to plan; those that are gone, cancelled, seated by the host, busy or malformed are settled here."""
        refs = [assignment.booking_ref for assignment in claimed]
        bookings = self.host.bookings(refs, lock=True)
        absent = [ref for ref in refs if ref not in bookings]
        busy = self.host.bookings(absent) if absent else {}
        plannable, unwanted = [], []
        asleep: list[Assignment] = []
        floors = {self.restaurant_ref: floor}
        for assignment in self._not_seated(claimed, bookings, busy):
            booking = bookings.get(assignment.booking_ref)
            if booking is None and assignment.booking_ref in busy:
                self.settlement.outcomes.append(
                    noop(assignment.booking_ref, Noop.LOCK_CONTENTION, planner=V3, detail="booking_busy")
                )
                if is_plannable(busy[assignment.booking_ref], assignment, self.restaurant_ref):
                    self._locked_by_host.append(seating_request(busy[assignment.booking_ref], assignment))
            elif booking is None or not booking.wants_table:
                self.settlement.store_only(assignment, cancel_unwanted(assignment, booking, planner=V3))
                unwanted.append(assignment.booking_ref)
            elif assignment.is_woken and (booking.problem or booking.is_confirmed):
                asleep.append(assignment)
            elif booking.problem:
                self.settlement.fail(assignment, reason=CoordinatorReason.INVALID_BOOKING, detail=booking.problem)
            elif booking.is_confirmed:
                self.settlement.send_to_review(
                    assignment, reason=CoordinatorReason.CONFIRMED_BY_HOST, detail=CONFIRMED_BY_HOST
                )
            else:
                if booking.restaurant_ref not in floors:
                    floors[booking.restaurant_ref] = floor_or_none(booking.restaurant_ref, host=self.host)
                if intake.take_over_facts(assignment, booking, floor=floors[booking.restaurant_ref]):
                    self._moved(assignment)
                else:
                    plannable.append((assignment, booking))
        ledger.release(unwanted)
        waiting.let_sleep(asleep)
        return plannable

    def _not_seated(
        self, claimed: Sequence[Assignment], bookings: Mapping[str, HostBooking], busy: Mapping[str, HostBooking]
    ) -> list[Assignment]:
        """Take over the tables of those that the host has seated by itself, and return the others.

        Nobody is placed before that. A table that others have stays theirs, and staff hear of it. Those that have tables
        here keep them.
        """
        shown = [*bookings.values(), *busy.values()]
        here = adoption.with_tables_here(shown)
        shown = [booking for booking in shown if booking.ref not in here]
        given = adoption.given(shown, host=self.host, now=self.settlement.now, assignments=claimed)
        left, asleep = [], []
        for assignment in claimed:
            ref = assignment.booking_ref
            if ref in here and assignment.is_woken:
                asleep.append(assignment)
            elif ref not in given or (ref in busy and not self._is_free(busy[ref], given[ref])):
                left.append(assignment)
            elif not self._take_over(assignment, bookings.get(ref) or busy[ref], given[ref]):
                asleep.append(assignment)  # Others are still there, and staff know it.
        waiting.let_sleep(asleep)
        return left

    def _take_over(self, assignment: Assignment, booking: HostBooking, table_refs: Sequence[str]) -> bool:
        outcomes = self.settlement.outcomes
        before = len(outcomes)
        outcome = adoption.take_over(
            assignment, booking, table_refs, host=self.host, now=self.settlement.now, reviewing=self.settlement
        )
        if outcome is not None and len(outcomes) == before:
            outcomes.append(outcome)
        return outcome is not None

    def _is_free(self, booking: HostBooking, table_refs: Sequence[str]) -> bool:
        return not adoption.others_there(booking, table_refs, host=self.host, now=self.settlement.now)

    def _moved(self, assignment: Assignment) -> None:
        """The host moved the booking to another day or restaurant without saying so: that day's batch decides it."""
        assignment.touch()
        self.settlement.store_only(
            assignment,
            Outcome(
                booking_ref=assignment.booking_ref, kind=Kind.RETRY, planner=V3, reason=CoordinatorReason.BOOKING_MOVED
            ),
        )

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
        if assignment.is_woken:
            return  # Staff have it already, and nothing has changed for them.
        refusal = decision.refusal
        assert refusal is not None, f"{assignment.booking_ref}: a decision has plans or a refusal"
        if intake.came_too_late(assignment, refusal):
            self.settlement.send_to_review(
                assignment,
                reason=CoordinatorReason.STARTED_UNDECIDED,
                detail=refusal.detail,
                decision=decision,
                decision_ms=milliseconds,
            )
            return
        if refusal.is_invalid:
            settle = self.settlement.fail
        elif refusal.is_hard:
            settle = self.settlement.send_to_review
        else:
            settle = self.settlement.try_again
        settle(assignment, reason=refusal.reason, detail=refusal.detail, decision=decision, decision_ms=milliseconds)


def _want_tables(requests: Sequence[SeatingRequest], decisions: Mapping[str, Decision]) -> bool:
    """Return whether one of these bookings is refused only because its tables are taken."""
    refusals = (decisions[request.booking_ref].refusal for request in requests)
    return any(refusal is not None and refusal.reason is Reason.NO_CAPACITY for refusal in refusals)


def cancel_unwanted(assignment: Assignment, booking: HostBooking | None, *, planner: str) -> Outcome:
    """Cancel, in memory, an assignment that waits and whose booking is gone, cancelled, or seated without us.

    The caller frees what it held. One that waits for staff, and whose guests sit, stays there: nobody knows at which table.
    """
    if assignment.is_woken and booking is not None and adoption.is_seated(booking):
        waiting.let_sleep([assignment])
        return noop(assignment.booking_ref, Noop.TERMINAL_STATE, planner=planner, detail=assignment.state)
    reason = "booking_cancelled" if is_cancelled(booking) else "no_table_wanted"
    if booking is None:
        reason = Noop.BOOKING_NOT_FOUND
    assignment.cancel(actor="host", reason=reason)
    kind = Noop.BOOKING_NOT_FOUND if booking is None else Noop.TERMINAL_STATE
    return noop(assignment.booking_ref, kind, planner=planner, detail=reason)
