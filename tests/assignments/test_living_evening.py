"""An evening that changes: promises, guests who come late and stay longer, freed tables, and what staff may do.

Each test is named after what happens at the restaurant.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from importlib import import_module
from typing import Any, ClassVar

import pytest
from django.db import connection

from assignments import api, conf
from assignments.coordination import dispatch
from assignments.exceptions import ChangedMeanwhileError, NoTableFreeError, TablesRefusedError, TransitionRefusedError
from assignments.maintenance import outbox
from assignments.maintenance.reconcile import reconcile
from assignments.models import Allocation, Assignment, Attempt, OutboxMessage, Stage, State, StateTransition
from assignments.outcome import Change, Kind
from assignments.planning.floor import Floor, TurnTime
from assignments.planning.reasons import OVERRIDABLE, Reason
from assignments.staff import review_queue, service_day
from assignments.staff.moves import moves_of
from assignments.staff.review_queue import Section
from assignments.testing import a_floor, a_service, a_table, at
from tests.assignments.conftest import ALL_DAY, HOST_PATH, TheHost, asked, override, run_all, state_of, tables_of

pytestmark = pytest.mark.django_db(transaction=True)


def shown(host: TheHost, ref: str, table_ref: str) -> None:
    """The host shows the booking at this table: its staff chose it there."""
    host.seated[ref] = replace(host.seated[ref], table_refs=(table_ref,))


def to_review(*refs: str) -> None:
    """Use up the attempts of these bookings, so that they wait for staff."""
    for _attempt in range(6):
        Assignment.objects.open().filter(booking_ref__in=refs).update(due_at=datetime(2020, 1, 1, tzinfo=UTC))
        list(dispatch.run_pass())
    assert {state_of(ref)[0] for ref in refs} == {State.MANUAL_REVIEW}


def book_in_turn(host: TheHost, tonight: datetime, refs: Sequence[str], **kwargs: Any) -> None:
    """Bookings that ask one after the other."""
    for number, ref in enumerate(refs):
        asked = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
        host.book(ref, **{"starts_at": tonight, "party": 2, "requested_at": asked, **kwargs})


@pytest.fixture
def one_table(host: TheHost) -> TheHost:
    host.floors["R1"] = a_floor(tables=[a_table("T1")])
    return host


@pytest.fixture
def two_tables(host: TheHost) -> TheHost:
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
    return host


class TestEdits:
    def test_three_instead_of_four_stay_where_they_are(self, two_tables: TheHost, tonight: datetime) -> None:
        two_tables.book("B1", starts_at=tonight, party=4)
        before = run_all()["B1"].table_refs
        two_tables.edit("B1", party=3)
        assert api.booking_changed(booking_ref="B1") is Change.KEPT
        assert tuple(tables_of("B1")) == before
        assert {row.party for row in Allocation.objects.all()} == {3}

    def test_what_cannot_be_had_goes_to_staff_and_the_old_table_stays(
        self, one_table: TheHost, tonight: datetime
    ) -> None:
        book_in_turn(one_table, tonight, ["B1", "B2"])
        run_all()
        one_table.edit("B1", party=9)
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        assert (state_of("B1"), tables_of("B1")) == ((State.MANUAL_REVIEW, "edit_unmet"), ["T1"])
        assert one_table.reviews == {"B1": "edit_unmet"}
        to_review("B2")
        assert tables_of("B2") == [], "nobody gets a table that is promised"

    def test_who_asks_for_two_again_has_what_was_promised(self, one_table: TheHost, tonight: datetime) -> None:
        one_table.book("B1", starts_at=tonight)
        run_all()
        one_table.edit("B1", party=9)
        api.booking_changed(booking_ref="B1")
        one_table.edit("B1", party=2)
        assert api.booking_changed(booking_ref="B1") is Change.RESTORED
        assert (state_of("B1"), tables_of("B1")) == ((State.CONFIRMED, "edit_withdrawn"), ["T1"])

    def test_staff_reject_the_edit_and_the_promise_stands(self, one_table: TheHost, tonight: datetime) -> None:
        one_table.book("B1", starts_at=tonight)
        run_all()
        one_table.edit("B1", party=9)
        api.booking_changed(booking_ref="B1")
        api.reject(booking_ref="B1", actor="staff:7", reason="We have no table for nine.")
        assert (state_of("B1"), tables_of("B1")) == ((State.CONFIRMED, "edit_rejected"), ["T1"])
        assert api.booking_changed(booking_ref="B1") is Change.NOTHING, "the same wish is not asked twice"

    def test_an_edit_takes_another_table_only_in_the_same_transaction(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=2)
        assert run_all()["B1"].table_refs == ("T4",)
        host.edit("B1", party=4)
        assert api.booking_changed(booking_ref="B1") is Change.MOVED
        assert [(move.from_table_refs, move.to_table_refs) for move in host.moves] == [(("T4",), ("T1",))]
        assert OutboxMessage.objects.filter(topic="booking.moved").count() == 1
        names = list(StateTransition.objects.values_list("name", flat=True))
        assert names[-1] == "reseat"
        assert "reopen" not in names

    def test_a_table_that_staff_chose_survives_an_edit_that_it_still_fits(
        self, host: TheHost, tonight: datetime
    ) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("small", seats=2), a_table("large", seats=8)])
        host.book("B1", starts_at=tonight, party=2)
        api.assign(booking_ref="B1", table_refs=["large"], actor="staff:7", overriding={Reason.TOO_MANY_SPARE_SEATS})
        host.edit("B1", starts_at=tonight + timedelta(minutes=30))
        assert api.booking_changed(booking_ref="B1") is Change.KEPT
        assert (tables_of("B1"), Assignment.objects.get().planner) == (["large"], "manual")

    def test_a_pinned_booking_is_not_moved_by_an_edit(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=2)
        api.pin(booking_ref="B1", table_refs=["T4"], actor="staff:7")
        run_all()
        host.edit("B1", party=4)
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        assert (tables_of("B1"), Assignment.objects.get().pinned_table_refs) == (["T4"], ["T4"])

    def test_whoever_waits_and_asked_earlier_is_not_passed_by_an_edit(
        self, two_tables: TheHost, tonight: datetime
    ) -> None:
        """B0 waits for a table of the evening. B1, who asked later, may not take the last one for six."""
        two_tables.floors["R1"] = a_floor(tables=[a_table("T1", seats=2), a_table("T2", seats=4)])
        book_in_turn(two_tables, tonight, ["B0", "B1"])
        two_tables.edit("B0", party=4)
        api.request(booking_ref="B1")
        api.assign_now(booking_ref="B1")
        assert tables_of("B1") == ["T1"]
        api.request(booking_ref="B0")
        two_tables.edit("B1", party=4)
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        assert run_all()["B0"].table_refs == ("T2",)


@pytest.mark.parametrize("answer", ["open", "rejected"])
class TestWishesThatAreNotGranted:
    """A guest asks for something else, which cannot be had: what was promised stands, whatever follows."""

    @staticmethod
    def ask(host: TheHost, answer: str, **changes: Any) -> None:
        host.edit("A", **changes)
        assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
        if answer == "rejected":
            api.reject(booking_ref="A", actor="staff:7", reason="We are full.")
        assert api.booking_changed(booking_ref="A") is Change.NOTHING, "the same wish is not asked twice"

    @staticmethod
    def has(answer: str, table: str, start: datetime) -> None:
        seating = Allocation.objects.current().get(booking_ref="A")
        row = Assignment.objects.get(booking_ref="A")
        length = timedelta(hours=2)
        assert (seating.table_ref, seating.starts_at, seating.ends_at) == (table, start, start + length)
        assert (seating.party, row.party, row.starts_at, row.service_date) == (2, 2, start, start.date())
        assert row.has_wish, "what is asked for is known"
        expected = (State.MANUAL_REVIEW, "edit_unmet") if answer == "open" else State.CONFIRMED
        assert (state_of("A") if answer == "open" else state_of("A")[0]) == expected

    @pytest.fixture
    def promised(self, two_tables: TheHost, tonight: datetime) -> TheHost:
        two_tables.book("A", starts_at=tonight, party=2)
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:7")
        return two_tables

    def test_a_closed_table_sends_them_to_another(self, promised: TheHost, tonight: datetime, answer: str) -> None:
        self.ask(promised, answer, party=9)
        api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=tonight - timedelta(hours=1), actor="staff:7")
        self.has(answer, "T2", tonight)

    def test_without_another_table_what_is_asked_for_counts(
        self, promised: TheHost, tonight: datetime, answer: str
    ) -> None:
        self.ask(promised, answer, party=9)
        api.close(restaurant_ref="R1", starts_at=tonight - timedelta(hours=1), actor="staff:7")
        row = Assignment.objects.get(booking_ref="A")
        assert (row.state, row.party, row.has_wish, tables_of("A")) == (State.MANUAL_REVIEW, 9, False, [])

    def test_an_overstay_sends_them_to_another(self, two_tables: TheHost, tonight: datetime, answer: str) -> None:
        later = tonight + timedelta(hours=2)
        for ref, start in (("B", tonight), ("A", later)):
            two_tables.book(ref, starts_at=start, party=2)
            api.assign(booking_ref=ref, table_refs=["T1"], actor="staff:7")
        self.ask(two_tables, answer, party=9)
        assert api.extend(booking_ref="B", until=tonight + timedelta(hours=3), actor="staff:7").change is Change.KEPT
        self.has(answer, "T2", later)

    def test_the_clock_marks_no_show_by_the_promise(
        self, one_table: TheHost, tonight: datetime, settings: Any, answer: str
    ) -> None:
        later = tonight + timedelta(hours=2)
        for ref, start in (("B", tonight), ("A", later)):
            one_table.book(ref, starts_at=start, party=2)
            api.assign(booking_ref=ref, table_refs=["T1"], actor="staff:7")
        self.ask(one_table, answer, starts_at=tonight)
        with override(settings, rows=one_table.rows, NO_SHOW_MINUTES=30):
            conf.load(HOST_PATH).reports_arrivals = True
            with at(later + timedelta(minutes=29)):
                dispatch.register_new()
            assert Assignment.objects.get(booking_ref="A").stage == Stage.EXPECTED
            with at(later + timedelta(minutes=31)):
                dispatch.register_new()
            assert (Assignment.objects.get(booking_ref="A").stage, tables_of("A")) == (Stage.NO_SHOW, [])

    def test_the_clock_waits_for_guests_who_ask_to_come_later(
        self, one_table: TheHost, tonight: datetime, settings: Any, answer: str
    ) -> None:
        """Once that start is as long ago, too, they are a no-show; who was rejected is one by the promise."""
        for ref, start in (("A", tonight), ("B", tonight + timedelta(hours=2))):
            one_table.book(ref, starts_at=start, party=2)
            api.assign(booking_ref=ref, table_refs=["T1"], actor="staff:7")
        self.ask(one_table, answer, starts_at=tonight + timedelta(minutes=30))
        with override(settings, rows=one_table.rows, NO_SHOW_MINUTES=30):
            conf.load(HOST_PATH).reports_arrivals = True
            for minutes, is_marked in ((31, answer == "rejected"), (61, True)):
                with at(tonight + timedelta(minutes=minutes)):
                    dispatch.register_new()
                stage = Stage.NO_SHOW if is_marked else Stage.EXPECTED
                assert Assignment.objects.get(booking_ref="A").stage == stage

    def test_the_evening_shows_them_where_they_have_their_table(
        self, one_table: TheHost, tonight: datetime, answer: str
    ) -> None:
        tomorrow = tonight + timedelta(days=1)
        for ref, start in (("A", tonight), ("B", tomorrow)):
            one_table.book(ref, starts_at=start, party=2)
            api.assign(booking_ref=ref, table_refs=["T1"], actor="staff:7")
        self.ask(one_table, answer, starts_at=tomorrow)
        self.has(answer, "T1", tonight)
        floor = one_table.floors["R1"]
        assert isinstance(floor, Floor)
        evenings = [
            set(service_day.of_evening(floor, "R1", day.date()).values_list("booking_ref", flat=True))
            for day in (tonight, tomorrow)
        ]
        assert evenings == [{"A"}, {"B"}]
        reviews = [
            [
                row.booking_ref
                for row in review_queue.queue(
                    Section.REVIEW, now=datetime.now(UTC), restaurant_ref="R1", day=day.date(), floor=floor
                )
            ]
            for day in (tonight, tomorrow)
        ]
        assert reviews == ([["A"], ["A"]] if answer == "open" else [[], []]), "and staff find it under what is asked"

    def test_the_guest_withdraws_it(self, promised: TheHost, tonight: datetime, answer: str) -> None:
        self.ask(promised, answer, party=9, starts_at=tonight + timedelta(hours=1))
        promised.edit("A", party=2, starts_at=tonight)
        assert api.booking_changed(booking_ref="A") in {Change.RESTORED, Change.KEPT}
        row = Assignment.objects.get(booking_ref="A")
        assert (row.state, row.has_wish, row.party, row.starts_at) == (State.CONFIRMED, False, 2, tonight)

    def test_a_longer_stay_is_granted_once_it_can_be(self, one_table: TheHost, tonight: datetime, answer: str) -> None:
        for ref, start in (("A", tonight), ("B", tonight + timedelta(hours=2))):
            one_table.book(ref, starts_at=start, ends_at=start + timedelta(hours=2), party=2)
            api.assign(booking_ref=ref, table_refs=["T1"], actor="staff:7")
        self.ask(one_table, answer, ends_at=tonight + timedelta(hours=3))
        self.has(answer, "T1", tonight)
        one_table.edit("B", wants_table=False)
        api.booking_cancelled(booking_ref="B")
        run_all()
        hours = 3 if answer == "open" else 2
        assert Allocation.objects.current().get(booking_ref="A").ends_at == tonight + timedelta(hours=hours)
        assert Assignment.objects.get(booking_ref="A").has_wish == (answer == "rejected")

    def test_undo_of_a_move_that_granted_it(self, promised: TheHost, tonight: datetime, answer: str) -> None:
        later = tonight + timedelta(hours=1)
        self.ask(promised, answer, party=9, starts_at=later)
        passed_over = {Reason.TOO_FEW_SEATS}
        api.move(booking_ref="A", table_refs=["T2"], actor="staff:7", overriding=passed_over)
        seating = Allocation.objects.current().get(booking_ref="A")
        granted = (later, 9) if answer == "open" else (tonight, 2)
        assert (seating.starts_at, seating.party) == granted, "staff have turned it down, or decide for it now"
        api.undo(booking_ref="A", actor="staff:7")
        self.has(answer, "T1", tonight)

    def test_tried_again_or_cancelled(self, promised: TheHost, tonight: datetime, answer: str) -> None:
        self.ask(promised, answer, party=9)
        if answer == "open":
            assert api.reopen(booking_ref="A", actor="staff:7") is Change.TO_STAFF
            self.has(answer, "T1", tonight)
        api.release_tables(booking_ref="A", actor="staff:7")
        row = Assignment.objects.get(booking_ref="A")
        assert (row.party, row.has_wish, row.state) == (9, False, State.ASSIGNMENT_PENDING)


def test_what_an_earlier_release_put_in_place_of_the_promise_is_set_aside(
    two_tables: TheHost, tonight: datetime
) -> None:
    two_tables.book("A", starts_at=tonight, party=2)
    run_all()
    tomorrow = tonight + timedelta(days=1)
    two_tables.edit("A", starts_at=tomorrow, party=9)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    names = ("asked_restaurant_ref", "asked_date", "asked_starts_at", "asked_party", "asked_zone_ref", "asked_needs")
    row = Assignment.objects.filter(booking_ref="A")
    row.update(**dict.fromkeys(names), starts_at=tomorrow, party=9, service_date=tomorrow.date())
    migration = import_module("assignments.migrations.0031_asked_instead")
    with connection.cursor() as cursor:
        cursor.execute(migration.WISHES_ASIDE)
    run_all()
    found = row.get()
    assert (found.starts_at, found.party, found.service_date, found.service_rule) == (tonight, 2, tonight.date(), 1)
    assert found.last_asked == ("R1", tomorrow, 9)
    assert api.booking_changed(booking_ref="A") is Change.NOTHING


@pytest.mark.parametrize("how", ["move", "swap", "inactive", "replan"])
class TestRejectedWishesAreNotGrantedByTheWay:
    def test_whatever_is_done_with_the_tables(self, two_tables: TheHost, tonight: datetime, how: str) -> None:
        for ref, table in (("A", "T1"), ("B", "T2")):
            if ref == "A" or how == "swap":
                two_tables.book(ref, starts_at=tonight, party=2)
                api.assign(booking_ref=ref, table_refs=[table], actor="staff:7")
        two_tables.edit("A", starts_at=tonight + timedelta(hours=6))
        assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
        api.reject(booking_ref="A", actor="staff:7", reason="We close at eleven.")
        run_all()
        if how == "move":
            api.move(booking_ref="A", table_refs=["T2"], actor="staff:7")
        elif how == "swap":
            api.swap(booking_ref="A", other_ref="B", actor="staff:7")
        elif how == "inactive":
            two_tables.floors["R1"] = a_floor(tables=[a_table("T1", active=False), a_table("T2")])
            run_all()
        else:
            assert api.replan(booking_ref="A", actor="staff:7")
        seating = Allocation.objects.current().get(booking_ref="A")
        assert (seating.starts_at, seating.party, state_of("A")[0]) == (tonight, 2, State.CONFIRMED)
        assert seating.table_ref == ("T1" if how == "replan" else "T2")
        assert api.booking_changed(booking_ref="A") is Change.NOTHING


class TestFreedTables:
    def test_a_cancellation_seats_who_waited_longest_before_any_newcomer(
        self, one_table: TheHost, tonight: datetime
    ) -> None:
        book_in_turn(one_table, tonight, ["A", "W1", "W2"])
        run_all()
        to_review("W1", "W2")
        one_table.edit("A", wants_table=False)
        api.booking_changed(booking_ref="A")
        book_in_turn(one_table, tonight, ["new"], requested_at=datetime(2026, 2, 1, tzinfo=UTC))
        assert api.assign_now(booking_ref="new").kind is Kind.RETRY, "W1 could have had that table"
        assert run_all()["W1"].table_refs == ("T1",)
        assert (tables_of("W1"), tables_of("W2"), tables_of("new")) == (["T1"], [], [])
        assert OutboxMessage.objects.filter(topic="booking.seated_from_waitlist").get().booking_ref == "W1"

    def test_a_try_that_seats_nobody_changes_the_mark_and_a_counter_alone(
        self, one_table: TheHost, tonight: datetime
    ) -> None:
        book_in_turn(one_table, tonight, ["A", "W1", "W2"])
        run_all()
        to_review("W1", "W2")
        before = (StateTransition.objects.count(), Attempt.objects.count(), OutboxMessage.objects.count())
        api.release_tables(booking_ref="A", actor="staff:7")
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:7")
        woken = Assignment.objects.filter(wake_at__isnull=False).values_list("booking_ref", flat=True)
        assert sorted(woken) == ["W1", "W2"]
        told = {each.booking_ref: each.payload for each in OutboxMessage.objects.filter(topic="booking.woken")}
        assert {ref: (each["freed"], each["reason"]) for ref, each in told.items()} == {
            "W1": ("tables", "no_capacity"),
            "W2": ("tables", "no_capacity"),
        }
        after_staff = (StateTransition.objects.count(), Attempt.objects.count(), OutboxMessage.objects.count())
        assert after_staff > before
        version = Assignment.objects.get(booking_ref="W1").version
        run_all()
        assert (StateTransition.objects.count(), Attempt.objects.count(), OutboxMessage.objects.count()) == after_staff
        w1 = Assignment.objects.get(booking_ref="W1")
        assert (w1.version, w1.wake_at, w1.wakes, w1.state) == (version, None, 1, State.MANUAL_REVIEW)

    def test_whoever_can_be_seated_once_a_hold_has_expired_is(self, one_table: TheHost, tonight: datetime) -> None:
        book_in_turn(one_table, tonight, ["A", "W1"])
        api.hold(booking_ref="A", table_refs=["T1"])
        to_review_refs = ["W1"]
        api.request(booking_ref="W1")
        Assignment.objects.filter(booking_ref="A").update(due_at=datetime(2100, 1, 1, tzinfo=UTC))
        one_table.rows.pop("A")
        to_review(*to_review_refs)
        Allocation.objects.update(expires_at=datetime(2020, 1, 1, tzinfo=UTC))
        list(dispatch.run_pass())
        assert tables_of("W1") == ["T1"]

    @pytest.mark.parametrize("freed_by", ["cancellation", "shorter stay", "lifted closure"])
    def test_who_needs_the_table_for_a_buffer_before_is_woken(
        self, host: TheHost, tonight: datetime, freed_by: str
    ) -> None:
        """W comes when the table is free, and cannot have it: it is needed a quarter of an hour earlier."""
        host.floors["R1"] = a_floor(tables=[a_table("T1")], services=[a_service(buffer_before_minutes=15)])
        start = tonight + timedelta(hours=2)
        closure = None
        if freed_by == "lifted closure":
            closure = api.close(restaurant_ref="R1", starts_at=tonight, ends_at=start, actor="staff:7")
        else:
            book_in_turn(host, tonight, ["A"])
            run_all()
        host.book("W", starts_at=start, requested_at=datetime(2026, 1, 2, tzinfo=UTC))
        run_all()
        to_review("W")
        if closure is not None:
            api.lift_closure(closure_id=closure, actor="staff:7")
        elif freed_by == "shorter stay":
            api.extend(booking_ref="A", until=start - timedelta(minutes=15), actor="staff:7")
        else:
            host.edit("A", wants_table=False)
            api.booking_cancelled(booking_ref="A")
        host.book("N", starts_at=start, requested_at=datetime(2026, 2, 1, tzinfo=UTC))
        assert api.assign_now(booking_ref="N").kind is not Kind.CONFIRMED, "W asked earlier"
        run_all()
        assert (tables_of("W"), tables_of("N")) == (["T1"], [])

    def test_who_has_left_when_the_table_becomes_free_is_woken_for_the_buffer_after(
        self, host: TheHost, tonight: datetime
    ) -> None:
        host.floors["R1"] = a_floor(
            tables=[a_table("T1")],
            services=[a_service(starts=time(0), ends=time(0), buffer_after_minutes=30, allow_overrun=True)],
        )
        host.book("A", starts_at=tonight + timedelta(hours=24, minutes=15))
        run_all()
        host.book("W", starts_at=tonight, ends_at=tonight + timedelta(hours=24))
        run_all()
        to_review("W")
        host.edit("A", wants_table=False)
        api.booking_cancelled(booking_ref="A")
        assert run_all()["W"].table_refs == ("T1",)

    def test_a_booking_that_its_host_has_locked_is_not_passed(self, one_table: TheHost, tonight: datetime) -> None:
        book_in_turn(one_table, tonight, ["A", "W1"])
        run_all()
        to_review("W1")
        one_table.edit("A", wants_table=False)
        api.booking_changed(booking_ref="A")
        one_table.locked.add("W1")
        book_in_turn(one_table, tonight, ["new"], requested_at=datetime(2026, 2, 1, tzinfo=UTC))
        assert api.assign_now(booking_ref="new").kind is Kind.RETRY
        one_table.locked.clear()
        assert run_all()["W1"].table_refs == ("T1",)

    def test_who_asks_for_something_that_cannot_be_had_keeps_the_place_in_the_queue(
        self, one_table: TheHost, tonight: datetime
    ) -> None:
        """W1 asked first, and asks for another party while nothing is free; so does A, who keeps its table meanwhile."""
        book_in_turn(one_table, tonight, ["A", "W1", "W2"])
        run_all()
        to_review("W1", "W2")
        asked = dict(Assignment.objects.values_list("booking_ref", "requested_at"))
        one_table.edit("W1", party=3, requested_at=datetime(2026, 3, 1, tzinfo=UTC))
        one_table.edit("A", party=9, requested_at=datetime(2026, 3, 1, tzinfo=UTC))
        assert api.booking_changed(booking_ref="W1") is Change.REQUESTED
        assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
        to_review("W1")
        assert dict(Assignment.objects.values_list("booking_ref", "requested_at")) == asked
        one_table.edit("A", wants_table=False)
        api.booking_cancelled(booking_ref="A")
        run_all()
        assert (tables_of("W1"), tables_of("W2")) == (["T1"], [])

    def test_who_gave_way_to_one_that_comes_to_nothing_is_tried_again(
        self, one_table: TheHost, tonight: datetime
    ) -> None:
        """W2 may not pass W1, which its host has locked. W1 is cancelled: no table becomes free by that."""
        book_in_turn(one_table, tonight, ["A", "W1", "W2"])
        run_all()
        to_review("W1", "W2")
        one_table.edit("A", wants_table=False)
        api.booking_changed(booking_ref="A")
        one_table.locked.add("W1")
        run_all()
        assert tables_of("W2") == []
        one_table.locked.clear()
        one_table.edit("W1", wants_table=False)
        api.booking_changed(booking_ref="W1")
        assert run_all()["W2"].table_refs == ("T1",)

    def test_an_edit_that_gave_way_to_one_that_comes_to_nothing_is_tried_again(
        self, one_table: TheHost, tonight: datetime
    ) -> None:
        one_table.floors["R1"] = a_floor(tables=[a_table("T1", seats=2), a_table("T2", seats=4)])
        book_in_turn(one_table, tonight, ["W1", "B1"])
        one_table.edit("W1", party=4)
        api.request(booking_ref="B1")
        api.assign_now(booking_ref="B1")
        api.request(booking_ref="W1")
        one_table.edit("B1", party=4)
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        one_table.edit("W1", wants_table=False)
        api.booking_changed(booking_ref="W1")
        run_all()
        assert (state_of("B1"), tables_of("B1")) == ((State.CONFIRMED, "woken"), ["T2"])

    def test_nobody_passes_an_edit_that_needs_its_own_table_and_another(self, host: TheHost, tonight: datetime) -> None:
        """W sits at T1 for four, and asks for eight. T2 beside it becomes free; N asks last and would take it."""
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")], adjacent=[("T1", "T2")])
        for number, (ref, table) in enumerate((("W", "T1"), ("X", "T2"))):
            host.book(ref, starts_at=tonight, party=4, requested_at=asked(number))
            api.assign(booking_ref=ref, table_refs=[table], actor="staff:1")
        host.edit("W", party=8)
        assert api.booking_changed(booking_ref="W") is Change.TO_STAFF
        host.edit("X", wants_table=False)
        api.booking_cancelled(booking_ref="X")
        host.book("N", starts_at=tonight, party=4, requested_at=asked(9))
        assert not api.assign_now(booking_ref="N").table_refs
        run_all()
        assert (state_of("W")[0], tables_of("W"), tables_of("N")) == (State.CONFIRMED, ["T1", "T2"], [])


class TestStays:
    @pytest.fixture
    def sitting(self, open_now: TheHost) -> TheHost:
        """B1 sits at T1 since half an hour ago."""
        open_now.book("B1", starts_at=datetime.now(UTC) - timedelta(minutes=30), party=2)
        api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:1")
        api.seated(booking_ref="B1", actor="staff:1")
        open_now.edit("B1", wants_table=False, keeps_tables=True)
        return open_now

    def test_guests_who_leave_early_free_their_table_at_once(self, sitting: TheHost) -> None:
        end = datetime.now(UTC)
        sitting.edit("B1", ends_at=end)
        api.booking_changed(booking_ref="B1")
        row = Allocation.objects.get(booking_ref="B1")
        assert row.ended_at is not None
        assert row.blocked.upper == row.ended_at
        assert Assignment.objects.get().stage == Stage.LEFT
        sitting.book("B2", starts_at=datetime.now(UTC) + timedelta(minutes=1), party=2)
        api.assign(booking_ref="B2", table_refs=["T1"], actor="staff:1")
        assert tables_of("B2") == ["T1"]

    def test_seated_guests_move_now_and_the_past_stays(self, sitting: TheHost) -> None:
        outcome = api.move(booking_ref="B1", table_refs=["T2"], actor="staff:7")
        assert outcome.table_refs == ("T2",)
        rows = {row.table_ref: row for row in Allocation.objects.filter(booking_ref="B1")}
        assert rows["T1"].ended_at is not None
        assert rows["T1"].blocked.upper == rows["T1"].ended_at == rows["T2"].blocked.lower
        assert rows["T2"].ended_at is None
        assert rows["T2"].ends_at == rows["T1"].ends_at
        sitting.book("B2", starts_at=datetime.now(UTC) + timedelta(minutes=1), party=2)
        assert api.assign_now(booking_ref="B2").table_refs == ("T1",)

    @pytest.mark.parametrize("how", ["cancelled by call", "cancelled in the host", "released"])
    def test_what_guests_have_sat_through_is_kept_whatever_ends_it(self, sitting: TheHost, how: str) -> None:
        before = Allocation.objects.get()
        with at(before.starts_at + timedelta(hours=1)):
            if how == "cancelled in the host":
                sitting.edit("B1", keeps_tables=False)
                assert api.booking_changed(booking_ref="B1") is Change.CANCELLED
            elif how == "released":
                assert api.release_tables(booking_ref="B1", actor="staff:7") == ("T1",)
                assert Assignment.objects.get().stage == Stage.EXPECTED
            else:
                api.booking_cancelled(booking_ref="B1")
            row = Allocation.objects.get()
            assert (row.pk, row.table_ref, row.ended_at, tables_of("B1")) == (before.pk, "T1", row.blocked.upper, [])
            assert row.blocked.upper >= before.starts_at + timedelta(hours=1)

    def test_guests_who_sat_when_they_were_cancelled_are_expected_when_they_ask_again(self, sitting: TheHost) -> None:
        api.booking_cancelled(booking_ref="B1")
        sitting.edit("B1", wants_table=True, is_confirmed=False, starts_at=datetime.now(UTC) + timedelta(hours=3))
        api.request(booking_ref="B1")
        assert Assignment.objects.get().stage == Stage.EXPECTED
        assert api.assign_now(booking_ref="B1").kind is Kind.CONFIRMED

    def test_nobody_rejects_guests_who_sit(self, sitting: TheHost) -> None:
        """A table of the join at which they sit is out of service. They still have the other one."""
        api.move(booking_ref="B1", table_refs=["T1", "T2"], actor="staff:1", overriding=OVERRIDABLE)
        api.close(restaurant_ref="R1", table_refs=["T2"], starts_at=datetime.now(UTC), actor="staff:1")
        assert (state_of("B1"), tables_of("B1")) == ((State.MANUAL_REVIEW, "table_out_of_service"), ["T1"])
        with pytest.raises(TransitionRefusedError, match="has guests who sit: move them, or mark the guests as gone"):
            api.reject(booking_ref="B1", actor="staff:7", reason="It broke.")
        assert tables_of("B1") == ["T1"]
        api.left(booking_ref="B1", actor="staff:7")
        assert state_of("B1") == (State.CONFIRMED, "left")

    def test_guests_who_stay_longer_send_the_next_party_to_another_table(self, sitting: TheHost) -> None:
        end = Allocation.objects.get().ends_at
        sitting.book("B2", starts_at=end + timedelta(minutes=10), party=2)
        api.assign(booking_ref="B2", table_refs=["T1"], actor="staff:1")
        assert api.extend(booking_ref="B1", until=end + timedelta(minutes=45), actor="staff:7").change is Change.KEPT
        assert (tables_of("B1"), tables_of("B2")) == (["T1"], ["T2"])
        topics = set(OutboxMessage.objects.values_list("topic", "booking_ref"))
        assert {("booking.extended", "B1"), ("booking.moved", "B2")} <= topics

    def test_the_next_party_keeps_a_seat_before_who_waits_though_that_one_asked_earlier(self, sitting: TheHost) -> None:
        """B2 was promised a seat. W asked before it, waits, and could have had T2, the only table that is free then."""
        start = Allocation.objects.get().ends_at + timedelta(minutes=10)
        for number, ref in enumerate(("W", "B2")):
            sitting.book(ref, starts_at=start, party=2, requested_at=asked(number))
            api.request(booking_ref=ref)
        api.assign(booking_ref="B2", table_refs=["T1"], actor="staff:1")
        sitting.edit("B1", ends_at=start + timedelta(minutes=30))
        assert api.booking_changed(booking_ref="B1") is Change.KEPT
        assert (state_of("B2"), tables_of("B2")) == ((State.CONFIRMED, "table_needed_longer"), ["T2"])
        assert run_all()["W"].kind is not Kind.CONFIRMED

    def test_an_overlap_is_over_when_the_overstaying_guests_leave(self, sitting: TheHost) -> None:
        end = Allocation.objects.get().ends_at
        for ref, table in (("B2", "T1"), ("B3", "T2")):
            sitting.book(ref, starts_at=end + timedelta(minutes=10), party=2)
            api.assign(booking_ref=ref, table_refs=[table], actor="staff:1")
        assert (
            api.extend(booking_ref="B1", until=end + timedelta(minutes=45), actor="staff:7").change is Change.TO_STAFF
        )
        assert state_of("B1") == state_of("B2") == (State.MANUAL_REVIEW, "overlapping")
        assert api.left(booking_ref="B1", actor="staff:7") == ("T1",)
        assert state_of("B1")[0] == State.CONFIRMED
        list(dispatch.run_pass())
        assert (state_of("B2"), tables_of("B2")) == ((State.CONFIRMED, "overlap_over"), ["T1"])

    @pytest.fixture
    def overlapping(self, sitting: TheHost) -> TheHost:
        """B1 overstays at T1 until after B2 comes there, and B3 has T2, the only other table."""
        end = Allocation.objects.get().ends_at
        for ref, table in (("B2", "T1"), ("B3", "T2")):
            sitting.book(ref, starts_at=end + timedelta(minutes=10), party=2)
            api.assign(booking_ref=ref, table_refs=[table], actor="staff:1")
        assert (
            api.extend(booking_ref="B1", until=end + timedelta(minutes=45), actor="staff:7").change is Change.TO_STAFF
        )
        return sitting

    def test_nobody_sits_down_at_a_table_where_others_overstay(self, overlapping: TheHost) -> None:
        with at(Allocation.objects.get(booking_ref="B2").starts_at + timedelta(minutes=5)):
            with pytest.raises(TablesRefusedError, match="T1 is still taken by booking B1"):
                api.seated(booking_ref="B2", actor="staff:7")
            api.left(booking_ref="B1", actor="staff:7")
            api.seated(booking_ref="B2", actor="staff:7")
        assert Assignment.objects.get(booking_ref="B2").stage == Stage.SEATED

    @pytest.mark.parametrize("how", ["edit", "extend"])
    def test_an_overlap_is_not_over_when_the_next_party_asks_for_something_else(
        self, overlapping: TheHost, how: str
    ) -> None:
        if how == "edit":
            overlapping.edit("B2", party=1)
            assert api.booking_changed(booking_ref="B2") is Change.KEPT
        else:
            until = Allocation.objects.get(booking_ref="B2").ends_at + timedelta(minutes=15)
            assert api.extend(booking_ref="B2", until=until, actor="staff:7").change is Change.KEPT
        assert state_of("B1") == state_of("B2") == (State.MANUAL_REVIEW, "overlapping")
        api.left(booking_ref="B1", actor="staff:7")
        list(dispatch.run_pass())
        assert (state_of("B2"), tables_of("B2")) == ((State.CONFIRMED, "overlap_over"), ["T1"])

    def test_guests_whom_the_host_has_seated_are_not_moved_when_a_table_becomes_free(
        self, overlapping: TheHost
    ) -> None:
        overlapping.edit("B2", wants_table=False, keeps_tables=True, stage="seated")
        api.booking_changed(booking_ref="B2")
        api.booking_cancelled(booking_ref="B3")
        list(dispatch.run_pass())
        assert tables_of("B2") == ["T1"]

    def test_an_overlap_is_over_when_staff_move_the_next_party(self, sitting: TheHost) -> None:
        end = Allocation.objects.get().ends_at
        for ref, table in (("B2", "T1"), ("B3", "T2")):
            sitting.book(ref, starts_at=end + timedelta(minutes=10), party=2)
            api.assign(booking_ref=ref, table_refs=[table], actor="staff:1")
        until = end + timedelta(minutes=45)
        api.extend(booking_ref="B1", until=until, actor="staff:7")
        sitting.edit("B3", wants_table=False)
        api.booking_changed(booking_ref="B3")
        list(dispatch.run_pass())
        list(dispatch.run_pass())
        assert (state_of("B1")[0], state_of("B2")[0]) == (State.CONFIRMED, State.CONFIRMED)
        assert (tables_of("B1"), tables_of("B2")) == (["T1"], ["T2"])
        row = Allocation.objects.current().get(booking_ref="B1")
        assert (row.overstays_until, row.blocked.upper) == (None, until)

    def test_no_show_frees_the_table_and_is_said_only_once_the_time_has_come(self, open_now: TheHost) -> None:
        open_now.book("B1", starts_at=datetime.now(UTC) - timedelta(minutes=20), party=2)
        open_now.book("B2", starts_at=datetime.now(UTC) + timedelta(minutes=20), party=2)
        for ref, table in (("B1", "T1"), ("B2", "T2")):
            api.assign(booking_ref=ref, table_refs=[table], actor="staff:1")
        with pytest.raises(TransitionRefusedError, match="B2"):
            api.no_show(booking_ref="B2", actor="staff:7")
        assert api.no_show(booking_ref="B1", actor="staff:7") == ("T1",)
        assert (tables_of("B1"), Assignment.objects.get(booking_ref="B1").stage) == ([], Stage.NO_SHOW)
        assert api.booking_changed(booking_ref="B1") is Change.NOTHING

    def test_who_comes_late_keeps_the_promised_end(self, open_now: TheHost) -> None:
        open_now.book("B1", starts_at=datetime.now(UTC) - timedelta(minutes=20), party=2)
        api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:1")
        before = Allocation.objects.get()
        api.late(booking_ref="B1", actor="staff:1")
        api.arrived(booking_ref="B1", actor="staff:1")
        api.seated(booking_ref="B1", actor="staff:1")
        assert Assignment.objects.get().stage == Stage.SEATED
        after = Allocation.objects.get()
        assert (after.ends_at, after.blocked) == (before.ends_at, before.blocked)

    def test_who_comes_early_sits_down_if_the_table_is_free(self, open_now: TheHost) -> None:
        start = datetime.now(UTC) + timedelta(minutes=20)
        open_now.book("B0", starts_at=start - timedelta(hours=3), ends_at=start, party=2)
        open_now.book("B1", starts_at=start, party=2)
        open_now.book("B2", starts_at=start, party=2)
        for ref, table in (("B0", "T1"), ("B1", "T1"), ("B2", "T2")):
            api.assign(booking_ref=ref, table_refs=[table], actor="staff:1")
        with pytest.raises(TablesRefusedError, match="B0"):
            api.seated(booking_ref="B1", actor="staff:1")
        api.seated(booking_ref="B2", actor="staff:1")
        assert Allocation.objects.get(booking_ref="B2").blocked.lower < start


class TestGuestsWhoComeAfterAll:
    """The host takes back that guests did not come, or have left."""

    SITS: ClassVar[dict[str, Any]] = {"wants_table": False, "keeps_tables": True}
    COMES: ClassVar[dict[str, Any]] = {"wants_table": True, "keeps_tables": True}

    @pytest.fixture
    def late(self, one_table: TheHost) -> TheHost:
        """A has T1, the only table, since half an hour ago."""
        one_table.floors["R1"] = a_floor(tables=[a_table("T1")], services=[ALL_DAY])
        one_table.book("A", starts_at=datetime.now(UTC) - timedelta(minutes=31), party=2)
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:1")
        return one_table

    def test_guests_whom_the_clock_has_marked_and_the_host_seats_have_their_table(
        self, late: TheHost, settings: Any, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(TheHost, "reports_arrivals", True, raising=False)
        before = Allocation.objects.get()
        with override(settings, NO_SHOW_MINUTES=30, rows=late.rows):
            host = conf.load(HOST_PATH)
            run_all()
            assert (Assignment.objects.get().stage, tables_of("A")) == (Stage.NO_SHOW, [])
            host.edit("A", stage="seated", **self.SITS)
            assert api.booking_changed(booking_ref="A") is Change.RESTORED
            assert (Assignment.objects.get().stage, tables_of("A")) == (Stage.SEATED, ["T1"])
            assert Allocation.objects.get().blocked == before.blocked
            host.book("N", starts_at=datetime.now(UTC) + timedelta(minutes=1), party=2)
            assert api.assign_now(booking_ref="N").kind is not Kind.CONFIRMED
            assert api.booking_changed(booking_ref="A") is Change.NOTHING

    def test_guests_who_have_left_by_mistake_sit_again(self, late: TheHost) -> None:
        for stage, change, tables in (
            ("seated", Change.NOTHING, ["T1"]),
            ("left", Change.NOTHING, []),
            ("seated", Change.RESTORED, ["T1"]),
        ):
            late.edit("A", stage=stage, **self.SITS)
            assert api.booking_changed(booking_ref="A") is change
            assert (Assignment.objects.get().stage, tables_of("A")) == (stage, tables)

    @pytest.mark.parametrize("stage", [None, "expected", "arrived", "seated"])
    @pytest.mark.parametrize("minutes", [-31, 31])
    def test_any_other_status_takes_back_a_no_show_of_the_host(
        self, one_table: TheHost, stage: str | None, minutes: int
    ) -> None:
        """Whether it was said before the time had come or after it."""
        one_table.floors["R1"] = a_floor(tables=[a_table("T1")], services=[ALL_DAY])
        one_table.book("A", starts_at=datetime.now(UTC) + timedelta(minutes=minutes), party=2)
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:1")
        stay = Allocation.objects.values_list("starts_at", "ends_at").get()
        one_table.edit("A", stage="no_show", **self.SITS)
        assert api.booking_changed(booking_ref="A") is Change.CANCELLED
        assert tables_of("A") == []
        one_table.edit("A", stage=stage, **(self.SITS if stage == "seated" else self.COMES))
        assert api.booking_changed(booking_ref="A") is Change.RESTORED
        assert (Assignment.objects.get().stage, tables_of("A")) == (stage or "expected", ["T1"])
        assert Allocation.objects.values_list("starts_at", "ends_at").get(ended_at=None) == stay

    @pytest.mark.parametrize("stage", ["arrived", "seated"])
    def test_staff_hear_who_has_their_table(self, late: TheHost, stage: str) -> None:
        late.edit("A", stage="no_show", **self.SITS)
        api.booking_changed(booking_ref="A")
        late.book("N", starts_at=datetime.now(UTC), party=2)
        api.seat_walk_in(booking_ref="N", actor="staff:7")
        late.edit("A", stage=stage, **(self.SITS if stage == "seated" else self.COMES))
        assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
        assert (state_of("A"), tables_of("N")) == ((State.MANUAL_REVIEW, "came_after_all"), ["T1"])
        assert "booking N has T1 now" in StateTransition.objects.filter(booking_ref="A").latest("version").detail
        assert late.reviews == {"A": "came_after_all"}
        assert api.booking_changed(booking_ref="A") is Change.NOTHING, "staff know"
        run_all()
        assert state_of("A") == (State.MANUAL_REVIEW, "came_after_all")
        api.left(booking_ref="N", actor="staff:7")
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:7")
        assert (state_of("A")[0], Assignment.objects.get(booking_ref="A").stage) == (State.CONFIRMED, stage)

    def test_a_table_that_others_have_had_meanwhile_is_theirs_from_now_on(self, late: TheHost) -> None:
        late.edit("A", stage="no_show", **self.SITS)
        api.booking_changed(booking_ref="A")
        walk_in = api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7")
        api.left(booking_ref=walk_in.booking_ref, actor="staff:7")
        late.edit("A", stage="seated", **self.SITS)
        assert api.booking_changed(booking_ref="A") is Change.RESTORED
        past = Allocation.objects.get(booking_ref=walk_in.booking_ref)
        assert Allocation.objects.current().get(booking_ref="A").blocked.lower >= past.blocked.upper

    @pytest.mark.parametrize("stage", [None, "expected", "seated"])
    def test_a_row_that_does_not_know_of_staffs_mark_takes_nothing_back(self, late: TheHost, stage: str | None) -> None:
        late.edit("A", stage=stage, **(self.SITS if stage == "seated" else self.COMES))
        api.booking_changed(booking_ref="A")
        api.left(booking_ref="A", actor="staff:7")
        assert api.booking_changed(booking_ref="A") is Change.NOTHING
        assert (Assignment.objects.get().stage, tables_of("A")) == (Stage.LEFT, [])

    def test_nobody_gets_a_table_back_when_the_stay_is_over(self, late: TheHost) -> None:
        late.edit("A", stage="no_show", **self.SITS)
        api.booking_changed(booking_ref="A")
        with at(datetime.now(UTC) + timedelta(hours=3)):
            late.edit("A", stage="seated", **self.SITS)
            assert api.booking_changed(booking_ref="A") is Change.NOTHING
        assert (tables_of("A"), Assignment.objects.get().stage) == ([], Stage.LEFT), "they were there"

    def test_guests_who_are_gone_and_get_a_table_from_staff_are_expected(self, late: TheHost) -> None:
        api.no_show(booking_ref="A", actor="staff:7")
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:7")
        assert (tables_of("A"), Assignment.objects.get().stage) == (["T1"], Stage.EXPECTED)
        api.no_show(booking_ref="A", actor="staff:7")
        api.release_tables(booking_ref="A", actor="staff:7")
        assert Assignment.objects.get().stage == Stage.EXPECTED


class TestStagesThatCannotBe:
    @pytest.mark.parametrize("mark", ["late", "arrived"])
    def test_guests_who_are_gone_cannot_arrive(self, open_now: TheHost, mark: str) -> None:
        open_now.book("A", starts_at=datetime.now(UTC) - timedelta(minutes=1), party=2)
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:1")
        for gone in ("left", "no_show"):
            getattr(api, gone)(booking_ref="A", actor="staff:7")
            with pytest.raises(TransitionRefusedError, match=f"{gone}: undo"):
                getattr(api, mark)(booking_ref="A", actor="staff:7")
            assert Assignment.objects.get().stage == gone
            api.undo(booking_ref="A", actor="staff:7")
        getattr(api, mark)(booking_ref="A", actor="staff:7")
        assert (Assignment.objects.get().stage, tables_of("A")) == (mark, ["T1"])

    @pytest.mark.parametrize("mark", ["late", "arrived"])
    @pytest.mark.parametrize("ending", ["cancelled", "failed"])
    def test_nobody_is_expected_whose_booking_is_cancelled_or_failed(
        self, one_table: TheHost, tonight: datetime, mark: str, ending: str
    ) -> None:
        one_table.book("A", starts_at=tonight, party=2 if ending == "cancelled" else 9)
        run_all()
        if ending == "cancelled":
            api.booking_cancelled(booking_ref="A")
        else:
            api.reject(booking_ref="A", actor="staff:7", reason="We have no table for nine.")
        with pytest.raises(TransitionRefusedError, match=ending):
            getattr(api, mark)(booking_ref="A", actor="staff:7")
        assert (state_of("A")[0], Assignment.objects.get().stage) == (ending, Stage.EXPECTED)


class TestStaysThatStaffExtended:
    """The host stores an end, and does not know that staff have let the guests stay longer."""

    @pytest.fixture
    def extended(self, two_tables: TheHost, tonight: datetime) -> TheHost:
        two_tables.book("A", starts_at=tonight, party=2, ends_at=tonight + timedelta(hours=2))
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:7")
        api.extend(booking_ref="A", until=tonight + timedelta(hours=3), actor="staff:7")
        return two_tables

    @pytest.mark.parametrize("how", ["move", "close", "swap"])
    def test_other_tables_are_theirs_for_as_long_as_that(self, extended: TheHost, tonight: datetime, how: str) -> None:
        if how == "move":
            api.move(booking_ref="A", table_refs=["T2"], actor="staff:7")
        elif how == "close":
            api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=tonight - timedelta(hours=1), actor="staff:7")
        else:
            extended.book("B", starts_at=tonight, party=2, ends_at=tonight + timedelta(hours=2))
            api.assign(booking_ref="B", table_refs=["T2"], actor="staff:7")
            api.swap(booking_ref="A", other_ref="B", actor="staff:7")
        seating = Allocation.objects.current().get(booking_ref="A")
        assert (seating.table_ref, seating.ends_at) == ("T2", tonight + timedelta(hours=3))

    def test_an_end_that_was_promised_anyway_is_no_new_one_afterwards(
        self, two_tables: TheHost, tonight: datetime
    ) -> None:
        """The guest says when they will leave, which is when they would have had to; then staff agree on an earlier end."""
        two_tables.book("A", starts_at=tonight, party=2)
        end = Allocation.objects.current().get(booking_ref=api.assign_now(booking_ref="A").booking_ref).ends_at
        two_tables.edit("A", ends_at=end)
        assert api.booking_changed(booking_ref="A") is Change.NOTHING
        earlier = end - timedelta(minutes=15)
        api.extend(booking_ref="A", until=earlier, actor="staff:7")
        two_tables.edit("A", table_told=True)
        assert api.booking_changed(booking_ref="A") is Change.NOTHING
        assert Allocation.objects.current().get(booking_ref="A").ends_at == earlier

    def test_the_page_for_moves_looks_at_all_of_the_stay(self, extended: TheHost, tonight: datetime) -> None:
        later = tonight + timedelta(hours=2)
        extended.book("B", starts_at=later, party=2)
        api.assign(booking_ref="B", table_refs=["T2"], actor="staff:7")
        booking, row = extended.bookings(["A"])["A"], Assignment.objects.get(booking_ref="A")
        seatings = list(Allocation.objects.current().filter(booking_ref="A"))
        found = moves_of(booking, row, seatings, host=extended, now=datetime.now(UTC))
        assert {choice.table.ref: choice.taken_by for choice in found.choices} == {"T1": (), "T2": ("B",)}

    def test_a_stay_that_runs_into_the_next_booking_is_kept_when_staff_move_the_guests(
        self, extended: TheHost, tonight: datetime
    ) -> None:
        for ref, table in (("B", "T1"), ("C", "T2")):
            extended.book(ref, starts_at=tonight + timedelta(hours=3), party=2, ends_at=tonight + timedelta(hours=4))
            api.assign(booking_ref=ref, table_refs=[table], actor="staff:7")
        until = tonight + timedelta(hours=3, minutes=30)
        assert api.extend(booking_ref="A", until=until, actor="staff:7").change is Change.TO_STAFF
        extended.edit("C", wants_table=False)
        api.booking_changed(booking_ref="C")
        api.move(booking_ref="A", table_refs=["T2"], actor="staff:7")
        assert Allocation.objects.current().get(booking_ref="A").ends_at == until

    @pytest.mark.parametrize("end", ["as before", "earlier"])
    def test_they_stay_though_the_end_that_the_host_stores_is_over(self, open_now: TheHost, end: str) -> None:
        """The host says again that they sit. Only by another end than before does it say that they have left."""
        start = datetime.now(UTC) - timedelta(minutes=50)
        open_now.book("A", starts_at=start, ends_at=start + timedelta(hours=1), party=2)
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:7")
        open_now.edit("A", stage="seated", wants_table=False, keeps_tables=True)
        api.booking_changed(booking_ref="A")
        api.extend(booking_ref="A", until=start + timedelta(hours=2), actor="staff:7")
        if end == "earlier":
            open_now.edit("A", ends_at=start + timedelta(minutes=55))
        with at(start + timedelta(minutes=70)):
            api.booking_changed(booking_ref="A")
        stage = Assignment.objects.get(booking_ref="A").stage
        assert (stage, tables_of("A")) == ((Stage.SEATED, ["T1"]) if end == "as before" else (Stage.LEFT, []))

    def test_so_is_a_shorter_stay_of_guests_without_a_booking(self, open_now: TheHost) -> None:
        outcome = api.seat_walk_in(restaurant_ref="R1", party=2, table_refs=["T1"], actor="staff:7")
        ref = outcome.booking_ref
        until = Allocation.objects.current().get(booking_ref=ref).ends_at - timedelta(minutes=30)
        api.extend(booking_ref=ref, until=until, actor="staff:7")
        api.arrived(booking_ref=ref, actor="staff:7")
        api.move(booking_ref=ref, table_refs=["T2"], actor="staff:7")
        assert Allocation.objects.current().get(booking_ref=ref).ends_at == until


class TestStaff:
    def test_two_bookings_swap_their_tables_in_one_step(self, two_tables: TheHost, tonight: datetime) -> None:
        for ref, table in (("B1", "T1"), ("B2", "T2")):
            two_tables.book(ref, starts_at=tonight)
            api.assign(booking_ref=ref, table_refs=[table], actor="staff:1")
        api.swap(booking_ref="B1", other_ref="B2", actor="staff:7")
        assert (tables_of("B1"), tables_of("B2")) == (["T2"], ["T1"])
        assert {move.booking_ref: move.to_table_refs for move in two_tables.moves} == {"B1": ("T2",), "B2": ("T1",)}
        api.undo(booking_ref="B2", actor="staff:7")
        assert (tables_of("B1"), tables_of("B2")) == (["T1"], ["T2"])
        assert {move.booking_ref: move.to_table_refs for move in two_tables.moves[2:]} == {"B1": ("T1",), "B2": ("T2",)}
        api.undo(booking_ref="B1", actor="staff:7")
        assert (tables_of("B1"), tables_of("B2")) == (["T2"], ["T1"]), "what was taken back can be had again"
        with pytest.raises(ValueError, match="itself"):
            api.swap(booking_ref="B1", other_ref="B1", actor="staff:7")
        two_tables.can_swap = False  # type: ignore[attr-defined]
        with pytest.raises(TransitionRefusedError, match="can_swap"):
            api.swap(booking_ref="B1", other_ref="B2", actor="staff:7")
        assert (tables_of("B1"), tables_of("B2")) == (["T2"], ["T1"])

    @pytest.mark.parametrize("seen", ["version", "other_version"])
    def test_nobody_swaps_what_somebody_else_has_changed_meanwhile(
        self, two_tables: TheHost, tonight: datetime, seen: str
    ) -> None:
        for ref, table in (("B1", "T1"), ("B2", "T2")):
            two_tables.book(ref, starts_at=tonight)
            api.assign(booking_ref=ref, table_refs=[table], actor="staff:1")
        rows = {"version": "B1", "other_version": "B2"}
        versions: dict[str, Any] = {name: Assignment.objects.get(booking_ref=ref).version for name, ref in rows.items()}
        api.late(booking_ref=rows[seen], actor="staff:2")
        with pytest.raises(ChangedMeanwhileError, match=rows[seen]):
            api.swap(booking_ref="B1", other_ref="B2", actor="staff:7", **versions)
        assert (tables_of("B1"), tables_of("B2")) == (["T1"], ["T2"])
        versions[seen] += 1
        api.swap(booking_ref="B1", other_ref="B2", actor="staff:7", **versions)
        assert (tables_of("B1"), tables_of("B2")) == (["T2"], ["T1"])

    def test_nobody_seats_a_walk_in_that_somebody_else_has_changed_meanwhile(self, open_now: TheHost) -> None:
        open_now.book("B1", starts_at=datetime.now(UTC), party=2)
        api.request(booking_ref="B1")
        version = Assignment.objects.get().version
        api.arrived(booking_ref="B1", actor="staff:2")
        with pytest.raises(ChangedMeanwhileError, match="B1"):
            api.seat_walk_in(booking_ref="B1", version=version, actor="staff:7")
        assert tables_of("B1") == []
        assert api.seat_walk_in(booking_ref="B1", version=version + 1, actor="staff:7").table_refs == ("T1",)
        with pytest.raises(ValueError, match="no version"):
            api.seat_walk_in(restaurant_ref="R1", party=2, version=1, actor="staff:7")

    @pytest.mark.parametrize(
        ("booking", "tables", "reason"),
        [
            ({"party": 2, "starts_at": timedelta(hours=3, minutes=45)}, ["T1"], Reason.SERVICE_OVERRUN),
            ({"party": 2, "starts_at": timedelta(hours=-6)}, ["T1"], Reason.OUTSIDE_SERVICE),
            ({"party": 5}, ["T1"], Reason.TOO_FEW_SEATS),
            ({"party": 1}, ["T3"], Reason.PARTY_OUTSIDE_TABLE_LIMITS),
            ({"party": 2, "zone_ref": "terrace"}, ["T1"], Reason.WRONG_ZONE),
            ({"party": 8}, ["T1", "T2"], Reason.NOT_ADJACENT),
        ],
    )
    def test_staff_may_do_what_is_physically_possible_by_name(
        self, host: TheHost, tonight: datetime, booking: dict[str, Any], tables: list[str], reason: Reason
    ) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2"), a_table("T3", min_party=2)])
        host.book("B1", **{**booking, "starts_at": tonight + booking.get("starts_at", timedelta(0))})
        with pytest.raises(TablesRefusedError) as refused:
            api.assign(booking_ref="B1", table_refs=tables, actor="staff:7")
        assert reason in {refusal.reason for refusal in refused.value.refusals}
        api.assign(booking_ref="B1", table_refs=tables, actor="staff:7", overriding={reason})
        assert tables_of("B1") == tables
        assert Allocation.objects.first().despite == [reason]  # type: ignore[union-attr]
        assert reason in StateTransition.objects.get(name="confirm").detail
        assert api.booking_changed(booking_ref="B1") is Change.NOTHING, "what staff decided stands"

    @pytest.mark.parametrize("reason", [Reason.TABLE_TAKEN, Reason.UNKNOWN_TABLE])
    def test_nobody_puts_two_parties_at_one_table(self, one_table: TheHost, tonight: datetime, reason: Reason) -> None:
        with pytest.raises(ValueError, match=reason):
            api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:7", overriding={reason})

    def test_staff_hear_whom_they_passed(self, one_table: TheHost, tonight: datetime) -> None:
        book_in_turn(one_table, tonight, ["A", "W1", "B"])
        for ref in ("A", "W1", "B"):
            api.request(booking_ref=ref)
        run_all()
        to_review("W1", "B")
        one_table.edit("A", wants_table=False)
        api.booking_changed(booking_ref="A")
        assert api.assign(booking_ref="B", table_refs=["T1"], actor="staff:7").passed == ("W1",)

    def test_staff_who_swap_tables_hear_whom_they_passed(self, host: TheHost, tonight: datetime) -> None:
        """W, a party of four, asked after B and before A, and only the large table would do."""
        host.floors["R1"] = a_floor(tables=[a_table("T1", seats=2), a_table("T2")], services=[ALL_DAY])
        starts = {"B": tonight - timedelta(hours=6), "W": tonight, "A": tonight}
        for number, (ref, start) in enumerate(starts.items()):
            host.book(ref, starts_at=start, party=4 if ref == "W" else 2, requested_at=asked(number))
            api.request(booking_ref=ref)
        for ref, table in (("A", "T1"), ("B", "T2")):
            assert api.assign(booking_ref=ref, table_refs=[table], actor="staff:1").passed == ()
        there, back = (api.swap(booking_ref="A", other_ref="B", actor="staff:7") for _each in range(2))
        assert [outcome.passed for outcome in (*there, *back)] == [("W",), (), (), ()]

    @pytest.mark.parametrize("is_followed", [False, True])
    def test_staff_who_let_guests_stay_longer_hear_whom_they_passed(
        self, host: TheHost, tonight: datetime, is_followed: bool
    ) -> None:
        """W asked first. It could have come right after them, or had the table that who comes next gets instead."""
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2", active=is_followed)], services=[ALL_DAY])
        end = tonight + timedelta(hours=2)
        for number, (ref, start) in enumerate({"W": end, "A": tonight, "B": end}.items()):
            host.book(ref, starts_at=start, ends_at=start + timedelta(hours=2), party=2, requested_at=asked(number))
        api.request(booking_ref="W")
        api.assign(booking_ref="A", table_refs=["T1"], actor="staff:1")
        if is_followed:
            assert api.assign(booking_ref="B", table_refs=["T1"], actor="staff:1").passed == ()
        longer = api.extend(booking_ref="A", until=end + timedelta(minutes=30), actor="staff:7")
        assert (longer.change, longer.passed) == (Change.KEPT, ("W",))
        assert tables_of("B") == (["T2"] if is_followed else [])
        shorter = api.extend(booking_ref="A", until=end - timedelta(minutes=30), actor="staff:7")
        assert shorter.passed == ()

    def test_staff_who_seat_walk_ins_hear_whom_they_passed(self, one_table: TheHost) -> None:
        one_table.floors["R1"] = a_floor(tables=[a_table("T1")], services=[ALL_DAY])
        one_table.book("W", starts_at=datetime.now(UTC), party=2, requested_at=asked(0))
        api.request(booking_ref="W")
        assert api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7").passed == ("W",)

    def test_walk_ins_sit_last_where_guests_may_still_sit_past_their_time(self, open_now: TheHost) -> None:
        first = api.seat_walk_in(restaurant_ref="R1", party=2, table_refs=["T1"], actor="staff:7")
        row = Allocation.objects.get(booking_ref=first.booking_ref)
        with at(row.blocked.upper + timedelta(minutes=1)):
            other = api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7")
            assert other.table_refs == ("T2",)
            last = api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7")
            assert last.table_refs == ("T1",), "staff may have forgotten to say that they left"

    def test_walk_ins_get_the_best_free_table_now(self, open_now: TheHost) -> None:
        outcome = api.seat_walk_in(restaurant_ref="R1", party=3, actor="staff:7")
        assert outcome.booking_ref.startswith("walk-in:")
        assert outcome.table_refs == ("T1",)
        assignment = Assignment.objects.get()
        assert (assignment.stage, assignment.state, assignment.party) == (Stage.SEATED, State.CONFIRMED, 3)
        assert open_now.seated == {}, "the host never hears of a ref that is ours"
        assert api.left(booking_ref=outcome.booking_ref, actor="staff:7") == ("T1",)

    @pytest.mark.parametrize(
        "reason",
        [
            Reason.SERVICE_OVERRUN,
            Reason.OUTSIDE_SERVICE,
            Reason.CLOSED,
            Reason.TOO_FEW_SEATS,
            Reason.TABLE_INACTIVE,
            Reason.TOO_MANY_SPARE_SEATS,
            Reason.PARTY_OUTSIDE_TABLE_LIMITS,
        ],
    )
    def test_walk_ins_get_the_best_table_despite_a_rule_that_is_named(self, host: TheHost, reason: Reason) -> None:
        def clock(minutes: int) -> time:
            return (datetime.now(UTC) + timedelta(minutes=minutes)).time().replace(microsecond=0)

        hours = {
            Reason.SERVICE_OVERRUN: a_service(starts=clock(-120), ends=clock(60)),
            Reason.OUTSIDE_SERVICE: a_service(starts=clock(-180), ends=clock(-60)),
        }
        table: dict[Reason, dict[str, Any]] = {
            Reason.TOO_FEW_SEATS: {"seats": 2},
            Reason.TABLE_INACTIVE: {"active": False},
            Reason.TOO_MANY_SPARE_SEATS: {"seats": 12},
            Reason.PARTY_OUTSIDE_TABLE_LIMITS: {"min_party": 4},
        }
        tables = [a_table("T0", seats=1), a_table("T1", **table.get(reason, {"seats": 3}))]
        host.floors["R1"] = a_floor(tables=tables, services=[hours.get(reason, ALL_DAY)], timezone="UTC")
        if reason is Reason.CLOSED:
            api.close(restaurant_ref="R1", starts_at=datetime.now(UTC) - timedelta(hours=1), actor="staff:1")
        for overriding in ((), {Reason.WRONG_ZONE}):
            with pytest.raises(NoTableFreeError):
                api.seat_walk_in(restaurant_ref="R1", party=3, actor="staff:7", overriding=overriding)
        outcome = api.seat_walk_in(
            restaurant_ref="R1", party=3, actor="staff:7", overriding={reason, Reason.WRONG_ZONE}
        )
        assert outcome.table_refs == ("T1",)
        row = Allocation.objects.get()
        assert row.despite == [reason]
        assert row.overridden_by == ("staff:7" if reason is Reason.CLOSED else "")
        assert reason in StateTransition.objects.get(name="confirm").detail

    def test_walk_ins_pass_over_nothing_that_they_need_not(self, open_now: TheHost) -> None:
        outcome = api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7", overriding=OVERRIDABLE)
        assert Allocation.objects.get().despite == []
        api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7", overriding=OVERRIDABLE)
        with pytest.raises(NoTableFreeError):
            api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7", overriding=OVERRIDABLE)
        api.left(booking_ref=outcome.booking_ref, actor="staff:7")

    def test_a_walk_in_that_was_just_saved_is_seated(self, open_now: TheHost) -> None:
        open_now.book("B1", starts_at=datetime.now(UTC) - timedelta(minutes=5), party=2)
        assert api.seat_walk_in(booking_ref="B1", actor="staff:7").table_refs == ("T1",)
        assert open_now.seated["B1"].table_refs == ("T1",)

    def test_walk_ins_hear_how_long_they_have_to_wait(self, open_now: TheHost) -> None:
        now = datetime.now(UTC)
        for ref, table, minutes in (("B1", "T1", 40), ("B2", "T2", 90)):
            open_now.book(ref, starts_at=now - timedelta(minutes=30), ends_at=now + timedelta(minutes=minutes), party=2)
            api.assign(booking_ref=ref, table_refs=[table], actor="staff:1")
        with pytest.raises(NoTableFreeError, match="40 minutes") as refused:
            api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7")
        assert refused.value.wait_minutes == 40
        assert not Assignment.objects.filter(booking_ref__startswith="walk-in:").exists()

    def test_the_ref_of_a_walk_in_is_never_given_to_the_host(
        self, open_now: TheHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever becomes of the guests: a move, a swap, an overlap, a closure, a departure."""
        given: list[str] = []

        def recorded(name: str) -> None:
            method = getattr(TheHost, name)

            def record(self: TheHost, *args: Any, **kwargs: Any) -> Any:
                # A message about another booking may name it in a sentence.
                said = args[0].booking_ref if name == "deliver" else (args, kwargs)
                given.append(f"{name}: {said}")
                return method(self, *args, **kwargs)

            monkeypatch.setattr(TheHost, name, record)

        names = ["bookings", "tables_of", "label", "admin_url", "deliver"]
        names += ["on_confirmed", "on_moved", "on_review", "on_released"]
        for name in names:
            recorded(name)
        walk_in = api.seat_walk_in(restaurant_ref="R1", party=2, table_refs=["T1"], actor="staff:7").booking_ref
        end = Allocation.objects.get().ends_at
        open_now.book("B1", starts_at=datetime.now(UTC), party=2)
        api.seat_walk_in(booking_ref="B1", table_refs=["T2"], actor="staff:7")
        api.swap(booking_ref=walk_in, other_ref="B1", actor="staff:7")
        for number, table in enumerate(("T1", "T2")):
            open_now.book(f"N{number}", starts_at=end + timedelta(minutes=5), party=2)
            api.assign(booking_ref=f"N{number}", table_refs=[table], actor="staff:7")
        assert (
            api.extend(booking_ref=walk_in, until=end + timedelta(hours=1), actor="staff:7").change is Change.TO_STAFF
        )
        run_all()
        list(reconcile())
        api.left(booking_ref="B1", actor="staff:7")
        open_now.edit("N0", wants_table=False)
        api.booking_cancelled(booking_ref="N0")
        api.move(booking_ref=walk_in, table_refs=["T1"], actor="staff:7", overriding=OVERRIDABLE)
        api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=datetime.now(UTC), actor="staff:7")
        assert state_of(walk_in)[0] == State.MANUAL_REVIEW
        api.reject(booking_ref=walk_in, actor="staff:7", reason="It is over.")
        other = api.seat_walk_in(restaurant_ref="R1", party=2, table_refs=["T2"], actor="staff:7").booking_ref
        api.release_tables(booking_ref=other, actor="staff:7")
        api.booking_changed(booking_ref=other)
        run_all()
        outbox.deliver()
        assert [each for each in given if "walk-in:" in each] == []
        assert {name for name in names if any(each.startswith(name) for each in given)} >= {
            "on_confirmed",
            "on_moved",
            "on_review",
            "deliver",
        }

    @pytest.mark.parametrize("given", [{}, {"restaurant_ref": "R1"}, {"restaurant_ref": "R1", "booking_ref": "B1"}])
    def test_a_walk_in_is_a_booking_or_a_party(self, open_now: TheHost, given: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="walk-in"):
            api.seat_walk_in(actor="staff:7", **given)


