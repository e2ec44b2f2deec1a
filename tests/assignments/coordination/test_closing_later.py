"""A table closes while guests sit there, now or later: it is theirs until then, and nobody else's."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from assignments import api
from assignments.concurrency import transactions
from assignments.concurrency.clock import at
from assignments.exceptions import TransitionRefusedError
from assignments.models import Allocation, Assignment, Stage, State
from assignments.outcome import Kind
from assignments.planning.floor import TurnTime
from assignments.planning.reasons import Reason
from assignments.telemetry.invariants import SHARED_SOON, STAY_HOURS
from assignments.testing import a_floor, a_service, a_table
from tests.assignments.conftest import TheHost, run_all, state_of, tables_of

pytestmark = pytest.mark.django_db(transaction=True)

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
STAFF = "staff:7"


def close(starts_at: datetime, *tables: str, hours: float = 2) -> int:
    return api.close(
        restaurant_ref="R1", table_refs=tables, starts_at=starts_at, ends_at=starts_at + hours * HOUR, actor=STAFF
    )


class TestWhoSitsThere:
    """They sit at T1 from 19:00 to 21:00, and at 19:10 somebody closes it from 20:45 on."""

    @pytest.fixture
    def at_ten_past(self, host: TheHost, tonight: datetime) -> Any:
        turn = a_service(turn_times=(TurnTime(max_party=100, minutes=30),))
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2", seats=2)], services=[turn])
        host.book("B1", starts_at=tonight, ends_at=tonight + 2 * HOUR, party=4)
        run_all()
        with at(tonight + 10 * MINUTE):
            yield

    @pytest.mark.parametrize("marked", [True, False])
    def test_a_closure_that_begins_later_leaves_them_their_table_until_then(
        self, at_ten_past: None, host: TheHost, tonight: datetime, marked: bool
    ) -> None:
        if marked:
            api.seated(booking_ref="B1", actor=STAFF)
        close(tonight + 105 * MINUTE, "T1")
        assert tables_of("B1") == ["T1"]
        assert state_of("B1") == (State.MANUAL_REVIEW, "table_out_of_service")
        assert "closes at 20:45" in Assignment.objects.get(booking_ref="B1").transitions.latest("id").detail
        row = Allocation.objects.get()
        assert (row.ended_at, row.blocked.upper) == (None, tonight + 105 * MINUTE)
        assert (row.ends_at, row.stays_until) == (tonight + 2 * HOUR, tonight + 2 * HOUR)
        host.book("W", starts_at=tonight + 15 * MINUTE, party=4)
        assert run_all()["W"].kind is not Kind.CONFIRMED, "they sit there"
        api.left(booking_ref="B1", actor=STAFF)
        assert (tables_of("B1"), state_of("B1")[0]) == ([], State.CONFIRMED)
        run_all()
        assert tables_of("W") == ["T1"]

    def test_staff_move_them_for_the_whole_rest_of_their_stay(self, at_ten_past: None, tonight: datetime) -> None:
        api.seated(booking_ref="B1", actor=STAFF)
        close(tonight + 105 * MINUTE, "T1")
        api.move(booking_ref="B1", table_refs=["T2"], actor=STAFF, overriding=[Reason.TOO_FEW_SEATS])
        row = Allocation.objects.current().get()
        assert (row.table_ref, row.ends_at) == ("T2", tonight + 2 * HOUR)
        assert state_of("B1")[0] == State.CONFIRMED

    def test_if_they_leave_before_it_closes_nothing_is_left_to_decide(
        self, at_ten_past: None, tonight: datetime
    ) -> None:
        close(tonight + 105 * MINUTE, "T1")
        api.extend(booking_ref="B1", until=tonight + 100 * MINUTE, actor=STAFF)
        assert (tables_of("B1"), state_of("B1")[0]) == (["T1"], State.CONFIRMED)

    @pytest.mark.parametrize("how", ["lifted", "later"])
    def test_a_closure_that_is_lifted_in_time_leaves_them_where_they_are(
        self, at_ten_past: None, tonight: datetime, how: str
    ) -> None:
        api.seated(booking_ref="B1", actor=STAFF)
        closure = close(tonight + 105 * MINUTE, "T1")
        if how == "lifted":
            api.lift_closure(closure_id=closure, actor=STAFF)
        else:
            api.edit_closure(closure_id=closure, actor=STAFF, starts_at=tonight + 2 * HOUR)
        assert (tables_of("B1"), state_of("B1")) == (["T1"], (State.CONFIRMED, "table_stays_open"))
        row = Allocation.objects.get()
        assert (row.blocked.upper, row.overstays_until) == (tonight + 2 * HOUR, None)
        with pytest.raises(TransitionRefusedError, match="nothing can be taken back"):
            api.undo(booking_ref="B1", actor=STAFF)

    def test_what_a_closure_did_is_taken_back_by_lifting_it(self, at_ten_past: None, tonight: datetime) -> None:
        close(tonight + 105 * MINUTE, "T1")
        with pytest.raises(Exception, match="nothing can be taken back"):
            api.undo(booking_ref="B1", actor=STAFF)

    def test_a_closure_that_begins_now_frees_it_now(self, at_ten_past: None, tonight: datetime) -> None:
        api.seated(booking_ref="B1", actor=STAFF)
        close(tonight, "T1")
        assert (tables_of("B1"), state_of("B1")[0]) == ([], State.MANUAL_REVIEW)
        assert Allocation.objects.get().ended_at is not None

    def test_guests_who_overstay_hear_of_it_too(self, at_ten_past: None, tonight: datetime) -> None:
        Allocation.objects.update(
            overstays_until=tonight + 3 * HOUR, blocked=(tonight, tonight + 3 * HOUR)
        )  # Somebody follows later.
        close(tonight + 150 * MINUTE, "T1")
        assert state_of("B1") == (State.MANUAL_REVIEW, "table_out_of_service")
        assert Allocation.objects.get().blocked.upper == tonight + 150 * MINUTE


class TestWhatClosesForLess:
    """B1 sits at T1, the only table for four, from 19:00 to 21:00, and it closes from 20:00 on."""

    @pytest.fixture
    def cut(self, host: TheHost, tonight: datetime) -> Any:
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2", seats=2)], services=[a_service()])
        host.book("B1", starts_at=tonight, ends_at=tonight + 2 * HOUR, party=4)
        run_all()
        with at(tonight + 10 * MINUTE):
            api.seated(booking_ref="B1", actor=STAFF)
            self.closure = close(tonight + HOUR, "T1")
            yield

    def expect_until(self, until: datetime) -> None:
        row = Allocation.objects.current().get(booking_ref="B1")
        assert row.blocked.upper == until
        assert state_of("B1") == (State.MANUAL_REVIEW, "table_out_of_service")
        detail = Assignment.objects.get(booking_ref="B1").transitions.latest("id").detail
        assert f"closes at {until:%H:%M}" in detail

    @pytest.mark.parametrize("how", ["later", "one of two lifted"])
    def test_guests_keep_their_table_until_the_first_closure_that_remains(
        self, cut: None, host: TheHost, tonight: datetime, how: str
    ) -> None:
        until = tonight + 100 * MINUTE
        if how == "later":
            api.edit_closure(closure_id=self.closure, actor=STAFF, starts_at=until)
        else:
            close(until, "T1")
            self.expect_until(tonight + HOUR)
            api.lift_closure(closure_id=self.closure, actor=STAFF)
        self.expect_until(until)
        host.book("W", starts_at=tonight + HOUR, ends_at=until, party=4)
        run_all()
        assert tables_of("W") == []

    @pytest.mark.parametrize("minutes", [50, 90])
    def test_the_host_says_that_they_leave_earlier(
        self, cut: None, host: TheHost, tonight: datetime, minutes: int
    ) -> None:
        until, closes_at = tonight + minutes * MINUTE, tonight + HOUR
        host.edit("B1", ends_at=until)
        api.booking_changed(booking_ref="B1")
        row = Allocation.objects.current().get()
        assert (row.ends_at, row.stays_until, row.overridden_by) == (until, until, "")
        if until < closes_at:
            assert (row.blocked.upper, state_of("B1")[0]) == (until, State.CONFIRMED)
        else:
            self.expect_until(closes_at)
            api.lift_closure(closure_id=self.closure, actor=STAFF)
            assert (Allocation.objects.get().blocked.upper, state_of("B1")[0]) == (until, State.CONFIRMED)

    def test_nobody_is_planned_there_behind_a_short_closure(self, cut: None, host: TheHost, tonight: datetime) -> None:
        api.edit_closure(closure_id=self.closure, actor=STAFF, ends_at=tonight + 90 * MINUTE)
        history = Assignment.objects.get(booking_ref="B1").transitions.count()
        host.book("W", starts_at=tonight + 90 * MINUTE, ends_at=tonight + 3 * HOUR, party=4)
        host.book("V", starts_at=tonight + 2 * HOUR, ends_at=tonight + 4 * HOUR, party=4)
        run_all()
        assert (tables_of("W"), tables_of("V")) == ([], ["T1"])
        assert Assignment.objects.get(booking_ref="B1").transitions.count() == history
        api.booking_cancelled(booking_ref="V")
        api.left(booking_ref="B1", actor=STAFF)
        run_all()
        assert tables_of("W") == ["T1"]

    def test_who_has_the_table_behind_it_hears_of_them_when_it_is_lifted(
        self, cut: None, host: TheHost, tonight: datetime
    ) -> None:
        """The host gives W the table, and nobody else decides that."""
        api.edit_closure(closure_id=self.closure, actor=STAFF, ends_at=tonight + 90 * MINUTE)
        host.book("W", starts_at=tonight + 90 * MINUTE, ends_at=tonight + 3 * HOUR, party=4)
        run_all()
        host.edit("W", is_confirmed=True, table_refs=("T1",))
        api.booking_changed(booking_ref="W")
        assert tables_of("W") == ["T1"]
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT ({SHARED_SOON})", {"stay_hours": STAY_HOURS})
            assert cursor.fetchone() == (1,)
        api.lift_closure(closure_id=self.closure, actor=STAFF)
        assert state_of("B1")[1] == state_of("W")[1] == "overlapping"
        assert Allocation.objects.get(booking_ref="B1").blocked.upper == tonight + 90 * MINUTE


class TestWhoWaitsForStaffAlready:
    """T1 is the only table for four."""

    @pytest.fixture
    def sitting(self, host: TheHost, tonight: datetime) -> TheHost:
        """B1 sits at T1 from 19:00 to 21:00."""
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2", seats=2)])
        host.book("B1", starts_at=tonight, ends_at=tonight + 2 * HOUR, party=4)
        run_all()
        return host

    @pytest.mark.parametrize("then", ["rejected", "withdrawn", "lifted"])
    def test_staff_hear_of_the_closure_beside_a_wish(self, sitting: TheHost, tonight: datetime, then: str) -> None:
        with at(tonight + 10 * MINUTE):
            api.seated(booking_ref="B1", actor=STAFF)
            sitting.edit("B1", party=9)
            api.booking_changed(booking_ref="B1")
            assert state_of("B1") == (State.MANUAL_REVIEW, "edit_unmet")
            closure = close(tonight + HOUR, "T1")
            assert state_of("B1") == (State.MANUAL_REVIEW, "table_out_of_service")
            assert sitting.reviews == {"B1": "table_out_of_service"}
            row = Allocation.objects.get()
            assert (row.blocked.upper, row.stays_until) == (tonight + HOUR, tonight + 2 * HOUR)
            if then != "lifted":
                if then == "rejected":
                    api.reject(booking_ref="B1", actor=STAFF, reason="Too many.")
                else:
                    sitting.edit("B1", party=4)
                    api.booking_changed(booking_ref="B1")
                assert state_of("B1") == (State.MANUAL_REVIEW, "table_out_of_service"), "it closes all the same"
                assert not Assignment.objects.get(booking_ref="B1").is_wish_undecided
            api.lift_closure(closure_id=closure, actor=STAFF)
        wanted = (State.CONFIRMED, "table_stays_open") if then != "lifted" else (State.MANUAL_REVIEW, "edit_unmet")
        assert (state_of("B1"), Allocation.objects.get().blocked.upper) == (wanted, tonight + 2 * HOUR)

    def test_no_pass_lets_guests_who_overstay_sit_where_it_closes(self, sitting: TheHost, tonight: datetime) -> None:
        sitting.book("F", starts_at=tonight + 2 * HOUR, party=4)
        run_all()
        with at(tonight + 10 * MINUTE):
            api.seated(booking_ref="B1", actor=STAFF)
            api.extend(booking_ref="B1", until=tonight + 150 * MINUTE, actor=STAFF)
            assert state_of("B1")[1] == state_of("F")[1] == "overlapping"
            close(tonight + 130 * MINUTE, "T1")
            assert sitting.reviews == {"B1": "table_out_of_service", "F": "table_out_of_service"}
            run_all()
            assert state_of("B1") == state_of("F") == (State.MANUAL_REVIEW, "table_out_of_service")
            assert tables_of("F") == []
            row = Allocation.objects.current().get()
            assert (row.blocked.upper, row.stays_until) == (tonight + 130 * MINUTE, tonight + 150 * MINUTE)
            assert row.overridden_by == ""
            detail = Assignment.objects.get(booking_ref="B1").transitions.latest("id").detail
            assert "closes at 21:10" in detail
            api.reject(booking_ref="F", actor=STAFF, reason="There is no table.")


def test_guests_at_a_join_keep_both_tables_until_one_closes(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight, party=8)
    run_all()
    closing, open_one = tables_of("B1")
    with at(tonight + 10 * MINUTE):
        api.seated(booking_ref="B1", actor=STAFF)
        close(tonight + 90 * MINUTE, closing)
        assert tables_of("B1") == [closing, open_one]
        until = dict(Allocation.objects.values_list("table_ref", "blocked"))
        assert until[closing].upper == tonight + 90 * MINUTE
        assert until[open_one].upper == tonight + 2 * HOUR
        host.book("W", starts_at=tonight + 12 * MINUTE, ends_at=tonight + HOUR, party=2)
        run_all()
        assert not {closing, open_one} & set(tables_of("W"))
        api.left(booking_ref="B1", actor=STAFF)
        assert tables_of("B1") == []
        assert Assignment.objects.get(booking_ref="B1").stage == Stage.LEFT


class TestWhoWasSeatedOverAClosureByName:
    @pytest.fixture
    def over(self, host: TheHost, tonight: datetime) -> int:
        """The restaurant is closed, and staff have seated B1 at T1 by name."""
        closure = api.close(restaurant_ref="R1", starts_at=tonight - HOUR, ends_at=tonight + 5 * HOUR, actor=STAFF)
        host.book("B1", starts_at=tonight, party=4)
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF, overriding=[Reason.CLOSED])
        return closure

    def test_stays_when_the_same_table_is_closed_once_more(self, over: int, tonight: datetime) -> None:
        close(tonight - HOUR, "T1", hours=5)
        assert (tables_of("B1"), state_of("B1")[0]) == (["T1"], State.CONFIRMED)

    def test_leaves_when_it_is_closed_after_the_first_closure_was_lifted(self, over: int, tonight: datetime) -> None:
        api.lift_closure(closure_id=over, actor=STAFF)
        close(tonight - HOUR, "T1", hours=5)
        assert tables_of("B1") not in ([], ["T1"])


class TestWhoWasSeatedOverASmallClosure:
    """T1 is closed from 19:00 to 19:30, and B1 is seated there from 19:00 to 21:00 all the same."""

    @pytest.mark.parametrize("covered", [False, True])
    def test_leaves_when_the_restaurant_closes_for_the_evening(
        self, host: TheHost, tonight: datetime, covered: bool
    ) -> None:
        close(tonight, "T1", hours=0.5)
        if covered:  # By two closures, one after the other.
            close(tonight + 30 * MINUTE, "T1")
        host.book("B1", starts_at=tonight, party=4)
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF, overriding=[Reason.CLOSED])
        api.close(restaurant_ref="R1", starts_at=tonight - HOUR, ends_at=tonight + 5 * HOUR, actor=STAFF)
        if covered:
            assert (tables_of("B1"), state_of("B1")[0]) == (["T1"], State.CONFIRMED)
        else:
            assert (tables_of("B1"), state_of("B1")[1]) == ([], "table_out_of_service")

    def test_the_host_passes_over_nothing_that_is_closed_later(self, host: TheHost, tonight: datetime) -> None:
        close(tonight, "T1")
        host.book("B1", starts_at=tonight, party=4)
        api.request(booking_ref="B1")
        host.edit("B1", is_confirmed=True, table_refs=("T1",))
        api.booking_changed(booking_ref="B1")
        assert Allocation.objects.get().overridden_by == "host"
        close(tonight, "T1")
        assert tables_of("B1") != ["T1"]


def test_guests_who_sit_before_their_time_hear_of_a_closure_until_then(host: TheHost, tonight: datetime) -> None:
    """They sit since 18:40, and have booked for 19:00. T1 closes from 18:45 to 18:55."""
    service = a_service(buffer_before_minutes=30)
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")], services=[service])
    for ref in ("B1", "B2"):
        host.book(ref, starts_at=tonight, party=4)
    run_all()
    (table,), (other,) = tables_of("B1"), tables_of("B2")
    with at(tonight - 20 * MINUTE):
        api.seated(booking_ref="B1", actor=STAFF)
        close(tonight - 15 * MINUTE, table, other, hours=1 / 6)
    assert state_of("B1") == (State.MANUAL_REVIEW, "table_out_of_service")
    row = Allocation.objects.get(booking_ref="B1")
    assert (row.ended_at, row.blocked.upper, row.stays_until) == (None, tonight - 15 * MINUTE, tonight + 2 * HOUR)
    assert (tables_of("B2"), state_of("B2")[0]) == ([other], State.CONFIRMED), "nobody sits there yet"


class TestTheDatabaseItself:
    """Updates of the ledger by whomever."""

    @pytest.fixture
    def beside(self, host: TheHost, tonight: datetime) -> None:
        """B1 is at T1 from 19:00 to 21:00, which is closed from 22:00 to midnight; T2 is closed from 18:00 on."""
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
        host.book("B1", starts_at=tonight)
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
        close(tonight + 3 * HOUR, "T1")
        close(tonight - HOUR, "T2", hours=5)
        host.floors["R2"] = host.floors["R1"]
        api.close(restaurant_ref="R2", starts_at=tonight, actor=STAFF)

    @pytest.mark.parametrize(
        "change",
        [
            "ends_at = ends_at + interval '2 hours', "
            "blocked = tstzrange(lower(blocked), upper(blocked) + interval '2 hours')",
            "starts_at = starts_at + interval '3 hours', ends_at = ends_at + interval '3 hours', "
            "blocked = tstzrange(lower(blocked) + interval '3 hours', upper(blocked) + interval '3 hours')",
            "overstays_until = ends_at + interval '2 hours', "
            "blocked = tstzrange(lower(blocked), upper(blocked) + interval '2 hours')",
            "table_ref = 'T2'",
            "restaurant_ref = 'R2'",
        ],
    )
    def test_no_update_grows_over_a_closure_unless_it_names_who_said_so(self, beside: None, change: str) -> None:
        def update(more: str = "") -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"UPDATE assignments_allocation SET {change}{more}")

        with pytest.raises(IntegrityError) as refused:
            update()
        assert transactions.is_overlap(refused.value)
        update(", overridden_by = 'staff:7'")

    def test_what_it_had_before_it_may_keep(self, beside: None, tonight: datetime) -> None:
        """A closure that an earlier release wrote beside a seating: it can still be cut off, and end."""
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE assignments_closure SET starts_at = %s WHERE table_refs = '{T1}'", [tonight + 90 * MINUTE]
            )
        row = Allocation.objects.get()
        Allocation.objects.update(blocked=(tonight, tonight + 110 * MINUTE), party=3)
        with pytest.raises(IntegrityError), transaction.atomic():
            Allocation.objects.update(blocked=(tonight, tonight + 2 * HOUR))
        Allocation.objects.filter(pk=row.pk).update(ended_at=tonight, blocked=(tonight, tonight + HOUR))
        with pytest.raises(IntegrityError), transaction.atomic():
            Allocation.objects.update(ended_at=None, blocked=row.blocked)
