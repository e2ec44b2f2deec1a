"""Observability events: emitted to memory and stored in the background, so that no decision waits.

``emit`` and ``emit_all`` put events into a bounded buffer after the surrounding transaction commits; events of a
rolled-back transaction are discarded. A daemon thread passes them in bulk to the sinks in
``ASSIGNMENTS["EVENT_SINKS"]``. If the buffer is full, or a sink fails or hangs, events are lost and counted in
``counters()``. Nothing else is affected.
"""

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from django.db import connection, transaction
from django.utils.translation import gettext_noop as _

from assignments import conf
from assignments.error_logging import log_error
from assignments.exceptions import AssignmentsError
from assignments.telemetry import correlation, process_metrics
from assignments.telemetry.background_writer import BackgroundWriter

logger = logging.getLogger("assignments.events")

STATE_MACHINE = "assignment.state_machine"
COORDINATOR = "assignment.coordinator"

MAX_CONTEXT_BYTES = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextField:
    """A field that a context may have: its meaning and unit. Never personal data."""

    meaning: str
    unit: str = ""


ALLOWED_CONTEXT: Mapping[str, ContextField] = {
    "actor": ContextField(meaning=_("Actor: a planner, host, or staff:<user id>; never a name.")),
    "attempt": ContextField(meaning=_("Number of the attempt, from 1.")),
    "bookings": ContextField(meaning=_("Number of bookings.")),
    "decision_ms": ContextField(meaning=_("Planning time, without the database."), unit=_("milliseconds")),
    "delay_seconds": ContextField(meaning=_("Time until the next attempt."), unit=_("seconds")),
    "detail": ContextField(meaning=_("Details of the reason or event: tables, numbers, stages.")),
    "error_type": ContextField(meaning=_("Type of the error; never its message.")),
    "failures": ContextField(meaning=_("Consecutive errors.")),
    "from_state": ContextField(meaning=_("Previous state or stage.")),
    "mode": ContextField(meaning=_("Active planners, in the rollout's terms.")),
    "outcome": ContextField(meaning=_("confirmed, retry, manual_review, noop or failed.")),
    "party": ContextField(meaning=_("Party size."), unit=_("covers")),
    "planner": ContextField(meaning=_("Key of the planner.")),
    "reason": ContextField(meaning=_("A stable reason code, or a person's reason.")),
    "score": ContextField(meaning=_("Score of the chosen plan; comparable within one decision only.")),
    "service_date": ContextField(meaning=_("Service day, in the restaurant's time zone.")),
    "slot": ContextField(meaning=_("Number of the permit, from 1.")),
    "strategy": ContextField(meaning=_("Strategy that set the chosen plan apart.")),
    "table_refs": ContextField(meaning=_("Tables, by their keys in the booking project.")),
    "to_state": ContextField(meaning=_("New state or stage.")),
    "total_ms": ContextField(meaning=_("Total wall time."), unit=_("milliseconds")),
    "transition": ContextField(meaning=_("Name of the transition.")),
    "trigger": ContextField(meaning=_("Trigger: cron, inline or staff.")),
    "version": ContextField(meaning=_("The assignment's version after the transition.")),
    "wait_seconds": ContextField(meaning=_("Time since the request."), unit=_("seconds")),
}
"""Fields allowed in a context. No names, e-mails, phone numbers or notes. Unknown keys are dropped and counted."""


class UnknownEventError(AssignmentsError):
    """This event type is not in the catalogue."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventType:
    """A catalogue entry: an event's meaning, and the action to take. English, marked for translation."""

    source: str
    type: str
    severity: str
    fields: tuple[str, ...]
    meaning: str
    action: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventRecord:
    """An event for the sinks. ``at`` is aware UTC."""

    source: str
    type: str
    severity: str
    booking_ref: str = ""
    restaurant_ref: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    correlation_id: uuid.UUID | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Sink(Protocol):
    """A destination for events. If it raises or hangs, decisions are not affected."""

    def write(self, events: Sequence[EventRecord]) -> None: ...


CATALOGUE: dict[tuple[str, str], EventType] = {}


