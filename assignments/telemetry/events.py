"""Observability events: emitted to memory and stored in the background, so that no decision waits.

``emit`` and ``emit_all`` put events into a bounded buffer after the surrounding transaction commits; events of a
rolled-back transaction are discarded. Each sink in ``ASSIGNMENTS["EVENT_SINKS"]`` has a buffer and a daemon thread that
passes them on in bulk. If the buffer is full, or the sink fails or hangs, its events are lost and counted in
``counters()``. Nothing else is affected.
"""

import json
import logging
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from django.db import connection, connections, transaction

from assignments import conf
from assignments.concurrency import clock
from assignments.error_logging import log_error
from assignments.exceptions import AssignmentsError
from assignments.telemetry import correlation, process_metrics
from assignments.telemetry.background_writer import BackgroundWriter
from assignments.telemetry.event_catalogue import ALLOWED_CONTEXT, CATALOGUE

logger = logging.getLogger("assignments.events")

MAX_CONTEXT_BYTES = 4096
_NUMBERS = frozenset({int, float, bool})
SHORT_CONTEXT = 500
"""Characters of ASCII that take less than MAX_CONTEXT_BYTES as JSON, whatever they are, beside numbers and names."""
BULK = 2000
GATHER_SECONDS = 0.5
"""How many events are stored at once, and how long the first one waits for others."""


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
    """Emit events immediately, even if the current transaction is rolled back."""
    if records:
        _buffer.append(records)


def flush(timeout_seconds: float | None = None) -> bool:
    """Wait until the sinks have all emitted events. Returns False on timeout. For commands before they exit."""
    return _buffer.flush(conf.settings().EVENT_FLUSH_SECONDS if timeout_seconds is None else timeout_seconds)


def counters() -> dict[str, int]:
    """Return the counts of this process: stored, dropped_overflow, dropped_failure, dropped_context_keys, ..."""
    return _buffer.counters()


def _bounded(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the allowed keys that have a value, with what JSON makes of it, within MAX_CONTEXT_BYTES."""
    if not context.keys() <= ALLOWED_CONTEXT.keys():
        return _bounded_json(context)
    plain: dict[str, Any] = {}
    letters = 0
    for key, value in context.items():
        if value is None:
            continue
        if isinstance(value, str) and value.isascii():
            plain[key] = str.__str__(value)
            letters += len(value)
        elif type(value) in _NUMBERS:
            plain[key] = value
        else:
            return _bounded_json(context)
    return plain if letters <= SHORT_CONTEXT else _bounded_json(context)


def _bounded_json(context: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := context.keys() - ALLOWED_CONTEXT.keys():
        _buffer.count("dropped_context_keys", len(unknown))
    kept = {key: value for key, value in context.items() if value is not None and key not in unknown}
    text = json.dumps(kept, default=str)
    if len(text.encode()) > MAX_CONTEXT_BYTES:
        small = {key: value for key, value in kept.items() if len(json.dumps(value, default=str)) <= 256}
        _buffer.count("truncated_contexts", 1)
        return dict(json.loads(json.dumps(small, default=str)))
    return dict(json.loads(text))


def _write(path: str, batch: Sequence[EventRecord]) -> bool:
    """Pass a batch to a sink. Returns whether it accepted it."""
    try:
        conf.load(path).write(batch)
    except Exception as error:  # noqa: BLE001  (the loss is counted)
        log_error(logger, error, "Event sink %s lost %d events", path, len(batch), level=logging.WARNING)
        return False
    return True


class Sinks:
    """The sinks in ``EVENT_SINKS``, each with its own buffer and thread, so that one that hangs does not affect others."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._writers: dict[str, BackgroundWriter[EventRecord]] = {}

    def append(self, records: Sequence[EventRecord]) -> None:
        """Queue these events for each sink, as many as it has room for."""
        for path in conf.settings().EVENT_SINKS:
            self._writer(path).append(records)

    def _writer(self, path: str) -> BackgroundWriter[EventRecord]:
        if path not in self._writers:
            writer = BackgroundWriter(
                "assignments-events",
                partial(_write, path),
                size=lambda: conf.settings().EVENT_BUFFER_SIZE,
                lost=process_metrics.count_dropped_events,
                bulk=BULK,
                gather_seconds=GATHER_SECONDS if path == f"{__name__}.{DatabaseSink.__name__}" else 0.0,
                close=connections.close_all,
            )
            self._writers.setdefault(path, writer)
        return self._writers[path]

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter that belongs to no sink."""
        self._counts[name] += by

    def counters(self) -> dict[str, int]:
        """Return the counters of all sinks together, and those of ``count``."""
        counted = Counter(self._counts)
        for writer in list(self._writers.values()):
            counted.update(writer.counters())
        return dict(counted)

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until each sink has all events. Returns False on timeout."""
        deadline = time.monotonic() + timeout_seconds
        writers = list(self._writers.values())
        flushed = [writer.flush(max(0.0, deadline - time.monotonic())) for writer in writers]
        return all(flushed)

    def __len__(self) -> int:
        return max((len(writer) for writer in list(self._writers.values())), default=0)


def new_buffer() -> Sinks:
    """Return new buffers. A process has them once; tests create others."""
    return Sinks()


_buffer = new_buffer()


class DatabaseSink:
    """Stores events in this app's own table, in bulk.

    It uses the event thread's own connection, which is closed when no events come for a moment, so that an idle process
    keeps none open.
    """

    def write(self, events: Sequence[EventRecord]) -> None:
        from assignments.models import Event
        from assignments.models.insertion import insert_records

        if connection.connection is not None and not connection.is_usable():
            connection.close()  # It was lost since the last events. The next query opens another one.
        insert_records(Event, events)


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
