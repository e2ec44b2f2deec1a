"""The calendar: closed dates, special hours and turn times, and which entry rules."""

import json
from dataclasses import replace
from datetime import date, time, timedelta

import pytest

from assignments.integration import evening_file
from assignments.integration.evening_file import UnusableFileError
from assignments.planning.calendar import is_closed, periods_on, special_period
from assignments.planning.engine import plan
from assignments.planning.floor import CalendarEntry, InvalidFloorError
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.seating_window import SeatingWindow, seating_window
from rollout.policy import seating_audit
from tests.assignments.planning.restaurant import DINNER, LUNCH, REAL_EVENING, ask, at, floor, snapshot, table

DAY = date(2025, 11, 6)
LATE = special_period(DINNER, starts=time(20), ends=time(1), turn_minutes=45)
CLOSED = CalendarEntry(first_date=DAY, last_date=DAY)
FLOOR = floor(table("T1", 2))


def test_a_closed_date_is_refused_as_closed_and_the_day_after_is_served() -> None:
    on = replace(FLOOR, calendar=(CLOSED,))
    refusal = plan(snapshot(on, ask())).refusal
    assert refusal is not None
    assert (refusal.reason, str(refusal.detail)) == (Reason.CLOSED, "The restaurant is closed on 2025-11-06.")
    assert refusal.is_hard
    later = replace(ask(), starts_at=at("18:00", "2025-11-07"))
    assert plan(snapshot(on, later)).best is not None
    night = seating_window(on, starts_at=at("03:00"), party=2)
    assert isinstance(night, Refusal)
    assert night.reason == Reason.OUTSIDE_SERVICE, "nothing would have been served then anyway"


def test_a_single_turn_time_holds_for_parties_of_any_size() -> None:
    assert [turn.max_party for turn in LATE.turn_times] == [8]
    assert [LATE.turn_minutes(party) for party in (1, 8, 9)] == [45, 45, 45]
    assert special_period(DINNER, starts=time(20), ends=time(1)).turn_times == DINNER.turn_times


def test_special_hours_replace_the_service_of_their_key_and_leave_the_others() -> None:
    on = replace(FLOOR, calendar=(CalendarEntry(first_date=DAY, last_date=DAY, services=(LATE,)),))
    assert [period.key for period in periods_on(on, DAY)] == ["lunch", "dinner"]
    window = seating_window(on, starts_at=at("23:30"), party=2)
    assert isinstance(window, SeatingWindow)
    assert window.ends_at - window.starts_at == timedelta(minutes=45)
    assert isinstance(seating_window(on, starts_at=at("17:30"), party=2), Refusal)
    assert periods_on(on, DAY + timedelta(days=1)) == (LUNCH, DINNER)


def test_of_several_entries_the_shortest_rules() -> None:
    month = CalendarEntry(first_date=date(2025, 11, 1), last_date=date(2025, 11, 30))
    special = CalendarEntry(first_date=DAY, last_date=DAY, services=(LATE,))
    for entries in ((month, special), (special, month)):
        on = replace(FLOOR, calendar=entries)
        assert periods_on(on, DAY) == (LATE,)
        assert is_closed(on, DAY + timedelta(days=1))
    assert is_closed(replace(FLOOR, calendar=(special, CLOSED)), DAY), "of two that are as short the one that closes"


def test_an_entry_may_be_for_some_weekdays_only() -> None:
    mondays = CalendarEntry(first_date=date(2025, 11, 1), last_date=date(2025, 11, 30), weekdays=frozenset({0}))
    on = replace(FLOOR, calendar=(mondays,))
    assert [day for day in range(1, 31) if is_closed(on, date(2025, 11, day))] == [3, 10, 17, 24]


@pytest.mark.parametrize(
    "entries",
    [
        (CLOSED,),
        (CalendarEntry(first_date=DAY, last_date=DAY, services=(LATE,)),),
        (CalendarEntry(first_date=date(2025, 11, 1), last_date=date(2025, 11, 30)), replace(CLOSED, services=(LATE,))),
    ],
)
def test_the_independent_audit_reads_the_calendar_alike(entries: tuple[CalendarEntry, ...]) -> None:
    on = replace(FLOOR, calendar=entries)
    for hour in range(48):
        start = at("00:00") + timedelta(hours=hour)
        found = seating_window(on, starts_at=start, party=2)
        ours = (found.blocked_from, found.blocked_until) if isinstance(found, SeatingWindow) else None
        assert seating_audit.window(on, seating_audit.Party(covers=2, starts_at=start)) == ours, start


def test_an_entry_that_ends_before_it_begins_is_no_floor() -> None:
    with pytest.raises(InvalidFloorError, match="calendar entry ends on 2025-11-05"):
        replace(FLOOR, calendar=(replace(CLOSED, last_date=DAY - timedelta(days=1)),))


def test_an_evening_file_has_a_calendar_that_moves_with_it() -> None:
    data = json.loads(REAL_EVENING.read_text())
    day = date.fromisoformat(data["restaurant"]["date"])
    data["calendar"] = [
        {"first_date": day.isoformat(), "services": [{"key": "dinner", "start": "19:00", "end": "21:00"}]},
        {"first_date": "2030-12-24", "last_date": "2030-12-26", "weekdays": [1, 2]},
    ]
    later = day + timedelta(days=10)
    evening = evening_file.parse(json.dumps(data), on=later)
    special = next(each for each in periods_on(evening.floor(), later) if each.key == "dinner")
    usual = next(each for each in evening.services if each.key == "dinner")
    assert (special.starts, special.ends, special.turn_times) == (time(19), time(21), usual.turn_times)
    assert evening.calendar[1].closes
    for wrong, problem in (
        ([{"first_date": "soon"}], "'soon' is not a date"),
        ([{"first_date": "2030-01-02", "last_date": "2030-01-01"}], "before it begins"),
        ([{"first_date": "2030-01-02", "weekdays": [7]}], "0 \\(Monday\\) to 6"),
        (
            [{"first_date": "2030-01-02", "services": [{"key": "tea", "start": "15:00", "end": "17:00"}]}],
            "no service 'tea'",
        ),
        ([{"first_date": "2030-01-02", "closed": True}], "unknown keys 'closed'"),
    ):
        with pytest.raises(UnusableFileError, match=problem):
            evening_file.parse(json.dumps({**data, "calendar": wrong}))
