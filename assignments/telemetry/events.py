"""Observability events: emitting appends to memory, storing happens elsewhere and later, and never slows a decision.

``emit`` and ``emit_all`` put events into a bounded buffer once the surrounding transaction has committed (an event of
a rolled-back transaction never happened). One daemon thread takes them out in bulk and hands them to the sinks of
``ASSIGNMENTS["EVENT_SINKS"]``. A full buffer, a failing sink and a hanging sink cost events, which are counted in
``counters()``, and nothing else.
"""

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from django.db import connection, transaction

from assignments import conf
from assignments.error_logging import log_error
from assignments.exceptions import AssignmentsError
from assignments.telemetry import correlation, process_metrics
from assignments.telemetry.background_writer import BackgroundWriter
from assignments.telemetry.event_catalogue import ALLOWED_CONTEXT, CATALOGUE

logger = logging.getLogger("assignments.events")

MAX_CONTEXT_BYTES = 4096


class UnknownEventError(AssignmentsError):
    """This event type is not in the catalogue."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventRecord:
    """An event on its way to the sinks. ``at`` is aware UTC."""

    source: str
    type: str
    severity: str
    booking_ref: str = ""
    restaurant_ref: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    correlation_id: uuid.UUID | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Sink(Protocol):
    """Where events end up. May raise, may hang: neither reaches the decision that emitted them."""

    def write(self, events: Sequence[EventRecord]) -> None: ...


def event(
    source: str,
    type: str,  # noqa: A002  (the event's column is called that)
    *,
    booking_ref: str = "",
    restaurant_ref: str = "",
    correlation_id: uuid.UUID | None = None,
    **context: Any,
) -> EventRecord:
    """An event of a known type, its context filtered and bounded, with the given id or that of what is going on.

    Raises UnknownEventError.
    """
    try:
        known = CATALOGUE[source, type]
    except KeyError:
        raise UnknownEventError(f"No event type {type!r} of source {source!r} is in the catalogue.") from None
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
    """Announce one event when the current transaction commits, or now outside of one."""
    emit_all([record])


def emit_all(records: Sequence[EventRecord]) -> None:
    """Announce events when the current transaction commits, or now outside of one."""
    if records:
        transaction.on_commit(lambda: _buffer.append(records), robust=True)


def emit_now(record: EventRecord) -> None:
    """Announce an event of a transaction that did not come about (contention, errors)."""
    emit_all_now([record])


def emit_all_now(records: Sequence[EventRecord]) -> None:
    """Announce events whatever becomes of the current transaction: it did not come about, or has committed already."""
    if records:
        _buffer.append(records)


def flush(timeout_seconds: float | None = None) -> bool:
    """Wait until everything emitted so far is with the sinks; False when time ran out. For commands that end."""
    return _buffer.flush(conf.settings().EVENT_FLUSH_SECONDS if timeout_seconds is None else timeout_seconds)


def counters() -> dict[str, int]:
    """Counts of this process: stored, dropped_overflow, dropped_failure, dropped_context_keys, ..."""
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
    """Hand a batch to every sink; whether all of them took it."""
    is_written = True
    for path in conf.settings().EVENT_SINKS:
        try:
            conf.load(path).write(batch)
        except Exception as error:  # noqa: BLE001  (whatever a sink does, the others get the batch; the loss is counted)
            log_error(logger, error, "Event sink %s lost %d events", path, len(batch), level=logging.WARNING)
            is_written = False
    return is_written


def new_buffer() -> BackgroundWriter[EventRecord]:
    """The buffer of a process; tests make others."""
    return BackgroundWriter(
        "assignments-events",
        _write,
        size=lambda: conf.settings().EVENT_BUFFER_SIZE,
        lost=process_metrics.count_dropped_events,
    )


_buffer = new_buffer()


class DatabaseSink:
    """Stores events in this app's own table, in bulk.

    Over a connection of the event thread's own, which is closed after each write: between writes an idle process keeps
    no connection open for its events.
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