class TestTablesChangedInTheHost:
    @pytest.mark.parametrize("how", ["adopted", "moved"])
    def test_guests_whom_the_host_seats_until_the_table_closes_leave_no_buffer_in_the_closure(
        self, host: TheHost, tonight: datetime, how: str
    ) -> None:
        """As where a table closes right after a promise: nobody sits there then, and nobody has overridden anything."""
        host.floors["R1"] = a_floor(
            tables=[a_table("T1"), a_table("T2")], services=[a_service(buffer_after_minutes=15)]
        )
        host.book("B1", starts_at=tonight)
        end = tonight + timedelta(hours=2)
        if how == "adopted":
            api.close(restaurant_ref="R1", table_refs=["T2"], starts_at=end, actor="staff:7")
            api.adopt(booking_ref="B1", table_refs=["T2"])
        else:
            (held,) = run_all()["B1"].table_refs
            (other,) = {"T1", "T2"} - {held}
            api.close(restaurant_ref="R1", table_refs=[other], starts_at=end, actor="staff:7")
            shown(host, "B1", other)
            assert api.booking_changed(booking_ref="B1") is Change.MOVED
        row = Allocation.objects.get()
        assert (row.ends_at, row.blocked.upper, row.overridden_by) == (end, end, "")

    def test_tables_that_staff_chose_in_the_host_are_taken_over(self, two_tables: TheHost, tonight: datetime) -> None:
        two_tables.book("B1", starts_at=tonight)
        run_all()
        shown(two_tables, "B1", "T2")
        assert api.booking_changed(booking_ref="B1") is Change.MOVED
        assert (tables_of("B1"), Assignment.objects.get().planner) == (["T2"], "manual")
        assert api.booking_changed(booking_ref="B1") is Change.NOTHING

    def test_tables_that_somebody_else_has_go_to_staff_with_both_bookings_named(
        self, two_tables: TheHost, tonight: datetime
    ) -> None:
        for ref in ("B1", "B2"):
            two_tables.book(ref, starts_at=tonight)
        run_all()
        shown(two_tables, "B1", tables_of("B2")[0])
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        assert state_of("B1") == (State.MANUAL_REVIEW, "tables_changed_by_host")
        assert "booking B2" in StateTransition.objects.filter(booking_ref="B1").latest("version").detail
        assert tables_of("B1") != tables_of("B2")
        assert state_of("B2")[0] == State.CONFIRMED

    def test_tables_with_too_few_seats_go_to_staff(self, two_tables: TheHost, tonight: datetime) -> None:
        two_tables.floors["R1"] = a_floor(tables=[a_table("T1", seats=4), a_table("T2", seats=2)])
        two_tables.book("B1", starts_at=tonight, party=4)
        run_all()
        shown(two_tables, "B1", "T2")
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        assert state_of("B1") == (State.MANUAL_REVIEW, "tables_changed_by_host")
        assert "2 seats" in StateTransition.objects.filter(booking_ref="B1").latest("version").detail
        assert tables_of("B1") == ["T1"]

    @pytest.mark.parametrize("keeps", ["both", "the one that is left"])
    def test_a_join_of_which_a_table_is_gone_was_not_changed_by_anybody(
        self, host: TheHost, tonight: datetime, keeps: str
    ) -> None:
        """Whether the host's row still names the table that is deleted, or has lost it."""
        eight = a_table("T3", seats=8)
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2"), eight], adjacent=[("T1", "T2")])
        host.book("B1", starts_at=tonight, party=8)
        api.assign(booking_ref="B1", table_refs=["T1", "T2"], actor="staff:1")
        run_all()
        host.floors["R1"] = a_floor(tables=[a_table("T1"), eight])
        if keeps != "both":
            shown(host, "B1", "T1")
        run_all()
        assert (tables_of("B1"), state_of("B1")) == (["T3"], (State.CONFIRMED, "table_out_of_service"))

    def test_a_table_out_of_service_that_staff_chose_in_the_host_stays_theirs(
        self, two_tables: TheHost, tonight: datetime
    ) -> None:
        two_tables.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2", active=False)])
        two_tables.book("B1", starts_at=tonight)
        run_all()
        shown(two_tables, "B1", "T2")
        assert api.booking_changed(booking_ref="B1") is Change.MOVED
        assert list(reconcile()) == []
        assert tables_of("B1") == ["T2"]

    def test_an_explicit_cancellation_is_not_undone_by_a_later_save(
        self, one_table: TheHost, tonight: datetime
    ) -> None:
        one_table.book("B1", starts_at=tonight)
        run_all()
        api.booking_cancelled(booking_ref="B1")
        one_table.edit("B1", is_confirmed=False)
        assert api.booking_changed(booking_ref="B1") is Change.NOTHING
        assert (state_of("B1")[0], tables_of("B1")) == (State.CANCELLED, [])
        api.request(booking_ref="B1")
        assert run_all()["B1"].table_refs == ("T1",)


