"""One invocation of the coordinator: its trigger, its time budget, and the announcement of what it did.

The work decides and returns outcomes, but announces nothing itself. So whatever it returns or raises, each booking has
a start and exactly one terminal event: on commit, or at once for outcomes that no transaction has stored.
"""

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db import connection, transaction

from assignments.concurrency import transactions
from assignments.concurrency.locks import Entry
from assignments.error_logging import log_error
from assignments.exceptions import HostRefusedError, MovesRefusedError, TimeBudgetExceededError
from assignments.integration import release
from assignments.integration.planners import V3
from assignments.models import FailedInvocation
from assignments.outcome import CoordinatorReason, Kind, Outcome
from assignments.telemetry import correlation, events
from assignments.telemetry.event_catalogue import COORDINATOR
from assignments.telemetry.events import EventRecord, event

logger = logging.getLogger("assignments.coordinator")

_TERMINAL_EVENT = {
    Kind.CONFIRMED: "coordinator.confirmed",
    Kind.RETRY: "coordinator.retry",
    Kind.MANUAL_REVIEW: "coordinator.manual_review",
    Kind.NOOP: "coordinator.noop",
    Kind.FAILED: "coordinator.error",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DayResult:
    """The result of one invocation.

    ``handed_over``: the refs that other planners have to decide now, by planner key. ``contended``: another worker
    holds the day, or all permits are taken.
    """

    outcomes: tuple[Outcome, ...] = ()
    handed_over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    contended: bool = False
    circuit_open_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Try:
    """What events say about a try at a booking, beside its outcome."""

    restaurant_ref: str
    attempt: int
    wait_seconds: float | None = None


_UNTRIED = Try(restaurant_ref="", attempt=0)


@dataclass(kw_only=True, slots=True)
class Record:
    """What one transaction notes while it works: events about its day, and the tries by booking ref."""

    about_day: list[EventRecord] = field(default_factory=list)
    tries: dict[str, Try] = field(default_factory=dict)


Work = Callable[[Record], DayResult]
"""Runs in a transaction, perhaps more than once; each time with an empty record."""


@dataclass(kw_only=True, slots=True)
class Invocation:
    """The circumstances of one invocation, and what it has announced. ``deadline`` is a ``time.monotonic()`` value.

    ``may_move``: whether confirmed bookings may be moved; False once the host has refused it. ``failed``: the error
    that a batch raised, unless it was a conflict.
    """

    trigger: str
    deadline: float | None = None
    correlation_id: uuid.UUID = field(default_factory=correlation.id_or_new)
    may_move: bool = True
    failed: type[Exception] | None = None
    _unstored: int = 0
    _announced: set[str] = field(default_factory=set)

    def execute(self, decide: Callable[[], DayResult]) -> DayResult:
        """Run the whole work, and announce at once the outcomes that no transaction has announced on commit.

        An error goes on to the caller; nothing has been decided about the bookings then.
        """
        result = decide()
        if self.failed is not None and (self._unstored or not any(each.unexpected for each in result.outcomes)):
            self._store_failure()
        untold = [each for each in result.outcomes if each.booking_ref not in self._announced]
        self._announce(untold, self._events(untold, Record()))
        return result

    def note_batch(self, error: Exception) -> None:
        """Note the error of a batch. Conflicts, refusals by the host, and overlong batches do not count as failures."""
        is_usual = transactions.is_lost_race(error) or isinstance(error, HostRefusedError | MovesRefusedError)
        if not is_usual and transactions.sqlstate(error) != transactions.QUERY_CANCELED:
            self.failed = self.failed or type(error)

    def note_unstored(self, error: Exception) -> None:
        """Note a booking whose failure could not be stored."""
        self.failed = self.failed or type(error)
        self._unstored += 1

    def _store_failure(self) -> None:
        """Store a failed invocation, since no attempt tells of the failure. If that fails too, it is only logged."""
        assert self.failed is not None
        failure = FailedInvocation(
            planner=V3,
            error=self.failed.__name__,
            unstored=self._unstored,
            correlation_id=self.correlation_id,
            release=release.running(),
        )
        try:
            transactions.run(lambda: failure.save(force_insert=True))
        except Exception as error:  # noqa: BLE001  (what has been decided is decided)
            log_error(logger, error, "A failed invocation could not be stored (correlation id %s)", self.correlation_id)

    def transact(self, work: Work, *, deadline: float | None = None) -> DayResult:
        """Run the work in a transaction, again if it loses a race, and announce its outcomes on commit.

        If the host refuses to move confirmed bookings, the work runs once more without moves. Raises what
        ``transactions.run`` raises, and announces nothing then.
        """

        def attempt() -> DayResult:
            record = Record()
            result = work(record)
            announced = self._events(result.outcomes, record)
            transaction.on_commit(lambda: self._announce(result.outcomes, announced), robust=True)
            return result

        try:
            return transactions.run(attempt, deadline=deadline)
        except MovesRefusedError as error:
            log_error(
                logger, error, "The host refused moves, and nobody is moved (correlation id %s)", self.correlation_id
            )
            self.may_move = False
        return transactions.run(attempt, deadline=deadline)

    def _announce(self, outcomes: Iterable[Outcome], announced: Sequence[EventRecord]) -> None:
        self._announced.update(outcome.booking_ref for outcome in outcomes)
        events.emit_all_now(announced)

    def _events(self, outcomes: Iterable[Outcome], record: Record) -> list[EventRecord]:
        """Return the record's events about the day, then for each outcome a start and its one terminal event."""
        announced = list(record.about_day)
        for outcome in outcomes:
            tried = record.tries.get(outcome.booking_ref, _UNTRIED)
            announced += [self._start(outcome, tried), self._end(outcome, tried)]
        return announced

    def check_budget(self) -> None:
        """Raise TimeBudgetExceededError once the deadline has passed."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise TimeBudgetExceededError

    @staticmethod
    def out_of_time(booking_ref: str) -> Outcome:
        """Return the outcome of a booking whose time budget is used up."""
        return Outcome(
            booking_ref=booking_ref, kind=Kind.RETRY, planner=V3, reason=CoordinatorReason.TIME_BUDGET_EXCEEDED
        )

    @contextmanager
    def within_budget(self) -> Iterator[None]:
        """Enforce the deadline on SQL: no statement begins after it, and none runs on for long after it.

        PostgreSQL gets a shorter statement timeout each time half of the last one is used up; a quick decision costs no
        query.
        """
        if self.deadline is None:
            yield
            return
        with connection.execute_wrapper(_Deadline(self.deadline)):
            yield

    @property
    def statement_timeout_ms(self) -> int | None:
        """Return the remaining budget in milliseconds, for PostgreSQL to enforce; None without a budget."""
        if self.deadline is None:
            return None
        return max(1, round((self.deadline - time.monotonic()) * 1000))

    def entered(self, restaurant_ref: str, service_date: date, entry: Entry, bookings: int) -> list[EventRecord]:
        """Return the events for a day that is locked, with a permit held."""
        day = service_date.isoformat()
        return [
            self._event(
                "coordinator.lock_acquired",
                restaurant_ref=restaurant_ref,
                service_date=day,
                bookings=bookings,
            ),
            self._event(
                "coordinator.rate_permit_acquired",
                restaurant_ref=restaurant_ref,
                service_date=day,
                slot=entry.slot,
            ),
        ]

    def announce_contention(self, restaurant_ref: str, service_date: date, detail: str) -> None:
        """Announce at once that another worker has the day, since the transaction is not going to commit."""
        events.emit_now(
            self._event(
                "coordinator.lock_contention",
                restaurant_ref=restaurant_ref,
                service_date=service_date.isoformat(),
                detail=detail,
            )
        )

    def circuit_open(self, restaurant_ref: str, entry: Entry) -> EventRecord:
        """Return the event for a restaurant that is skipped for a while."""
        return self._event(
            "coordinator.circuit_open",
            restaurant_ref=restaurant_ref,
            failures=entry.breaker.failures,
            delay_seconds=entry.breaker.seconds_left(entry.now),
        )

    def _event(self, kind: str, **fields: Any) -> EventRecord:
        return event(COORDINATOR, kind, correlation_id=self.correlation_id, **fields)

    def _start(self, outcome: Outcome, tried: Try) -> EventRecord:
        return self._event(
            "coordinator.start",
            booking_ref=outcome.booking_ref,
            restaurant_ref=tried.restaurant_ref,
            trigger=self.trigger,
            attempt=None if tried is _UNTRIED else tried.attempt,
        )

    def _end(self, outcome: Outcome, tried: Try) -> EventRecord:
        return self._event(
            "coordinator.error" if outcome.unexpected else _TERMINAL_EVENT[outcome.kind],
            booking_ref=outcome.booking_ref,
            restaurant_ref=tried.restaurant_ref,
            trigger=self.trigger,
            attempt=None if tried is _UNTRIED else tried.attempt,
            outcome=outcome.kind,
            reason=outcome.reason or None,
            detail=(outcome.detail or None) if not outcome.unexpected else None,
            error_type=outcome.detail if outcome.unexpected else None,
            strategy=outcome.strategy or None,
            table_refs=list(outcome.table_refs) or None,
            delay_seconds=round(outcome.delay_seconds, 3) if outcome.kind is Kind.RETRY else None,
            decision_ms=round(outcome.decision_ms, 3) or None,
            wait_seconds=None if tried.wait_seconds is None else round(tried.wait_seconds, 3),
            party=outcome.party or None,
        )


class _Deadline:
    """Enforces a deadline on each statement of a connection."""

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
