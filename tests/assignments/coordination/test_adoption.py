"""Bookings that the host seats by itself have their tables here as well, before anybody else gets them."""

import io
import json
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from assignments import api
from assignments.concurrency import clock
from assignments.coordination import dispatch
from assignments.exceptions import TableTakenError
from assignments.integration.host import Seating
from assignments.maintenance.reconcile import reconcile
from assignments.models import Allocation, Assignment, HostMark, Stage, State, StateTransition
from assignments.outcome import Change, Kind
from assignments.planning.reasons import OVERRIDABLE
from assignments.testing import a_floor, a_service, a_table
from tests.assignments.conftest import TheHost, run_all, tables_of
from tests.shapes.hosts import StayHost, VisitHost
from tests.shapes.models import Board, House, Stay, Visit

pytestmark = pytest.mark.django_db(transaction=True)

DAY = (datetime.now(UTC) + timedelta(days=30)).date()
NINETEEN = datetime.combine(DAY, time(19), tzinfo=UTC)
SOLE = "assignments.integration.planners.SoleRouter"


class StagedHost(VisitHost):
    """It knows who sits."""

    stage_statuses = {Visit.Stage.SEATED: "seated"}


class TableMeansSeatedHost(StayHost):
    """Whoever has a table is confirmed: it has no status."""

    confirmed_field = ""
    tables_mean_seated = True


def use(settings: Any, host: type, **given: Any) -> None:
    path = f"{host.__module__}.{host.__qualname__}"
    sinks = ("assignments.telemetry.events.MemorySink",)
    settings.ASSIGNMENTS = {"HOST": path, "ROUTER": SOLE, "EVENT_SINKS": sinks, "MOVABLE_CLOCK": True, **given}


@pytest.fixture
def house(settings: Any) -> House:
    """A house in UTC with one table for four, T1, and its host."""
    use(settings, StagedHost)
    house = House.objects.create(name="One")
    Board.objects.create(house=house, label="T1", places=4)
    return house


def visit(house: House, stage: int = Visit.Stage.ASKED, **given: Any) -> Visit:
    return Visit.objects.create(house=house, day=DAY, hour=time(19), guests=2, stage=stage, **given)


def seat(row: Visit, stage: int, board: Board | None = None) -> None:
    """Give a visit a table and a stage, as staff do in the host's admin: in one transaction."""
    with transaction.atomic():
        row.stage = stage
        row.save()
        row.boards.set([board or Board.objects.get()])


def states() -> dict[str, str]:
    return dict(Assignment.objects.values_list("booking_ref", "state"))


def checked() -> list[tuple[str, str]]:
    """What ``--check`` finds: promise and booking."""
    out = io.StringIO()
    try:
        call_command("reconcile_assignments", check=True, json=True, stdout=out)
    except CommandError as error:
        assert error.returncode == 4
    return [(row["promise"], row["booking_ref"]) for row in map(json.loads, out.getvalue().splitlines())]


def last_detail(ref: str) -> str:
    return StateTransition.objects.filter(booking_ref=ref).latest("version").detail


class TestSeatedBeforeAnyPass:
    def test_a_booking_that_staff_create_as_confirmed_has_its_table(self, house: House) -> None:
        first, second = visit(house), visit(house)
        with transaction.atomic():
            ours = visit(house, Visit.Stage.CONFIRMED)
            ours.boards.set([Board.objects.get()])
        run_all()
        assert tables_of(str(ours.pk)) == [str(Board.objects.get().pk)]
        assert states()[str(ours.pk)] == State.CONFIRMED
        assert not first.boards.exists()
        assert not second.boards.exists()
        assert Allocation.objects.get().overridden_by == ""
        assert not HostMark.objects.exists()
        assert list(reconcile()) == []
        assert checked() == []

    def test_where_tables_mean_seated_a_table_given_before_the_pass_is_theirs(self, settings: Any) -> None:
        use(settings, TableMeansSeatedHost)
        board = Board.objects.create(label="T1", places=4)
        ours = Stay.objects.create(start=NINETEEN, covers=2)
        other = Stay.objects.create(start=NINETEEN, covers=2)
        ours.board = board
        ours.save()
        run_all()
        other.refresh_from_db()
        assert (tables_of(str(ours.pk)), other.board) == ([str(board.pk)], None)
        assert states()[str(ours.pk)] == State.CONFIRMED

    def test_a_walk_in_that_is_saved_as_seated_has_its_table(self, house: House) -> None:
        with clock.at(NINETEEN + timedelta(minutes=5)):
            other = visit(house)
            ours = visit(house)
            seat(ours, Visit.Stage.SEATED)
            run_all()
            assert tables_of(str(ours.pk)) == [str(Board.objects.get().pk)]
            assert Assignment.objects.get(booking_ref=str(ours.pk)).stage == Stage.SEATED
            assert not other.boards.exists()
            unknown = Visit.objects.create(house=house, day=DAY, hour=time(12), guests=2)
            seat(unknown, Visit.Stage.SEATED)  # Their lunch is over: nothing is left to keep.
            assert str(unknown.pk) not in states()

    def test_staff_seat_in_the_host_what_waits_in_review_here(self, house: House) -> None:
        large = visit(house)
        Visit.objects.filter(pk=large.pk).update(guests=9)
        run_all()
        assert states()[str(large.pk)] == State.MANUAL_REVIEW
        seat(large, Visit.Stage.CONFIRMED)
        assert states()[str(large.pk)] == State.CONFIRMED
        visit(house)
        run_all()
        assert tables_of(str(large.pk)) == [str(Board.objects.get().pk)]
        assert Allocation.objects.count() == 1


