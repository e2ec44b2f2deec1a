"""Faults that played evenings have found, each as the shortest evening that shows it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assignments import api
from assignments.exceptions import TablesRefusedError
from assignments.models import Allocation, Assignment, State
from assignments.outcome import Change
from assignments.planning.floor import TurnTime
from assignments.planning.reasons import OVERRIDABLE, Reason
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import ALL_DAY, TheHost, run_all

pytestmark = pytest.mark.django_db(transaction=True)

ASKED = datetime(2026, 1, 1, tzinfo=UTC)


def book_in_turn(host: TheHost, tonight: datetime, refs: Sequence[str], **kwargs: Any) -> None:
    """Bookings that ask one after the other."""
    for ref in refs:
        asked = ASKED + timedelta(minutes=len(host.rows))
        host.book(ref, **{"starts_at": tonight, "party": 2, "requested_at": asked, **kwargs})


def tables_of(ref: str) -> list[str]:
    return sorted(Allocation.objects.current().filter(booking_ref=ref).values_list("table_ref", flat=True))


@pytest.fixture
def one_table(host: TheHost) -> TheHost:
    host.floors["R1"] = a_floor(tables=[a_table("T1")])
    return host


def test_an_edit_at_its_own_table_does_not_pass_who_asked_earlier(one_table: TheHost, tonight: datetime) -> None:
    """B1 waits for the table after B2. B2, who asked later, may not stay into that time."""
    book_in_turn(one_table, tonight, ["B1"], starts_at=tonight + timedelta(hours=2))
    book_in_turn(one_table, tonight, ["B2"])
    api.request(booking_ref="B2")
    api.assign_now(booking_ref="B2")
    api.request(booking_ref="B1")
    one_table.edit("B2", starts_at=tonight + timedelta(minutes=30))
    assert api.booking_changed(booking_ref="B2") is Change.TO_STAFF
    assert run_all()["B1"].table_refs == ("T1",)
    assert tables_of("B2") == ["T1"]


def test_guests_who_stay_at_a_table_that_closes_meanwhile_do_so_by_name(one_table: TheHost, tonight: datetime) -> None:
    book_in_turn(one_table, tonight, ["B1"])
    run_all()
    end = Allocation.objects.get().ends_at
    api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=end + timedelta(minutes=15), actor="staff:1")
    api.extend(booking_ref="B1", until=end + timedelta(minutes=15), actor="staff:7")
    assert Allocation.objects.get().overridden_by == "", "it is open as long as that"
    longer: dict[str, Any] = {"booking_ref": "B1", "until": end + timedelta(minutes=30), "actor": "staff:7"}
    with pytest.raises(TablesRefusedError, match="T1 is closed"):
        api.extend(**longer)
    api.extend(**longer, overriding=[Reason.CLOSED])
    assert Allocation.objects.get().overridden_by == "staff:7"


def test_guests_who_come_early_to_a_table_that_is_still_closed_sit_down_by_name(host: TheHost) -> None:
    start = datetime.now(UTC) + timedelta(minutes=30)
    host.floors["R1"] = a_floor(tables=[a_table("T1")], services=[ALL_DAY])
    api.close(
        restaurant_ref="R1",
        table_refs=["T1"],
        starts_at=start - timedelta(hours=2),
        ends_at=start - timedelta(minutes=5),
        actor="staff:1",
    )
    host.book("B1", starts_at=start, party=2)
    run_all()
    api.seated(booking_ref="B1", actor="staff:7")
    assert Allocation.objects.get().overridden_by == "staff:7"


def test_guests_who_sit_at_too_few_seats_and_stay_longer_are_stored_once(host: TheHost) -> None:
    now = datetime.now(UTC)
    host.floors["R1"] = a_floor(tables=[a_table("T1")], services=[ALL_DAY])
    host.book("B1", starts_at=now - timedelta(minutes=5), party=5)
    api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:7", overriding={Reason.TOO_FEW_SEATS})
    until = Allocation.objects.get().ends_at + timedelta(minutes=30)
    host.edit("B1", ends_at=until)
    assert api.booking_changed(booking_ref="B1") is Change.KEPT, "staff know that they are more than the seats"
    assert Allocation.objects.get().ends_at == until
    host.edit("B1", party=6, ends_at=until + timedelta(minutes=15))
    assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
    assert (Assignment.objects.get().state, tables_of("B1")) == (State.MANUAL_REVIEW, ["T1"])


def with_turn_time(host: TheHost, minutes: int) -> None:
    """The owner edits the turn time."""
    floor = host.floor("R1")
    turns = (TurnTime(max_party=100, minutes=minutes),)
    host.floors["R1"] = replace(floor, services=tuple(replace(each, turn_times=turns) for each in floor.services))


@pytest.mark.parametrize("how", ["pushed", "moved", "swapped"])
def test_who_gets_another_table_keeps_the_promised_stay(host: TheHost, tonight: datetime, how: str) -> None:
    """The turn time was edited since the booking was confirmed."""
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
    later = tonight + timedelta(hours=2)
    other = later if how == "swapped" else tonight
    for ref, start, table in (("B1", tonight, "T1"), ("B2", later, "T1"), ("B3", other, "T2")):
        host.book(ref, starts_at=start, party=2)
        api.assign(booking_ref=ref, table_refs=[table], actor="staff:1")
    with_turn_time(host, 90)
    if how == "pushed":
        api.extend(booking_ref="B1", until=later + timedelta(minutes=15), actor="staff:7")
    elif how == "moved":
        api.move(booking_ref="B2", table_refs=["T2"], actor="staff:7")
    else:
        api.swap(booking_ref="B2", other_ref="B3", actor="staff:7")
    row = Allocation.objects.current().get(booking_ref="B2")
    assert (row.table_ref, row.ends_at) == ("T2", later + timedelta(hours=2))


def test_two_swap_and_one_gets_a_table_that_others_mean_to_keep(host: TheHost, tonight: datetime) -> None:
    later = tonight + timedelta(hours=3)
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")], services=[ALL_DAY])
    for ref, start, table in (("B1", tonight, "T1"), ("B2", later, "T1"), ("B3", later, "T2")):
        host.book(ref, starts_at=start, party=2)
        api.assign(booking_ref=ref, table_refs=[table], actor="staff:7")
    api.extend(booking_ref="B1", until=later + timedelta(hours=1), actor="staff:7")
    assert Allocation.objects.filter(booking_ref="B1", overstays_until__isnull=False).exists()
    api.swap(booking_ref="B2", other_ref="B3", actor="staff:7", overriding=OVERRIDABLE)
    assert tables_of("B3") == ["T1"]
    for ref, other in (("B1", "B3"), ("B3", "B1")):
        assignment = Assignment.objects.get(booking_ref=ref)
        assert (assignment.state, assignment.reason) == (State.MANUAL_REVIEW, "overlapping")
        assert other in assignment.transitions.latest("version").detail
