"""Evenings as JSON: what a planner gets of them, and which booking of which file is at fault. Pure."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from assignments.integration.evening_file import UnusableFileError, decode, parse
from assignments.planning import engine
from assignments.planning.snapshot import Snapshot
from tests.assignments.planning.restaurant import REAL_EVENING, real_day


def an_evening(*bookings: dict[str, Any], **restaurant: Any) -> str:
    return json.dumps(
        {
            "restaurant": {"name": "Anchor", "timezone": "Europe/London", "date": "2025-07-01", **restaurant},
            "tables": [
                {"code": "T1", "zone": "Bar", "capacity": 4},
                {"code": "T2", "zone": "Bar", "capacity": 2, "max_party": 2},
            ],
            "adjacent": [["T1", "T2"]],
            "services": [{"key": "dinner", "start": "17:00", "end": "23:00", "turn_minutes": [[4, 90], [2, 60]]}],
            "bookings": [
                {"ref": f"B{index}", "start": "19:00", "party": 2, **row} for index, row in enumerate(bookings)
            ],
        }
    )


def test_the_real_evening_is_the_floor_and_the_requests_that_it_describes() -> None:
    floor, requests = real_day()
    evening = parse(decode(REAL_EVENING.read_bytes()))
    assert evening.requests() == tuple(requests)
    read = evening.floor()
    assert (read.restaurant_ref, read.tables, read.services, read.adjacent) == (
        "Demo Restaurant",
        floor.tables,
        floor.services,
        floor.adjacent,
    )


def test_clocks_are_the_restaurants_and_moments_with_an_offset_are_what_they_say() -> None:
    text = an_evening(
        {"start": "19:00", "end": "21:00", "requested_at": "2025-06-01T12:00"},
        {"start": "2025-07-01T19:00", "requested_at": "2025-06-01T12:00:00+00:00"},
        {"start": "2025-07-01T19:00+00:00"},
    )
    first, second, third = parse(text).requests()
    assert (first.starts_at, first.ends_at) == (
        datetime(2025, 7, 1, 18, tzinfo=UTC),
        datetime(2025, 7, 1, 20, tzinfo=UTC),
    )
    assert first.requested_at == datetime(2025, 6, 1, 11, tzinfo=UTC)
    assert (second.starts_at, second.requested_at) == (first.starts_at, datetime(2025, 6, 1, 12, tzinfo=UTC))
    assert (third.starts_at, third.ends_at, third.requested_at) == (datetime(2025, 7, 1, 19, tzinfo=UTC), None, None)


def test_an_evening_on_another_day_keeps_its_clock_and_how_long_guests_sit() -> None:
    text = an_evening({"start": "2025-07-01T22:00", "end": "2025-07-02T00:30", "requested_at": "2025-06-01T12:00"})
    (request,) = parse(text, on=date(2030, 1, 17)).requests()
    assert request.starts_at == datetime(2030, 1, 17, 22, tzinfo=UTC)
    assert request.ends_at == datetime(2030, 1, 18, 0, 30, tzinfo=UTC)
    assert request.requested_at == datetime(2025, 6, 1, 11, tzinfo=UTC)


def test_cancelled_bookings_asked_for_nothing_and_all_others_did() -> None:
    statuses = ("pending", "confirmed", "cancelled", "no_show", "completed")
    text = an_evening(*({"status": status} for status in statuses))
    assert [request.booking_ref for request in parse(text).requests()] == ["B0", "B1", "B3", "B4"]


def test_a_restaurants_ref_is_its_own_or_its_name() -> None:
    assert parse(an_evening()).floor().restaurant_ref == "Anchor"
    assert parse(an_evening(ref="17")).floor().restaurant_ref == "17"


def test_zones_can_be_asked_for_by_name() -> None:
    evening = parse(an_evening({"zone": "Bar"}))
    (request,) = evening.requests()
    snapshot = Snapshot(floor=evening.floor(), occupied=(), request=request, now=datetime(2025, 6, 1, tzinfo=UTC))
    best = engine.plan(snapshot).best
    assert best is not None
    assert best.table_refs == ("T2",)


def test_every_bad_booking_is_named_at_once() -> None:
    text = an_evening(
        {"party": 0},
        {"zone": "Cellar"},
        {"start": "2025-03-30T01:30"},
        {"requested_at": "the day before"},
        {"end": "late"},
        {"covers": 2},
        {},
    )
    with pytest.raises(UnusableFileError) as refused:
        parse(text).requests()
    for complaint in (
        "6 of its bookings are bad",
        "bookings[0] (B0): party must be between 1 and 1000, not 0",
        "bookings[1] (B1): there is no zone 'Cellar'",
        "bookings[2] (B2): 2025-03-30 01:30 does not exist in Europe/London",
        "bookings[3] (B3): requested_at must be a time or an ISO date and time, not 'the day before'",
        "bookings[4] (B4): end must be a time or an ISO date and time, not 'late'",
        "bookings[5] (B5): unknown keys 'covers'",
    ):
        assert complaint in str(refused.value)
