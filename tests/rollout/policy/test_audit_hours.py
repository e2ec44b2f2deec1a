"""The hours as the audit reads them: which service a party comes to, and which the calendar leaves of them. No database."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import permutations

import pytest

from assignments.planning.floor import CalendarEntry, TurnTime
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


@pytest.mark.parametrize(
    ("hour", "minute", "expected"),
    [
        # Of two that come, the next; of two that are on, the one that began last.
        (10, 29, None),
        (10, 30, "lunch"),
        (10, 45, "brunch"),
        (11, 0, "brunch"),
        (12, 0, "lunch"),
        (12, 59, "lunch"),
        (13, 0, "brunch"),
        (14, 0, None),
        (16, 30, "tea"),
        (17, 30, "tea"),
        (18, 0, "dinner"),
        # Late guests are those of the one that ended last, until so many minutes are over.
        (20, 0, "bar"),
        (21, 0, "bar"),
        (21, 15, "bar"),
        (21, 16, "dinner"),
        (21, 45, "dinner"),
        (21, 46, None),
    ],
)
def test_the_service_of_a_start_is_the_one_on_then_or_the_next_or_the_last(
    hour: int, minute: int, expected: str | None
) -> None:
    services = [
        a_service(key="brunch", starts=time(11), ends=time(14), early_minutes=15),
        a_service(key="lunch", starts=time(12), ends=time(13), early_minutes=90),
        a_service(key="dinner", starts=time(18), ends=time(20), early_minutes=90, late_minutes=105, allow_overrun=True),
        a_service(key="tea", starts=time(17), ends=time(18), early_minutes=90),
        a_service(key="bar", starts=time(19), ends=time(21), late_minutes=15, allow_overrun=True),
    ]
    for ordered in (services, services[::-1]):
        found = service_at(a_floor(services=ordered, timezone="UTC"), on_friday(hour, minute))
        assert (found and found[0].key) == expected


def test_the_end_of_a_service_without_late_minutes_was_not_too_late_in_an_earlier_release() -> None:
    assert service_at(USUAL, on_friday(19)) is None
    for minutes, hour, minute, is_served in ((0, 19, 0, True), (0, 19, 1, False), (20, 19, 20, True)):
        earlier = replace(USUAL, stored_outside_minutes=minutes)
        assert bool(service_at(earlier, on_friday(hour, minute))) is is_served


@pytest.mark.parametrize(
    ("covers", "start", "end", "expected"),
    [
        (1, (18, 0), None, ("17:50", "19:00", "19:15")),
        (2, (18, 0), None, ("17:50", "19:00", "19:15")),
        (3, (18, 0), None, ("17:50", "19:30", "19:45")),
        (9, (18, 0), None, ("17:50", "19:30", "19:45")),
        (9, (18, 0), (18, 1), ("17:50", "18:01", "18:16")),
        (2, (18, 0), (18, 0), None),
        (2, (19, 0), (18, 0), None),
        # The buffer may be after the end of the service, which the stay may not.
        (2, (20, 0), None, ("19:50", "21:00", "21:15")),
        (2, (20, 1), None, None),
        (3, (20, 0), None, None),
        (2, (20, 0), (21, 1), None),
    ],
)
def test_how_long_a_party_stays_and_its_tables_are_blocked(
    covers: int, start: tuple[int, int], end: tuple[int, int] | None, expected: tuple[str, str, str] | None
) -> None:
    turns = TurnTime(max_party=2, minutes=60), TurnTime(max_party=4, minutes=90)
    buffers = {"buffer_before_minutes": 10, "buffer_after_minutes": 15}
    dinner = a_service(starts=time(18), ends=time(21), turn_times=turns, **buffers)
    due = on_friday(*start), on_friday(*end) if end else None
    found = stay(a_floor(services=[dinner], timezone="UTC"), covers, *due)
    shown = found and tuple(f"{each:%H:%M}" for each in (found.blocked_from, found.ends_at, found.blocked_until))
    assert shown == expected
    overruns = stay(a_floor(services=[replace(dinner, allow_overrun=True)], timezone="UTC"), covers, *due)
    assert bool(overruns) is (end is None or end > start), "beyond the end of the service, too"


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
