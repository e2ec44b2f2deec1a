"""Pacing on a living evening: who is refused, who may come despite it, and who is woken when others cancel."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from assignments import api
from assignments.exceptions import NoTableFreeError, TablesRefusedError
from assignments.floor import Pacing
from assignments.models import Allocation, Assignment, State, StateTransition
from assignments.outcome import Change, Kind
from assignments.planning.reasons import Reason
from assignments.testing import a_floor, a_service, a_table, at
from tests.assignments.conftest import TheHost, asked, run_all, tables_of

pytestmark = pytest.mark.django_db(transaction=True)
TABLES = [a_table(f"T{number}") for number in range(1, 7)]


@pytest.fixture
def paced(host: TheHost, tonight: datetime) -> TheHost:
    """Two parties may come within fifteen minutes. A and B come at seven, and C would like to."""
    host.floors["R1"] = a_floor(tables=TABLES, pacing=[Pacing(most_parties=2)])
    for number, ref in enumerate("ABC"):
        host.book(ref, starts_at=tonight, party=2, requested_at=asked(number))
    return host


def test_who_asks_last_is_refused_and_comes_when_somebody_cancels(paced: TheHost, tonight: datetime) -> None:
    outcomes = run_all()
    assert [outcomes[ref].kind for ref in "ABC"] == [Kind.CONFIRMED, Kind.CONFIRMED, Kind.RETRY]
    row = Assignment.objects.get(booking_ref="C")
    assert row.reason == Reason.PACING
    last = StateTransition.objects.filter(booking_ref="C").latest("version")
    assert "The nearest possible times are 18:45 and 19:15." in last.detail
    Assignment.objects.filter(booking_ref="C").update(due_at=tonight)
    paced.edit("A", wants_table=False)
    assert api.booking_changed(booking_ref="A") is Change.CANCELLED
    assert run_all()["C"].kind is Kind.CONFIRMED


def test_staff_let_them_come_by_name(paced: TheHost) -> None:
    run_all()
    with pytest.raises(TablesRefusedError) as refused:
        api.assign(booking_ref="C", table_refs=["T6"], actor="staff:7")
    assert [each.reason for each in refused.value.refusals] == [Reason.PACING]
    api.assign(booking_ref="C", table_refs=["T6"], actor="staff:7", overriding=[Reason.PACING])
    assert Allocation.objects.get(booking_ref="C").despite == [Reason.PACING]
    # From now on it counts, and whoever was promised that time keeps it: another table, more minutes, no more guests.
    assert api.move(booking_ref="A", table_refs=["T5"], actor="staff:7").table_refs == ("T5",)
    paced.edit("A", zone_ref=None, ends_at=None, party=1)
    assert api.booking_changed(booking_ref="A") in {Change.KEPT, Change.MOVED}
    paced.edit("A", party=2)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    assert tables_of("A")


def test_limits_that_come_later_take_nobodys_seat(paced: TheHost, tonight: datetime) -> None:
    paced.floors["R1"] = a_floor(tables=TABLES)
    run_all()
    assert [bool(tables_of(ref)) for ref in "ABC"] == [True, True, True]
    paced.floors["R1"] = a_floor(tables=TABLES, pacing=[Pacing(most_parties=1)])
    (own,) = tables_of("C")
    api.close(restaurant_ref="R1", table_refs=[own], starts_at=tonight, ends_at=None, reason="broken", actor="staff:7")
    assert tables_of("C") not in ([], [own])
    assert Assignment.objects.get(booking_ref="C").state == State.CONFIRMED
    paced.edit("B", starts_at=tonight + timedelta(minutes=5))
    assert api.booking_changed(booking_ref="B") is Change.TO_STAFF, "another start is asked for anew"
    assert tables_of("B")


def test_nobody_passes_an_edit_that_waits_for_the_same_time(paced: TheHost, tonight: datetime) -> None:
    """A asks to come an hour later and with more, still has its table for seven, and is locked by its host just now."""
    tables = [*TABLES, a_table("T7", seats=6)]
    paced.floors["R1"] = a_floor(tables=tables, pacing=[Pacing(most_parties=1)])
    later = tonight + timedelta(hours=1)
    paced.edit("B", starts_at=later)
    paced.edit("C", wants_table=False)
    run_all()
    paced.edit("A", starts_at=later, party=6)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    paced.edit("B", wants_table=False)
    api.booking_changed(booking_ref="B")
    paced.book("N", starts_at=later, party=2, requested_at=asked(9))
    api.request(booking_ref="N")
    paced.locked.add("A")
    assert api.assign_now(booking_ref="N").kind is not Kind.CONFIRMED
    paced.locked.clear()
    run_all()
    row = Assignment.objects.get(booking_ref="A")
    assert (row.state, row.starts_at) == (State.CONFIRMED, later)
    assert not tables_of("N")


def test_no_edit_passes_an_earlier_edit_that_waits_for_the_same_time(paced: TheHost, tonight: datetime) -> None:
    """A asked first to come an hour later, when B comes; then B is gone, and C asks for that time too."""
    paced.floors["R1"] = a_floor(tables=TABLES, pacing=[Pacing(most_parties=1)])
    later = tonight + timedelta(hours=1)
    paced.edit("B", starts_at=later)
    paced.edit("C", starts_at=later + timedelta(minutes=30))
    run_all()
    paced.edit("A", starts_at=later)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    paced.edit("B", wants_table=False)
    api.booking_changed(booking_ref="B")
    paced.edit("C", starts_at=later)
    assert api.booking_changed(booking_ref="C") is Change.TO_STAFF
    run_all()
    rows = {row.booking_ref: row for row in Assignment.objects.filter(booking_ref__in="AC")}
    assert {ref: (row.state, row.starts_at) for ref, row in rows.items()} == {
        "A": (State.CONFIRMED, later),
        "C": (State.MANUAL_REVIEW, later + timedelta(minutes=30)),
    }


def test_walk_ins_are_paced_and_staff_may_pass_over_it(paced: TheHost, tonight: datetime) -> None:
    run_all()
    with at(tonight + timedelta(minutes=1)):
        with pytest.raises(NoTableFreeError) as refused:
            api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7")
        assert refused.value.wait_minutes == 15
        outcome = api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7", overriding=[Reason.PACING])
    assert outcome.kind is Kind.CONFIRMED
    assert Allocation.objects.get(booking_ref=outcome.booking_ref).despite == [Reason.PACING]


def test_a_date_may_have_limits_of_its_own(host: TheHost, tonight: datetime) -> None:
    day = tonight.date()
    host.floors["R1"] = a_floor(
        tables=TABLES,
        services=[replace(a_service(), key="dinner")],
        pacing=[Pacing(most_covers=2), Pacing(most_covers=4, first_date=day, last_date=day)],
    )
    for number, (ref, start) in enumerate([("A", tonight), ("B", tonight), ("C", tonight + timedelta(days=1))]):
        host.book(ref, starts_at=start, party=2, requested_at=asked(number))
    host.book("D", starts_at=tonight + timedelta(days=1), party=2, requested_at=asked(9))
    outcomes = run_all()
    assert [outcomes[ref].kind for ref in "ABCD"] == [Kind.CONFIRMED, Kind.CONFIRMED, Kind.CONFIRMED, Kind.RETRY]
