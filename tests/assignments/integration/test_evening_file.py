"""Evenings as JSON: what a planner gets of them, and which booking of which file is at fault. Pure."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from assignments.integration.evening_file import UnusableFileError, decode, parse
from assignments.planning import engine
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.seating_window import seating_window
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


def hours(**service: Any) -> str:
    evening = json.loads(an_evening({}))
    evening["services"][0].update(service)
    return json.dumps(evening)


def test_a_file_says_how_early_and_how_late_guests_may_come() -> None:
    (dinner,) = parse(hours(early_minutes=15, late_minutes=20, allow_overrun=True)).floor().services
    assert (dinner.early_minutes, dinner.late_minutes) == (15, 20)
    (silent,) = parse(hours()).floor().services
    assert (silent.early_minutes, silent.late_minutes) == (0, 0)


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ({"late_minutes": 15}, r"services\[0\]: late_minutes 15 need allow_overrun"),
        ({"early_minutes": -1}, r"services\[0\].early_minutes must be between 0"),
        ({"early_minutes": 1441}, r"services\[0\].early_minutes must be at most 1440"),
        ({"early_minuts": 15}, r"services\[0\]: unknown keys 'early_minuts'"),
    ],
)
def test_hours_that_make_no_sense_are_refused_by_name(service: dict[str, Any], said: str) -> None:
    with pytest.raises(UnusableFileError, match=said):
        parse(hours(**service))


@pytest.mark.parametrize("limits", [{"max_party": 5}, {"min_party": 5}, {"min_party": 3, "max_party": 2}])
def test_limits_above_the_seats_are_refused_by_name(limits: dict[str, int]) -> None:
    evening = json.loads(an_evening({}))
    evening["tables"][0].update(limits)
    with pytest.raises(UnusableFileError, match=r"tables\[0\]: 4 seats for parties of . to . make no sense"):
        parse(json.dumps(evening))


def test_the_real_evening_without_early_minutes_is_still_read_and_its_early_bookings_are_refused_by_name() -> None:
    raw = json.loads(REAL_EVENING.read_text())
    for service in raw["services"]:
        del service["early_minutes"]
    evening = parse(json.dumps(raw))
    floor, requests = evening.floor(), evening.requests()
    windows = {each.booking_ref: seating_window(floor, starts_at=each.starts_at, party=each.party) for each in requests}
    refused = {ref: window for ref, window in windows.items() if isinstance(window, Refusal)}
    outside = {ref: refusal for ref, refusal in refused.items() if refusal.reason is Reason.OUTSIDE_SERVICE}
    assert len(requests) == 117
    assert len(outside) == 14
    starts = {row["ref"]: row["start"] for row in raw["bookings"]}
    for ref, refusal in outside.items():
        assert starts[ref] in refusal.detail
        assert starts[ref] < "12:00" or "15:00" <= starts[ref] < "17:00"
    # With them, nobody is refused but for the end of dinner.
    whole = parse(REAL_EVENING.read_text()).floor()
    found = [seating_window(whole, starts_at=each.starts_at, party=each.party) for each in requests]
    assert {each.reason for each in found if isinstance(each, Refusal)} == {Reason.SERVICE_OVERRUN}
