"""Numbers, texts and times that no restaurant has are refused by name, and stop nothing."""

import inspect
import itertools
import logging
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from assignments import api
from assignments.exceptions import AssignmentsError
from assignments.integration.floor_cache import floor_of
from assignments.integration.host import Seating
from assignments.maintenance.reconcile import reconcile
from assignments.models import Allocation, Assignment, ListedJoin, ServiceHours, State, TableDetails, TurnMinutes
from assignments.outcome import Change
from assignments.planning import units
from assignments.planning.floor import MOST_JOINS, MOST_SEATS, Floor, InvalidFloorError, Join, TurnTime
from assignments.testing import MemoryHost, a_floor, a_service, a_table
from tests.assignments.conftest import TheHost, run_all

TOO_LONG = 2**31 - 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("minutes", [0, -30])
def test_a_booking_that_the_host_confirmed_without_a_sensible_end_keeps_its_table(
    host: TheHost, tonight: datetime, minutes: int
) -> None:
    end = tonight + timedelta(minutes=minutes)
    host.floors["R1"] = a_floor(tables=[a_table("T1")])
    host.book("theirs", starts_at=tonight, ends_at=end, is_confirmed=True)
    host.seated["theirs"] = Seating(booking_ref="theirs", table_refs=("T1",), starts_at=tonight, ends_at=end)
    assert [found.error for found in reconcile()] == [""]
    seated = Allocation.objects.get(booking_ref="theirs")
    assert (seated.table_ref, seated.ends_at - seated.starts_at) == ("T1", timedelta(hours=2)), "as its turn time says"
    host.book("another", starts_at=tonight)
    assert run_all()["another"].reason == "no_capacity"
    assert [found.problem for found in reconcile()] == [], "it is not found anew each time"
    assert Assignment.objects.get(booking_ref="theirs").state == State.CONFIRMED


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"tables": [a_table("T1", seats=TOO_LONG)]}, "table 'T1' has 2147483647 seats, and at most 10000"),
        (
            {"joins": [Join(table_refs=frozenset({"T1", "T2"}), seats=TOO_LONG)]},
            "join ['T1', 'T2'] has 2147483647 seats, and at most 10000",
        ),
        ({"services": [a_service(buffer_after_minutes=TOO_LONG)]}, "a buffer after of 2147483647 minutes"),
        ({"services": [a_service(buffer_before_minutes=1441)]}, "a buffer before of 1441 minutes, and at most 1440"),
        (
            {"services": [a_service(turn_times=(TurnTime(max_party=2, minutes=TOO_LONG),))]},
            "a turn time of 2147483647 minutes",
        ),
        ({"tables": [a_table(f"T{each}") for each in range(2001)]}, "it has 2001 tables, and at most 2000"),
    ],
)
def test_a_floor_refuses_numbers_beyond_any_restaurant_by_name(what: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidFloorError) as refused:
        a_floor(**{"tables": [a_table("T1"), a_table("T2")], **what})
    assert said in str(refused.value)


@pytest.mark.django_db
def test_a_floor_that_cannot_be_used_costs_its_own_bookings_no_breaker(host: TheHost, tonight: datetime) -> None:
    with pytest.raises(InvalidFloorError) as refused:
        a_floor(tables=[a_table("T1")], services=[a_service(buffer_after_minutes=TOO_LONG)])
    host.floors["R1"] = refused.value
    host.floors["R2"] = a_floor("R2", tables=[a_table("T1")])
    host.book("B1", starts_at=tonight)
    host.book("B2", starts_at=tonight, restaurant_ref="R2")
    run_all()
    states = dict(Assignment.objects.values_list("booking_ref", "state"))
    assert states["B2"] == State.CONFIRMED
    assert states["B1"] != State.CONFIRMED


@pytest.mark.django_db
@pytest.mark.parametrize(
    "row",
    [
        ServiceHours(restaurant_ref="R1", starts="17:00", ends="23:00", buffer_before_minutes=1441),
        ServiceHours(restaurant_ref="R1", starts="17:00", ends="23:00", buffer_after_minutes=TOO_LONG),
        TableDetails(restaurant_ref="R1", table_ref="T1", max_party=MOST_SEATS + 1),
        ListedJoin(restaurant_ref="R1", table_refs=["T1", "T2"], seats=TOO_LONG),
        TurnMinutes(max_party=2, minutes=1441),
    ],
    ids=lambda row: type(row).__name__,
)
def test_a_form_refuses_them_too(row: Any) -> None:
    with pytest.raises(ValidationError, match="less than or equal to"):
        row.clean_fields(exclude=["service"])


