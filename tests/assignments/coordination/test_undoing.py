"""Undoing a move brings all of the promise back, under the locks of its days, and staff see again what they saw before."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from assignments import api
from assignments.concurrency import locks
from assignments.coordination import undoing
from assignments.exceptions import InvalidBookingError, TablesRefusedError, TransitionRefusedError
from assignments.integration.project_host import configured
from assignments.lifecycle.staff_decisions import Undo
from assignments.models import Allocation, Assignment, State, StateTransition
from assignments.outcome import Change, Kind
from assignments.planning.reasons import Reason
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import ALL_DAY, TheHost, run_all, tables_of

pytestmark = pytest.mark.django_db(transaction=True)


def grant(host: TheHost, tonight: datetime, **wish: Any) -> None:
    """A has T1 tonight, asks for ``wish`` where all is taken, and staff give it T2 there once that is free."""
    for ref in ("R1", "R2"):
        host.floors[ref] = a_floor(restaurant_ref=ref, tables=[a_table("T1"), a_table("T2")])
    host.book("A", starts_at=tonight, party=2)
    api.assign(booking_ref="A", table_refs=["T1"], actor="staff:1")
    for ref, table in (("X", "T1"), ("Y", "T2")):
        host.book(ref, **{"starts_at": tonight, "party": 2, **wish})
        api.assign(booking_ref=ref, table_refs=[table], actor="staff:1")
    host.edit("A", **wish)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    for ref in "XY":
        host.edit(ref, wants_table=False)
        api.booking_cancelled(booking_ref=ref)
    api.assign(booking_ref="A", table_refs=["T2"], actor="staff:7")


def forget_facts() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE assignments_seatingchange DISABLE TRIGGER seatingchange_append_only")
        cursor.execute("UPDATE assignments_seatingchange SET facts = NULL")
        cursor.execute("ALTER TABLE assignments_seatingchange ENABLE TRIGGER seatingchange_append_only")


def test_the_tables_of_the_other_restaurant_come_back(host: TheHost, tonight: datetime) -> None:
    grant(host, tonight, restaurant_ref="R2")
    api.undo(booking_ref="A", actor="staff:7")
    assert [(row.restaurant_ref, row.table_ref) for row in Allocation.objects.current()] == [("R1", "T1")]
    row = Assignment.objects.get(booking_ref="A")
    assert (row.restaurant_ref, row.asked_restaurant_ref) == ("R1", "R2")


@pytest.mark.parametrize("is_recorded", [True, False], ids=["recorded", "given up under an earlier release"])
def test_the_day_of_the_promise_is_locked(
    host: TheHost, tonight: datetime, monkeypatch: pytest.MonkeyPatch, *, is_recorded: bool
) -> None:
    tomorrow = tonight + timedelta(days=1)
    grant(host, tonight, starts_at=tomorrow, ends_at=tomorrow + timedelta(hours=2))
    if not is_recorded:
        forget_facts()
    locked: list[Any] = []
    lock_days = locks.lock_days

    def spy(days: Any) -> Any:
        locked.extend(days)
        return lock_days(days)

    monkeypatch.setattr(locks, "lock_days", spy)
    api.undo(booking_ref="A", actor="staff:7")
    assert {("R1", tonight.date()), ("R1", tomorrow.date())} <= set(locked)
    seating = Allocation.objects.get(booking_ref="A")
    assert (seating.table_ref, seating.starts_at) == ("T1", tonight)
    row = Assignment.objects.get(booking_ref="A")
    assert (row.service_date, row.asked_until) == (tonight.date(), None if is_recorded else seating.ends_at)
    assert (row.asked_date, row.asked_ends_at) == (tomorrow.date(), tomorrow + timedelta(hours=2))


PROMISED = ("restaurant_ref", "service_date", "starts_at", "asked_until", "party", "zone_ref", "needs")


@pytest.mark.parametrize("how", ["move", "swap"])
def test_all_of_the_promise_comes_back(host: TheHost, tonight: datetime, how: str) -> None:
    """A is promised the terrace, step-free, until 20:30, and asks for a seat at the window inside, for three, until ten."""
    tables = [
        a_table("T1", zone_ref="out", features=frozenset({"step-free"})),
        a_table("T2", zone_ref="in", features=frozenset({"window"})),
        a_table("T3", zone_ref="in", seats=2),
    ]
    host.floors["R1"] = a_floor(tables=tables)
    until = tonight + timedelta(minutes=90)
    host.book("A", starts_at=tonight, party=2, zone_ref="out", needs=("step-free",), ends_at=until)
    host.book("B", starts_at=tonight, party=2)
    api.assign(booking_ref="A", table_refs=["T1"], actor="staff:1")
    api.assign(booking_ref="B", table_refs=["T2"], actor="staff:1")
    row = Assignment.objects.filter(booking_ref="A")
    promised = row.values(*PROMISED).get()
    assert (promised["zone_ref"], promised["needs"], promised["asked_until"]) == ("out", ["step-free"], until)

    wish = {"zone_ref": "in", "needs": ("window",), "party": 3, "ends_at": tonight + timedelta(hours=3)}
    host.edit("A", **wish)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    if how == "swap":
        api.swap(booking_ref="A", other_ref="B", actor="staff:7")
    else:
        host.edit("B", wants_table=False)
        api.booking_cancelled(booking_ref="B")
        api.move(booking_ref="A", table_refs=["T2"], actor="staff:7")
    assert row.values(*PROMISED).get() != promised
    api.undo(booking_ref="A", actor="staff:7")

    assert row.values(*PROMISED).get() == promised
    seating = Allocation.objects.get(booking_ref="A")
    assert (seating.table_ref, seating.zone_ref, seating.party, seating.ends_at) == ("T1", "out", 2, until)
    found = row.get()
    assert (found.state, found.reason) == (State.MANUAL_REVIEW, "edit_unmet")
    assert (found.asked_zone_ref, found.asked_needs, found.asked_party) == ("in", ["window"], 3)
    assert api.booking_changed(booking_ref="A") is Change.NOTHING
    host.edit("A", zone_ref="out", needs=("step-free",), party=2, ends_at=until)
    assert api.booking_changed(booking_ref="A") is Change.RESTORED


def test_the_rules_that_staff_had_passed_over_for_the_table_are_kept_with_it(host: TheHost, tonight: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1", seats=2), a_table("T2")])
    api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=tonight, ends_at=None, actor="staff:1")
    host.book("A", starts_at=tonight, party=3)
    overriding = [Reason.CLOSED, Reason.TOO_FEW_SEATS]
    api.assign(booking_ref="A", table_refs=["T1"], actor="staff:1", overriding=overriding)
    api.move(booking_ref="A", table_refs=["T2"], actor="staff:7")
    api.undo(booking_ref="A", actor="staff:7")
    seating = Allocation.objects.get(booking_ref="A")
    assert (seating.table_ref, seating.overridden_by) == ("T1", "staff:1")
    assert sorted(seating.despite) == sorted(overriding)


@pytest.fixture
def overlapping(host: TheHost) -> datetime:
    """B1 sits at T1, and stays until this moment: longer than T1 is free, where B2 comes next. T2 is too small for B2."""
    now = datetime.now(UTC).replace(microsecond=0)
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2", seats=2)], services=[ALL_DAY])
    host.book("B1", starts_at=now, party=2)
    api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:1")
    api.seated(booking_ref="B1", actor="staff:1")
    end = Allocation.objects.get().ends_at
    host.book("B2", starts_at=end + timedelta(minutes=10), party=4)
    api.assign(booking_ref="B2", table_refs=["T1"], actor="staff:1")
    until = end + timedelta(minutes=45)
    assert api.extend(booking_ref="B1", until=until, actor="staff:7").change is Change.TO_STAFF
    return until


@pytest.mark.parametrize("moved", ["B1", "B2"])
def test_two_who_expect_one_table_again_are_in_review_again(host: TheHost, overlapping: datetime, moved: str) -> None:
    api.move(booking_ref=moved, table_refs=["T2"], actor="staff:7", overriding=[Reason.TOO_FEW_SEATS])
    api.undo(booking_ref=moved, actor="staff:7")
    assert {row.booking_ref: (row.state, row.reason) for row in Assignment.objects.all()} == {
        "B1": (State.MANUAL_REVIEW, "overlapping"),
        "B2": (State.MANUAL_REVIEW, "overlapping"),
    }
    assert {row.table_ref for row in Allocation.objects.current()} == {"T1"}
    assert Allocation.objects.current().get(booking_ref="B1").overstays_until == overlapping
    said = {
        row.booking_ref: row.detail for row in StateTransition.objects.filter(reason="overlapping").order_by("version")
    }
    assert said["B1"].count("B2") == said["B2"].count("B1") == 1


def noting(locked: list[Any], lock_days: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def lock(days: Any) -> Any:
        locked.append(set(days))
        return lock_days(days)

    return lock


class TestChangedWhileItsDaysAreLocked:
    """What was read to know which days to lock changes before they are."""

    @pytest.fixture
    def changes(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[], Any]]]:
        """What others do at the next lock, before it is had; and the days that are locked then."""
        waiting: list[Callable[[], Any]] = []
        lock_days = locks.lock_days

        def slow(days: Any) -> Any:
            if waiting:
                change = waiting.pop()

                def alone() -> None:
                    change()
                    connection.close()

                thread = threading.Thread(target=alone)
                thread.start()
                thread.join()
            return lock_days(days)

        monkeypatch.setattr(locks, "lock_days", slow)
        yield waiting
        assert not waiting

    def test_undo_takes_back_what_happened_last(
        self, host: TheHost, tonight: datetime, changes: list[Callable[[], Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Staff move A to another day just as their move before that is taken back."""
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
        host.book("A", starts_at=tonight, party=2)
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:1")
        api.move(booking_ref="A", table_refs=["T2"], actor="staff:7")
        tomorrow = tonight + timedelta(days=1)

        def moves_to_tomorrow() -> None:
            host.edit("A", starts_at=tomorrow)
            api.assign(booking_ref="A", table_refs=["T1"], actor="staff:8")

        locked: list[Any] = []
        lock_days = locks.lock_days
        monkeypatch.setattr(locks, "lock_days", noting(locked, lock_days))
        changes.append(moves_to_tomorrow)
        api.undo(booking_ref="A", actor="staff:7")
        assert {("R1", tonight.date()), ("R1", tomorrow.date())} <= locked[-1]
        seating = Allocation.objects.get(booking_ref="A")
        assert (seating.table_ref, seating.starts_at) == ("T2", tonight)

    def test_any_other_action_locks_the_day_on_which_the_booking_is_by_then(
        self, host: TheHost, tonight: datetime, changes: list[Callable[[], Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
        tomorrow = tonight + timedelta(days=1)
        for ref in "AB":
            host.book(ref, starts_at=tonight, party=2)
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:1")
        api.assign(booking_ref="B", table_refs=["T2"], actor="staff:1")
        locked: list[Any] = []
        lock_days = locks.lock_days
        monkeypatch.setattr(locks, "lock_days", noting(locked, lock_days))

        def asks_for_tomorrow() -> None:
            host.edit("A", starts_at=tomorrow)
            api.booking_changed(booking_ref="A")

        changes.append(asks_for_tomorrow)
        api.swap(booking_ref="A", other_ref="B", actor="staff:7")
        assert ("R1", tomorrow.date()) in locked[-1]
        host.edit("A", starts_at=tonight)
        api.booking_changed(booking_ref="A")
        changes.append(asks_for_tomorrow)
        api.late(booking_ref="A", actor="staff:7")
        assert ("R1", tomorrow.date()) in locked[-1]


class TestTablesSetFree:
    @pytest.fixture
    def freed(self, host: TheHost, tonight: datetime) -> Assignment:
        """A was promised T1 until 21:30, for two; staff set it free."""
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
        host.book("A", starts_at=tonight, party=2, ends_at=tonight + timedelta(minutes=150))
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:1")
        assert api.release_tables(booking_ref="A", actor="staff:7") == ("T1",)
        return Assignment.objects.get(booking_ref="A")

    def test_they_are_given_again(self, host: TheHost, tonight: datetime, freed: Assignment) -> None:
        offer = undoing.offered(freed, now=datetime.now(UTC), host=configured())
        assert offer == undoing.Offer(what=Undo.RELEASE)
        assert api.undo(booking_ref="A", actor="staff:7", version=freed.version).what is Undo.RELEASE
        seating = Allocation.objects.get(booking_ref="A")
        assert (seating.table_ref, seating.ends_at) == ("T1", tonight + timedelta(minutes=150))
        row = Assignment.objects.get(booking_ref="A")
        assert (row.state, row.reason) == (State.CONFIRMED, "release_undone")
        assert host.seated["A"].table_refs == ("T1",)
        with pytest.raises(TransitionRefusedError):
            api.undo(booking_ref="A", actor="staff:7")

    def test_not_while_somebody_else_has_one(self, host: TheHost, tonight: datetime, freed: Assignment) -> None:
        host.book("B", starts_at=tonight, party=2)
        api.assign(booking_ref="B", table_refs=["T1"], actor="staff:1")
        offer = undoing.offered(freed, now=datetime.now(UTC), host=configured())
        assert offer is not None
        assert [each.reason for each in offer.against] == [Reason.TABLE_TAKEN]
        with pytest.raises(TablesRefusedError, match="taken by booking B"):
            api.undo(booking_ref="A", actor="staff:7")
        assert not Allocation.objects.filter(booking_ref="A").exists()

    def test_not_once_something_else_has_happened(self, host: TheHost, freed: Assignment) -> None:
        api.pin(booking_ref="A", table_refs=["T2"], actor="staff:7")
        freed.refresh_from_db()
        assert undoing.offered(freed, now=datetime.now(UTC), host=configured()) is None
        with pytest.raises(TransitionRefusedError):
            api.undo(booking_ref="A", actor="staff:7")

    def test_not_for_a_booking_that_was_cancelled_meanwhile(self, host: TheHost, freed: Assignment) -> None:
        host.edit("A", wants_table=False)
        with pytest.raises(InvalidBookingError):
            api.undo(booking_ref="A", actor="staff:7")

    def test_who_waited_for_staff_with_them_waits_for_staff_again(self, host: TheHost, tonight: datetime) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
        host.book("A", starts_at=tonight, party=2)
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:1")
        host.edit("A", party=40)
        assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
        api.release_tables(booking_ref="A", actor="staff:7")
        api.undo(booking_ref="A", actor="staff:7")
        row = Assignment.objects.get(booking_ref="A")
        assert (row.state, row.reason, row.party, row.asked_party) == (State.MANUAL_REVIEW, "edit_unmet", 2, 40)
        assert Allocation.objects.get(booking_ref="A").table_ref == "T1"


def test_a_booking_that_no_planner_had_decided_waits_for_one_again(host: TheHost, tonight: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1")])
    host.book("A", starts_at=tonight, party=2)
    api.request(booking_ref="A")
    api.assign(booking_ref="A", table_refs=["T1"], actor="staff:7")
    row = Assignment.objects.get(booking_ref="A")
    assert undoing.offered(row, now=datetime.now(UTC), host=configured()) == undoing.Offer(what=Undo.ASSIGNMENT)
    assert api.undo(booking_ref="A", actor="staff:7").what is Undo.ASSIGNMENT
    row.refresh_from_db()
    assert (row.state, row.reason, row.attempts) == (State.ASSIGNMENT_PENDING, "assignment_undone", 0)
    assert not Allocation.objects.exists()
    assert {each.kind for each in run_all().values()} == {Kind.CONFIRMED}


class TestTwoMovedInOneStep:
    @pytest.fixture
    def floor(self, host: TheHost, tonight: datetime) -> None:
        """B has T2, at which A shall sit; T3 is free."""
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2"), a_table("T3")])
        for ref in "AB":
            host.book(ref, starts_at=tonight, party=2)
        api.request(booking_ref="A")
        api.assign(booking_ref="B", table_refs=["T2"], actor="staff:1")

    @pytest.mark.parametrize("undone", ["A", "B"])
    @pytest.mark.parametrize("had", [["T1"], []], ids=["from a table", "from none"])
    def test_both_are_taken_back(self, floor: None, undone: str, had: list[str]) -> None:
        if had:
            api.assign(booking_ref="A", table_refs=had, actor="staff:1")
        with transaction.atomic():
            api.move(booking_ref="B", table_refs=["T3"], actor="staff:7")
            api.assign(booking_ref="A", table_refs=["T2"], actor="staff:7", reason="moved_by_staff")
        row = Assignment.objects.get(booking_ref=undone)
        offer = undoing.offered(row, now=datetime.now(UTC), host=configured())
        assert offer is not None
        assert (offer.partner_ref, offer.against) == ("B" if undone == "A" else "A", ())
        api.undo(booking_ref=undone, actor="staff:7")
        assert (tables_of("A"), tables_of("B")) == (had, ["T2"])

    def test_neither_if_somebody_else_has_a_table_of_one(self, floor: None, host: TheHost, tonight: datetime) -> None:
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:1")
        with transaction.atomic():
            api.move(booking_ref="B", table_refs=["T3"], actor="staff:7")
            api.move(booking_ref="A", table_refs=["T2"], actor="staff:7")
        host.book("C", starts_at=tonight, party=2)
        api.assign(booking_ref="C", table_refs=["T1"], actor="staff:1")
        for ref in "AB":
            with pytest.raises(TablesRefusedError, match="taken by booking C"):
                api.undo(booking_ref=ref, actor="staff:7")
        assert (tables_of("A"), tables_of("B")) == (["T2"], ["T3"])

    def test_the_second_alone_once_the_first_has_gone_on(self, floor: None) -> None:
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:1")
        with transaction.atomic():
            api.move(booking_ref="B", table_refs=["T3"], actor="staff:7")
            api.move(booking_ref="A", table_refs=["T2"], actor="staff:7")
        api.late(booking_ref="B", actor="staff:7")
        api.undo(booking_ref="A", actor="staff:7")
        assert (tables_of("A"), tables_of("B")) == (["T1"], ["T3"])
