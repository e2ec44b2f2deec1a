"""Past evenings: whose they are, in which order, and what is left out."""

import json
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assignments.integration.evening_file import UnusableFileError
from assignments.models import Assignment
from assignments.planning.floor import InvalidFloorError
from assignments.testing import MemoryHost, a_floor, a_service, a_table
from rollout.backtest import history
from rollout.backtest.backtest import Backtest
from rollout.backtest.history import Evening, PastEvenings, evenings_of_file
from rollout.backtest.replay import Answer, Scoreboard
from rollout.shadow.candidate import v3
from tests.assignments.integration.test_evening_file import an_evening

pytestmark = pytest.mark.django_db

DAY = date(2025, 7, 1)
SEVEN = datetime(2025, 7, 1, 18, tzinfo=UTC)  # in London


@pytest.fixture
def host() -> MemoryHost:
    floors = [
        a_floor("london", tables=[a_table("T1")]),
        a_floor("auckland", tables=[a_table("T1")], timezone="Pacific/Auckland"),
        a_floor("honolulu", tables=[a_table("T1")], timezone="Pacific/Honolulu"),
    ]
    return MemoryHost(floors=floors)


def past(host: MemoryHost, first: date = DAY, last: date = DAY, **arguments: Any) -> list[Evening]:
    return list(PastEvenings(host, first=first, last=last, **arguments))


def refs(found: list[Evening]) -> dict[tuple[str, date], list[str]]:
    return {
        (evening.floor.restaurant_ref, evening.service_date): [request.booking_ref for request in evening.requests]
        for evening in found
    }


def test_an_evening_is_the_restaurants_own_day(host: MemoryHost) -> None:
    host.book("L", starts_at=SEVEN, restaurant_ref="london")
    host.book("A", starts_at=datetime(2025, 7, 1, 7, tzinfo=UTC), restaurant_ref="auckland")
    # Nothing is served at night, so a day begins at five.
    host.book("A-1", starts_at=datetime(2025, 6, 30, 17, tzinfo=UTC), restaurant_ref="auckland")
    host.book("A-2", starts_at=datetime(2025, 6, 30, 16, 59, tzinfo=UTC), restaurant_ref="auckland")
    host.book("A+1", starts_at=datetime(2025, 7, 1, 17, tzinfo=UTC), restaurant_ref="auckland")
    host.book("H", starts_at=datetime(2025, 7, 2, 5, tzinfo=UTC), restaurant_ref="honolulu")
    host.book("H-1", starts_at=datetime(2025, 7, 1, 5, tzinfo=UTC), restaurant_ref="honolulu")
    assert refs(past(host)) == {
        ("auckland", DAY): ["A", "A-1"],
        ("honolulu", DAY): ["H"],
        ("london", DAY): ["L"],
    }
    assert refs(past(host, restaurant_ref="honolulu")) == {("honolulu", DAY): ["H"]}


def test_a_restaurants_evenings_come_in_order_and_none_is_left_in_pieces(
    host: MemoryHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "CHUNK", 2)
    for offset in range(3):
        for hour in range(24):
            start = datetime(2025, 7, 1, hour, tzinfo=UTC) + timedelta(days=offset)
            for ref in ("auckland", "honolulu", "london"):
                host.book(f"{ref}-{offset}-{hour:02}", starts_at=start, restaurant_ref=ref)
    found = refs(past(host, DAY - timedelta(days=1), DAY + timedelta(days=3)))
    assert list(found) == sorted(found, key=lambda key: (key[1], key[0]))
    assert sorted(ref for each in found.values() for ref in each) == sorted(host.rows)
    assert len(found["london", DAY + timedelta(days=1)]) == 24


def test_bookings_come_in_the_order_in_which_they_were_made(host: MemoryHost) -> None:
    for ref, days in (("B1", 3), ("B2", 5), ("B3", 5), ("B4", 1)):
        requested_at = SEVEN - timedelta(days=days)
        host.book(ref, starts_at=SEVEN, restaurant_ref="london", requested_at=requested_at)
    assert refs(past(host)) == {("london", DAY): ["B2", "B3", "B1", "B4"]}


def test_where_the_host_does_not_say_when_they_were_made_our_own_record_does(host: MemoryHost) -> None:
    for ref, days in (("B1", 1), ("B2", 2), ("B3", 0)):
        host.book(ref, starts_at=SEVEN, restaurant_ref="london")
        if days:
            Assignment.objects.create(
                booking_ref=ref,
                restaurant_ref="london",
                service_date=DAY,
                starts_at=SEVEN,
                party=2,
                requested_at=SEVEN - timedelta(days=days),
                due_at=SEVEN,
                pinned_table_refs=["T1"],
            )
    (evening,) = past(host)
    assert [(request.booking_ref, request.pinned_table_refs) for request in evening.requests] == [
        ("B2", ("T1",)),
        ("B1", ("T1",)),
        ("B3", ()),
    ]