@pytest.mark.django_db
def test_a_form_refuses_guests_of_the_day_before_yesterday() -> None:
    hours = ServiceHours(restaurant_ref="R1", starts=time(18), ends=time(2), allow_overrun=True, late_minutes=1319)
    hours.clean()
    hours.late_minutes = 1320
    with pytest.raises(ValidationError, match="day after next"):
        hours.clean()


@pytest.mark.django_db
def test_a_restaurant_lists_no_more_joins_than_can_be_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    ListedJoin.objects.create(restaurant_ref="R1", table_refs=["T1", "T2"], seats=8)
    monkeypatch.setattr("assignments.models.floor.MOST_JOINS", 1)
    with pytest.raises(ValidationError, match="no more can be planned"):
        ListedJoin(restaurant_ref="R1", table_refs=["T2", "T3"], seats=8).clean()
    ListedJoin.objects.get().clean()  # One that is listed may still be corrected.


def crowded(*, joins: int) -> Floor:
    refs = [f"T{number}" for number in range(250)]
    pairs = itertools.islice(itertools.combinations(refs, 2), joins)
    listed = [Join(table_refs=frozenset(pair), seats=7) for pair in pairs]
    return a_floor(tables=[a_table(ref) for ref in refs], adjacent=itertools.pairwise(refs), joins=listed)


def test_a_floor_with_too_many_joins_is_refused_and_the_largest_is_looked_through_once_per_unit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InvalidFloorError, match="it lists 20000 joins, and at most 5000 can be planned"):
        crowded(joins=20_000)
    floor = crowded(joins=MOST_JOINS)
    visits = 0

    class Counted(tuple[Join, ...]):
        __slots__ = ()

        def __iter__(self) -> Any:
            nonlocal visits
            for join in super().__iter__():
                visits += 1
                yield join

    object.__setattr__(floor, "joins", Counted(floor.joins))
    made = units.seatable_units(floor)
    assert len(made) > MOST_JOINS
    assert visits <= 3 * MOST_JOINS, "not once for each unit"


def test_seats_of_more_tables_count_the_joins_among_them() -> None:
    refs = ["A", "B", "C", "D"]
    joins = [
        Join(table_refs=frozenset("AB"), seats=6),
        Join(table_refs=frozenset("ABC"), seats=9),
        Join(table_refs=frozenset("CD"), seats=9),
    ]
    few = a_floor(tables=[a_table(ref) for ref in refs], joins=joins)
    others = [a_table(f"X{each}") for each in range(20)]
    pairs = [Join(table_refs=frozenset({"X0", f"X{each}"}), seats=8) for each in range(1, 20)]
    many = a_floor(tables=[*few.tables, *others], joins=[*joins, *pairs])
    for floor in (few, many):
        assert units.seats_of(floor, "AB") == 6
        assert units.seats_of(floor, "ABD") == 10
        assert units.seats_of(floor, "ABC") == 9
        assert units.seats_of(floor, refs) == 16 - 3 + 1


@pytest.mark.django_db
def test_joins_that_are_left_out_are_named(host: TheHost, caplog: pytest.LogCaptureFixture) -> None:
    refs = [f"T{number}" for number in range(40)]
    large = a_floor(
        "R9", tables=[a_table(ref, zone_ref="hall") for ref in refs], adjacent=itertools.combinations(refs, 2)
    )
    assert units.zones_too_large(large) == {"hall": 2}
    assert {unit.table_count for unit in units.seatable_units(large)} == {1, 2}
    with caplog.at_level(logging.WARNING, "assignments.floors"):
        floor_of("R9", host=MemoryHost(floors=[large]))
    assert "Restaurant R9: zone hall has more joins than can be planned" in caplog.text
    caplog.clear()
    floor_of("R1", host=MemoryHost(floors=[a_floor(tables=[a_table("T1")])]))
    assert caplog.text == ""


TAKES_A_BOOKING = sorted(
    name
    for name, function in vars(api).items()
    if inspect.isfunction(function)
    and function.__module__ == api.__name__
    and not name.startswith("_")
    and "booking_ref" in inspect.signature(function).parameters
)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", TAKES_A_BOOKING)
def test_a_nul_in_a_ref_is_no_booking(host: TheHost, tonight: datetime, name: str) -> None:
    function = getattr(api, name)
    values: dict[str, Any] = {
        "booking_ref": "a\0b",
        "other_ref": "c\0d",
        "table_refs": ["T1"],
        "actor": "staff",
        "reason": "x",
        "version": 1,
        "ends_at": tonight,
        "until": tonight,
        "minutes": 10,
    }
    needed = {
        key: values.get(key, 1)
        for key, parameter in inspect.signature(function).parameters.items()
        if parameter.default is parameter.empty or key == "booking_ref"
    }
    try:
        answer = function(**needed)
    except AssignmentsError:
        return
    assert not answer or answer == Change.NOTHING or getattr(answer, "reason", "") == "booking_not_found", answer
