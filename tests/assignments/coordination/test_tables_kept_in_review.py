"""Bookings that wait for staff: what the host shows of those with tables is what it was told, no choice of its own."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assignments import api
from assignments.coordination import adoption, dispatch
from assignments.integration.host import Seating
from assignments.lifecycle.settlement import Settlement
from assignments.maintenance.reconcile import reconcile
from assignments.models import Allocation, Assignment, State, StateTransition
from assignments.outcome import Change, Kind
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import ALL_DAY, TheHost, state_of, tables_of
from tests.assignments.test_living_evening import shown

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = timedelta(days=9)


def seat(host: TheHost, ref: str, table_ref: str, **given: Any) -> None:
    """Have staff give a new booking this table."""
    host.book(ref, **given)
    api.assign(booking_ref=ref, table_refs=[table_ref], actor="staff:1")


def cancel(host: TheHost, ref: str) -> None:
    host.edit(ref, wants_table=False)
    api.booking_cancelled(booking_ref=ref)


@pytest.fixture
def overlap(host: TheHost) -> datetime:
    """B2 waits for staff at T1, because B1 stays into its time, and is woken by a cancellation. Returns when B1 ends."""
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")], services=[ALL_DAY])
    now = datetime.now(UTC)
    seat(host, "B1", "T1", starts_at=now, party=2, requested_at=now - LONG_AGO)
    api.seated(booking_ref="B1", actor="staff:1")
    end = Allocation.objects.get().ends_at
    assert end is not None
    for ref, table in (("B2", "T1"), ("B3", "T2")):
        seat(host, ref, table, starts_at=end + timedelta(minutes=10), party=2, requested_at=now - timedelta(days=8))
    seat(host, "B4", "T2", starts_at=end + timedelta(hours=6), party=2)
    assert api.extend(booking_ref="B1", until=end + timedelta(minutes=45), actor="staff:7").change is Change.TO_STAFF
    cancel(host, "B4")
    assert Assignment.objects.get(booking_ref="B2").is_woken
    return end


def test_an_overlap_is_not_lost_when_somebody_new_is_decided(host: TheHost, overlap: datetime) -> None:
    host.book("N", starts_at=overlap + timedelta(hours=6), party=2, requested_at=datetime.now(UTC))
    assert api.assign_now(booking_ref="N").kind is Kind.CONFIRMED
    assert state_of("B2") == (State.MANUAL_REVIEW, "overlapping")
    assert tables_of("B2") == ["T1"]


def test_what_has_tables_is_not_taken_over(host: TheHost, overlap: datetime) -> None:
    now = datetime.now(UTC)
    reviewing = Settlement(host=host, planner="v3", actor="host", trigger="adopt", now=now)
    row = Assignment.objects.get(booking_ref="B2")
    assert adoption.take_over(row, host.rows["B2"], ["T2"], host=host, now=now, reviewing=reviewing) is None
    assert (row.state, tables_of("B2")) == (State.MANUAL_REVIEW, ["T1"])


@pytest.mark.parametrize("wish", ["a need", "another time", "other tables"])
def test_a_wish_is_not_granted_when_somebody_new_is_decided(host: TheHost, tonight: datetime, wish: str) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2", seats=2), a_table("T3")])
    now = datetime.now(UTC)
    seat(host, "A", "T1", starts_at=tonight, party=4, requested_at=now - LONG_AGO)
    seat(host, "X", "T3", starts_at=tonight, party=4)
    if wish == "a need":
        host.edit("A", needs=("step-free",))
    elif wish == "another time":
        host.edit("A", starts_at=tonight.replace(hour=3) + timedelta(days=1))
    else:
        shown(host, "A", "T2")  # Two seats for four.
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    before = state_of("A")
    cancel(host, "X")
    assert Assignment.objects.get(booking_ref="A").is_woken or wish == "another time"
    Assignment.objects.filter(booking_ref="A").update(wake_at=now)
    host.book("N", starts_at=tonight, party=2, requested_at=now)
    api.assign_now(booking_ref="N")
    assert (state_of("A"), tables_of("A")) == (before, ["T1"])


def test_a_wish_is_not_granted_in_a_pass(host: TheHost, tonight: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
    now = datetime.now(UTC)
    seat(host, "A", "T1", starts_at=tonight, party=2, requested_at=now - LONG_AGO)
    seat(host, "X", "T2", starts_at=tonight, party=2)
    host.edit("A", needs=("quiet",))
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    host.book("E", starts_at=tonight, party=4, requested_at=now - timedelta(days=10))
    host.book("N", starts_at=tonight, party=2, requested_at=now)
    for ref in "EN":
        api.request(booking_ref=ref)
    cancel(host, "X")
    list(dispatch.run_pass())
    assert state_of("A") == (State.MANUAL_REVIEW, "edit_unmet")
    assert (tables_of("E"), tables_of("A")) == (["T2"], ["T1"])


def test_what_staff_rejected_at_the_table_of_others_is_not_taken_up_again(host: TheHost, tonight: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
    seat(host, "A", "T1", starts_at=tonight, party=2)
    seat(host, "C", "T2", starts_at=tonight, party=2)
    host.book("B", starts_at=tonight, party=2, is_confirmed=True)
    end = tonight + timedelta(hours=2)
    host.seated["B"] = Seating(booking_ref="B", table_refs=("T1",), starts_at=tonight, ends_at=end)
    api.booking_changed(booking_ref="B")
    assert state_of("B") == (State.MANUAL_REVIEW, "confirmed_by_host")
    api.reject(booking_ref="B", actor="staff:7", reason="twice")
    before = StateTransition.objects.count()
    list(reconcile())
    assert api.booking_changed(booking_ref="B") is Change.NOTHING
    assert (state_of("B"), StateTransition.objects.count()) == ((State.FAILED, "rejected_by_staff"), before)
    # Other tables are a choice of the host's.
    cancel(host, "C")
    shown(host, "B", "T2")
    assert api.booking_changed(booking_ref="B") is Change.KEPT
    assert tables_of("B") == ["T2"]


def test_a_table_that_closed_is_no_choice_for_the_day_of_the_wish(host: TheHost) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")], services=[ALL_DAY])
    now = datetime.now(UTC).replace(microsecond=0)
    tomorrow = now + timedelta(days=1)
    seat(host, "A", "T1", starts_at=now - timedelta(minutes=10), party=2)
    for ref, table in (("X", "T1"), ("Y", "T2")):
        seat(host, ref, table, starts_at=tomorrow, party=2)
    host.edit("A", starts_at=tomorrow)  # The guest is late, and asks for tomorrow.
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    until = now + timedelta(hours=3)
    api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=now, ends_at=until, actor="staff:7")
    row = Assignment.objects.get(booking_ref="A")
    assert (row.starts_at, row.has_wish, tables_of("A")) == (tomorrow, False, [])
    for ref in "XY":
        cancel(host, ref)
    list(dispatch.run_pass())
    assert api.booking_changed(booking_ref="A") is not Change.KEPT
    assert tables_of("A") == []


def test_other_tables_in_the_host_are_for_the_time_that_was_promised(host: TheHost, tonight: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2"), a_table("T3")])
    seat(host, "A", "T1", starts_at=tonight, party=2)
    seat(host, "B", "T3", starts_at=tonight, party=2)
    host.edit("A", starts_at=tonight.replace(hour=3))
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    api.reject(booking_ref="A", actor="staff:7", reason="closed then")
    shown(host, "A", "T2")
    assert api.booking_changed(booking_ref="A") is Change.MOVED
    row = Allocation.objects.get(booking_ref="A")
    assert (row.table_ref, row.starts_at) == ("T2", tonight)
    assignment = Assignment.objects.get(booking_ref="A")
    assert (assignment.starts_at, assignment.asked_starts_at) == (tonight, tonight.replace(hour=3))
    assert api.booking_changed(booking_ref="A") is Change.NOTHING
    # Where others are, staff hear of the tables, and what they turned down stays turned down.
    shown(host, "A", "T3")
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    assert (state_of("A"), tables_of("A")) == ((State.MANUAL_REVIEW, "tables_changed_by_host"), ["T2"])
    assert Allocation.objects.get(booking_ref="A").starts_at == tonight