class TestUndo:
    @pytest.fixture
    def sitting(self, open_now: TheHost) -> TheHost:
        """B1 has T1 since a moment ago, T2 is free."""
        open_now.book("B1", starts_at=datetime.now(UTC) - timedelta(minutes=1), party=2)
        api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:1")
        return open_now

    def test_a_no_show_who_comes_after_all_has_the_table_again(self, sitting: TheHost) -> None:
        before = Allocation.objects.get().blocked
        api.no_show(booking_ref="B1", actor="staff:7")
        assert api.undo(booking_ref="B1", actor="staff:7").what == "stage_undone"
        assert (tables_of("B1"), Assignment.objects.get().stage) == (["T1"], Stage.EXPECTED)
        assert Allocation.objects.get().blocked == before

    def test_it_cannot_be_undone_once_somebody_else_has_the_table(self, sitting: TheHost) -> None:
        api.no_show(booking_ref="B1", actor="staff:7")
        walk_in = api.seat_walk_in(restaurant_ref="R1", party=2, table_refs=["T1"], actor="staff:7")
        with pytest.raises(TablesRefusedError, match=walk_in.booking_ref):
            api.undo(booking_ref="B1", actor="staff:7")
        assert Assignment.objects.get(booking_ref="B1").stage == Stage.NO_SHOW

    @pytest.mark.parametrize("mark", ["late", "arrived", "seated"])
    def test_a_stage_is_taken_back(self, sitting: TheHost, mark: str) -> None:
        getattr(api, mark)(booking_ref="B1", actor="staff:7")
        assert Assignment.objects.get().stage == mark
        api.undo(booking_ref="B1", actor="staff:7")
        assert Assignment.objects.get().stage == Stage.EXPECTED

    def test_a_move_is_taken_back(self, sitting: TheHost) -> None:
        api.move(booking_ref="B1", table_refs=["T2"], actor="staff:7")
        assert api.undo(booking_ref="B1", actor="staff:7").what == "move_undone"
        assert (tables_of("B1"), sitting.seated["B1"].table_refs) == (["T1"], ("T1",))

    def test_a_longer_stay_is_taken_back(self, sitting: TheHost) -> None:
        end = Allocation.objects.get().ends_at
        api.extend(booking_ref="B1", until=end + timedelta(minutes=30), actor="staff:7")
        assert api.undo(booking_ref="B1", actor="staff:7").what == "stay_undone"
        assert Allocation.objects.get().ends_at == end

    def test_a_walk_in_who_did_not_sit_down_leaves_nothing(self, open_now: TheHost) -> None:
        outcome = api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7")
        assert api.undo(booking_ref=outcome.booking_ref, actor="staff:7").what == "walk_in_undone"
        assert (tables_of(outcome.booking_ref), state_of(outcome.booking_ref)[0]) == ([], State.CANCELLED)

    def test_a_walk_in_with_a_booking_who_did_not_sit_down_waits_again(self, open_now: TheHost) -> None:
        open_now.book("B1", starts_at=datetime.now(UTC), party=2)
        api.seat_walk_in(booking_ref="B1", actor="staff:7")
        api.undo(booking_ref="B1", actor="staff:7")
        assert (tables_of("B1"), Assignment.objects.get().stage) == ([], Stage.EXPECTED)
        assert run_all()["B1"].kind is Kind.CONFIRMED

    def test_who_was_rejected_by_mistake_is_tried_again_if_a_table_became_free_meanwhile(
        self, one_table: TheHost, tonight: datetime
    ) -> None:
        book_in_turn(one_table, tonight, ["A", "W1"])
        run_all()
        to_review("W1")
        assert state_of("W1")[0] == State.MANUAL_REVIEW
        api.reject(booking_ref="W1", actor="staff:7", reason="We are full.")
        one_table.edit("A", wants_table=False)
        api.booking_cancelled(booking_ref="A")
        api.undo(booking_ref="W1", actor="staff:7")
        run_all()
        assert (tables_of("W1"), state_of("W1")[0]) == (["T1"], State.CONFIRMED)

    def test_guests_who_left_before_they_came_do_not_come_back_without_a_table(
        self, one_table: TheHost, tonight: datetime
    ) -> None:
        book_in_turn(one_table, tonight, ["A"])
        run_all()
        api.left(booking_ref="A", actor="staff:7")
        with pytest.raises(TransitionRefusedError):
            api.undo(booking_ref="A", actor="staff:7")
        assert Assignment.objects.get(booking_ref="A").stage == "left"

    def test_what_is_followed_by_something_else_stays(self, two_tables: TheHost, tonight: datetime) -> None:
        two_tables.book("B1", starts_at=tonight)
        api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:1")
        api.move(booking_ref="B1", table_refs=["T2"], actor="staff:7")
        two_tables.edit("B1", party=3)
        assert api.booking_changed(booking_ref="B1") is Change.KEPT
        with pytest.raises(TransitionRefusedError, match="B1"):
            api.undo(booking_ref="B1", actor="staff:7")
        assert tables_of("B1") == ["T2"]


