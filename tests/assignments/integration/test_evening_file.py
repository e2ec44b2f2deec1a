"""Evenings as JSON: what a planner gets of them, and which booking of which file is at fault. Pure."""

import copy
import json
import unicodedata
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest

from assignments.integration.evening_file import LARGEST_BYTES, UnusableFileError, decode, parse, read
from assignments.planning import engine
from assignments.planning.floor import Join, Pacing
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
        ({"start": "18:00", "end": "02:00", "allow_overrun": True, "late_minutes": 1320}, "into the day after next"),
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


WHOLE: dict[str, Any] = {
    "about": "A floor with every rule, and two bookings.",
    "restaurant": {"name": "Anchor", "ref": "17", "timezone": "Europe/London", "date": "2025-07-04"},
    "tables": [
        {
            "code": "T1",
            "zone": "Bar",
            "capacity": 4,
            "min_party": 2,
            "max_party": 4,
            "active": True,
            "priority": -3,
            "features": ["Window", "step-free"],
        },
        {"code": "T2", "zone": "Bar", "capacity": 2},
        {"code": "T3", "zone": "Bar", "capacity": 2, "active": False},
    ],
    "zones": [{"name": "Bar", "priority": 7}],
    "adjacent": [["T1", "T2"]],
    "joins": [{"tables": ["T1", "T2"], "seats": 5, "min_party": 3, "max_party": 5}],
    "services": [
        {
            "key": "dinner",
            "start": "18:00",
            "end": "02:00",
            "weekdays": [4, 5],
            "allow_overrun": True,
            "early_minutes": 15,
            "late_minutes": 10,
            "buffer_minutes": {"before": 0, "after": 5},
            "turn_minutes": [[2, 60], [4, 75]],
            "pacing": {"most_covers": 20, "most_present": 60},
        }
    ],
    "calendar": [
        {
            "first_date": "2025-12-24",
            "last_date": "2025-12-26",
            "weekdays": [4],
            "services": [
                {
                    "key": "dinner",
                    "start": "18:00",
                    "end": "24:00",
                    "turn_minutes": 90,
                    "pacing": {"interval_minutes": 30, "most_parties": 4},
                }
            ],
        }
    ],
    "bookings": [
        {
            "ref": "B1",
            "start": "19:30",
            "party": 4,
            "zone": "Bar",
            "status": "confirmed",
            "end": "21:00",
            "requested_at": "2025-07-01T10:15:00+00:00",
            "needs": ["Step-free"],
            "wishes": ["window", " Quiet  corner"],
        },
        {"ref": "B2", "start": "00:30", "end": "01:30", "party": 2},
    ],
}


def whole(*path: str | int, **changed: Any) -> str:
    """The whole evening, with the values of one object in it changed."""
    data = copy.deepcopy(WHOLE)
    place: Any = data
    for step in path:
        place = place[step]
    place.update(changed)
    return json.dumps(data)


def test_a_file_can_express_every_rule_of_a_floor() -> None:
    floor = parse(json.dumps(WHOLE)).floor()
    assert [(table.ref, table.active) for table in floor.tables] == [("T1", True), ("T2", True), ("T3", False)]
    assert floor.joins == (Join(table_refs=frozenset({"T1", "T2"}), seats=5, min_party=3, max_party=5),)
    (dinner,) = floor.services
    assert (dinner.weekdays, dinner.early_minutes, dinner.late_minutes) == (frozenset({4, 5}), 15, 10)
    assert {table.ref: (table.priority, sorted(table.features)) for table in floor.tables} == {
        "T1": (-3, ["step-free", "window"]),
        "T2": (7, []),
        "T3": (7, []),
    }
    assert floor.pacing == (
        Pacing(service_key="dinner", most_covers=20, most_present=60),
        Pacing(
            service_key="dinner",
            interval_minutes=30,
            most_parties=4,
            first_date=date(2025, 12, 24),
            last_date=date(2025, 12, 26),
            weekdays=frozenset({4}),
        ),
    )
    later = parse(json.dumps(WHOLE), on=date(2025, 7, 11)).floor().pacing[1]
    assert (later.first_date, later.last_date) == (date(2025, 12, 31), date(2026, 1, 2)), "it moves with its evening"
    asked = parse(json.dumps(WHOLE)).requests()[0]
    assert (asked.needs, asked.wishes) == (frozenset({"step-free"}), frozenset({"window", "quiet corner"}))
    (entry,) = floor.calendar
    assert (entry.weekdays, entry.services[0].ends, entry.services[0].turn_times[0].minutes) == (
        frozenset({4}),
        time(0),
        90,
    )


