"""Logs as JSON: what is in a line, and what never is."""

import io
import json
import logging
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from assignments.telemetry import correlation
from assignments.telemetry.log_formatters import CorrelationFilter, JsonFormatter, PlaceOnlyFormatter


@pytest.fixture
def logger() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger that writes JSON to a text."""
    made, out = logging.getLogger("test.jsonlogs"), io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(CorrelationFilter())
    made.addHandler(handler)
    made.propagate = False
    yield made, out
    made.removeHandler(handler)
    made.propagate = True


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_says_when_how_grave_where_and_what(logger: Any) -> None:
    log, out = logger
    log.error("Table %s is taken:\nby %s.", "T1", "B7")
    (line,) = lines(out)
    assert line.pop("at").endswith("+00:00")
    assert line == {"level": "error", "logger": "test.jsonlogs", "message": "Table T1 is taken:\nby B7."}


def test_a_line_carries_what_is_going_on(logger: Any) -> None:
    log, out = logger
    known = uuid.uuid4()
    with correlation.scope(known, booking_ref="B1"):
        log.error("within")
        with correlation.scope(booking_ref="B2"):
            log.error("further within")
        log.error("told", extra={"booking_ref": "B3"})
    log.error("outside")
    assert [(line.get("correlation_id"), line.get("booking_ref")) for line in lines(out)] == [
        (str(known), "B1"),
        (str(known), "B2"),
        (str(known), "B3"),
        (None, None),
    ]


def raised() -> Exception:
    """An error that names a guest, raised from another that does."""
    try:
        try:
            raise ValueError("Canary Guest")
        except ValueError as inner:
            raise LookupError("canary@guest.test") from inner
    except LookupError as error:
        return error


def test_exceptions_are_types_and_places_without_messages_or_source(logger: Any) -> None:
    log, out = logger
    log.error("It failed.", exc_info=raised())
    assert "anary" not in out.getvalue()
    (line,) = lines(out)
    assert [each["type"] for each in line["exceptions"]] == ["LookupError", "ValueError"]
    assert all(frame.endswith("in raised") for each in line["exceptions"] for frame in each["frames"])


def test_an_error_whose_causes_go_in_a_circle_ends(logger: Any) -> None:
    log, out = logger
    error = raised()
    assert error.__cause__ is not None
    error.__cause__.__cause__ = error
    log.error("It failed.", exc_info=error)
    assert len(lines(out)[0]["exceptions"]) == 2


def test_what_json_does_not_know_is_written_as_text(logger: Any) -> None:
    log, out = logger
    log.error("told", extra={"booking_ref": uuid.UUID(int=7)})
    assert lines(out)[0]["booking_ref"] == "00000000-0000-0000-0000-000000000007"


def test_the_text_for_people_has_no_messages_either_whoever_formatted_the_record_before() -> None:
    record = logging.makeLogRecord({"msg": "It failed.", "exc_info": (LookupError, raised(), None)})
    assert "canary" in logging.Formatter().format(record)
    text = PlaceOnlyFormatter().format(record)
    assert "anary" not in text
    assert "LookupError" in text
    assert "in raised" in text
    assert "canary" in logging.Formatter().format(record), "the record is as it was for others"