class TestEditedFloors:
    def test_a_table_that_is_set_inactive_is_noticed_by_the_next_pass(
        self, two_tables: TheHost, tonight: datetime
    ) -> None:
        two_tables.book("B1", starts_at=tonight)
        table = run_all()["B1"].table_refs[0]
        other = {"T1": "T2", "T2": "T1"}[table]
        two_tables.floors["R1"] = a_floor(tables=[a_table(table, active=False), a_table(other)])
        run_all()
        assert (tables_of("B1"), state_of("B1")) == ([other], (State.CONFIRMED, "table_out_of_service"))
        assert [move.to_table_refs for move in two_tables.moves] == [(other,)]

    def test_the_other_table_is_theirs_for_the_stay_that_they_were_promised(
        self, two_tables: TheHost, tonight: datetime
    ) -> None:
        two_tables.book("B1", starts_at=tonight)
        table = run_all()["B1"].table_refs[0]
        promised = list(Allocation.objects.values_list("starts_at", "ends_at"))
        other = {"T1": "T2", "T2": "T1"}[table]
        longer = a_service(turn_times=(TurnTime(max_party=100, minutes=200),))
        two_tables.floors["R1"] = a_floor(tables=[a_table(table, active=False), a_table(other)], services=[longer])
        run_all()
        assert tables_of("B1") == [other]
        assert list(Allocation.objects.values_list("starts_at", "ends_at")) == promised

    def test_the_other_table_is_theirs_for_as_long_as_staff_have_let_them_stay(
        self, two_tables: TheHost, tonight: datetime
    ) -> None:
        two_tables.book("B1", starts_at=tonight, ends_at=tonight + timedelta(hours=1))
        table = run_all()["B1"].table_refs[0]
        api.extend(booking_ref="B1", until=tonight + timedelta(hours=2), actor="staff:7")
        other = {"T1": "T2", "T2": "T1"}[table]
        two_tables.floors["R1"] = a_floor(tables=[a_table(table, active=False), a_table(other)])
        run_all()
        assert tables_of("B1") == [other]
        assert Allocation.objects.get(ended_at=None).ends_at == tonight + timedelta(hours=2)

    def test_if_there_is_no_other_table_staff_hear_of_it(self, one_table: TheHost, tonight: datetime) -> None:
        one_table.book("B1", starts_at=tonight)
        run_all()
        one_table.floors["R1"] = a_floor(tables=[a_table("T1", active=False)])
        run_all()
        assert state_of("B1") == (State.MANUAL_REVIEW, "table_out_of_service")
        assert one_table.reviews == {"B1": "table_out_of_service"}

    def test_guests_who_sit_at_a_table_that_is_set_inactive_are_moved_by_staff_alone(self, open_now: TheHost) -> None:
        open_now.book("B1", starts_at=datetime.now(UTC) - timedelta(minutes=5), party=2)
        api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:1")
        run_all()
        open_now.floors["R1"] = a_floor(tables=[a_table("T1", active=False), a_table("T2")], services=[ALL_DAY])
        run_all()
        assert (tables_of("B1"), state_of("B1")) == (["T1"], (State.MANUAL_REVIEW, "table_out_of_service"))

    def test_an_edited_turn_time_moves_nobody(self, two_tables: TheHost, tonight: datetime) -> None:
        two_tables.book("B1", starts_at=tonight)
        run_all()
        before = list(Allocation.objects.values())
        shorter = a_service(turn_times=(TurnTime(max_party=100, minutes=60),), ends=time(20))
        two_tables.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")], services=[shorter])
        run_all()
        assert list(Allocation.objects.values()) == before
        assert state_of("B1")[0] == State.CONFIRMED

    def test_a_new_table_seats_who_was_too_many_before(self, one_table: TheHost, tonight: datetime) -> None:
        one_table.book("B1", starts_at=tonight, party=8)
        assert run_all()["B1"].reason == Reason.PARTY_TOO_LARGE
        one_table.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T8", seats=8)])
        assert run_all()["B1"].table_refs == ("T8",)

    def test_later_opening_hours_seat_who_came_outside_them(self, one_table: TheHost, tonight: datetime) -> None:
        one_table.book("B1", starts_at=tonight - timedelta(hours=3))
        assert run_all()["B1"].reason == Reason.OUTSIDE_SERVICE
        one_table.floors["R1"] = a_floor(tables=[a_table("T1")], services=[a_service(starts=time(12))])
        assert run_all()["B1"].table_refs == ("T1",)