class TestWithoutSignals:
    """Writes that send no signal: the next pass finds them for bookings that it decides, and the comparison for all."""

    @pytest.fixture(autouse=True)
    def silent(self, house: House, settings: Any) -> None:
        use(settings, StagedHost, CONNECT_SIGNALS=False)

    def test_a_pass_seats_them_before_anybody_else(self, house: House) -> None:
        first, ours = visit(house), visit(house)
        dispatch.register_new()
        seat(ours, Visit.Stage.CONFIRMED)
        outcomes = run_all()
        assert (outcomes[str(ours.pk)].kind, outcomes[str(ours.pk)].planner) == (Kind.CONFIRMED, "manual")
        assert outcomes[str(first.pk)].kind is Kind.RETRY
        assert tables_of(str(ours.pk)) == [str(Board.objects.get().pk)]

    def test_one_booking_inline_leaves_the_table_to_whoever_asked_earlier_and_has_it(self, house: House) -> None:
        ours, later = visit(house), visit(house)
        dispatch.register_new()
        seat(ours, Visit.Stage.CONFIRMED)
        Assignment.objects.filter(booking_ref=str(ours.pk)).update(requested_at=NINETEEN - timedelta(days=40))
        assert api.assign_now(booking_ref=str(later.pk)).kind is Kind.RETRY
        assert states()[str(ours.pk)] == State.CONFIRMED

    def test_two_at_one_table_are_both_named(self, house: House) -> None:
        one, other = visit(house), visit(house)
        dispatch.register_new()
        seat(one, Visit.Stage.CONFIRMED)
        seat(other, Visit.Stage.CONFIRMED)
        outcomes = run_all()
        assert outcomes[str(one.pk)].kind is Kind.CONFIRMED
        refused = outcomes[str(other.pk)]
        assert (refused.kind, refused.reason) == (Kind.MANUAL_REVIEW, "confirmed_by_host")
        assert f"booking {one.pk}" in last_detail(str(other.pk))
        (found,) = list(reconcile())
        assert (found.booking_ref, found.remedy) == (str(other.pk), "its tables are occupied: sent to review")
        assert set(checked()) == {
            ("host and ledger agree", str(other.pk)),
            ("the host shows no table twice", str(one.pk)),
            ("the host shows no table twice", str(other.pk)),
        }
        # One of them goes elsewhere: the other is seated where the host shows it.
        one.stage = Visit.Stage.CANCELLED
        one.save()
        api.booking_changed(booking_ref=str(one.pk))
        run_all()
        assert states()[str(other.pk)] == State.CONFIRMED
        assert checked() == []

    def test_reconcile_takes_over_what_waits_in_review(self, house: House) -> None:
        large = visit(house)
        Visit.objects.filter(pk=large.pk).update(guests=9)
        run_all()
        seat(large, Visit.Stage.CONFIRMED)
        assert checked() == [("host and ledger agree", str(large.pk))]
        (found,) = list(reconcile())
        assert (found.problem, found.remedy) == ("seated by the host, without tables here", "its tables are taken over")
        assert states()[str(large.pk)] == State.CONFIRMED
        assert checked() == []

    def test_reconcile_takes_over_a_table_of_guests_who_sit_already(self, house: House) -> None:
        large = visit(house)
        Visit.objects.filter(pk=large.pk).update(guests=9)
        run_all()
        seat(large, Visit.Stage.SEATED)
        with clock.at(NINETEEN + timedelta(minutes=5)):
            assert [found.booking_ref for found in reconcile()] == [str(large.pk)]
        assert tables_of(str(large.pk)) == [str(Board.objects.get().pk)]


