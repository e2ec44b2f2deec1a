"""Running planners: one pass over what is due, or one booking now.

This is the only place where V3 and other planners meet.

The router is asked before any planner is called, so that no code of a planner runs while it is off. Flags may change
before a planner claims a booking, so a planner asks again in the transaction that claims it.
"""

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial

from django.db import OperationalError
from django.db.models import Min, Q
from django.db.models.functions import Coalesce

from assignments import conf
from assignments.concurrency import transactions
from assignments.concurrency.transactions import database_now, is_database_away, refuse_nesting
from assignments.coordination import floor_watch, no_shows, quarantine, service_dates, woken_bookings
from assignments.coordination.coordinator import Coordinator, merged
from assignments.coordination.handover import hand_back
from assignments.coordination.invocation import DayResult, Invocation
from assignments.coordination.plan_ahead import PlanAhead
from assignments.error_logging import log_error
from assignments.exceptions import AssignmentNotFoundError, BookingNotFoundError, TimeBudgetExceededError
from assignments.integration.planners import NOBODY, V3, Planner, Route, router, routes_of
from assignments.integration.project_host import configured
from assignments.lifecycle import intake, ledger
from assignments.models import Assignment
from assignments.models.assignment import AssignmentQuerySet
from assignments.outcome import Kind, Noop, Outcome, noop, unstored
from assignments.telemetry import correlation, process_metrics

logger = logging.getLogger("assignments.dispatch")

DAYS_AT_ONCE = 50
HANDED_OVER_AT_ONCE = 10