class TestNoShowMinutes:
    @pytest.mark.parametrize(("reports", "expected"), [(True, Stage.NO_SHOW), (False, Stage.EXPECTED)])
    def test_guests_are_marked_by_the_clock_only_where_the_host_reports_arrivals(
        self, open_now: TheHost, settings: Any, monkeypatch: Any, reports: bool, expected: Stage
    ) -> None:
        monkeypatch.setattr(TheHost, "reports_arrivals", reports, raising=False)
        open_now.book("B1", starts_at=datetime.now(UTC) - timedelta(minutes=40), party=2)
        api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:1")
        run_all()
        assert Assignment.objects.get().stage == Stage.EXPECTED, "never, unless the setting says so"
        with override(settings, NO_SHOW_MINUTES=30, rows=open_now.rows):
            run_all()
        assert Assignment.objects.get().stage == expected
        assert tables_of("B1") == ([] if reports else ["T1"])


def test_reconcile_takes_over_tables_that_the_hosts_staff_chose(two_tables: TheHost, tonight: datetime) -> None:
    two_tables.book("B1", starts_at=tonight)
    run_all()
    other = {"T1": "T2", "T2": "T1"}[tables_of("B1")[0]]
    shown(two_tables, "B1", other)
    assert [found.problem for found in reconcile()] == ["other tables in the host than here"]
    assert tables_of("B1") == [other]
    assert list(reconcile()) == []


