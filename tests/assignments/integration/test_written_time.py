"""Times as people and spreadsheets write them: what can mean one thing is read, and everything else says what to write."""

from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest

from assignments.integration.written_time import read_clock, read_date, read_moment

DAY = date(2026, 12, 19)
HALF_PAST_SEVEN = datetime(2026, 12, 19, 19, 30)  # noqa: DTZ001


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-19T19:30",
        "2026-12-19 19:30:00",
        "2026/12/19 19:30",
        "19/12/2026 19:30",
        "19/12/2026 19:30:00",
        "12/19/2026 19:30",
        "12/19/2026 7:30 PM",
        "12/19/2026 7:30:00 p.m.",
        "19.12.2026 19:30",
        "19.12.2026, 19:30",
        "19-12-2026 19:30",
        "20261219T1930",
        " 2026-12-19T19:30 ",
    ],
)
def test_a_date_and_a_time_that_can_mean_one_thing_are_read(text: str) -> None:
    assert read_moment(text, None) == (HALF_PAST_SEVEN, False)


def test_with_dots_the_day_comes_first_and_equal_numbers_need_no_order() -> None:
    assert read_moment("03.04.2026 12:00", None)[0].date() == date(2026, 4, 3)
    assert read_moment("04/04/2026 12:00", None)[0].date() == date(2026, 4, 4)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("2026-12-19T19:30Z", timedelta()),
        ("2026-12-19 19:30+01:00", timedelta(hours=1)),
        ("19:30-0330", -timedelta(hours=3.5)),
    ],
)
def test_an_offset_makes_it_a_moment(text: str, offset: timedelta) -> None:
    found, _is_clock = read_moment(text, DAY)
    assert found == HALF_PAST_SEVEN.replace(tzinfo=timezone(offset))


def test_a_clock_is_on_the_day_and_24_00_is_midnight_at_its_end() -> None:
    assert read_moment("19:30", DAY) == (HALF_PAST_SEVEN, True)
    assert read_moment("7:30 pm", DAY) == (HALF_PAST_SEVEN, True)
    assert read_moment("12:30 am", DAY)[0].time() == time(0, 30)
    assert read_moment("19:30Z", DAY) == (HALF_PAST_SEVEN.replace(tzinfo=UTC), True)
    midnight = datetime(2026, 12, 20)  # noqa: DTZ001
    assert read_moment("24:00", DAY) == read_moment("2026-12-19T24:00:00", None) == (midnight, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be a time or an ISO date and time, not ''; write it as 2026-12-19T19:30"),
        ("soon", "not 'soon'; write it as"),
        ("1930", "not '1930'; write it as"),
        ("2026-12-19", "is a date without a time; write it as 2026-12-19T19:30"),
        ("19/12/2026", "is a date without a time"),
        ("20261219", "is a date without a time"),
        ("03/04/2026 19:30", "may be 2026-04-03 or 2026-03-04; write the one you mean"),
        ("19/12/26 19:30", "has a year of two digits; write it as"),
        ("46375.8125", "is how a spreadsheet counts days; format its column"),
        ("46375,8125", "is how a spreadsheet counts days"),
        ("31.02.2026 19:30", "names a day that no calendar has"),
        ("31/31/2026 19:30", "names a day that no calendar has"),
        ("2026-12-19T24:30", "must lie between 00:00 and 24:00"),
        ("2026-12-19T19:60", "must lie between 00:00 and 24:00"),
        ("13:30 pm", "hours go from 1 to 12"),
        ("2026-12-19T19:30+99:00", "has an offset that no place has"),
        ("9999-12-31T24:00", "beyond the end of the calendar"),
    ],
)
def test_what_can_mean_two_things_or_none_says_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        read_moment(text, DAY)
    assert said in str(refused.value)


def test_a_clock_without_a_day_asks_for_one() -> None:
    with pytest.raises(ValueError, match="'19:30' has no date; give --date"):
        read_moment("19:30", None)


def test_the_hours_of_a_floor_are_clocks_in_its_one_time_zone() -> None:
    assert (read_clock("9:00"), read_clock("17:30:15"), read_clock("24:00", is_end=True)) == (
        time(9),
        time(17, 30, 15),
        time(0),
    )
    for text, said in (
        ("17:00+01:00", "'17:00\\+01:00' has an offset, but a floor has one time zone: write '17:00'"),
        ("17:00Z", "write '17:00'"),
        ("24:00", "write '00:00'"),
        ("noon", "'noon' is not a time; write it as 17:00"),
        ("25:00", "must lie between"),
    ):
        with pytest.raises(ValueError, match=said):
            read_clock(text)


def test_dates_are_iso_dates_of_years_in_reach() -> None:
    assert read_date("2026-12-19") == DAY
    for text, said in (("19.12.2026", "write it as 2026-12-19"), ("9999-12-31", "not in the years 1970 to 2199")):
        with pytest.raises(ValueError, match=said):
            read_date(text)
