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
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Protocol

from django.db import connection, transaction

from assignments import conf
from assignments.concurrency import clock
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
    """An event for the sinks. ``at`` is aware UTC."""

    source: str
    type: str
    severity: str
    booking_ref: str = ""
    restaurant_ref: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    correlation_id: uuid.UUID | None = None
    at: datetime = field(default_factory=clock.now)


class Sink(Protocol):
    """A destination for events. If it raises or hangs, decisions are not affected."""

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


def announce(source: str, type: str, /, **given: Any) -> None:  # noqa: A002  (as in ``event``)
    """Emit an event of a known type. Raises UnknownEventError."""
    emit(event(source, type, **given))


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
            Event.objects.bulk_create([Event(**asdict(each)) for each in events])
        finally:
            connection.close()


class LoggingSink:
    """Writes each event as one JSON log line to the logger ``assignments.telemetry.events``."""

    def write(self, events: Sequence[EventRecord]) -> None:
        for each in events:
            line = asdict(each) | {"correlation_id": str(each.correlation_id or ""), "at": each.at.isoformat()}
            context = line.pop("context")
            logger.info("%s", json.dumps(line | context))


class MemorySink:
    """Keeps events in memory, for tests."""

    events: list[EventRecord] = []

    def write(self, events: Sequence[EventRecord]) -> None:
        self.events.extend(events)