def test_a_rejected_booking_is_not_planned_again_by_a_corrected_name(one_table: TheHost, tonight: datetime) -> None:
    one_table.book("B1", starts_at=tonight, party=9)
    run_all()
    api.reject(booking_ref="B1", actor="staff:7", reason="too many")
    assert api.booking_changed(booking_ref="B1") is Change.NOTHING
    one_table.edit("B1", party=2)
    assert api.booking_changed(booking_ref="B1") is Change.REQUESTED
    assert run_all()["B1"].table_refs == ("T1",)


class TestQueries:
    """BEGIN, COMMIT and the host's own included; the host is in memory, so the example counts its queries again."""

    def test_an_edit_costs_at_most_twenty(
        self, two_tables: TheHost, tonight: datetime, django_assert_max_num_queries: Any
    ) -> None:
        two_tables.book("B1", starts_at=tonight)
        run_all()
        two_tables.edit("B1", starts_at=tonight + timedelta(minutes=30))
        with django_assert_max_num_queries(20):
            assert api.booking_changed(booking_ref="B1") is Change.KEPT

    def test_a_walk_in_costs_at_most_twenty(self, open_now: TheHost, django_assert_max_num_queries: Any) -> None:
        with django_assert_max_num_queries(20):
            api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7")

    def test_waking_costs_at_most_five_more(
        self, one_table: TheHost, tonight: datetime, django_assert_max_num_queries: Any
    ) -> None:
        book_in_turn(one_table, tonight, ["A", "W1"])
        run_all()
        to_review("W1")
        one_table.edit("A", wants_table=False)
        with django_assert_max_num_queries(20 + 5):
            api.booking_changed(booking_ref="A")