@pytest.mark.parametrize(
    ("path", "key", "place", "near"),
    [
        ((), "adjacents", "The file has", "adjacent"),
        ((), "service", "The file has", "services"),
        (("restaurant",), "timezon", "restaurant:", "timezone"),
        (("restaurant",), "reference", "restaurant:", "ref"),
        (("tables", 0), "seats", "tables[0]:", "capacity"),
        (("tables", 0), "name", "tables[0]:", "code"),
        (("tables", 0), "Notes", "tables[0]:", "notes"),
        (("restaurant",), "About", "restaurant:", "about"),
        ((), "Reference", "The file has", "reference"),
        (("joins", 0), "codes", "joins[0]:", "tables"),
        (("zones", 0), "prio", "zones[0]:", "priority"),
        (("services", 0, "pacing"), "most_cover", "services[0].pacing:", "most_covers"),
        (("tables", 0), "Active", "tables[0]:", "active"),
        (("joins", 0), "seat", "joins[0]:", "seats"),
        (("services", 0), "week_days", "services[0]:", "weekdays"),
        (("services", 0, "buffer_minutes"), "afer", "services[0].buffer_minutes:", "after"),
        (("calendar", 0), "first_day", "calendar[0]:", "first_date"),
        (("calendar", 0, "services", 0), "starts", "calendar[0].services[0]:", "start"),
    ],
)
def test_an_unknown_key_is_an_error_that_suggests_the_nearest(
    path: tuple[str | int, ...], key: str, place: str, near: str
) -> None:
    with pytest.raises(UnusableFileError) as refused:
        parse(whole(*path, **{key: 1}))
    assert f"{place} unknown keys {key!r} (did you mean {near!r}?); known are " in str(refused.value)


def test_an_unknown_key_of_a_booking_makes_the_row_bad() -> None:
    for key in ("partys", "covers", "guests"):
        (bad,) = parse(whole("bookings", 0, **{key: 4})).bad_rows
        assert str(bad).startswith(f"bookings[0] (B1): unknown keys {key!r} (did you mean 'party'?)")
    (bad,) = parse(whole("bookings", 0, reference="17")).bad_rows
    assert "(did you mean 'ref'?)" in str(bad)
    assert "reference may stand in the file itself" in str(bad)


@pytest.mark.parametrize("key", ["adjacent", "joins", "calendar", "zones"])
def test_null_is_named_as_null(key: str) -> None:
    with pytest.raises(UnusableFileError, match=f"^{key} must be of type list, not null, or leave it out"):
        parse(whole(**{key: None}))


