"""The hours as the audit reads them: which service a party comes to, and which the calendar leaves of them. No database."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import permutations

import pytest

from assignments.planning.floor import CalendarEntry
from assignments.testing import a_floor, a_service
from rollout.policy.audit_hours import service_at, stay

FRIDAY = date(2030, 6, 14)
USUAL = a_floor(
    services=[a_service(key="lunch", starts=time(12), ends=time(13)), a_service(starts=time(18), ends=time(19))],
    timezone="UTC",
)


def on_friday(hour: int, minute: int = 0) -> datetime:
    return datetime.combine(FRIDAY, time(hour, minute), tzinfo=UTC)


def june(first: int, last: int, hour: int | None, *weekdays: int) -> CalendarEntry:
    """An entry for these dates: dinner from this hour on, for an hour, or nothing at all."""
    services = () if hour is None else (a_service(starts=time(hour), ends=time(hour + 1)),)
    entry = CalendarEntry(first_date=date(2030, 6, first), last_date=date(2030, 6, last), services=services)
    return replace(entry, weekdays=frozenset(weekdays)) if weekdays else entry


@pytest.mark.parametrize(
    ("entries", "served"),
    [
        ([], [12, 18]),
        ([june(1, 30, 20)], [12, 20]),
        ([june(1, 30, 20), june(10, 16, 21)], [12, 21]),
        ([june(1, 30, None), june(10, 16, 21)], [21]),
        ([june(1, 30, 20), june(10, 16, None)], []),
        # Of equally long ones the one that begins last, and then the one that closes.
        ([june(13, 14, 20), june(14, 15, 21)], [12, 21]),
        ([june(13, 14, None), june(14, 15, 21)], [21]),
        ([june(13, 14, 20), june(14, 15, None)], []),
        ([june(13, 14, 20), june(13, 14, None)], []),
        # Those for other dates say nothing.
        ([june(1, 30, 20), june(13, 13, 21)], [12, 20]),
        ([june(1, 30, 20), june(15, 15, None)], [12, 20]),
        ([june(1, 30, 20), june(14, 14, 21, 5, 6)], [12, 20]),
        ([june(1, 30, 20), june(14, 14, 21, 4)], [12, 21]),
    ],
)
def test_the_shortest_entry_rules_in_whatever_order_a_floor_has_them(
    entries: list[CalendarEntry], served: list[int]
) -> None:
    for ordered in permutations(entries):
        floor = replace(USUAL)
        object.__setattr__(floor, "calendar", ordered)  # A floor orders them itself, which could be wrong.
        assert [hour for hour in range(24) if service_at(floor, on_friday(hour))] == served, ordered


@pytest.mark.parametrize(
    ("starts", "ends", "early", "weekday", "hour", "minute", "opens"),
    [
        (time(18), time(2), 0, 3, 1, 59, datetime(2030, 6, 13, 18, tzinfo=UTC)),
        (time(18), time(2), 0, 3, 2, 0, None),
        (time(18), time(2), 0, 4, 1, 59, None),
        (time(18), time(2), 0, 4, 23, 59, datetime(2030, 6, 14, 18, tzinfo=UTC)),
        (time(0, 30), time(4), 60, 5, 23, 30, datetime(2030, 6, 15, 0, 30, tzinfo=UTC)),
        (time(0, 30), time(4), 60, 5, 23, 29, None),
        (time(0, 30), time(4), 60, 4, 23, 30, None),
        # From noon to noon.
        (time(12), time(12), 0, 3, 11, 59, datetime(2030, 6, 13, 12, tzinfo=UTC)),
        (time(12), time(12), 0, 3, 12, 0, None),
    ],
)
def test_a_service_of_the_day_before_may_be_on_and_one_of_the_day_after_take_guests(
    starts: time, ends: time, early: int, weekday: int, hour: int, minute: int, opens: datetime | None
) -> None:
    period = a_service(starts=starts, ends=ends, early_minutes=early, weekdays=frozenset({weekday}))
    found = service_at(a_floor(services=[period], timezone="UTC"), on_friday(hour, minute))
    assert (found and found[1]) == opens


@pytest.mark.parametrize(("year", "dines"), [(1899, False), (1900, True), (9000, True), (9001, False)])
def test_nobody_dines_in_years_beyond_the_calendar(year: int, dines: bool) -> None:
    start = datetime(year, 6, 14, 18, tzinfo=UTC)
    assert bool(stay(USUAL, 2, start, start.replace(minute=30))) is dines


def test_nobody_stays_into_a_year_beyond_the_calendar() -> None:
    floor = a_floor(services=[a_service(starts=time(18), ends=time(2))], timezone="UTC")
    new_year = datetime(9001, 1, 1, tzinfo=UTC)
    assert stay(floor, 2, new_year - timedelta(hours=2), new_year - timedelta(minutes=1))
    assert not stay(floor, 2, new_year - timedelta(hours=2), new_year)


def test_a_time_without_a_zone_is_none() -> None:
    assert not stay(USUAL, 2, on_friday(18).replace(tzinfo=None), None)
    assert not stay(USUAL, 2, on_friday(18), on_friday(18, 30).replace(tzinfo=None))