class TestGuestsWhoSitElsewhereInTheHost:
    def test_a_join_that_the_host_gives_to_guests_who_sit_is_theirs_from_now_on(self, open_now: TheHost) -> None:
        open_now.book("B1", starts_at=datetime.now(UTC) - timedelta(minutes=30), party=2)
        api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:1")
        api.seated(booking_ref="B1", actor="staff:1")
        open_now.seated["B1"] = replace(open_now.seated["B1"], table_refs=("T1", "T2"))
        assert api.booking_changed(booking_ref="B1") is Change.MOVED
        assert tables_of("B1") == ["T1", "T2"]
        past = Allocation.objects.get(ended_at__isnull=False)
        assert (past.table_ref, past.blocked.upper) == ("T1", past.ended_at)

    def test_an_overlap_cannot_be_rejected(self, open_now: TheHost) -> None:
        now = datetime.now(UTC)
        open_now.book("B1", starts_at=now - timedelta(minutes=30), ends_at=now + timedelta(hours=1), party=2)
        for ref in ("B2", "B3"):
            open_now.book(ref, starts_at=now + timedelta(hours=1), party=2)
        for ref, table in (("B1", "T1"), ("B2", "T1"), ("B3", "T2")):
            api.assign(booking_ref=ref, table_refs=[table], actor="staff:1")
        assert api.extend(booking_ref="B1", until=now + timedelta(hours=2), actor="staff:7").change is Change.TO_STAFF
        with pytest.raises(TransitionRefusedError, match="move one of them"):
            api.reject(booking_ref="B1", actor="staff:7", reason="no")
        assert (tables_of("B1"), tables_of("B2")) == (["T1"], ["T1"])