@pytest.mark.parametrize(
    ("path", "changed", "said"),
    [
        (("zones", 0), {"name": "Baar"}, r"zones\[0\].name: no table is in a zone 'Baar' \(did you mean 'Bar'\?\)"),
        (("zones", 0), {"priority": 1001}, r"zones\[0\].priority must be between -1000 and 1000, not 1001"),
        (("tables", 0), {"priority": -1001}, r"tables\[0\].priority must be between -1000 and 1000"),
        (("tables", 0), {"priority": "high"}, r"tables\[0\].priority must be of type int"),
        (("tables", 0), {"features": "window"}, r"tables\[0\].features must list texts"),
        (("tables", 0), {"features": ["x" * 61]}, r"tables\[0\].features has 'x+', which must be of at most 60"),
        (("tables", 0), {"features": ["a, b"]}, r"write each of them as a text of its own"),
        (("tables", 0), {"features": ["a"] * 51}, r"tables\[0\].features must list at most 50, not 51"),
        (("services", 0), {"pacing": 5}, r"services\[0\].pacing must be an object"),
        (("services", 0), {"pacing": {"interval_minutes": 30}}, r"services\[0\].pacing has none of most_covers"),
        (("services", 0, "pacing"), {"interval_minutes": 241}, r"interval_minutes must be at most 240"),
        (("services", 0, "pacing"), {"most_covers": -1}, r"most_covers must be between 0 and"),
        (("calendar", 0, "services", 0, "pacing"), {"most_present": 1.5}, r"calendar\[0\].services\[0\].pacing.most"),
    ],
)
def test_priorities_features_and_pacing_that_make_no_sense_are_refused_by_name(
    path: tuple[str | int, ...], changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(UnusableFileError, match=said):
        parse(whole(*path, **changed))


@pytest.mark.parametrize("given", ["window", [1], [""], ["x" * 61]])
def test_needs_and_wishes_that_are_no_features_make_the_row_bad(given: Any) -> None:
    for name in ("needs", "wishes"):
        (bad,) = parse(whole("bookings", 0, **{name: given})).bad_rows
        assert f"bookings[0] (B1): {name} " in str(bad)


def test_free_text_is_read_by_nobody_and_a_key_that_is_there_twice_is_refused() -> None:
    for path in ((), ("restaurant",), ("tables", 0), ("services", 0), ("joins", 0), ("calendar", 0), ("bookings", 0)):
        assert not parse(whole(*path, about=["any", {"thing": 1}], notes=None)).bad_rows
    assert parse(whole(known_results=[1], reference={"a": 1}))
    twice = json.dumps(WHOLE).replace('"capacity": 4', '"capacity": 4, "capacity": 6')
    with pytest.raises(UnusableFileError, match="key 'capacity' is there twice"):
        parse(twice)


@pytest.mark.parametrize(
    ("join", "said"),
    [
        ({"tables": ["T1", "T9"]}, r"joins\[0\].tables names the unknown table 'T9'"),
        ({"tables": ["T1", "T3"]}, r"joins\[0\].tables names T3, which the file says is not active"),
        ({"tables": ["T1"]}, r"joins\[0\].tables must name two different tables"),
        ({"tables": ["T1", "T2", "T2"]}, r"joins\[0\].tables must name two different tables"),
        ({"tables": "T1 + T2"}, r"joins\[0\].tables must be of type list"),
        ({"seats": 0}, r"joins\[0\].seats must be between 1"),
        ({"max_party": 6}, r"joins\[0\]: 5 seats for parties of 3 to 6 make no sense"),
    ],
)
def test_a_join_that_cannot_be_is_refused_by_name(join: dict[str, Any], said: str) -> None:
    with pytest.raises(UnusableFileError, match=said):
        parse(whole("joins", 0, **join))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("00:30", None, "2025-07-05 00:30"),
        ("23:30", "01:00", "2025-07-04 23:30 to 2025-07-05 01:00"),
        ("00:30", "01:30", "2025-07-05 00:30 to 2025-07-05 01:30"),
        ("24:00", "01:00", "2025-07-05 00:00 to 2025-07-05 01:00"),
        ("22:00", "24:00", "2025-07-04 22:00 to 2025-07-05 00:00"),
        # Within the late minutes, and where nothing is served.
        ("02:05", None, "2025-07-05 02:05"),
        ("03:00", None, "2025-07-05 03:00"),
        ("06:00", None, "2025-07-04 06:00"),
        # The night before, and the next one, if the file says so.
        ("2025-07-04T00:30", None, "2025-07-04 00:30"),
        ("04.07.2025 23:30", "01:00", "2025-07-04 23:30 to 2025-07-05 01:00"),
    ],
)
def test_a_time_after_midnight_means_the_night_that_it_belongs_to(start: str, end: str | None, expected: str) -> None:
    (row, *_others) = parse(whole("bookings", 0, start=start, end=end)).bookings
    said = " to ".join(f"{moment:%Y-%m-%d %H:%M}" for moment in (row.start, row.end) if moment)
    assert said == expected


def test_the_night_moves_with_its_evening() -> None:
    for start in ("00:30", "2025-07-05T00:30", "2025-07-05T00:30+01:00"):
        row = parse(whole("bookings", 0, start=start, end="01:30"), on=date(2025, 11, 7)).bookings[0]
        assert (f"{row.start:%m-%d %H:%M}", f"{row.end:%m-%d %H:%M}") == ("11-08 00:30", "11-08 01:30")


def test_who_asked_shortly_after_midnight_asked_before_their_start() -> None:
    rows = [
        parse(whole("bookings", 0, start=start, end=None, requested_at="00:10")).bookings[0]
        for start in ("00:30", "19:30")
    ]
    assert [f"{row.requested_at:%m-%d %H:%M}" for row in rows] == ["07-05 00:10", "07-04 00:10"]