def register(*types: EventType) -> None:
    """Add event types to the catalogue. Raises ValueError for fields not allowed in contexts."""
    for each in types:
        unknown = set(each.fields) - ALLOWED_CONTEXT.keys()
        if unknown:
            raise ValueError(
                f"Event {each.source} {each.type} names fields that are not allowed in contexts: {sorted(unknown)}"
            )
        CATALOGUE[each.source, each.type] = each


def event(
    source: str,
    type: str,  # noqa: A002  (the event's column is called that)
    *,
    booking_ref: str = "",
    restaurant_ref: str = "",
    correlation_id: uuid.UUID | None = None,
    **context: Any,
) -> EventRecord:
    """Build an event of a known type, with a filtered and bounded context and the given or current correlation id.

    Raises UnknownEventError.
    """
    try:
        known = CATALOGUE[source, type]
    except KeyError:
        raise UnknownEventError(f"Event type {type!r} of source {source!r} is not in the catalogue.") from None
    return EventRecord(
        source=source,
        type=type,
        severity=known.severity,
        booking_ref=booking_ref,
        restaurant_ref=restaurant_ref,
        correlation_id=correlation_id or correlation.current_id(),
        context=_bounded(context),
    )


def emit(record: EventRecord) -> None:
    """Emit an event when the current transaction commits, or immediately outside of one."""
    emit_all([record])


def emit_all(records: Sequence[EventRecord]) -> None:
    """Emit events when the current transaction commits, or immediately outside of one."""
    if records:
        transaction.on_commit(lambda: _buffer.append(records), robust=True)


def emit_now(record: EventRecord) -> None:
    """Emit an event immediately, for a transaction that is rolled back (contention, errors)."""
    emit_all_now([record])


def emit_all_now(records: Sequence[EventRecord]) -> None:
    """Announce events whatever becomes of the current transaction: it did not come about, or has committed already."""
    if records:
        _buffer.append(records)


def flush(timeout_seconds: float | None = None) -> bool:
    """Wait until the sinks have all emitted events. Returns False on timeout. For commands before they exit."""
    return _buffer.flush(conf.settings().EVENT_FLUSH_SECONDS if timeout_seconds is None else timeout_seconds)


def counters() -> dict[str, int]:
    """Return the counts of this process: stored, dropped_overflow, dropped_failure, dropped_context_keys, ..."""
    return _buffer.counters()


def _bounded(context: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in context.items() if key in ALLOWED_CONTEXT and value is not None}
    if len(kept) < len(context):
        unknown = sum(1 for key in context if key not in ALLOWED_CONTEXT)
        _buffer.count("dropped_context_keys", unknown)
    text = json.dumps(kept, default=str)
    if len(text.encode()) > MAX_CONTEXT_BYTES:
        small = {key: value for key, value in kept.items() if len(json.dumps(value, default=str)) <= 256}
        _buffer.count("truncated_contexts", 1)
        return dict(json.loads(json.dumps(small, default=str)))
    return dict(json.loads(text))


def _write(batch: Sequence[EventRecord]) -> bool:
    """Pass a batch to every sink. Returns whether all accepted it."""
    is_written = True
    for path in conf.settings().EVENT_SINKS:
        try:
            conf.load(path).write(batch)
        except Exception as error:  # noqa: BLE001  (the other sinks still get the batch; the loss is counted)
            log_error(logger, error, "Event sink %s lost %d events", path, len(batch), level=logging.WARNING)
            is_written = False
    return is_written


def new_buffer() -> BackgroundWriter[EventRecord]:
    """Return a new buffer. A process has one; tests create others."""
    return BackgroundWriter(
        "assignments-events",
        _write,
        size=lambda: conf.settings().EVENT_BUFFER_SIZE,
        lost=process_metrics.count_dropped_events,
    )


_buffer = new_buffer()


class DatabaseSink:
    """Stores events in this app's own table, in bulk.

    It uses the event thread's own connection and closes it after each write, so that an idle process keeps none open.
    """

    def write(self, events: Sequence[EventRecord]) -> None:
        from assignments.models import Event

        try:
            Event.objects.bulk_create(
                [
                    Event(
                        source=each.source,
                        type=each.type,
                        severity=each.severity,
                        booking_ref=each.booking_ref,
                        restaurant_ref=each.restaurant_ref,
                        context=each.context,
                        correlation_id=each.correlation_id,
                        at=each.at,
                    )
                    for each in events
                ]
            )
        finally:
            connection.close()


