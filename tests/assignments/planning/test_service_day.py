"""To which evening a moment belongs. Rule 8 of a living evening."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest

from assignments.planning.floor import Floor, ServicePeriod
from assignments.planning.seating_window import SeatingWindow, seating_window
from assignments.planning.service_day import service_date, touched_days
from assignments.staff.timeline import day_at, day_span
from tests.assignments.planning.restaurant import DINNER, LUNCH, TURNS, at, floor

LATE = ServicePeriod(key="late", starts=time(18), ends=time(2), turn_times=TURNS, allow_overrun=True)
ALL_DAY = ServicePeriod(key="all_day", starts=time(), ends=time(), turn_times=TURNS, allow_overrun=True)
BREAKFAST = ServicePeriod(key="breakfast", starts=time(4, 30), ends=time(11), turn_times=TURNS, early_minutes=30)
WEDNESDAY, THURSDAY, FRIDAY = date(2025, 11, 5), date(2025, 11, 6), date(2025, 11, 7)


@pytest.mark.parametrize(
    ("services", "clock", "day"),
    [
        ((LATE,), "18:00", THURSDAY),
        ((LATE,), "00:30", WEDNESDAY),  # last night's service is still on
        ((LATE,), "01:59", WEDNESDAY),
        ((LATE,), "04:59", WEDNESDAY),  # nothing is served: five hours ago it was Wednesday
        ((LATE,), "05:00", THURSDAY),
        ((LUNCH, DINNER), "00:30", WEDNESDAY),
        ((LUNCH, DINNER), "23:30", THURSDAY),
        ((ALL_DAY,), "00:00", THURSDAY),
        ((ALL_DAY,), "23:59", THURSDAY),
        ((LATE, BREAKFAST), "04:00", THURSDAY),  # within breakfast's early minutes
        ((LATE, BREAKFAST), "03:59", WEDNESDAY),
        ((replace(LATE, late_minutes=240),), "05:30", WEDNESDAY),
        ((replace(LATE, late_minutes=1319, weekdays=frozenset({2})),), "23:58", WEDNESDAY),
        ((), "04:59", WEDNESDAY),
        ((), "12:00", THURSDAY),
    ],
)
def test_a_booking_belongs_to_the_day_on_which_its_service_starts(
    services: tuple[ServicePeriod, ...], clock: str, day: date
) -> None:
    on = floor(services=services)
    assert service_date(on, at(clock)) == day
    assert day_at(on, at(clock)) == day
    start, until = day_span(on, day)
    assert start <= at(clock) < until


def test_a_service_of_one_weekday_takes_its_night_with_it() -> None:
    on = floor(services=(replace(LATE, weekdays=frozenset({2})),))
    assert service_date(on, at("01:30")) == WEDNESDAY
    assert service_date(on, at("01:30", "2025-11-07")) == THURSDAY  # nothing is served: five hours ago


def test_without_a_floor_and_without_a_zone() -> None:
    assert service_date(None, datetime(2025, 11, 6, 4, 59, tzinfo=UTC)) == WEDNESDAY
    assert service_date(None, datetime(2025, 11, 6, 5, tzinfo=UTC)) == THURSDAY
    assert service_date(floor(), datetime(2025, 11, 6, 0, 30)) == THURSDAY  # noqa: DTZ001
    assert service_date(floor(timezone="Asia/Tokyo"), datetime.max.replace(tzinfo=UTC)) == date.max


@pytest.mark.parametrize("services", [(LATE,), (LUNCH, DINNER), (ALL_DAY,), (LATE, BREAKFAST), ()], ids=len)
@pytest.mark.parametrize("first", ["2025-10-25", "2026-03-28"])
def test_days_follow_each_other_without_a_gap_where_the_clocks_change(
    services: tuple[ServicePeriod, ...], first: str
) -> None:
    on = floor(services=services)
    moment = at("12:00", first)
    for _quarter in range(2 * 24 * 4):
        day = service_date(on, moment)
        start, until = day_span(on, day)
        assert start <= moment < until, moment
        moment += timedelta(minutes=15)


@pytest.mark.parametrize(
    ("on", "clock", "ends", "days"),
    [
        (floor(services=(LATE,)), "01:00", None, [WEDNESDAY]),
        (floor(services=(LATE,)), "18:00", None, [THURSDAY]),
        (floor(services=(ALL_DAY,)), "23:30", None, [THURSDAY, FRIDAY]),
        (floor(services=(ALL_DAY,)), "22:55", None, [THURSDAY]),
        (floor(services=(ALL_DAY,)), "23:00", None, [THURSDAY]),  # until midnight
        (floor(services=(replace(ALL_DAY, buffer_after_minutes=5),)), "22:58", None, [THURSDAY, FRIDAY]),
        (floor(services=(replace(ALL_DAY, buffer_before_minutes=15),)), "00:10", None, [WEDNESDAY, THURSDAY]),
        (floor(services=(ALL_DAY,)), "20:00", "2025-11-08", [THURSDAY, FRIDAY, date(2025, 11, 8)]),
    ],
)
def test_a_seating_touches_every_day_that_it_reaches_into(
    on: Floor, clock: str, ends: str | None, days: list[date]
) -> None:
    window = seating_window(on, starts_at=at(clock), party=2, ends_at=at("12:00", ends) if ends else None)
    assert isinstance(window, SeatingWindow)
    assert list(touched_days(on, window)) == days
