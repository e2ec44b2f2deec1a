"""Structured logs: one JSON object per line, with the correlation id of events, attempts and history.

    LOGGING = {
        "version": 1,
        "filters": {"correlation": {"()": "assignments.telemetry.log_formatters.CorrelationFilter"}},
        "formatters": {"json": {"()": "assignments.telemetry.log_formatters.JsonFormatter"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["correlation"]}},
        "root": {"handlers": ["console"], "level": "INFO"},
    }

Exceptions are logged by type and location, never with their messages, because those may name a guest.
"""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from assignments.telemetry import correlation

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

MOST_FRAMES = 50
LONGEST_CHAIN = 5


class CorrelationFilter(logging.Filter):
    """Adds ``correlation_id`` and ``booking_ref`` to each record: from ``extra``, or from the current scope.

    Put it on a handler, to get the records of every logger. It must run in the thread that logs, so before any queue.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        around = correlation.current()
        if not hasattr(record, "correlation_id"):
            record.correlation_id = str(around.correlation_id) if around else ""
        if not hasattr(record, "booking_ref"):
            record.booking_ref = around.booking_ref if around else ""
        return True


class PlaceOnlyFormatter(logging.Formatter):
    """Formats text as usual, but exceptions by type and location only."""

    def format(self, record: logging.LogRecord) -> str:
        # An earlier formatter may have cached the full text of the exception on the record.
        kept, record.exc_text = record.exc_text, None
        try:
            return super().format(record)
        finally:
            record.exc_text = kept

    def formatException(self, ei: Any) -> str:  # noqa: N802  (logging's name)
        return "\n".join(
            "\n".join([f"{error['type']}", *(f"  {frame}" for frame in error["frames"])]) for error in exceptions(ei)
        )


class JsonFormatter(PlaceOnlyFormatter):
    """Formats each record as a JSON object.

    Keys: ``at`` (UTC), ``level``, ``logger``, ``message``; ``correlation_id`` and ``booking_ref`` if known
    (``CorrelationFilter``); ``exceptions`` by type and frames, starting with the one that was caught.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("correlation_id", "booking_ref"):
            if value := getattr(record, name, ""):
                line[name] = str(value)
        if record.exc_info:
            line["exceptions"] = list(exceptions(record.exc_info))
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, ensure_ascii=False, default=str)


def exceptions(exc_info: _ExcInfo) -> Iterator[dict[str, Any]]:
    """Yield the error and its causes, outermost first: ``type`` and ``frames`` (the innermost if there are many)."""
    error = exc_info[1]
    seen: set[int] = set()
    while error is not None and id(error) not in seen and len(seen) < LONGEST_CHAIN:
        seen.add(id(error))
        yield {
            "type": f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins."),
            "frames": list(frames(error))[-MOST_FRAMES:],
        }
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def frames(error: BaseException) -> Iterator[str]:
    """Yield the frames, outermost first: file, line and function. Never source lines, which may quote a value."""
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        yield f"{code.co_filename}:{traceback.tb_lineno} in {code.co_name}"
        traceback = traceback.tb_next
