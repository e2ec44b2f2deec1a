"""Guests who ask for less than they were promised keep their table, whatever rules for new bookings have changed since."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from assignments import api
from assignments.models import Allocation, State
from assignments.outcome import Change
from assignments.planning.floor import CalendarEntry, Floor, Pacing, TurnTime
from assignments.testing import a_floor, a_service, a_table
from tests.assignments.conftest import TheHost, asked, host_with, run_all, state_of, tables_of

pytestmark = pytest.mark.django_db(transaction=True)

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
AS_IT_WAS = a_service(buffer_after_minutes=10)
CLOSED = CalendarEntry(first_date=date(2000, 1, 1), last_date=date(2100, 1, 1), services=())
LESS: list[dict[str, Any]] = [{"party": 3, "zone_ref": None, "needs": ()}, {"ends_at": 90 * MINUTE}]


@pytest.fixture
def promised(host: TheHost, tonight: datetime) -> TheHost:
    """A sits at T1 on the terrace from 19:00 to 21:00, and B follows there as soon as the table is clear."""
    table = a_table("T1", zone_ref="terrace", features=frozenset({"step-free"}))
    host.floors["R1"] = a_floor(tables=[table], services=[AS_IT_WAS])
    host.book("A", starts_at=tonight, party=4, requested_at=asked(1), zone_ref="terrace", needs=("step-free",))
    host.book("B", starts_at=tonight + 130 * MINUTE, party=2, requested_at=asked(2), ends_at=tonight + 200 * MINUTE)
    run_all()
    assert tables_of("A") == tables_of("B") == ["T1"]
    return host


def edited(floor: Floor, **changed: Any) -> Floor:
    return replace(floor, services=(replace(AS_IT_WAS, **changed),))


def other_table(floor: Floor, **changed: Any) -> Floor:
    return replace(floor, tables=(replace(floor.tables[0], **changed),))


EDITS: dict[str, Any] = {
    "shorter hours": lambda floor: edited(floor, ends=time(18)),
    "closing in the middle of the stay": lambda floor: edited(floor, ends=time(20)),
    "longer turn times": lambda floor: edited(floor, turn_times=(TurnTime(max_party=100, minutes=180),)),
    "longer buffers": lambda floor: edited(floor, buffer_before_minutes=30, buffer_after_minutes=60),
    "a closed date": lambda floor: replace(floor, calendar=(CLOSED,)),
    "pacing": lambda floor: replace(floor, pacing=(Pacing(most_covers=0),)),
    "another zone": lambda floor: other_table(floor, zone_ref="hall"),
    "no feature": lambda floor: other_table(floor, features=frozenset()),
    "larger parties only": lambda floor: other_table(floor, seats=8, min_party=6),
}


@pytest.mark.parametrize("asking", LESS, ids=["fewer", "shorter"])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_floor_refuses_nobody_who_asks_for_less(
    promised: TheHost, tonight: datetime, edit: str, asking: dict[str, Any]
) -> None:
    (before,) = Allocation.objects.filter(booking_ref="A")
    promised.floors["R1"] = EDITS[edit](promised.floor("R1"))
    asking = {name: tonight + value if name == "ends_at" else value for name, value in asking.items()}
    promised.edit("A", **asking)
    assert api.booking_changed(booking_ref="A") in {Change.KEPT, Change.NOTHING}
    (after,) = Allocation.objects.filter(booking_ref="A")
    assert (after.table_ref, after.starts_at) == ("T1", tonight)
    assert after.ends_at == asking.get("ends_at", before.ends_at)
    assert before.blocked.lower <= after.blocked.lower < after.blocked.upper <= before.blocked.upper
    assert after.party == asking.get("party", 4)
    assert state_of("A")[0] == state_of("B")[0] == State.CONFIRMED


@pytest.mark.parametrize("setting", [{"MAX_PARTY": 2}, {"MAX_SPARE_SEATS": 0}])
def test_an_edited_setting_refuses_nobody_who_asks_for_less(
    promised: TheHost, settings: Any, setting: dict[str, int]
) -> None:
    rows, floors, seated = promised.rows, promised.floors, promised.seated
    host = host_with(settings, **setting)
    host.rows, host.floors, host.seated = rows, floors, seated
    host.edit("A", party=3)
    assert api.booking_changed(booking_ref="A") is Change.KEPT
    assert Allocation.objects.get(booking_ref="A").party == 3


def test_who_asks_for_less_and_more_at_once_is_judged_by_todays_rules(promised: TheHost, tonight: datetime) -> None:
    promised.floors["R1"] = edited(promised.floor("R1"), ends=time(18))
    promised.edit("A", party=3, starts_at=tonight - 15 * MINUTE)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    assert Allocation.objects.get(booking_ref="A").starts_at == tonight


def test_a_table_that_can_no_longer_be_used_is_not_theirs_either(promised: TheHost) -> None:
    promised.floors["R1"] = other_table(promised.floor("R1"), active=False)
    promised.edit("A", party=3)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF


def test_fewer_guests_get_a_smaller_table_while_there_is_one(promised: TheHost, tonight: datetime) -> None:
    floor = promised.floor("R1")
    large, small = replace(floor.tables[0], min_party=3), replace(floor.tables[0], ref="T2", name="T2", seats=2)
    promised.floors["R1"] = replace(floor, tables=(large, small))
    promised.edit("A", party=2)
    assert api.booking_changed(booking_ref="A") is Change.MOVED
    assert tables_of("A") == ["T2"]


def test_no_edit_passes_an_earlier_one_that_only_todays_pacing_would_refuse(host: TheHost, tonight: datetime) -> None:
    """A and B come at seven; C asks for the terrace half an hour later, after A did for seven."""
    tables = [*(a_table(f"T{number}") for number in (1, 2, 3)), a_table("T4", zone_ref="terrace")]
    host.floors["R1"] = a_floor(tables=tables)
    for number, ref in enumerate("ABC"):
        host.book(
            ref, starts_at=tonight + (30 * MINUTE if ref == "C" else 0 * MINUTE), party=2, requested_at=asked(number)
        )
    host.book("D", starts_at=tonight, party=2, zone_ref="terrace", requested_at=asked(9))
    run_all()
    host.floors["R1"] = replace(host.floor("R1"), pacing=(Pacing(most_parties=1),))
    host.edit("A", zone_ref="terrace")
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    host.edit("D", wants_table=False)
    api.booking_changed(booking_ref="D")
    host.edit("C", zone_ref="terrace")
    assert api.booking_changed(booking_ref="C") is Change.TO_STAFF
    run_all()
    assert tables_of("A") == ["T4"]
    assert state_of("A")[0] == State.CONFIRMED
