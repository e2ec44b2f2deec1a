"""What a guest asks for instead of what was promised, until staff have decided about it."""

import uuid
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any, ClassVar

import pytest
from django.db import connection, transaction

from assignments import api
from assignments.coordination import dispatch, floor_watch
from assignments.exceptions import TransitionRefusedError
from assignments.lifecycle import sentences
from assignments.maintenance.reconcile import reconcile
from assignments.models import Allocation, Assignment, OutboxMessage, Stage, State, StateTransition
from assignments.outcome import Change
from assignments.staff import evening, review_queue
from assignments.staff.review_queue import Section
from assignments.testing import a_floor, a_table, at
from tests.assignments.conftest import ALL_DAY, TheHost, run_all, state_of, tables_of
from tests.assignments.test_living_evening import to_review

pytestmark = pytest.mark.django_db(transaction=True)

OPEN = (State.MANUAL_REVIEW, "edit_unmet")


def seat(host: TheHost, ref: str, table_ref: str, starts_at: datetime, *, days_ago: int = 1, **kwargs: object) -> None:
    """A booking at a table that staff chose."""
    host.book(ref, starts_at=starts_at, party=2, requested_at=datetime.now(UTC) - timedelta(days=days_ago))
    host.edit(ref, **kwargs)
    api.assign(booking_ref=ref, table_refs=[table_ref], actor="staff:1")


def why_in_review(ref: str) -> str:
    """The sentence that the page shows with the reason: that of the last transition, as it can be translated."""
    last = StateTransition.objects.filter(booking_ref=ref).order_by("-version").first()
    assert last is not None
    detail = str(last.detail)
    assert sentences.read(detail) is not None, f"a sentence of ours: {detail!r}"
    return detail


def call_off(host: TheHost, ref: str) -> None:
    host.edit(ref, wants_table=False)
    api.booking_cancelled(booking_ref=ref)


@pytest.fixture
def soon(host: TheHost) -> datetime:
    """One table, all day, and a start in half an hour."""
    host.floors["R1"] = a_floor(tables=[a_table("T1")], services=[ALL_DAY])
    return datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=30)