def give(host: TheHost, ref: str, *tables: str) -> None:
    """The host shows the booking as confirmed at these tables."""
    start = host.rows[ref].starts_at
    host.seated[ref] = Seating(booking_ref=ref, table_refs=tables, starts_at=start, ends_at=start + timedelta(hours=2))
    host.edit(ref, is_confirmed=True)


class TestWhatWasSaid:
    def test_a_cancellation_by_call_is_not_undone(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        api.request(booking_ref="B1")
        api.booking_cancelled(booking_ref="B1")
        give(host, "B1", "T1")
        assert api.booking_changed(booking_ref="B1") is Change.NOTHING
        assert not Allocation.objects.exists()

    def test_guests_who_have_left_do_not_come_back(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        run_all()
        with clock.at(tonight + timedelta(minutes=30)):
            api.left(booking_ref="B1", actor="staff:1")
            api.booking_changed(booking_ref="B1")
            assert tables_of("B1") == []
            assert list(reconcile()) == []

    def test_a_hold_of_its_own_is_no_obstacle_and_one_of_others_is(self, host: TheHost, tonight: datetime) -> None:
        for ref in ("B1", "B2"):
            host.book(ref, starts_at=tonight)
        api.hold(booking_ref="B1", table_refs=["T1"])
        api.hold(booking_ref="B2", table_refs=["T2"])
        give(host, "B1", "T1")
        assert api.booking_changed(booking_ref="B1") is Change.KEPT
        assert tables_of("B1") == ["T1"]
        host.book("B3", starts_at=tonight)
        give(host, "B3", "T2")
        assert api.booking_changed(booking_ref="B3") is Change.TO_STAFF
        assert "booking B2" in last_detail("B3")

    def test_an_adopted_booking_is_confirmed_by_the_host_alone(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        give(host, "B1", "T1")
        host.raises["on_confirmed"] = ZeroDivisionError()
        assert api.booking_changed(booking_ref="B1") is Change.KEPT
        assert Assignment.objects.get().reason == "confirmed_by_host"
        assert Allocation.objects.get().planner == "manual"

    def test_one_that_the_host_has_locked_keeps_its_table(self, host: TheHost, tonight: datetime) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T1")])
        for ref in ("B1", "B2"):
            host.book(ref, starts_at=tonight)
        dispatch.register_new()
        give(host, "B2", "T1")
        host.locked.add("B2")
        assert run_all()["B1"].kind is Kind.RETRY
        assert tables_of("B2") == ["T1"]

    def test_a_host_may_do_without_the_time_to_set_a_table(self, host: TheHost, tonight: datetime) -> None:
        service = a_service(buffer_after_minutes=15)
        host.floors["R1"] = a_floor(tables=[a_table("T1")], services=[service])
        host.book("B1", starts_at=tonight)
        run_all()
        host.book("B2", starts_at=tonight - timedelta(hours=2))
        assert run_all()["B2"].kind is not Kind.CONFIRMED
        give(host, "B2", "T1")
        assert api.booking_changed(booking_ref="B2") is Change.KEPT
        assert (tables_of("B1"), tables_of("B2")) == (["T1"], ["T1"])


class TestOverClosures:
    def test_only_a_seating_over_a_closure_names_the_host(self, host: TheHost, tonight: datetime) -> None:
        api.close(restaurant_ref="R1", starts_at=tonight, table_refs=["T2"])
        for ref, table in (("B1", "T1"), ("B2", "T2")):
            host.book(ref, starts_at=tonight)
            give(host, ref, table)
            api.booking_changed(booking_ref=ref)
        assert dict(Allocation.objects.values_list("table_ref", "overridden_by")) == {"T1": "", "T2": "host"}

    def test_an_edited_closure_spares_only_who_was_seated_over_it(self, host: TheHost, tonight: datetime) -> None:
        closure = api.close(restaurant_ref="R1", starts_at=tonight, table_refs=["T2"])
        host.book("B2", starts_at=tonight)
        give(host, "B2", "T2")
        api.booking_changed(booking_ref="B2")
        other = api.close(restaurant_ref="R1", starts_at=tonight, table_refs=["T1"])
        host.book("B1", starts_at=tonight)
        give(host, "B1", "T1")
        api.booking_changed(booking_ref="B1")
        api.lift_closure(closure_id=other, actor="staff:1")
        api.edit_closure(closure_id=closure, actor="staff:1", table_refs=["T1", "T2"])
        assert tables_of("B2") == ["T2"]
        assert tables_of("B1") not in (["T1"], [])

    def test_tables_that_staff_chose_in_the_host_close_as_any_other(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        run_all()
        give(host, "B1", "T2")
        assert api.booking_changed(booking_ref="B1") is Change.MOVED
        closure = api.close(restaurant_ref="R1", starts_at=tonight, table_refs=["T3"])
        api.edit_closure(closure_id=closure, actor="staff:1", table_refs=["T2"])
        assert tables_of("B1") not in (["T2"], [])


class TestShownAtTheTableOfOthers:
    @pytest.fixture
    def shown(self, host: TheHost, tonight: datetime) -> TheHost:
        """B1 is at T1, and the host shows it at T2, where B2 is."""
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
        for ref, table in (("B1", "T1"), ("B2", "T2")):
            host.book(ref, starts_at=tonight)
            api.assign(booking_ref=ref, table_refs=[table], actor="staff:1")
        give(host, "B1", "T2")
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        return host

    def test_once_they_are_gone_it_is_seated_there(self, shown: TheHost) -> None:
        shown.edit("B2", wants_table=False)
        api.booking_changed(booking_ref="B2")
        assert Assignment.objects.get(booking_ref="B1").wake_at is not None
        run_all()
        assert (tables_of("B1"), states()["B1"]) == (["T2"], State.CONFIRMED)

    def test_while_they_are_there_it_sleeps_on_and_the_comparison_says_so(self, shown: TheHost) -> None:
        before = StateTransition.objects.count()
        Assignment.objects.filter(booking_ref="B1").update(wake_at=datetime.now(UTC))
        run_all()
        assert Assignment.objects.get(booking_ref="B1").wake_at is None
        assert [(each.booking_ref, each.remedy) for each in reconcile()] == [
            ("B1", "staff have to decide: it is in review")
        ]
        assert StateTransition.objects.count() == before
        assert {promise for promise, _ref in checked()} == {"host and ledger agree", "the host shows no table twice"}

    def test_shown_at_its_own_table_again_its_promise_stands(self, shown: TheHost) -> None:
        give(shown, "B1", "T1")
        assert api.booking_changed(booking_ref="B1") is Change.RESTORED
        assert (tables_of("B1"), states()["B1"]) == (["T1"], State.CONFIRMED)


def test_adopt_raises_where_somebody_else_sits(host: TheHost, tonight: datetime) -> None:
    for ref in ("B1", "B2"):
        host.book(ref, starts_at=tonight)
    api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:1")
    with pytest.raises(TableTakenError):
        api.adopt(booking_ref="B2", table_refs=["T1"])


def test_who_is_shown_where_others_overstay_goes_to_staff_with_them(host: TheHost, tonight: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")], adjacent=[("T1", "T2")])
    for ref, hours, tables in (("first", 0, ["T1"]), ("next", 3, ["T1", "T2"])):
        host.book(ref, starts_at=tonight + timedelta(hours=hours))
        api.assign(booking_ref=ref, table_refs=tables, actor="staff:1", overriding=OVERRIDABLE)
    until = tonight + timedelta(hours=3, minutes=30)
    api.extend(booking_ref="first", until=until, actor="staff:1")
    later = tonight + timedelta(hours=3)
    api.close(restaurant_ref="R1", table_refs=["T2"], starts_at=later, ends_at=later + timedelta(hours=3))
    api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=until, ends_at=until + timedelta(hours=3))
    assert tables_of("next") == []
    give(host, "next", "T1")
    assert api.booking_changed(booking_ref="next") is Change.TO_STAFF
    rows = {row.booking_ref: (row.state, row.reason) for row in Assignment.objects.all()}
    assert rows == dict.fromkeys(("first", "next"), (State.MANUAL_REVIEW, "overlapping"))
    assert ("first" in last_detail("next"), "next" in last_detail("first")) == (True, True)
    assert tables_of("first") == tables_of("next") == ["T1"]
    assert list(reconcile()) == []