def test_bookings_that_cannot_be_replayed_are_left_out_and_counted(host: MemoryHost) -> None:
    host.floors["nowhere"] = LookupError("nowhere")
    host.floors["broken"] = InvalidFloorError("broken")
    host.book("B1", starts_at=SEVEN, restaurant_ref="nowhere")
    host.book("B2", starts_at=SEVEN, restaurant_ref="broken")
    host.book("B3", starts_at=SEVEN, restaurant_ref="london", problem="The booking has no party.")
    host.book("B4", starts_at=SEVEN, restaurant_ref="london")
    host.book("B5", starts_at=SEVEN, restaurant_ref="london", wants_table=False)
    found = PastEvenings(host, first=DAY, last=DAY)
    assert refs(list(found)) == {("london", DAY): ["B4"]}
    assert found.left_out == {"invalid_floor": 2, "invalid_booking": 1}


@pytest.mark.parametrize(("ref", "error"), [("nowhere", LookupError), ("broken", InvalidFloorError)])
def test_one_restaurant_that_has_no_floor_is_refused(host: MemoryHost, ref: str, error: type[Exception]) -> None:
    host.floors["broken"] = InvalidFloorError("broken")
    with pytest.raises(error):
        PastEvenings(host, first=DAY, last=DAY, restaurant_ref=ref)


def test_a_day_costs_the_same_queries_however_full_it_is(host: MemoryHost, django_assert_num_queries: Any) -> None:
    host.book("B0", starts_at=SEVEN, restaurant_ref="london")
    past(host)
    with CaptureQueriesContext(connection) as one:
        past(host)
    for number in range(1, 200):
        host.book(f"B{number}", starts_at=SEVEN, restaurant_ref="london")
    with django_assert_num_queries(len(one)):
        past(host)


class TestFile:
    def test_its_days_are_evenings_each_in_booking_order(self) -> None:
        text = an_evening(
            {"start": "2025-07-02T19:00"},
            {"requested_at": "2025-06-02T12:00"},
            {"requested_at": "2025-06-01T12:00"},
            {"start": "2025-07-03T19:00"},
        )
        assert refs(evenings_of_file(text)) == {
            ("Anchor", DAY): ["B2", "B1"],
            ("Anchor", date(2025, 7, 2)): ["B0"],
            ("Anchor", date(2025, 7, 3)): ["B3"],
        }
        days = [key[1].day for key in refs(evenings_of_file(text, first=date(2025, 7, 2), last=date(2025, 7, 2)))]
        assert days == [2]

    def test_another_restaurant_than_the_one_asked_for_is_refused(self) -> None:
        assert evenings_of_file(an_evening({}, ref="17"), restaurant_ref="17")
        with pytest.raises(UnusableFileError, match="holds the restaurant '17', not '18'"):
            evenings_of_file(an_evening({}, ref="17"), restaurant_ref="18")

    def test_every_rule_of_the_files_floor_counts(self) -> None:
        """A table out of service and a day without service seat nobody, and a listed join does; nothing is passed over."""
        data = json.loads(an_evening({"party": 5}, {"party": 2, "start": "22:00"}, {"start": "2025-07-03T19:00"}))
        data["tables"].append({"code": "T3", "zone": "Bar", "capacity": 6, "active": False})
        data["joins"] = [{"tables": ["T1", "T2"], "seats": 5}]
        data["services"][0].update(weekdays=[1], end="24:00")
        backtest = Backtest(
            control=lambda snapshot: Answer(decision=v3(snapshot)),
            candidate=lambda snapshot: Answer(decision=v3(snapshot)),
        )
        boards = [backtest.replay(evening) for evening in evenings_of_file(json.dumps(data))]
        assert [(board.bookings, board.control.seated, board.control.joins) for board in boards] == [
            (2, 2, 1),
            (1, 0, 0),
        ]
        assert dict(boards[1].control.refused) == {"outside_service": 1}

    def test_a_misspelt_key_feeds_no_gate(self) -> None:
        data = json.loads(an_evening({}))
        data["tables"][0]["activ"] = False
        with pytest.raises(UnusableFileError, match=r"tables\[0\]: unknown keys 'activ' \(did you mean 'active'\?\)"):
            evenings_of_file(json.dumps(data))

    def test_a_floor_that_contradicts_itself_is_named(self) -> None:
        data = json.loads(an_evening({}))
        data["services"] = [{"key": "x", "start": "1:00", "end": "2:00", "turn_minutes": []}]
        with pytest.raises(UnusableFileError, match=r"services\[0\].turn_minutes"):
            evenings_of_file(json.dumps(data))


def test_a_service_that_runs_past_midnight_is_one_evening() -> None:
    """Who came at 23:30 still sits there at 00:30."""

    floor = a_floor("london", tables=[a_table("T1")], services=[a_service(starts=time(18), ends=time(4))])
    host = MemoryHost(floors=[floor])
    host.book("late", starts_at=SEVEN.replace(hour=22, minute=30), restaurant_ref="london")
    host.book("later", starts_at=SEVEN.replace(hour=23, minute=30), restaurant_ref="london")
    backtest = Backtest(
        control=lambda snapshot: Answer(decision=v3(snapshot)), candidate=lambda snapshot: Answer(decision=v3(snapshot))
    )
    boards: list[Scoreboard] = [backtest.replay(evening) for evening in past(host, DAY, DAY + timedelta(days=1))]
    assert [(board.bookings, board.control.seated) for board in boards] == [(2, 1)]