@pytest.mark.parametrize(
    ("booking", "said"),
    [
        ({"end": "19:00"}, "end 19:00 is before its start at 19:30"),
        ({"end": "2025-07-03T21:00"}, "end 2025-07-03T21:00:00 is not after its start at 2025-07-04T19:30:00"),
        ({"start": "2025-07-04"}, "start '2025-07-04' is a date without a time; write it as"),
        ({"start": 1930}, "start must be a text, not 1930"),
        ({"end": 0}, "end must be a text, not 0"),
        ({"zone": 0}, "zone must be a text, not 0"),
        ({"status": "canceled"}, "not 'canceled' (did you mean 'cancelled'?)"),
        ({"ref": "B1 "}, "ref must not begin or end with a space: 'B1 '"),
        ({"ref": "B\ud800"}, "ref must hold no line breaks, tabs or broken characters"),
    ],
)
def test_a_bad_booking_says_which_field_and_what_to_write(booking: dict[str, Any], said: str) -> None:
    (bad,) = parse(whole("bookings", 0, **booking)).bad_rows
    assert bad.place in {"bookings[0] (B1)", "bookings[0] (B1 )", "bookings[0] ('B\\ud800')"}
    assert said in bad.reason
    with pytest.raises(UnusableFileError):
        parse(whole("bookings", 0, **booking)).requests()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"start": "17:00+01:00"}, r"services\[0\].start: '17:00\+01:00' has an offset, but .* write '17:00'"),
        ({"end": "17:00Z"}, r"services\[0\].end: '17:00Z' has an offset, but a floor has one time zone: write '17:00'"),
        ({"start": "24:00"}, r"services\[0\].start: '24:00' is not a start; write '00:00'"),
        ({"weekdays": [7]}, r"services\[0\].weekdays must list numbers from 0 \(Monday\) to 6"),
        ({"weekdays": ["Mon"]}, r"services\[0\].weekdays must list numbers"),
    ],
)
def test_hours_have_one_time_zone(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UnusableFileError, match=said):
        parse(whole("services", 0, **changed))


def test_names_are_the_same_however_their_accents_are_written() -> None:
    data = copy.deepcopy(WHOLE)
    data["restaurant"].update(name=unicodedata.normalize("NFD", "Café Roma"))
    data["tables"][0].update(code="窓際", zone="شرفة")
    data["adjacent"], data["joins"] = [], []
    data["tables"][1].update(code=unicodedata.normalize("NFD", "Séparée"))
    data["bookings"][0].update(zone="شرفة")
    evening = parse(json.dumps(data))
    assert evening.name == unicodedata.normalize("NFC", "Café Roma")
    assert {table.ref for table in evening.tables} == {"窓際", unicodedata.normalize("NFC", "Séparée"), "T3"}
    assert evening.requests()[0].zone_ref == "شرفة"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_may_be_utf_8_or_utf_16(encoding: str) -> None:
    assert decode("{} Café 窓".encode(encoding)) == "{} Café 窓"


def test_text_of_another_encoding_is_refused_with_advice() -> None:
    for raw, said in (
        ("{} Café".encode("cp1252"), 'not UTF-8 text (byte 6); in a spreadsheet, save it as "CSV UTF-8"'),
        (b"\xff\xfe{", "not UTF-16"),
        (b"\xff\xfe", "empty"),
        (b"", "empty"),
    ):
        with pytest.raises(UnusableFileError) as refused:
            decode(raw)
        assert said in str(refused.value)


ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**30, float("nan")),
    *("", "x", " x", "\0", "\ud800", "T1\n", "x" * 300),
    *("24:00", "25:00", "17:00Z", "17:00+99:00", "9999-12-31T24:00", "0001-01-01", "9999-12-31", "2025-03-30T01:30"),
    *("03/04/2026 19:30", "45000.5", "٢٥:٣٠"),
    *([], {}, [[]], {"a": 1}, ["T1"], [0]),
)


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    steps = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for step in steps:
        yield (*path, step)
        yield from _paths(value[step], (*path, step))


@pytest.mark.parametrize("on", [None, date(2199, 12, 31), date(9999, 12, 31)])
def test_whatever_stands_anywhere_in_a_file_it_is_read_or_refused(on: date | None) -> None:
    """Every value of the whole evening in turn, replaced by each odd one, or left out: never another error."""
    refused = 0
    for path in _paths(WHOLE):
        for odd in (*ODD, ...):
            data = copy.deepcopy(WHOLE)
            place: Any = data
            for step in path[:-1]:
                place = place[step]
            if odd is ...:
                del place[path[-1]]
            else:
                place[path[-1]] = odd
            try:
                evening = parse(json.dumps(data), on=on)
                evening.requests()
            except UnusableFileError as error:
                refused += 1
                assert str(error).encode(), "it can be printed"
    assert refused > 2000


def test_of_a_file_or_device_no_more_is_read_than_the_limit(tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match="larger than 64 MiB"):
        read(Path("/dev/zero"))
    full = tmp_path / "full.json"
    full.write_bytes(b" " * (LARGEST_BYTES - 2) + b"{}")
    assert read(full).endswith("  {}")