class LoggingSink:
    """Writes each event as one JSON log line to the logger ``assignments.telemetry.events``."""

    def write(self, events: Sequence[EventRecord]) -> None:
        for each in events:
            logger.info(
                "%s",
                json.dumps(
                    {
                        "source": each.source,
                        "type": each.type,
                        "severity": each.severity,
                        "booking_ref": each.booking_ref,
                        "restaurant_ref": each.restaurant_ref,
                        "correlation_id": str(each.correlation_id or ""),
                        "at": each.at.isoformat(),
                        **each.context,
                    }
                ),
            )


class MemorySink:
    """Keeps events in memory, for tests."""

    events: list[EventRecord] = []

    def write(self, events: Sequence[EventRecord]) -> None:
        self.events.extend(events)


register(
    EventType(
        source=STATE_MACHINE,
        type="state_machine.transition",
        severity="info",
        fields=("transition", "from_state", "to_state", "version", "actor", "planner", "reason", "detail"),
        meaning=_("An assignment changed state. The transaction has committed."),
    ),
    EventType(
        source=COORDINATOR,
        type="coordinator.start",
        severity="info",
        fields=("trigger", "attempt"),
        meaning=_(
            "V3 starts to decide a booking. Exactly one of confirmed, retry, manual_review, noop, error follows."
        ),
    ),
    EventType(
        source=COORDINATOR,
        type="coordinator.lock_acquired",
        severity="info",
        fields=("service_date", "bookings"),
        meaning=_("A restaurant-day is locked for planning, with this number of due bookings."),
    ),
    EventType(
        source=COORDINATOR,
        type="coordinator.lock_contention",
        severity="info",
        fields=("service_date", "detail"),
        meaning=_("Another worker holds this restaurant-day, or all permits are taken. The next run tries again."),
        action=_("Only if frequent: run fewer workers, or increase MAX_PARALLEL."),
    ),
    EventType(
        source=COORDINATOR,
        type="coordinator.circuit_open",
        severity="warning",
        fields=("failures", "delay_seconds"),
        meaning=_("The restaurant's breaker is open after repeated errors. No attempts are made until it half-opens."),
        action=_("See the coordinator.error events of the restaurant."),
    ),
    EventType(
        source=COORDINATOR,
        type="coordinator.rate_permit_acquired",
        severity="info",
        fields=("service_date", "slot"),
        meaning=_("One of the restaurant's MAX_PARALLEL permits was taken."),
    ),
    EventType(
        source=COORDINATOR,
        type="coordinator.confirmed",
        severity="info",
        fields=("trigger", "attempt", "strategy", "table_refs", "decision_ms", "score", "party", "wait_seconds"),
        meaning=_("The booking has its tables."),
    ),
    EventType(
        source=COORDINATOR,
        type="coordinator.retry",
        severity="info",
        fields=("trigger", "attempt", "reason", "detail", "delay_seconds", "decision_ms"),
        meaning=_("No table was found. The booking is retried after the delay."),
    ),
    EventType(
        source=COORDINATOR,
        type="coordinator.manual_review",
        severity="warning",
        fields=("trigger", "attempt", "reason", "detail", "decision_ms"),
        meaning=_("Staff have to decide."),
        action=_("Work the review queue."),
    ),
    EventType(
        source=COORDINATOR,
        type="coordinator.noop",
        severity="info",
        fields=("trigger", "reason"),
        meaning=_("There was nothing to do: pipeline_disabled, lock_contention, booking_not_found or terminal_state."),
    ),
    EventType(
        source=COORDINATOR,
        type="coordinator.error",
        severity="error",
        fields=("trigger", "attempt", "reason", "detail", "error_type"),
        meaning=_("The booking failed: its request is invalid, or an unexpected error occurred."),
        action=_("See the reason. Unexpected errors are in the log with the same correlation id."),
    ),
)
