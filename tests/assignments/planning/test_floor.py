"""A floor that contradicts itself is refused, and says where."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, time
from typing import Any

import pytest

from assignments.planning import floor as floors
from assignments.planning.floor import (
    CalendarEntry,
    Floor,
    InvalidFloorError,
    Join,
    Pacing,
    ServicePeriod,
    TurnTime,
    takes_guests_too_long,
)
from tests.assignments.planning.restaurant import DINNER, floor, table

A, B = table("A", 4), table("B", 4)
NO_TURNS = ServicePeriod(key="brunch", starts=time(9), ends=time(12), turn_times=())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: floor(A, adjacent=[("A", "X9")]), "adjacency names unknown tables 'X9'"),
        (lambda: floor(A, A), "table 'A' is listed 2 times"),
        (lambda: floor(table("A", 0)), "table 'A' has 0 seats"),
        (lambda: floor(table("A", 4, min_party=3, max_party=2)), "parties of 3 to 2"),
        (lambda: floor(A, adjacent=[("A", "A")]), "two different tables"),
        (lambda: floor(A, joins=[Join(table_refs=frozenset({"A", "X9"}), seats=6)]), "unknown tables 'X9'"),
        (lambda: floor(A, joins=[Join(table_refs=frozenset({"A"}), seats=6)]), "needs two tables"),
        (lambda: floor(A, B, joins=[Join(table_refs=frozenset("AB"), seats=6)] * 2), "is listed 2 times"),
        (lambda: floor(A, joins=[Join(table_refs=frozenset({"T10", "T2"}), seats=6)]), "unknown tables 'T2', 'T10'"),
        (lambda: floor(A, adjacent=[("T10", "T2")]), "unknown tables 'T2', 'T10'"),
        (lambda: floor(A, B, joins=[Join(table_refs=frozenset("AB"), seats=6, min_party=5, max_party=4)]), "5 to 4"),
        (lambda: floor(A, services=(NO_TURNS,)), "service 'brunch' has no turn times"),
        (lambda: floor(A, services=(replace(DINNER, buffer_after_minutes=-1),)), "negative buffer"),
        (lambda: floor(A, services=(replace(DINNER, turn_times=(TurnTime(max_party=2, minutes=0),)),)), "a minute"),
        (lambda: floor(A, services=(replace(DINNER, turn_times=DINNER.turn_times[::-1]),)), "out of order"),
        (lambda: floor(A, timezone="Europe/Atlantis"), "unknown timezone 'Europe/Atlantis'"),
        (lambda: floor(A, timezone="Europe"), "unknown timezone 'Europe'"),  # a folder of the database
    ],
)
def test_a_contradiction_is_named(build: Callable[[], Floor], message: str) -> None:
    with pytest.raises(InvalidFloorError, match=message):
        build()


def test_the_version_follows_the_content_and_not_the_order_in_which_it_is_given() -> None:
    pairs = [("A", "B"), ("B", "C")]
    one = floor(A, B, table("C", 2), adjacent=pairs)
    same = floor(table("C", 2), B, A, adjacent=pairs[::-1])
    other = floor(A, B, table("C", 3), adjacent=pairs)
    assert one.version == same.version
    assert one.version != other.version


def test_what_an_error_says_is_its_message_where_it_has_one() -> None:
    assert InvalidFloorError("No such table.").said == "No such table."
    assert InvalidFloorError().said == ""
    assert InvalidFloorError("A", "B").said == "('A', 'B')"


def serving(**changes: Any) -> Floor:
    return floor(A, services=(replace(DINNER, **changes),))


def paced(**limits: Any) -> Floor:
    return replace(floor(A), pacing=(Pacing(**limits),))


def joined(seats: int, **limits: int) -> Floor:
    return floor(A, B, joins=[Join(table_refs=frozenset("AB"), seats=seats, **limits)])


def lasting(minutes: int) -> tuple[TurnTime, ...]:
    return TurnTime(max_party=2, minutes=60), TurnTime(max_party=8, minutes=minutes)


@pytest.mark.parametrize(
    ("build", "last", "first_wrong", "message"),
    [
        (lambda n: floor(replace(A, priority=n)), 1_000, 1_001, "priority 1001, beyond 1000"),
        (lambda n: floor(replace(A, priority=n)), -1_000, -1_001, "priority -1001, beyond 1000"),
        (lambda n: floor(table("A", n)), 10_000, 10_001, "10001 seats, and at most 10000"),
        (lambda n: floor(table("A", n)), 1, 0, "table 'A' has 0 seats"),
        (lambda n: floor(table("A", 4, min_party=4, max_party=n)), 4, 3, "parties of 4 to 3"),
        (lambda n: floor(table("A", 4, min_party=n)), 4, 5, "has 4 seats and takes parties from 5"),
        (lambda n: floor(table("A", 4, max_party=n)), 4, 5, "has 4 seats and takes parties of up to 5"),
        (joined, 10_000, 10_001, "10001 seats, and at most 10000"),
        (joined, 1, 0, "needs two tables and a seat"),
        (lambda n: joined(6, min_party=5, max_party=n), 5, 4, "parties of 5 to 4"),
        (lambda n: joined(6, min_party=n), 6, 7, "takes parties from 7"),
        (lambda n: serving(turn_times=lasting(n)), 1_440, 1_441, "a turn time of 1441 minutes, and at most 1440"),
        (lambda n: serving(turn_times=lasting(n)), 1, 0, "a turn time of less than a minute"),
        (lambda n: serving(buffer_before_minutes=n), 1_440, 1_441, "a buffer before of 1441 minutes"),
        (lambda n: serving(buffer_after_minutes=n), 1_440, 1_441, "a buffer after of 1441 minutes"),
        (lambda n: serving(buffer_before_minutes=n), 0, -1, "negative buffer"),
        (lambda n: serving(buffer_after_minutes=n), 0, -1, "negative buffer"),
        (lambda n: serving(early_minutes=n), 1_440, 1_441, "1441 early minutes, and not 0 to 1440"),
        (lambda n: serving(early_minutes=n), 0, -1, "-1 early minutes"),
        (lambda n: serving(late_minutes=n, allow_overrun=True), 1_440, 1_441, "1441 late minutes, and not 0 to 1440"),
        (lambda n: serving(late_minutes=n, allow_overrun=True), 0, -1, "-1 late minutes"),
        (lambda n: serving(late_minutes=n), 0, 1, "up to 1 minutes after its end, but allows no overrun"),
        (
            lambda n: serving(starts=time(5), ends=time(4), late_minutes=n, allow_overrun=True),
            20 * 60 - 1,
            20 * 60,
            "1200 minutes after its end, into the day after next",
        ),
        (lambda n: paced(interval_minutes=n), 240, 241, "an interval of 241 minutes, and not 1 to 240"),
        (lambda n: paced(interval_minutes=n), 1, 0, "an interval of 0 minutes"),
        (lambda n: paced(most_covers=n), 0, -1, "negative limit"),
        (lambda n: paced(most_parties=n), 0, -1, "negative limit"),
        (lambda n: paced(most_present=n), 0, -1, "negative limit"),
        (
            lambda n: paced(first_date=date(2025, 2, 2), last_date=date(2025, 2, n)),
            2,
            1,
            "ends on 2025-02-01 before it begins on 2025-02-02",
        ),
        (
            lambda n: replace(
                floor(A), calendar=(CalendarEntry(first_date=date(2025, 2, 2), last_date=date(2025, 2, n)),)
            ),
            2,
            1,
            "a calendar entry ends on 2025-02-01 before it begins on 2025-02-02",
        ),
    ],
)
def test_a_number_may_be_as_far_as_its_limit(
    build: Callable[[int], Floor], last: int, first_wrong: int, message: str
) -> None:
    build(last)
    with pytest.raises(InvalidFloorError, match=message):
        build(first_wrong)


MENU = TurnTime(max_party=4, minutes=75)
HOURS = ServicePeriod(key="supper", starts=time(18), ends=time(23), turn_times=(MENU,), weekdays=frozenset({4, 5}))
THAT_DAY = CalendarEntry(first_date=date(2025, 12, 24), last_date=date(2025, 12, 26), services=(HOURS,))


@pytest.mark.parametrize(
    ("on", "version"),
    [
        (joined(8), "554101254ae632f4"),
        (joined(8, min_party=5, max_party=7), "d7a64e45eb41043b"),
        (
            floor(A, table("C", 2, None, min_party=1, max_party=2, active=False), adjacent=[("A", "C")]),
            "9966f3c5be8279ed",
        ),
        (floor(A, services=(HOURS,)), "28d371906805497b"),
        (serving(early_minutes=15, late_minutes=30, allow_overrun=True, buffer_before_minutes=10), "a8a21be3b82107dd"),
        (floor(replace(A, features=frozenset({"window", "quiet"}))), "2a9f20b0c280e6bc"),
        (floor(replace(A, priority=3)), "627a089f545abdf3"),
        (replace(floor(A), calendar=(THAT_DAY, replace(THAT_DAY, services=()))), "d3500f86c0665748"),
        (paced(most_covers=8, most_parties=3, most_present=20, weekdays=frozenset({4, 5})), "0fcad0629bc33036"),
        (replace(floor(A), stored_outside_minutes=120), "7e71d4a40b3ee60e"),
        (replace(floor(A), zone_names={"Hall": "Great Hall"}), "f19f62d7cae65b40"),
    ],
    ids=[
        "join",
        "limits",
        "table",
        "weekdays",
        "hours",
        "features",
        "priority",
        "calendar",
        "pacing",
        "earlier",
        "names",
    ],
)
def test_a_version_is_what_it_was_in_every_release(on: Floor, version: str) -> None:
    assert on.version == version


def test_of_calendar_entries_the_longest_comes_first_then_the_earlier_then_the_one_that_is_open() -> None:
    longest = replace(THAT_DAY, last_date=date(2025, 12, 31))
    later = replace(THAT_DAY, first_date=date(2025, 12, 25), last_date=date(2025, 12, 27))
    closed = replace(THAT_DAY, services=())
    entries = (later, closed, THAT_DAY, longest)
    assert replace(floor(A), calendar=entries).calendar == (longest, THAT_DAY, closed, later)


def test_a_floor_may_have_as_many_tables_and_joins_as_can_be_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (floors.MOST_TABLES, floors.MOST_JOINS) == (2_000, 5_000)
    monkeypatch.setattr(floors, "MOST_TABLES", 2)
    monkeypatch.setattr(floors, "MOST_JOINS", 1)
    assert joined(8).joins
    with pytest.raises(InvalidFloorError, match="it has 3 tables, and at most 2 can be planned"):
        floor(A, B, table("C", 4))
    with pytest.raises(InvalidFloorError, match="it lists 2 joins, and at most 1 can be planned"):
        replace(joined(8), joins=joined(8).joins * 2)


def test_what_is_wrong_with_a_service_of_the_calendar_is_named_too() -> None:
    entry = CalendarEntry(
        first_date=date(2025, 2, 2), last_date=date(2025, 2, 2), services=(replace(DINNER, buffer_after_minutes=1_441),)
    )
    with pytest.raises(InvalidFloorError, match="a buffer after of 1441 minutes"):
        replace(floor(A), calendar=(entry,))


@pytest.mark.parametrize(
    ("starts", "ends", "late", "too_long"),
    [
        (time(18), time(23, 30), 29 + 24 * 60, False),
        (time(18), time(23, 30), 30 + 24 * 60, True),
        (time(18), time(18), 6 * 60 - 1, False),  # a whole day
        (time(18), time(18), 6 * 60, True),
    ],
)
def test_no_service_takes_guests_two_days_later(starts: time, ends: time, late: int, too_long: bool) -> None:
    assert takes_guests_too_long(starts, ends, late) is too_long


def test_the_last_turn_time_is_that_of_larger_parties_too() -> None:
    assert [DINNER.turn_minutes(party) for party in (1, 2, 3, 4, 5, 8, 9)] == [60, 60, 75, 75, 90, 90, 90]


def test_unknown_tables_come_last_in_the_natural_order_of_their_refs() -> None:
    on = floor(table("T2", 2), table("T10", 2))
    assert on.in_order(["X10", "T10", "X9", "T2"]) == ("T2", "T10", "X9", "X10")


def test_the_names_of_zones_make_no_other_floor() -> None:
    assert floor(table("T1", 2)) == replace(floor(table("T1", 2)), zone_names={"Hall": "Great Hall"})