def test_a_wish_outlasts_the_repair_of_a_table_that_was_out_of_service(host: TheHost, tonight: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
    seat(host, "A", "T1", tonight)
    seat(host, "X", "T2", tonight)
    run_all()
    host.floors["R1"] = a_floor(tables=[a_table("T1", active=False), a_table("T2")])
    run_all()
    host.edit("A", party=9)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    call_off(host, "X")
    run_all()
    assert (state_of("A"), tables_of("A")) == (OPEN, ["T2"])
    api.reject(booking_ref="A", actor="staff:7", reason="no")
    assert api.booking_changed(booking_ref="A") is Change.NOTHING
    assert (state_of("A"), tables_of("A")) == ((State.CONFIRMED, "edit_rejected"), ["T2"])


def test_a_wish_outlasts_an_overlap(host: TheHost, soon: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")], services=[ALL_DAY])
    seat(host, "B1", "T1", datetime.now(UTC))
    api.seated(booking_ref="B1", actor="staff:1")
    end = Allocation.objects.get().ends_at
    for ref, table in (("B2", "T1"), ("B3", "T2")):
        seat(host, ref, table, end + timedelta(minutes=10))
    assert api.extend(booking_ref="B1", until=end + timedelta(minutes=45), actor="staff:7").change is Change.TO_STAFF
    host.edit("B2", party=9)
    assert api.booking_changed(booking_ref="B2") is Change.TO_STAFF
    assert state_of("B2") == (State.MANUAL_REVIEW, "overlapping")
    api.left(booking_ref="B1", actor="staff:7")
    list(dispatch.run_pass())
    assert (state_of("B2"), tables_of("B2")) == (OPEN, ["T1"])
    assert host.reviews["B2"] == "edit_unmet"
    assert why_in_review("B2") == sentences.STILL_ASKED


def test_undoing_the_move_that_granted_a_wish_opens_it_again(host: TheHost, tonight: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
    tomorrow = tonight + timedelta(days=1)
    seat(host, "A", "T1", tonight)
    seat(host, "X", "T1", tomorrow)
    seat(host, "Y", "T2", tomorrow)
    host.edit("A", starts_at=tomorrow)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    api.booking_cancelled(booking_ref="Y")
    api.assign(booking_ref="A", table_refs=["T2"], actor="staff:7")
    api.undo(booking_ref="A", actor="staff:7")
    assert state_of("A") == OPEN
    assert why_in_review("A") == sentences.STILL_ASKED
    (shown,) = evening.evening("R1", tonight.date(), now=tonight).seated
    assert shown.says == sentences.STILL_ASKED
    assert Allocation.objects.get(booking_ref="A").starts_at == tonight
    assert api.booking_changed(booking_ref="A") is Change.NOTHING
    assert state_of("A") == OPEN


class TestATableThatCannotBeUsedMeanwhile:
    """A guest asks for what cannot be had; then the table that was promised is set inactive, or is gone."""

    @pytest.mark.parametrize("gone", [False, True], ids=["inactive", "deleted"])
    def test_they_get_another_for_what_was_promised(self, host: TheHost, tonight: datetime, *, gone: bool) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
        seat(host, "A", "T1", tonight)
        run_all()
        host.edit("A", party=9)
        api.booking_changed(booking_ref="A")
        tables = [a_table("T2")] if gone else [a_table("T1", active=False), a_table("T2")]
        host.floors["R1"] = a_floor(tables=tables)
        run_all()
        assert (state_of("A"), tables_of("A"), Allocation.objects.current().get().party) == (OPEN, ["T2"], 2)
        assert [move.to_table_refs for move in host.moves] == [("T2",)]
        assert api.booking_changed(booking_ref="A") is Change.NOTHING
        api.reject(booking_ref="A", actor="staff:7", reason="We have no table for nine.")
        assert (state_of("A")[0], tables_of("A")) == (State.CONFIRMED, ["T2"])

    def test_if_there_is_no_other_staff_hear_of_that_as_well(self, host: TheHost, tonight: datetime) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
        seat(host, "A", "T1", tonight)
        seat(host, "X", "T2", tonight)
        run_all()
        host.edit("A", party=9)
        api.booking_changed(booking_ref="A")
        host.floors["R1"] = a_floor(tables=[a_table("T1", active=False), a_table("T2")])
        run_all()
        assert (state_of("A"), tables_of("A")) == ((State.MANUAL_REVIEW, "table_out_of_service"), ["T1"])
        assert host.reviews["A"] == "table_out_of_service"
        assert why_in_review("A") == sentences.UNUSABLE
        call_off(host, "X")
        run_all()
        assert (state_of("A"), tables_of("A")) == (OPEN, ["T2"]), "what was promised; staff still decide about the wish"

    def test_guests_who_sit_there_are_moved_by_staff_alone(self, host: TheHost, soon: datetime) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")], services=[ALL_DAY])
        seat(host, "A", "T1", soon - timedelta(minutes=35))
        run_all()
        host.edit("A", party=9)
        assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
        host.floors["R1"] = a_floor(tables=[a_table("T1", active=False), a_table("T2")], services=[ALL_DAY])
        run_all()
        assert (state_of("A"), tables_of("A")) == ((State.MANUAL_REVIEW, "table_out_of_service"), ["T1"])

    def test_who_waits_and_asked_earlier_goes_first(self, host: TheHost, tonight: datetime) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
        seat(host, "A", "T1", tonight)
        host.book("W", starts_at=tonight, party=2, requested_at=datetime.now(UTC) - timedelta(days=2))
        run_all()
        assert tables_of("W") == ["T2"]
        api.release_tables(booking_ref="W", actor="staff:7")
        host.edit("A", party=9)
        api.booking_changed(booking_ref="A")
        host.floors["R1"] = a_floor(tables=[a_table("T1", active=False), a_table("T2")])
        dispatch.register_new()
        floor_watch.check(host, now=datetime.now(UTC))
        assert (state_of("A")[1], tables_of("A")) == ("table_out_of_service", ["T1"])
        call_off(host, "W")
        run_all()
        assert (state_of("A"), tables_of("A")) == (OPEN, ["T2"])

    @pytest.fixture
    def overlap(self, host: TheHost, soon: datetime) -> datetime:
        """B1 overstays at T1, where B2 is expected; nobody is at T2 but X."""
        self.tables(host, is_active=True)
        seat(host, "B1", "T1", datetime.now(UTC))
        api.seated(booking_ref="B1", actor="staff:1")
        end = Allocation.objects.get().ends_at
        later = end + timedelta(minutes=10)
        for ref, table in (("B2", "T1"), ("X", "T2")):
            seat(host, ref, table, later)
        assert (
            api.extend(booking_ref="B1", until=end + timedelta(minutes=45), actor="staff:7").change is Change.TO_STAFF
        )
        run_all()
        return later

    def tables(self, host: TheHost, *, is_active: bool) -> None:
        tables = [a_table("T1", active=is_active), a_table("T2")]
        host.floors["R1"] = a_floor(tables=tables, services=[ALL_DAY])

    @pytest.mark.usefixtures("overlap")
    def test_who_is_expected_where_others_overstay_is_moved(self, host: TheHost) -> None:
        host.edit("X", wants_table=False)
        self.tables(host, is_active=False)
        Assignment.objects.filter(booking_ref="B2").update(wake_at=None)
        api.booking_cancelled(booking_ref="X")
        Assignment.objects.filter(booking_ref="B2").update(wake_at=None)
        floor_watch.check(host, now=datetime.now(UTC))
        assert (state_of("B2")[0], tables_of("B2")) == (State.CONFIRMED, ["T2"])
        run_all()
        assert state_of("B1") == (State.MANUAL_REVIEW, "table_out_of_service"), "they sit there"

    @pytest.mark.usefixtures("overlap")
    def test_once_the_overlap_is_over_staff_hear_of_the_table(self, host: TheHost) -> None:
        self.tables(host, is_active=False)
        run_all()
        assert {state_of(ref) for ref in ("B1", "B2")} == {(State.MANUAL_REVIEW, "overlapping")}
        api.left(booking_ref="B1", actor="staff:7")
        run_all()
        assert (state_of("B2"), tables_of("B2")) == ((State.MANUAL_REVIEW, "table_out_of_service"), ["T1"])


def test_the_queue_says_why_the_last_wish_cannot_be_met(host: TheHost, tonight: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1")])
    seat(host, "A", "T1", tonight)
    host.edit("A", party=9)
    api.booking_changed(booking_ref="A")
    first = StateTransition.objects.filter(booking_ref="A").latest("version").detail
    host.reviews.clear()
    host.edit("A", party=2, starts_at=tonight + timedelta(hours=9))
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    second = StateTransition.objects.filter(booking_ref="A").latest("version")
    assert (second.target, second.reason) == OPEN
    assert second.detail not in {"", first}
    assert host.reviews == {"A": "edit_unmet"}
    topics = list(OutboxMessage.objects.filter(booking_ref="A").order_by("id").values_list("topic", flat=True))
    assert topics[-2:] == ["booking.assignment_state.manual_review"] * 2, "nothing is confirmed in between"


class TestGuestsWhoSitAtATableThatNobodyHasNamed:
    SITS: ClassVar = {"wants_table": False, "keeps_tables": True, "stage": "seated"}

    @pytest.fixture
    def waiting(self, host: TheHost, soon: datetime) -> TheHost:
        """W waits in review: others have the only table."""
        seat(host, "X", "T1", soon)
        host.book("W", starts_at=soon, party=2)
        api.request(booking_ref="W")
        to_review("W")
        return host

    def test_they_stay_in_review_until_staff_name_it(self, waiting: TheHost) -> None:
        waiting.edit("W", **self.SITS)
        assert api.booking_changed(booking_ref="W") is Change.TO_STAFF
        row = Assignment.objects.get(booking_ref="W")
        assert (row.state, row.reason, row.stage) == (State.MANUAL_REVIEW, "came_after_all", Stage.SEATED)
        assert waiting.reviews["W"] == "came_after_all"
        assert why_in_review("W") == sentences.SIT_SOMEWHERE
        assert api.booking_changed(booking_ref="W") is Change.NOTHING, "staff know"
        assert not list(reconcile())
        call_off(waiting, "X")
        run_all()
        assert (state_of("W")[1], tables_of("W")) == ("came_after_all", [])
        api.assign(booking_ref="W", table_refs=["T1"], actor="staff:7")
        row = Assignment.objects.get(booking_ref="W")
        assert (row.state, row.stage, tables_of("W")) == (State.CONFIRMED, Stage.SEATED, ["T1"])

    def test_a_pass_that_sees_it_first_cancels_nothing(self, waiting: TheHost) -> None:
        call_off(waiting, "X")
        assert Assignment.objects.get(booking_ref="W").is_woken
        waiting.edit("W", **self.SITS)
        run_all()
        row = Assignment.objects.get(booking_ref="W")
        assert (row.state, row.wake_at, tables_of("W")) == (State.MANUAL_REVIEW, None, [])
        assert [each.remedy for each in reconcile()] == ["left to staff"]
        assert state_of("W") == (State.MANUAL_REVIEW, "came_after_all")

    def test_who_has_left_by_then_is_not_to_be_seated(self, waiting: TheHost) -> None:
        waiting.edit("W", **self.SITS)
        api.booking_changed(booking_ref="W")
        waiting.edit("W", stage="left")
        api.booking_changed(booking_ref="W")
        row = Assignment.objects.get(booking_ref="W")
        assert (row.state, row.stage, tables_of("W")) == (State.CONFIRMED, Stage.LEFT, [])

    def test_a_stay_that_is_over_needs_no_table(self, waiting: TheHost, soon: datetime) -> None:
        waiting.edit("W", **self.SITS)
        with at(soon + timedelta(hours=9)):
            api.booking_changed(booking_ref="W")
        assert state_of("W") == (State.CANCELLED, "no_table_wanted")


@pytest.mark.parametrize("mark", [api.no_show, api.left])
def test_who_asks_for_tomorrow_and_does_not_come_tonight_is_planned_for_tomorrow(
    host: TheHost, soon: datetime, mark: object
) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")], services=[ALL_DAY])
    tomorrow = soon + timedelta(days=1)
    seat(host, "A", "T1", soon)
    seat(host, "X", "T1", tomorrow)
    seat(host, "Y", "T2", tomorrow)
    host.edit("A", starts_at=tomorrow)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    with at(soon + timedelta(minutes=40)):
        api.late(booking_ref="A", actor="staff:1")
        assert mark(booking_ref="A", actor="staff:1") == ("T1",)  # type: ignore[operator]
        assert tables_of("A") == []
        with pytest.raises(TransitionRefusedError):
            api.undo(booking_ref="A", actor="staff:1")
        call_off(host, "Y")
        run_all()
        row = Assignment.objects.get(booking_ref="A")
        assert (row.state, row.stage, row.starts_at) == (State.CONFIRMED, Stage.EXPECTED, tomorrow)
        assert tables_of("A") == ["T2"]


def test_a_no_show_by_the_host_itself_is_over(host: TheHost, soon: datetime) -> None:
    tomorrow = soon + timedelta(days=1)
    seat(host, "A", "T1", soon)
    seat(host, "X", "T1", tomorrow)
    host.edit("A", starts_at=tomorrow)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    with at(soon + timedelta(minutes=40)):
        host.edit("A", wants_table=False, keeps_tables=True, stage="no_show")
        assert api.booking_changed(booking_ref="A") is Change.CANCELLED
    assert (Assignment.objects.get(booking_ref="A").stage, tables_of("A")) == (Stage.NO_SHOW, [])


def test_who_is_there_after_all_has_the_wish_still(host: TheHost, soon: datetime) -> None:
    seat(host, "A", "T1", soon)
    host.edit("A", party=9)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    with at(soon + timedelta(minutes=20)):
        api.no_show(booking_ref="A", actor="staff:1")
        assert state_of("A") == (State.CONFIRMED, "no_show")
        assert api.booking_changed(booking_ref="A") is Change.NOTHING
        api.undo(booking_ref="A", actor="staff:1")
        assert (state_of("A"), tables_of("A")) == (OPEN, ["T1"])
        assert api.booking_changed(booking_ref="A") is Change.NOTHING
        assert state_of("A") == OPEN


@pytest.mark.parametrize("stage", ["seated", "arrived_again"])
def test_a_longer_stay_that_staff_rejected_is_not_granted_when_the_guests_come(
    host: TheHost, soon: datetime, stage: str
) -> None:
    seat(host, "A", "T1", soon, ends_at=soon + timedelta(hours=2))
    seat(host, "B", "T1", soon + timedelta(hours=2, minutes=30), ends_at=soon + timedelta(hours=4))
    host.edit("A", ends_at=soon + timedelta(hours=3))
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    api.reject(booking_ref="A", actor="staff:7", reason="no")
    assert api.booking_changed(booking_ref="A") is Change.NOTHING
    with at(soon + timedelta(minutes=2)):
        if stage == "arrived_again":
            host.edit("A", wants_table=False, keeps_tables=True, stage="no_show")
            assert api.booking_changed(booking_ref="A") is Change.CANCELLED
        host.edit("A", wants_table=False, keeps_tables=True, stage="seated")
        api.booking_changed(booking_ref="A")
    row = Allocation.objects.get(booking_ref="A", ended_at=None)
    assert (row.stays_until, row.overstays_until) == (soon + timedelta(hours=2), None)
    assert state_of("B")[0] == State.CONFIRMED


@pytest.mark.parametrize("is_rejected_first", [True, False])
def test_sitting_down_grants_no_larger_party(host: TheHost, soon: datetime, *, is_rejected_first: bool) -> None:
    seat(host, "A", "T1", soon)
    host.edit("A", party=9)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    if is_rejected_first:
        api.reject(booking_ref="A", actor="staff:7", reason="no")
    with at(soon + timedelta(minutes=2)):
        host.edit("A", wants_table=False, keeps_tables=True, stage="seated")
        api.booking_changed(booking_ref="A")
        row = Assignment.objects.get(booking_ref="A")
        assert (row.party, row.stage) == (2, Stage.SEATED)
        if not is_rejected_first:
            assert state_of("A") == OPEN
            api.reject(booking_ref="A", actor="staff:7", reason="no")
    row = Assignment.objects.get(booking_ref="A")
    assert (row.state, row.party, row.asked_party) == (State.CONFIRMED, 2, 9)


@pytest.fixture(params=[False, True], ids=["waits", "is still confirmed"])
def wish_for_tomorrow(host: TheHost, tonight: datetime, request: pytest.FixtureRequest) -> datetime:
    """A is promised the only table tonight and asks for tomorrow, when X has just called off; N asked last. Tomorrow."""
    host.floors["R1"] = a_floor(tables=[a_table("T1")])
    tomorrow = tonight + timedelta(days=1)
    seat(host, "A", "T1", tonight, days_ago=9)
    seat(host, "X", "T1", tomorrow, days_ago=8)
    host.edit("A", starts_at=tomorrow, is_confirmed=request.param)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    host.book("N", starts_at=tomorrow, party=2, requested_at=datetime.now(UTC))
    return tomorrow


def test_who_asked_for_a_day_instead_is_not_passed_by_a_newcomer_of_that_day(
    host: TheHost, wish_for_tomorrow: datetime
) -> None:
    call_off(host, "X")
    assert not api.assign_now(booking_ref="N").table_refs
    assert (state_of("A"), Allocation.objects.get(booking_ref="A").starts_at) == (
        OPEN,
        wish_for_tomorrow - timedelta(days=1),
    )
    run_all()
    assert Allocation.objects.get(booking_ref="A").starts_at == wish_for_tomorrow
    assert (state_of("A")[0], tables_of("N")) == (State.CONFIRMED, [])


def test_a_pass_keeps_the_order_in_which_bookings_asked_for_a_day(host: TheHost, wish_for_tomorrow: datetime) -> None:
    api.request(booking_ref="N")
    Assignment.objects.filter(booking_ref="N").update(due_at=datetime(2020, 1, 1, tzinfo=UTC))  # Its day comes first.
    call_off(host, "X")
    list(dispatch.run_pass())
    assert Allocation.objects.get(booking_ref="A").starts_at == wish_for_tomorrow
    assert tables_of("N") == []


def test_a_newcomer_passes_a_wish_that_staff_have_rejected(host: TheHost, wish_for_tomorrow: datetime) -> None:
    api.reject(booking_ref="A", actor="staff:7", reason="no")
    call_off(host, "X")
    assert api.assign_now(booking_ref="N").table_refs == ("T1",)
    assert Allocation.objects.get(booking_ref="A").starts_at == wish_for_tomorrow - timedelta(days=1)


@pytest.mark.parametrize("is_in_review", [False, True])
def test_what_is_rejected_after_the_stay_has_begun_is_not_granted_when_they_sit(
    host: TheHost, *, is_in_review: bool
) -> None:
    """They ask for a start two hours ago, and for more seats than their table has."""
    host.floors["R1"] = a_floor(tables=[a_table("T1")], services=[ALL_DAY])
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    seat(host, "A", "T1", start)
    if is_in_review:
        host.edit("A", party=19)
        assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    host.edit("A", party=20, starts_at=start - timedelta(hours=2))
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    row = Assignment.objects.get(booking_ref="A")
    assert (row.party, row.starts_at) == (2, start)
    assert row.last_asked == ("R1", start - timedelta(hours=2), 20)
    api.reject(booking_ref="A", actor="staff:7", reason="no")
    host.edit("A", stage="seated", wants_table=False, keeps_tables=True)
    api.booking_changed(booking_ref="A")
    row = Assignment.objects.get(booking_ref="A")
    assert (row.party, row.stage) == (2, Stage.SEATED)


def test_the_way_back_of_the_migration_puts_the_wish_where_the_earlier_release_looks(
    wish_for_tomorrow: datetime,
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(import_module("assignments.migrations.0031_asked_instead").WISHES_BACK)
    row = Assignment.objects.get(booking_ref="A")
    assert (row.starts_at, row.service_date, row.party) == (wish_for_tomorrow, wish_for_tomorrow.date(), 2)
    assert Assignment.objects.get(booking_ref="X").starts_at == wish_for_tomorrow


def test_the_migration_tells_from_the_history_which_wishes_are_settled(
    host: TheHost, wish_for_tomorrow: datetime
) -> None:
    def migrated() -> bool:
        Assignment.objects.update(wish_settled=False)
        with connection.cursor() as cursor:
            cursor.execute(import_module("assignments.migrations.0032_wish_settled").SETTLED)
        settled: bool = Assignment.objects.get(booking_ref="A").wish_settled
        return settled

    assert not migrated()
    api.reject(booking_ref="A", actor="staff:7", reason="no")
    assert migrated()
    host.edit("A", party=1)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    assert not migrated()


@pytest.fixture
def wish_for_r2(host: TheHost, tonight: datetime) -> datetime:
    """A is promised R1's table in two weeks and asks for R2 tonight, where X has the only table. Tonight."""
    host.floors["R1"] = a_floor(tables=[a_table("T1")])
    host.floors["R2"] = a_floor(restaurant_ref="R2", tables=[a_table("T1")])
    seat(host, "B", "T1", tonight + timedelta(days=7))
    seat(host, "A", "T1", tonight + timedelta(days=14))
    host.book("X", restaurant_ref="R2", starts_at=tonight, party=2)
    api.assign(booking_ref="X", table_refs=["T1"], actor="staff:1")
    for ref, wish in (("A", {"restaurant_ref": "R2", "starts_at": tonight}), ("B", {"party": 9})):
        host.edit(ref, **wish)
        assert api.booking_changed(booking_ref=ref) is Change.TO_STAFF
    return tonight


def test_the_queue_shows_a_wish_when_and_where_it_is_to_be_decided(wish_for_r2: datetime) -> None:
    now = wish_for_r2 - timedelta(hours=3)

    def listed(*within: str) -> list[str]:
        found = review_queue.queue(Section.REVIEW, now=now, within=within or None)
        return list(found.values_list("booking_ref", flat=True))

    assert (listed(), listed("R1"), listed("R2"), listed("R3")) == (["A", "B"], ["A", "B"], ["A"], [])
    assert review_queue.to_decide(now) == (2, 1)
    assert review_queue.to_decide(now, within=["R2"]) == (1, 1)
    assert [review_queue.restaurants(now, within=each) for each in (None, ["R2"])] == [["R1", "R2"], ["R2"]]
    api.reject(booking_ref="A", actor="staff:7", reason="no")
    assert (listed("R1"), listed("R2")) == (["B"], [])


def test_another_table_where_a_guest_wants_to_come_wakes_the_wish(host: TheHost, wish_for_r2: datetime) -> None:
    host.edit("A", party=9)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    call_off(host, "X")  # Nobody else is promised anything there.
    run_all()
    assert Assignment.objects.get(booking_ref="A").restaurant_ref == "R1"
    host.floors["R2"] = a_floor(restaurant_ref="R2", tables=[a_table("T1"), a_table("T2", seats=9)])
    run_all()
    row = Assignment.objects.get(booking_ref="A")
    assert (row.state, row.restaurant_ref, row.starts_at) == (State.CONFIRMED, "R2", wish_for_r2)


def test_reconcile_sees_that_a_wish_for_later_is_called_off(host: TheHost, wish_for_tomorrow: datetime) -> None:
    with at(wish_for_tomorrow - timedelta(hours=10)):
        host.edit("A", wants_table=False)
        assert "A" in [found.booking_ref for found in reconcile()]
        assert state_of("A")[0] == State.CANCELLED


class TestAnEarlierReleaseBesideThisOne:
    """It knows no columns for what is asked for instead, and writes that in place of what was promised."""

    FACTS = ("restaurant_ref", "service_date", "starts_at", "asked_until", "party", "zone_ref", "needs")

    @pytest.fixture
    def promised(self, host: TheHost, tonight: datetime) -> dict[str, Any]:
        host.floors["R1"] = a_floor(tables=[a_table("T1", zone_ref="in"), a_table("T2", zone_ref="out")])
        seat(host, "A", "T1", tonight)
        return self.row()

    def row(self) -> dict[str, Any]:
        return dict(Assignment.objects.values(*self.FACTS).get(booking_ref="A"))

    def writes(self, state: str, reason: str, **facts: Any) -> Assignment:
        """What its one query does: state, reason, version and facts, and no other column."""
        before = Assignment.objects.get(booking_ref="A")
        with transaction.atomic():
            Assignment.objects.filter(pk=before.pk).update(
                state=state, reason=reason, version=before.version + 1, **facts
            )
            StateTransition.objects.create(
                assignment=before,
                booking_ref="A",
                version=before.version + 1,
                name="send_to_review" if state == State.MANUAL_REVIEW else "restore",
                source=before.state,
                target=state,
                reason=reason,
                actor="host",
                correlation_id=uuid.uuid4(),
            )
        return Assignment.objects.get(booking_ref="A")

    def asks(self, host: TheHost, starts_at: datetime, party: int, **facts: Any) -> Assignment:
        host.edit("A", starts_at=starts_at, party=party)
        return self.writes(*OPEN, starts_at=starts_at, service_date=starts_at.date(), party=party, **facts)

    def test_its_wish_is_set_aside_and_the_promise_stands(
        self, host: TheHost, tonight: datetime, promised: dict[str, Any]
    ) -> None:
        tomorrow = tonight + timedelta(days=1)
        found = self.asks(host, tomorrow, 9, zone_ref="out", needs=["window"])
        assert self.row() == promised
        assert (found.last_asked, found.asked_date) == (("R1", tomorrow, 9), tomorrow.date())
        assert (found.asked_zone_ref, found.asked_needs, found.is_wish_undecided) == ("out", ["window"], True)
        host.edit("A", zone_ref="out", needs=("window",))
        assert api.booking_changed(booking_ref="A") is Change.NOTHING
        found = self.asks(host, tomorrow, 8)
        assert (self.row(), found.asked_party) == (promised, 8)

        api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=tonight, ends_at=None, actor="staff:1")
        seating = Allocation.objects.current().get(booking_ref="A")
        assert (seating.table_ref, seating.starts_at, seating.party) == ("T2", tonight, 2)

    @pytest.mark.parametrize("state", [State.CANCELLED, State.ASSIGNMENT_PENDING])
    @pytest.mark.parametrize("writes_it", [True, False])
    def test_no_wish_is_left_of_a_booking_to_which_nothing_is_promised(
        self, host: TheHost, tonight: datetime, state: State, *, writes_it: bool
    ) -> None:
        """It cancels the booking, or plans it anew: then it may have written what is asked for."""
        host.floors["R1"] = a_floor(tables=[a_table("T1")])
        seat(host, "A", "T1", tonight)
        tomorrow = tonight + timedelta(days=1)
        host.edit("A", starts_at=tomorrow, party=9)
        assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
        facts = {"starts_at": tomorrow, "service_date": tomorrow.date(), "party": 9} if writes_it else {}
        due_at = tonight if state == State.ASSIGNMENT_PENDING else None
        found = self.writes(state, "edited", due_at=due_at, **facts)
        assert (found.has_wish, found.starts_at, found.service_date, found.party) == (
            False,
            tomorrow,
            tomorrow.date(),
            9,
        )

    def test_another_zone_alone_is_a_wish(self, promised: dict[str, Any]) -> None:
        found = self.writes(*OPEN, zone_ref="out")
        assert (self.row(), found.asked_zone_ref, found.is_wish_undecided) == (promised, "out", True)

    def test_a_wish_that_its_staff_reject_is_turned_down(
        self, host: TheHost, tonight: datetime, promised: dict[str, Any]
    ) -> None:
        self.asks(host, tonight, 9)
        found = self.writes(State.CONFIRMED, "edit_rejected")
        assert (self.row(), found.wish_settled) == (promised, True)
        assert api.booking_changed(booking_ref="A") is Change.NOTHING

    @pytest.mark.parametrize("party", [2, 3], ids=["withdrawn", "granted"])
    def test_a_wish_that_it_settles_is_forgotten(
        self, host: TheHost, tonight: datetime, promised: dict[str, Any], party: int
    ) -> None:
        self.asks(host, tonight, 3)
        found = self.writes(State.CONFIRMED, "booking_changed", party=party)
        assert (self.row(), found.has_wish) == (promised | {"party": party}, False)

    def test_a_wish_granted_after_another_was_turned_down_is_the_promise(
        self, host: TheHost, tonight: datetime, promised: dict[str, Any]
    ) -> None:
        self.asks(host, tonight, 9)
        self.writes(State.CONFIRMED, "edit_rejected")
        found = self.writes(State.CONFIRMED, "booking_changed", party=3)
        assert (self.row(), found.has_wish) == (promised | {"party": 3}, False)

    def test_what_it_wrote_before_is_set_aside_by_the_migration(
        self, tonight: datetime, promised: dict[str, Any]
    ) -> None:
        migration = import_module("assignments.migrations.0033_former_promise")
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE assignments_assignment DISABLE TRIGGER assignment_keeps_promise")
            self.writes(State.CONFIRMED, "edit_rejected", party=9)
            cursor.execute("ALTER TABLE assignments_assignment ENABLE TRIGGER assignment_keeps_promise")
            cursor.execute(migration.WISHES_ASIDE)
        found = Assignment.objects.get(booking_ref="A")
        assert (self.row(), found.asked_party, found.wish_settled) == (promised, 9, True)
