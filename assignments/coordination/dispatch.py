"""Running planners: one pass over what is due, or one booking now. Where V3 and any other planner meet.

The coordinator claims and asks the router; what the router gives to another planner is handed to it here, after the
claiming transaction, since that planner works in transactions of its own, and asks the router again in each of them.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

from django.db.models import Min

from assignments.concurrency.transactions import database_now
from assignments.coordination.coordinator import Coordinator, DayResult
from assignments.exceptions import AssignmentNotFoundError, BookingNotFoundError
from assignments.integration.host import configured
from assignments.integration.planners import V3, router
from assignments.lifecycle import intake
from assignments.models import Assignment
from assignments.outcome import Kind, Noop, Outcome, noop
from assignments.telemetry import correlation, process_metrics

DAYS_AT_ONCE = 50
HANDED_OVER_AT_ONCE = 10


@dataclass(kw_only=True)
class PassLimits:
    """How much one pass does. ``limit``: bookings (0: all that are due). ``max_seconds``: wall time (0: no end)."""

    limit: int = 0
    max_seconds: float = 0.0
    restaurant_ref: str | None = None
    should_stop: Callable[[], bool] = field(default=lambda: False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """After each restaurant-day: its outcomes, and how many bookings are due in all (at the start of the pass)."""

    restaurant_ref: str
    service_date: date
    outcomes: tuple[Outcome, ...]
    contended: bool = False
    circuit_open: bool = False


def register_new(restaurant_ref: str | None = None) -> int:
    """Request an assignment for every host booking that waits and is unknown here; how many there were."""
    return intake.request_unassigned(configured(), now=database_now(), restaurant_ref=restaurant_ref)


def count_due(restaurant_ref: str | None = None) -> int:
    """Bookings that are due now."""
    due = Assignment.objects.due(database_now())
    return (due.filter(restaurant_ref=restaurant_ref) if restaurant_ref else due).count()


def run_pass(limits: PassLimits | None = None, *, trigger: str = "cron") -> Iterator[Progress]:
    """Decide what is due when the pass starts, one restaurant-day after the other, the longest waiting first.

    Each booking is decided at most once. A restaurant-day that somebody else works on is left to them. Memory stays
    flat: days are read ``DAYS_AT_ONCE`` at a time, bookings a batch at a time.
    """
    limits = limits or PassLimits()
    started, due_before = time.monotonic(), database_now()
    coordinator = Coordinator()
    left = limits.limit or None

    def is_over() -> bool:
        is_late = bool(limits.max_seconds) and time.monotonic() - started >= limits.max_seconds
        return is_late or limits.should_stop()

    passed: set[tuple[str, date]] = set()
    while days := _due_days(due_before, limits.restaurant_ref, passed):
        for restaurant_ref, service_date in days:
            after = None
            while True:
                if is_over() or left == 0:
                    return
                with correlation.scope():
                    result = coordinator.process_day(
                        restaurant_ref,
                        service_date,
                        due_before=due_before,
                        trigger=trigger,
                        limit=left or 0,
                        after=after,
                    )
                    handed_over = _handed_over(result, trigger, due_before=due_before, should_stop=is_over)
                    outcomes = (*result.outcomes, *handed_over)
                process_metrics.observe_decisions(outcomes)
                if left is not None:
                    left = max(0, left - sum(1 for outcome in outcomes if outcome.kind is not Kind.NOOP))
                yield Progress(
                    restaurant_ref=restaurant_ref,
                    service_date=service_date,
                    outcomes=outcomes,
                    contended=result.contended,
                    circuit_open=bool(result.circuit_open_seconds),
                )
                if result.is_last or result.last is None:
                    break
                after = result.last  # The day holds more than one batch.
            passed.add((restaurant_ref, service_date))


def assign_one(booking_ref: str, *, trigger: str, budget_seconds: float | None = None) -> Outcome:
    """Decide one booking now, by the planner that the router chooses.

    Raises BookingNotFoundError when neither the host nor this app knows the booking.
    """
    with correlation.scope(booking_ref=booking_ref):
        return _assign_one(booking_ref, trigger=trigger, budget_seconds=budget_seconds)


def _assign_one(booking_ref: str, *, trigger: str, budget_seconds: float | None) -> Outcome:
    coordinator = Coordinator()
    try:
        result = coordinator.process(booking_ref, trigger=trigger, budget_seconds=budget_seconds)
    except AssignmentNotFoundError:
        booking = coordinator.host.bookings([booking_ref]).get(booking_ref)
        if booking is None:
            raise BookingNotFoundError(f"The host knows no booking {booking_ref!r}.") from None
        intake.request([booking], now=database_now(), host=coordinator.host)
        result = coordinator.process(booking_ref, trigger=trigger, budget_seconds=budget_seconds)
    outcomes = (*result.outcomes, *_handed_over(result, trigger))
    process_metrics.observe_decisions(outcomes)
    return outcomes[0] if outcomes else noop(booking_ref, Noop.LOCK_CONTENTION, planner=V3)


def _handed_over(
    result: DayResult,
    trigger: str,
    *,
    due_before: datetime | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Outcome]:
    """What other planners make of the bookings that are theirs, a few at once: what is left when it stops stays due."""
    for key, booking_refs in result.handed_over.items():
        planner = router().planner(key)
        for start in range(0, len(booking_refs), HANDED_OVER_AT_ONCE):
            if should_stop():
                return
            few = booking_refs[start : start + HANDED_OVER_AT_ONCE]
            yield from planner.process(few, trigger=trigger, due_before=due_before)


def _due_days(
    due_before: datetime, restaurant_ref: str | None, passed: set[tuple[str, date]]
) -> deque[tuple[str, date]]:
    due = Assignment.objects.due(due_before)
    if restaurant_ref:
        due = due.filter(restaurant_ref=restaurant_ref)
    days = (
        due.order_by()
        .values_list("restaurant_ref", "service_date")
        .annotate(waiting_since=Min("due_at"))
        .order_by("waiting_since", "restaurant_ref", "service_date")
    )[: DAYS_AT_ONCE + len(passed)]
    return deque((ref, day) for ref, day, _since in days if (ref, day) not in passed)
