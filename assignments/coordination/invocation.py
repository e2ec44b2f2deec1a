"""One invocation of the coordinator: its trigger, its time budget, and the events that tell of it."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db import connection

from assignments.concurrency.locks import Entry
from assignments.exceptions import TimeBudgetExceededError
from assignments.outcome import Kind, Outcome
from assignments.telemetry import correlation
from assignments.telemetry.events import COORDINATOR, EventRecord, event

_TERMINAL_EVENT = {
    Kind.CONFIRMED: "coordinator.confirmed",
    Kind.RETRY: "coordinator.retry",
    Kind.MANUAL_REVIEW: "coordinator.manual_review",
    Kind.NOOP: "coordinator.noop",
    Kind.FAILED: "coordinator.error",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """The circumstances of one invocation. ``deadline`` is a ``time.monotonic()`` moment."""

    trigger: str
    deadline: float | None = None
    correlation_id: uuid.UUID = field(default_factory=correlation.id_or_new)

    def check_budget(self) -> None:
        """Raises TimeBudgetExceededError once the deadline has passed."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise TimeBudgetExceededError

    @contextmanager
    def within_budget(self) -> Iterator[None]:
        """No statement begins in here once the deadline has passed, and none that has begun goes on for long after it.

        PostgreSQL gets a shorter statement timeout when half of what it had is used up; a quick decision costs no query.
        """
        if self.deadline is None:
            yield
            return
        with connection.execute_wrapper(_Deadline(self.deadline)):
            yield

    @property
    def statement_timeout_ms(self) -> int | None:
        """What is left of the budget, for PostgreSQL to enforce; None without a budget."""
        if self.deadline is None:
            return None
        return max(1, round((self.deadline - time.monotonic()) * 1000))

    def ended(
        self,
        outcomes: Sequence[Outcome],
        restaurant_ref: str = "",
        *,
        attempts: Mapping[str, int] | None = None,
        wait_seconds: Mapping[str, float] | None = None,
    ) -> list[EventRecord]:
        """A start and exactly one terminal event for each outcome; attempts and waiting times by booking ref."""
        records = []
        for outcome in outcomes:
            attempt = (attempts or {}).get(outcome.booking_ref)
            waited = (wait_seconds or {}).get(outcome.booking_ref)
            records += [
                self._start(outcome, restaurant_ref, attempt),
                self._end(outcome, restaurant_ref, attempt, waited),
            ]
        return records

    def entered(self, restaurant_ref: str, service_date: date, entry: Entry, bookings: int) -> list[EventRecord]:
        """The day is locked, and a permit is held."""
        day = service_date.isoformat()
        return [
            event(
                COORDINATOR,
                "coordinator.lock_acquired",
                restaurant_ref=restaurant_ref,
                correlation_id=self.correlation_id,
                service_date=day,
                bookings=bookings,
            ),
            event(
                COORDINATOR,
                "coordinator.rate_permit_acquired",
                restaurant_ref=restaurant_ref,
                correlation_id=self.correlation_id,
                service_date=day,
                slot=entry.slot,
            ),
        ]

    def contended(self, restaurant_ref: str, service_date: date, detail: str) -> EventRecord:
        """Somebody else is there."""
        return event(
            COORDINATOR,
            "coordinator.lock_contention",
            restaurant_ref=restaurant_ref,
            correlation_id=self.correlation_id,
            service_date=service_date.isoformat(),
            detail=detail,
        )

    def circuit_open(self, restaurant_ref: str, entry: Entry) -> EventRecord:
        """The restaurant is left alone for a while."""
        return event(
            COORDINATOR,
            "coordinator.circuit_open",
            restaurant_ref=restaurant_ref,
            correlation_id=self.correlation_id,
            failures=entry.breaker.failures,
            delay_seconds=entry.breaker.seconds_left(entry.now),
        )

    def _start(self, outcome: Outcome, restaurant_ref: str, attempt: int | None) -> EventRecord:
        return event(
            COORDINATOR,
            "coordinator.start",
            booking_ref=outcome.booking_ref,
            restaurant_ref=restaurant_ref,
            correlation_id=self.correlation_id,
            trigger=self.trigger,
            attempt=attempt,
        )

    def _end(
        self, outcome: Outcome, restaurant_ref: str, attempt: int | None, wait_seconds: float | None
    ) -> EventRecord:
        return event(
            COORDINATOR,
            "coordinator.error" if outcome.unexpected else _TERMINAL_EVENT[outcome.kind],
            booking_ref=outcome.booking_ref,
            restaurant_ref=restaurant_ref,
            correlation_id=self.correlation_id,
            trigger=self.trigger,
            attempt=attempt,
            outcome=outcome.kind,
            reason=outcome.reason or None,
            detail=(outcome.detail or None) if not outcome.unexpected else None,
            error_type=outcome.detail if outcome.unexpected else None,
            strategy=outcome.strategy or None,
            table_refs=list(outcome.table_refs) or None,
            delay_seconds=round(outcome.delay_seconds, 3) if outcome.kind is Kind.RETRY else None,
            decision_ms=round(outcome.decision_ms, 3) or None,
            wait_seconds=None if wait_seconds is None else round(wait_seconds, 3),
            party=outcome.party or None,
        )


class _Deadline:
    """Wraps the execution of each statement of a connection."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._granted = max(deadline - time.monotonic(), 0.0)

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeBudgetExceededError
        if connection.in_atomic_block and left < self._granted / 2:
            self._granted = left
            milliseconds = str(max(1, round(left * 1000)))
            execute("SELECT set_config('statement_timeout', %s, true)", [milliseconds], False, context)
        return execute(sql, params, many, context)
