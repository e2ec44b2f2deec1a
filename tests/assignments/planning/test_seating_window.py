"""When a party sits: services, turn times, buffers, and the nights in which the clocks change."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from assignments.planning import seating_window as seating_windows
from assignments.planning.floor import CalendarEntry, InvalidFloorError, ServicePeriod
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.seating_window import (
    SeatingWindow,
    from_now_on,
    local_to_aware,
    seating_window,
    services_on,
)
from tests.assignments.planning.restaurant import DINNER, LUNCH, TURNS, at, floor

LONDON = ZoneInfo("Europe/London")
NIGHT = ServicePeriod(key="night", starts=time(20), ends=time(2), turn_times=TURNS, weekdays=frozenset({5}))


def seated(window: SeatingWindow | Refusal) -> SeatingWindow:
    assert isinstance(window, SeatingWindow), window
    return window


def refused(window: SeatingWindow | Refusal) -> Refusal:
    assert isinstance(window, Refusal), window
    return window


EARLY_LUNCH, EARLY_DINNER = replace(LUNCH, early_minutes=15), replace(DINNER, early_minutes=120)


@pytest.mark.parametrize(
    ("clock", "service"),
    [
        ("12:00", "lunch"),
        ("14:59", "lunch"),
        ("11:51", "lunch"),
        ("11:45", "lunch"),
        ("15:00", "dinner"),
        ("15:03", "dinner"),
        ("17:00", "dinner"),
    ],
)
def test_a_booking_belongs_to_the_service_that_is_on_or_comes_next(clock: str, service: str) -> None:
    on = floor(services=(EARLY_LUNCH, EARLY_DINNER))
    assert seated(seating_window(on, starts_at=at(clock), party=2)).service_key == service


@pytest.mark.parametrize("clock", ["15:05", "16:45", "16:59", "22:00", "23:55", "11:44", "03:00"])
def test_nothing_is_served_outside_opening_hours_unless_the_service_allows_it(clock: str) -> None:
    bound = floor(services=(EARLY_LUNCH, DINNER))
    refusal = refused(seating_window(bound, starts_at=at(clock), party=2))
    assert refusal.reason is Reason.OUTSIDE_SERVICE
    assert clock in refusal.detail


@pytest.mark.parametrize("clock", ["15:00", "15:10", "15:20"])
def test_after_the_end_guests_come_within_the_late_minutes(clock: str) -> None:
    lunch = floor(services=(replace(LUNCH, late_minutes=20),))
    assert seated(seating_window(lunch, starts_at=at(clock), party=2)).service_key == "lunch"
    assert refused(seating_window(lunch, starts_at=at("15:21"), party=2)).reason is Reason.OUTSIDE_SERVICE


def test_the_next_service_comes_before_the_last_one() -> None:
    both = floor(services=(replace(LUNCH, late_minutes=120), replace(DINNER, early_minutes=60)))
    assert seated(seating_window(both, starts_at=at("15:59"), party=2)).service_key == "lunch"
    assert seated(seating_window(both, starts_at=at("16:00"), party=2)).service_key == "dinner"


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (replace(DINNER, late_minutes=15), "service 'dinner' takes guests up to 15 minutes after its end"),
        (replace(DINNER, early_minutes=-1), "service 'dinner' has -1 early minutes"),
        (replace(LUNCH, late_minutes=1441), "service 'lunch' has 1441 late minutes"),
        (
            replace(LUNCH, starts=time(18), ends=time(2), late_minutes=1320),
            "'lunch' takes guests for 1320 minutes after",
        ),
    ],
)
def test_hours_that_make_no_sense_are_refused_by_name(service: ServicePeriod, said: str) -> None:
    with pytest.raises(InvalidFloorError, match=said):
        floor(services=(service,))
    # On some dates, too.
    entry = CalendarEntry(first_date=date(2030, 12, 31), last_date=date(2030, 12, 31), services=(service,))
    with pytest.raises(InvalidFloorError, match=said):
        replace(floor(), calendar=(entry,))


def test_a_floor_of_an_earlier_release_keeps_its_tolerance_at_both_ends() -> None:
    kept = replace(floor(), stored_outside_minutes=120)
    for clock, service in [("10:00", "lunch"), ("11:51", "lunch"), ("15:00", "dinner"), ("16:59", "dinner")]:
        assert seated(seating_window(kept, starts_at=at(clock), party=2)).service_key == service
    for clock in ("09:59", "03:00", "00:01"):
        assert refused(seating_window(kept, starts_at=at(clock), party=2)).reason is Reason.OUTSIDE_SERVICE
    assert refused(seating_window(kept, starts_at=at("23:00"), party=2)).reason is Reason.SERVICE_OVERRUN
    lunch_only = replace(kept, services=(LUNCH,))
    assert seated(seating_window(lunch_only, starts_at=at("16:59"), party=2)).service_key == "lunch"
    at_its_end = replace(lunch_only, stored_outside_minutes=0)
    assert seated(seating_window(at_its_end, starts_at=at("15:00"), party=2)).service_key == "lunch"


def test_a_floor_without_services_seats_nobody() -> None:
    refusal = refused(seating_window(floor(services=()), starts_at=at("18:00"), party=2))
    assert refusal.reason is Reason.OUTSIDE_SERVICE


@pytest.mark.parametrize(("party", "stay"), [(1, 60), (2, 60), (3, 75), (4, 75), (5, 90), (20, 90)])
def test_larger_parties_stay_longer_and_the_buffer_blocks_the_table_after_them(party: int, stay: int) -> None:
    window = seated(seating_window(floor(), starts_at=at("18:00"), party=party))
    assert window.ends_at - window.starts_at == timedelta(minutes=stay)
    assert window.blocked_from == window.starts_at
    assert window.blocked_until - window.ends_at == timedelta(minutes=5)


def test_a_given_end_replaces_the_turn_time() -> None:
    window = seated(seating_window(floor(), starts_at=at("18:00"), party=2, ends_at=at("20:10")))
    assert window.ends_at == at("20:10")


def test_overruns_are_refused_at_dinner_and_allowed_at_lunch() -> None:
    refusal = refused(seating_window(floor(), starts_at=at("21:30"), party=4))
    assert refusal.reason is Reason.SERVICE_OVERRUN
    assert "21:30" in refusal.detail
    assert "22:45" in refusal.detail
    assert "22:00" in refusal.detail
    assert seated(seating_window(floor(), starts_at=at("14:45"), party=4)).ends_at == at("16:00")


def test_the_buffer_may_run_past_the_services_end() -> None:
    window = seated(seating_window(floor(), starts_at=at("21:00"), party=2))
    assert window.ends_at == at("22:00")
    assert window.blocked_until == at("22:05")
    assert refused(seating_window(floor(), starts_at=at("21:01"), party=2)).reason is Reason.SERVICE_OVERRUN


@pytest.mark.parametrize("end", ["18:00", "17:59"])
def test_an_end_that_is_not_after_the_start_is_refused(end: str) -> None:
    refusal = refused(seating_window(floor(), starts_at=at("18:00"), party=2, ends_at=at(end)))
    assert refusal.reason is Reason.INVALID_START
    assert end in refusal.detail


@pytest.mark.parametrize(
    ("now", "blocked_from"),
    [("17:59", "17:45"), ("18:00", "17:45"), ("18:01", "18:01"), ("18:59", "18:59"), ("19:00", "17:45")],
)
def test_of_a_party_that_should_be_here_the_tables_are_blocked_from_now_on(now: str, blocked_from: str) -> None:
    on = floor(services=(replace(DINNER, buffer_before_minutes=15),))
    window = seated(seating_window(on, starts_at=at("18:00"), party=2))
    assert from_now_on(window, at(now)) == replace(window, blocked_from=at(blocked_from))


def test_guests_come_before_midnight_for_a_service_that_begins_after_it() -> None:
    night = replace(NIGHT, starts=time(0, 30), early_minutes=45, weekdays=frozenset({4}))
    window = seated(seating_window(floor(services=(night,)), starts_at=at("23:45"), party=2))  # Thursday, for Friday
    assert window.service_key == "night"


def test_a_floor_remembers_the_services_of_so_many_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seating_windows, "MOST_DAYS_KNOWN", 2)
    on, known = floor(), []
    for day in range(1, 6):
        services = services_on(on, date(2025, 11, day))
        assert [service.starts_at.day for service in services] == [day, day]
        assert services_on(on, date(2025, 11, day)) is services
        known.append(len(on.services_known))
    assert known == [1, 2, 1, 2, 1]


@pytest.mark.parametrize(("year", "is_served"), [(1, False), (1899, False), (1900, True), (9000, True), (9001, False)])
def test_a_year_far_from_ours_is_no_time_for_a_dinner(year: int, is_served: bool) -> None:
    start = at("18:00").replace(year=year)
    window = seating_window(floor(), starts_at=start, party=2)
    assert isinstance(window, SeatingWindow) is is_served
    if not is_served:
        assert refused(window).detail == f"The time {start.isoformat()} is out of range."
        ends = refused(seating_window(floor(), starts_at=at("18:00"), party=2, ends_at=start))
        assert ends.reason is Reason.INVALID_START


@pytest.mark.parametrize("which", ["starts_at", "ends_at"])
def test_a_naive_time_is_refused_by_name(which: str) -> None:
    times = {"starts_at": at("18:00"), "ends_at": at("19:00")}
    times[which] = times[which].replace(tzinfo=None)
    refusal = refused(seating_window(floor(), party=2, **times))
    assert refusal.reason is Reason.INVALID_START
    assert times[which].isoformat() in refusal.detail


@pytest.mark.parametrize(
    ("day", "clock", "is_served"),
    [
        ("2025-11-08", "23:30", True),  # Saturday evening
        ("2025-11-09", "00:30", True),  # Sunday, half past midnight, is Saturday's night
        ("2025-11-09", "01:00", True),
        ("2025-11-09", "01:30", False),  # would stay beyond two
        ("2025-11-09", "20:30", False),  # Sunday has no night service
        ("2025-11-08", "00:30", False),  # nor has Friday, whose night this would be
    ],
)
def test_a_service_past_midnight_belongs_to_the_weekday_on_which_it_starts(
    day: str, clock: str, is_served: bool
) -> None:
    window = seating_window(floor(services=(NIGHT,)), starts_at=at(clock, day), party=2)
    assert isinstance(window, SeatingWindow) is is_served


def test_times_are_given_in_utc() -> None:
    summer = seated(seating_window(floor(), starts_at=datetime(2025, 7, 1, 18, 0, tzinfo=LONDON), party=2))
    assert summer.starts_at == datetime(2025, 7, 1, 17, 0, tzinfo=UTC)
    assert summer.starts_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("day", "start", "end"),
    [
        ("2025-03-29", "00:30", "01:30"),
        ("2025-03-30", "00:30", "02:30"),  # the hour from one to two does not exist
        ("2025-10-26", "01:30", "01:30"),  # and here it comes twice
    ],
)
def test_a_turn_time_is_elapsed_time_also_when_the_clocks_change(day: str, start: str, end: str) -> None:
    all_night = ServicePeriod(key="night", starts=time(20), ends=time(6), turn_times=TURNS)
    window = seated(seating_window(floor(services=(all_night,)), starts_at=at(start, day), party=2))
    assert window.ends_at - window.starts_at == timedelta(minutes=60)
    assert f"{window.ends_at.astimezone(LONDON):%H:%M}" == end


@pytest.mark.parametrize("day", ["2025-03-30", "2025-10-26"])
def test_dinner_ends_by_the_wall_clock_on_days_when_the_clocks_change(day: str) -> None:
    dinner = floor(services=(DINNER,))
    assert seated(seating_window(dinner, starts_at=at("21:00", day), party=2)).ends_at == at("22:00", day)
    assert refused(seating_window(dinner, starts_at=at("21:01", day), party=2)).reason is Reason.SERVICE_OVERRUN


@pytest.mark.parametrize("day", ["2025-03-30", "2025-10-26"])
def test_a_night_service_ends_by_the_wall_clock_when_the_clocks_change_during_it(day: str) -> None:
    until_three = ServicePeriod(key="night", starts=time(20), ends=time(3), turn_times=TURNS)
    open_late = floor(services=(until_three,))
    start = at("03:00", day) - timedelta(minutes=60)
    assert seated(seating_window(open_late, starts_at=start, party=2)).ends_at == at("03:00", day)
    late = seating_window(open_late, starts_at=start + timedelta(minutes=1), party=2)
    assert refused(late).reason is Reason.SERVICE_OVERRUN


def test_a_wall_time_that_the_clocks_skip_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"2025-03-30 01:30 does not exist in Europe/London"):
        local_to_aware(datetime(2025, 3, 30, 1, 30), LONDON)  # noqa: DTZ001


@pytest.mark.parametrize("fold", [0, 1])
def test_of_a_wall_time_that_comes_twice_the_first_is_meant(fold: int) -> None:
    twice = datetime(2025, 10, 26, 1, 30, fold=fold)  # noqa: DTZ001
    assert local_to_aware(twice, LONDON) == datetime(2025, 10, 26, 0, 30, tzinfo=UTC)


def test_a_wall_time_beyond_the_calendar_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"9999-12-31 23:30 in America/New_York is beyond"):
        local_to_aware(datetime(9999, 12, 31, 23, 30), ZoneInfo("America/New_York"))  # noqa: DTZ001


def test_an_aware_time_is_not_a_wall_time() -> None:
    with pytest.raises(ValueError, match="aware already"):
        local_to_aware(datetime(2025, 3, 30, 1, 30, tzinfo=UTC), LONDON)