@dataclass(kw_only=True)
class PassLimits:
    """Limits of one pass. ``limit``: bookings (0: all that are due). ``max_seconds``: wall time (0: no end).

    ``service_date``: only this service day.
    """

    limit: int = 0
    max_seconds: float = 0.0
    restaurant_ref: str | None = None
    service_date: date | None = None
    should_stop: Callable[[], bool] = field(default=lambda: False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """The outcomes of one restaurant-day, and how many bookings were due in all when the pass started."""

    restaurant_ref: str
    service_date: date
    outcomes: tuple[Outcome, ...]
    contended: bool = False
    circuit_open: bool = False


def register_new(restaurant_ref: str | None = None) -> intake.Registered:
    """Request an assignment for every host booking that waits and is unknown here, even if it has started since.

    Before that, rows of an earlier release get their service day, edited floors are followed, and no-shows are marked.
    """
    host, now = configured(), database_now()
    service_dates.correct(host, now=now, restaurant_ref=restaurant_ref)
    no_shows.mark_due(host, now=now, restaurant_ref=restaurant_ref)
    registered = intake.register_new(host, now=now, restaurant_ref=restaurant_ref)
    floor_watch.check(host, now=now, restaurant_ref=restaurant_ref)
    return registered


def _begin() -> datetime:
    """Drop expired holds and wake the bookings that wait for their tables. Return the database's time."""
    now, has_expired, has_marks = ledger.expired_by_now()
    if has_marks:
        quarantine.note_deaths()
    if has_expired:
        _remove_expired_holds()
    return database_now() if has_expired or has_marks else now


def _remove_expired_holds() -> None:
    """Remove expired holds, except where a planner keeps those who wait for their tables: the next pass tries again."""
    for restaurant_ref in ledger.restaurants_with_expired_holds():
        try:
            transactions.run(partial(ledger.remove_expired_holds, restaurant_ref), retries=0)
        except OperationalError as error:
            if not transactions.is_lost_race(error):
                raise


def count_due(restaurant_ref: str | None = None) -> int:
    """Return the number of bookings that are due now."""
    due = Assignment.objects.due(database_now())
    return (due.filter(restaurant_ref=restaurant_ref) if restaurant_ref else due).count()


def run_pass(limits: PassLimits | None = None, *, trigger: str = "cron") -> Iterator[Progress]:
    """Decide what is due when the pass starts, one restaurant-day after another, the longest waiting first.

    Each booking is decided at most once. A restaurant-day on which another worker is busy is left to it. That worker goes
    through the same days, so this one goes on further behind, and comes to the days in between at the end. Memory stays
    flat: days are read ``DAYS_AT_ONCE`` at a time, bookings a batch at a time.
    """
    refuse_nesting()
    limits = limits or PassLimits()
    started, due_before = time.monotonic(), _begin()
    left = limits.limit or None

    def is_over() -> bool:
        is_late = bool(limits.max_seconds) and time.monotonic() - started >= limits.max_seconds
        return is_late or limits.should_stop()

    passed: set[tuple[str, date]] = set()
    while days := _due_days(due_before, limits, passed):
        has_more_days = len(days) >= DAYS_AT_ONCE
        while days:
            restaurant_ref, service_date = days.popleft()
            after: Assignment | None = None
            ahead = PlanAhead()
            while True:
                if is_over() or left == 0:
                    return
                size = min(left or conf.settings().BATCH_SIZE, conf.settings().BATCH_SIZE)
                batch = list(_due_batch(restaurant_ref, service_date, due_before, after)[:size])
                with correlation.scope():
                    has_more = len(batch) == conf.settings().BATCH_SIZE or after is not None
                    result = _decide(
                        batch,
                        trigger,
                        day=(restaurant_ref, service_date),
                        due_before=due_before,
                        should_stop=is_over,
                        ahead=ahead if has_more else None,
                    )
                process_metrics.observe_decisions(result.outcomes)
                if left is not None:
                    left = max(0, left - sum(1 for outcome in result.outcomes if outcome.kind is not Kind.NOOP))
                yield Progress(
                    restaurant_ref=restaurant_ref,
                    service_date=service_date,
                    outcomes=result.outcomes,
                    contended=result.contended,
                    circuit_open=bool(result.circuit_open_seconds),
                )
                if len(batch) < size or result.contended:
                    break
                after = batch[size - 1]  # The day holds more than one batch.
            passed.add((restaurant_ref, service_date))
            if result.contended and days:
                days.rotate(-random.randrange(len(days)))
        if not has_more_days:
            return  # No more days: what has become due since the pass started is left to the next one.


def assign_one(booking_ref: str, *, trigger: str, budget_seconds: float | None = None) -> Outcome:
    """Decide one booking now, by the planner that the router chooses.

    Raises BookingNotFoundError when neither the host nor this app knows the booking.
    """
    deadline = None if budget_seconds is None else time.monotonic() + budget_seconds
    with correlation.scope(booking_ref=booking_ref):
        try:
            outcomes = _assign_one(booking_ref, trigger, deadline)
        except AssignmentNotFoundError:
            host = configured()
            booking = host.bookings([booking_ref]).get(booking_ref)
            if booking is None:
                raise BookingNotFoundError(f"The host knows no booking {booking_ref!r}.") from None
            intake.request([booking], now=database_now(), host=host)
            outcomes = _assign_one(booking_ref, trigger, deadline)
        process_metrics.observe_decisions(outcomes)
        return outcomes[0] if outcomes else noop(booking_ref, Noop.LOCK_CONTENTION, planner=V3)


def _assign_one(booking_ref: str, trigger: str, deadline: float | None) -> Sequence[Outcome]:
    refuse_nesting()
    invocation = Invocation(trigger=trigger, deadline=deadline)
    try:
        with invocation.within_budget():
            assignment = _requested(booking_ref)
            routes = _routes([assignment])
            invocation.check_budget()
    except TimeBudgetExceededError:
        late = invocation.out_of_time(booking_ref)
        return invocation.execute(lambda: DayResult(outcomes=(late,))).outcomes
    except _RouterError as failed:
        unrouted = _unrouted([assignment], failed)
        return invocation.execute(lambda: unrouted).outcomes
    key = routes[booking_ref].planner
    if key != V3:
        first = [] if assignment.is_terminal else _offered_first(assignment)
        return _in_turn(key, [*first, assignment], invocation)
    day = (assignment.restaurant_ref, assignment.service_date)
    result = Coordinator().process_one(booking_ref, trigger=trigger, deadline=deadline, day=day)
    return (*result.outcomes, *_handed_over(result, trigger))


def _offered_first(assignment: Assignment) -> list[Assignment]:
    """Return bookings of the same service day that asked earlier and are due or woken, oldest first. One query.

    Woken bookings that have tables are tried here, and are left out; so are those that only ask for this day.
    """
    day = assignment.restaurant_ref, assignment.service_date
    due = Assignment.objects.asking_for(*day).due(database_now())
    before = due.filter(requested_at__lt=assignment.requested_at).order_by("requested_at", "id")
    return _of_day(day, woken_bookings.settle(list(before)))


def _in_turn(key: str, assignments: Sequence[Assignment], invocation: Invocation) -> Sequence[Outcome]:
    """Have another planner decide these bookings in order, and return the outcome of the last one.

    It gets a few at a time. If it leaves some of them for later, or the time is up, the last one waits too, because it
    must not pass them.
    """
    last = assignments[-1].booking_ref
    for start in range(0, len(assignments), HANDED_OVER_AT_ONCE):
        if start and invocation.deadline is not None and time.monotonic() >= invocation.deadline:
            return invocation.execute(lambda: DayResult(outcomes=(invocation.out_of_time(last),))).outcomes
        few = assignments[start : start + HANDED_OVER_AT_ONCE]
        outcomes = list(_by_others(key, few, invocation.trigger))
        if len(outcomes) < len(few):
            break
    return [outcome for outcome in outcomes if outcome.booking_ref == last]


def _requested(booking_ref: str) -> Assignment:
    assignment = Assignment.objects.of(booking_ref).first()
    if assignment is None:
        raise AssignmentNotFoundError(f"No assignment was ever requested for booking {booking_ref}.")
    return assignment


def _decide(
    batch: Sequence[Assignment],
    trigger: str,
    *,
    day: tuple[str, date],
    due_before: datetime,
    should_stop: Callable[[], bool],
    ahead: PlanAhead | None = None,
) -> DayResult:
    """Decide a restaurant-day's bookings, each by the planner that the router names.

    Woken bookings that only ask for this ``day`` are tried in their turn, and decided on the day of their promise. For
    ``ahead`` see ``Coordinator.process_day``.
    """
    aside = [quarantine.set_aside(each, trigger=trigger) for each in batch if quarantine.is_culprit(each)]
    first_outcomes = tuple(outcome for result in aside for outcome in result.outcomes)
    innocent = [each for each in batch if not quarantine.is_culprit(each)]
    batch = _of_day(day, woken_bookings.settle(innocent, should_stop=should_stop))
    if not batch:
        return DayResult(outcomes=first_outcomes)
    try:
        routes = _routes(batch)
    except _RouterError as failed:
        unrouted = _unrouted(batch, failed)
        return Invocation(trigger=trigger).execute(lambda: unrouted)
    by_planner: dict[str, list[Assignment]] = {}
    for assignment in batch:
        by_planner.setdefault(routes[assignment.booking_ref].planner, []).append(assignment)
    mine = by_planner.pop(V3, [])
    result = DayResult()
    for together in quarantine.groups(mine):
        if result.contended or (result.outcomes and should_stop()):
            break
        first, refs = together[0], [assignment.booking_ref for assignment in together]
        decided = Coordinator().process_day(
            first.restaurant_ref, first.service_date, refs, due_before=due_before, trigger=trigger, ahead=ahead
        )
        result = merged([result, decided])
    outcomes = [
        *first_outcomes,
        *result.outcomes,
        *_handed_over(result, trigger, due_before=due_before, should_stop=should_stop),
    ]
    for key, theirs in by_planner.items():
        outcomes += _by_others(key, theirs, trigger, due_before=due_before, should_stop=should_stop)
    return replace(result, outcomes=tuple(outcomes))


def _of_day(day: tuple[str, date], assignments: Sequence[Assignment]) -> list[Assignment]:
    return [each for each in assignments if (each.restaurant_ref, each.service_date) == day]


class _RouterError(Exception):
    """The router raised an error; the message is its type."""


def _routes(assignments: Sequence[Assignment]) -> Mapping[str, Route]:
    """Return the router's routes for bookings of one restaurant. Raises _RouterError if the router fails."""
    try:
        return routes_of(assignments)
    except TimeBudgetExceededError:
        raise
    except Exception as error:
        if is_database_away(error):
            raise
        log_error(logger, error, "The router failed for restaurant %s", assignments[0].restaurant_ref, has_place=True)
        raise _RouterError(type(error).__name__) from error


def _unrouted(assignments: Sequence[Assignment], failed: _RouterError) -> DayResult:
    """Leave these bookings unchanged and due, because the router failed and no planner may decide them."""
    return DayResult(outcomes=tuple(unstored(each.booking_ref, str(failed), planner=V3) for each in assignments))


def _by_others(
    key: str,
    assignments: Sequence[Assignment],
    trigger: str,
    *,
    due_before: datetime | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Outcome]:
    """Yield another planner's outcomes for bookings of one restaurant, after handing back those that V3 had claimed."""
    refs = [assignment.booking_ref for assignment in assignments]
    if key == NOBODY:
        left_alone = tuple(
            noop(each.booking_ref, Noop.TERMINAL_STATE, planner=V3, detail=each.state)
            if each.is_terminal
            else noop(each.booking_ref, Noop.PIPELINE_DISABLED, planner=V3)
            for each in assignments
        )
        yield from Invocation(trigger=trigger).execute(lambda: DayResult(outcomes=left_alone)).outcomes
        return
    claimed_by_v3 = [each.booking_ref for each in assignments if each.planner == V3 and not each.is_terminal]
    if claimed_by_v3:
        hand_back(claimed_by_v3)
    yield from _handed_over(DayResult(handed_over={key: refs}), trigger, due_before=due_before, should_stop=should_stop)


def _handed_over(
    result: DayResult,
    trigger: str,
    *,
    due_before: datetime | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Outcome]:
    """Yield other planners' outcomes for the bookings handed to them, a few at a time; after a stop the rest stays due."""
    for key, booking_refs in result.handed_over.items():
        planner = router().planner(key)
        for start in range(0, len(booking_refs), HANDED_OVER_AT_ONCE):
            if should_stop():
                return
            few = booking_refs[start : start + HANDED_OVER_AT_ONCE]
            yield from _marked(planner, few, trigger, due_before=due_before)


def _marked(
    planner: Planner, booking_refs: Sequence[str], trigger: str, *, due_before: datetime | None
) -> Sequence[Outcome]:
    """Return another planner's outcomes for a few bookings. A pass leaves a batch mark, and has suspects decided alone."""
    if due_before is None:
        return planner.process(booking_refs, trigger=trigger, due_before=due_before)
    outcomes: list[Outcome] = []
    known = {row.booking_ref: row for row in Assignment.objects.filter(booking_ref__in=booking_refs)}
    for together in quarantine.groups([known[ref] for ref in booking_refs if ref in known]):
        refs = [each.booking_ref for each in together]
        with quarantine.marked(together[0].restaurant_ref, together[0].service_date, refs) as mark:
            outcomes += planner.process(refs, trigger=trigger, due_before=due_before)
            if not quarantine.take_back(mark):
                quarantine.take_back_death(refs)
    return outcomes


def _due_batch(
    restaurant_ref: str, service_date: date, due_before: datetime, after: Assignment | None
) -> AssignmentQuerySet:
    """Return the day's due bookings after ``after``, in the order in which they asked."""
    due = Assignment.objects.asking_for(restaurant_ref, service_date).due(due_before).order_by("requested_at", "id")
    if after is None:
        return due
    return due.filter(Q(requested_at__gt=after.requested_at) | Q(requested_at=after.requested_at, id__gt=after.pk))


def _due_days(due_before: datetime, limits: PassLimits, passed: set[tuple[str, date]]) -> deque[tuple[str, date]]:
    due = Assignment.objects.due(due_before)
    if limits.restaurant_ref:
        due = due.filter(restaurant_ref=limits.restaurant_ref)
    if limits.service_date:
        due = due.filter(service_date=limits.service_date)
    days = (
        due.order_by()
        .values_list("restaurant_ref", "service_date")
        .annotate(waiting_since=Min(Coalesce("due_at", "wake_at")))
        .order_by("waiting_since", "restaurant_ref", "service_date")
    )[: DAYS_AT_ONCE + len(passed)]
    return deque((ref, day) for ref, day, _since in days if (ref, day) not in passed)
