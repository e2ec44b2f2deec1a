"""The public API: edits, cancellations, broken tables, holds, assigning by hand, pins, explanations."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from assignments import api, conf
from assignments.exceptions import (
    AssignmentNotFoundError,
    BookingBusyError,
    BookingNotFoundError,
    HoldExpiredError,
    InvalidBookingError,
    TablesRefusedError,
    TransitionRefusedError,
)
from assignments.maintenance.reconcile import reconcile
from assignments.models import Allocation, Assignment, Attempt, State, StateTransition
from assignments.outcome import Change, Kind
from assignments.planning.reasons import Reason
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import HOST_PATH, TheHost, run_all, state_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def seated(host: TheHost, tonight: datetime) -> TheHost:
    """Booking B1, two covers, confirmed at T4."""
    host.book("B1", starts_at=tonight, party=2)
    assert run_all()["B1"].table_refs == ("T4",)
    return host


def tables_of(ref: str) -> list[str]:
    return sorted(Allocation.objects.filter(booking_ref=ref).values_list("table_ref", flat=True))


class TestBookingChanged:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"party": 4}, Change.MOVED),
            ({"starts_at": timedelta(hours=1)}, Change.KEPT),
            ({"starts_at": timedelta(days=1)}, Change.KEPT),
            ({"zone_ref": "terrace"}, Change.TO_STAFF),
        ],
        ids=str,
    )
    def test_an_edit_that_matters_is_settled_in_the_same_transaction(
        self, seated: TheHost, tonight: datetime, change: dict[str, Any], expected: Change
    ) -> None:
        if "starts_at" in change:
            change = {"starts_at": tonight + change["starts_at"]}
        with transaction.atomic():
            seated.edit("B1", **change)
            assert api.booking_changed(booking_ref="B1") is expected
            tables, state = tables_of("B1"), state_of("B1")
        assert seated.released == []
        assert run_all() == {}
        if expected is Change.TO_STAFF:
            assert (tables, state) == (["T4"], (State.MANUAL_REVIEW, "edit_unmet"))
            assert Allocation.objects.get().starts_at == tonight
        else:
            assert state == (State.CONFIRMED, "booking_changed")
            assert tables == (["T1"] if expected is Change.MOVED else ["T4"])
            assert Allocation.objects.get().starts_at == seated.rows["B1"].starts_at

    def test_an_edit_that_does_not_matter_changes_nothing(self, seated: TheHost) -> None:
        assert api.booking_changed(booking_ref="B1") is Change.NOTHING
        assert (state_of("B1")[0], tables_of("B1"), seated.released) == (State.CONFIRMED, ["T4"], [])

    def test_if_the_hosts_change_is_rolled_back_so_is_ours(self, seated: TheHost) -> None:
        with pytest.raises(RuntimeError), transaction.atomic():
            seated.edit("B1", party=4)
            api.booking_changed(booking_ref="B1")
            raise RuntimeError("the form had another error")
        assert (state_of("B1")[0], tables_of("B1")) == (State.CONFIRMED, ["T4"])

    def test_a_booking_that_was_never_requested_is_requested(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        assert api.booking_changed(booking_ref="B1") is not Change.NOTHING
        assert state_of("B1")[0] == State.CREATED

    def test_a_failed_booking_that_was_mended_is_planned(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=0)
        assert run_all()["B1"].kind is Kind.FAILED
        host.edit("B1", party=2)
        api.booking_changed(booking_ref="B1")
        assert run_all()["B1"].kind is Kind.CONFIRMED

    def test_a_booking_that_came_back_from_its_cancellation_is_planned(self, seated: TheHost) -> None:
        seated.edit("B1", wants_table=False)
        api.booking_changed(booking_ref="B1")
        assert state_of("B1")[0] == State.CANCELLED
        seated.edit("B1", wants_table=True, is_confirmed=False)
        api.booking_changed(booking_ref="B1")
        assert run_all()["B1"].kind is Kind.CONFIRMED

    def test_a_host_that_set_it_back_to_waiting_is_told_again(self, seated: TheHost) -> None:
        seated.edit("B1", is_confirmed=False)
        assert api.booking_changed(booking_ref="B1") is Change.NOTHING
        assert seated.rows["B1"].is_confirmed

    def test_a_stricter_setting_moves_nobody_who_has_a_table(
        self, host: TheHost, tonight: datetime, settings: Any
    ) -> None:
        host.book("B1", starts_at=tonight, party=2)
        api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:7")
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "MAX_SPARE_SEATS": 1}
        host_now = conf.load(HOST_PATH)
        host_now.rows = host.rows
        assert api.booking_changed(booking_ref="B1") is Change.NOTHING
        assert tables_of("B1") == ["T1"]

    def test_an_unknown_booking_is_named(self, host: TheHost) -> None:
        with pytest.raises(BookingNotFoundError, match="B404"):
            api.booking_changed(booking_ref="B404")


def test_a_cancellation_frees_the_tables_in_the_same_transaction(seated: TheHost, tonight: datetime) -> None:
    with transaction.atomic():
        seated.edit("B1", wants_table=False)
        api.booking_cancelled(booking_ref="B1")
        assert tables_of("B1") == []
    assert state_of("B1") == (State.CANCELLED, "cancelled_by_call")
    seated.book("B2", starts_at=tonight, party=2)
    assert run_all()["B2"].table_refs == ("T4",)
    api.booking_cancelled(booking_ref="B1")
    api.booking_cancelled(booking_ref="never requested")
    assert StateTransition.objects.filter(name="cancel").count() == 1


def test_a_broken_table_moves_who_sat_there_and_takes_nobody_until_mended(seated: TheHost, tonight: datetime) -> None:
    seated.book("B2", starts_at=tonight + timedelta(days=7), party=2)
    run_all()
    closure_id = api.close(
        restaurant_ref="R1",
        table_refs=["T4"],
        starts_at=tonight - timedelta(hours=2),
        ends_at=tonight + timedelta(hours=5),
    )
    assert state_of("B1")[0] == State.CONFIRMED
    assert (tables_of("B1"), seated.seated["B1"].table_refs) == (["T1"], ("T1",))
    assert tables_of("B2") == ["T4"]
    api.lift_closure(closure_id=closure_id, actor="host")
    api.release_tables(booking_ref="B1")
    assert run_all()["B1"].table_refs == ("T4",)


@pytest.mark.parametrize(
    ("starts", "ends"),
    [
        (datetime(2030, 1, 1, 19), datetime(2030, 1, 1, 20)),  # noqa: DTZ001
        (datetime(2030, 1, 1, 20, tzinfo=UTC), datetime(2030, 1, 1, 19, tzinfo=UTC)),
    ],
)
def test_a_closure_with_impossible_times_is_refused(seated: TheHost, starts: datetime, ends: datetime) -> None:
    with pytest.raises(ValueError, match="R1"):
        api.close(restaurant_ref="R1", table_refs=["T4"], starts_at=starts, ends_at=ends)
    assert tables_of("B1") == ["T4"]


class TestByHand:
    @pytest.mark.parametrize(
        ("party", "table_refs", "reasons"),
        [
            (3, ["T4"], {Reason.TOO_FEW_SEATS}),
            (2, ["T9"], {Reason.UNKNOWN_TABLE}),
            (2, [], {Reason.UNKNOWN_TABLE}),
            (2, ["T1", "T1"], {Reason.TABLE_REPEATED}),
            (6, ["T1", "T3"], {Reason.NOT_ADJACENT}),
            (2, ["T1", "T2"], {Reason.TOO_MANY_SPARE_SEATS}),
            (2, ["T2"], {Reason.TABLE_TAKEN}),
            (14, ["T1", "T2", "T3", "T4"], {Reason.TOO_MANY_TABLES, Reason.TABLE_TAKEN}),
        ],
    )
    def test_tables_that_will_not_do_are_refused_with_every_reason(
        self, host: TheHost, tonight: datetime, party: int, table_refs: list[str], reasons: set[Reason]
    ) -> None:
        host.book("B0", starts_at=tonight, party=4)
        api.assign(booking_ref="B0", table_refs=["T2"], actor="staff:7")
        host.book("B1", starts_at=tonight, party=party)
        judged = api.judge(booking_ref="B1", table_refs=table_refs)
        with pytest.raises(TablesRefusedError) as refused:
            api.assign(booking_ref="B1", table_refs=table_refs, actor="staff:7")
        assert reasons <= {refusal.reason for refusal in refused.value.refusals}
        assert judged == refused.value.refusals
        assert tables_of("B1") == []

    def test_staff_can_move_a_confirmed_booking(self, seated: TheHost) -> None:
        outcome = api.assign(booking_ref="B1", table_refs=["T2"], actor="staff:7", reason="window seat")
        assert (outcome.kind, outcome.planner, outcome.table_refs) == (Kind.CONFIRMED, "manual", ("T2",))
        assert tables_of("B1") == ["T2"]
        assert seated.seated["B1"].table_refs == ("T2",)
        actors = StateTransition.objects.filter(booking_ref="B1", name="reseat").values_list("actor", "reason")
        assert list(actors) == [("staff:7", "window seat")]

    def test_staff_can_settle_a_booking_from_the_review_queue(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=14)
        assert run_all()["B1"].kind is Kind.MANUAL_REVIEW
        host.edit("B1", party=8)
        api.assign(booking_ref="B1", table_refs=["T1", "T2"], actor="staff:7")
        assert (state_of("B1")[0], tables_of("B1")) == (State.CONFIRMED, ["T1", "T2"])
        assert run_all() == {}

    def test_a_booking_that_is_being_edited_or_cancelled_is_not_assigned(
        self, host: TheHost, tonight: datetime
    ) -> None:
        host.book("B1", starts_at=tonight)
        host.locked.add("B1")
        with pytest.raises(BookingBusyError, match="B1"):
            api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:7")
        host.locked.clear()
        host.edit("B1", wants_table=False)
        with pytest.raises(InvalidBookingError, match="B1"):
            api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:7")


class TestHolds:
    def test_a_hold_keeps_the_table_from_others_and_becomes_the_seating(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=2)
        host.book("B2", starts_at=tonight, party=2)
        held = api.hold(booking_ref="B1", table_refs=["T4"])
        assert held.expires_at - datetime.now(UTC) > timedelta(seconds=170)
        assert api.assign_now(booking_ref="B2").table_refs == ("T1",)
        api.assign(booking_ref="B1", table_refs=["T4"], actor="host", hold_token=held.token)
        assert tables_of("B1") == ["T4"]

    def test_an_expired_or_returned_hold_cannot_be_used(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        held = api.hold(booking_ref="B1", table_refs=["T4"])
        Allocation.objects.update(expires_at=datetime(2020, 1, 1, tzinfo=UTC))
        with pytest.raises(HoldExpiredError, match="B1"):
            api.assign(booking_ref="B1", table_refs=["T4"], actor="host", hold_token=held.token)
        again = api.hold(booking_ref="B1", table_refs=["T1"])
        assert api.release_hold(token=again.token) is True
        assert api.release_hold(token=again.token) is False
        assert tables_of("B1") == []

    def test_a_new_hold_replaces_the_old_one_and_a_seated_booking_needs_none(
        self, host: TheHost, tonight: datetime
    ) -> None:
        host.book("B1", starts_at=tonight)
        api.hold(booking_ref="B1", table_refs=["T4"])
        api.hold(booking_ref="B1", table_refs=["T1"])
        assert tables_of("B1") == ["T1"]
        api.assign(booking_ref="B1", table_refs=["T1"], actor="host")
        with pytest.raises(TransitionRefusedError, match="B1"):
            api.hold(booking_ref="B1", table_refs=["T2"])

    def test_a_hold_lasts_from_now_on_however_old_the_transaction_is(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        with transaction.atomic():
            api.request(booking_ref="B1")
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.5), clock_timestamp()")
                _slept, asked_at = cursor.fetchone()
            held = api.hold(booking_ref="B1", table_refs=["T4"], seconds=60)
        assert held.expires_at >= asked_at + timedelta(seconds=60)

    @pytest.mark.parametrize("seconds", [0, -1])
    def test_a_hold_must_last(self, host: TheHost, tonight: datetime, seconds: float) -> None:
        host.book("B1", starts_at=tonight)
        with pytest.raises(ValueError, match=str(seconds)):
            api.hold(booking_ref="B1", table_refs=["T4"], seconds=seconds)


class TestPins:
    def test_a_pinned_booking_gets_its_tables_or_none(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=2)
        host.book("B2", starts_at=tonight, party=2)
        api.request(booking_ref="B2")
        api.pin(booking_ref="B2", table_refs=["T4"], actor="staff:7")
        outcomes = run_all()
        assert (outcomes["B1"].table_refs, outcomes["B2"].table_refs) == (("T1",), ("T4",))
        api.pin(booking_ref="B1", table_refs=["T4"], actor="staff:7")
        assert (tables_of("B1"), state_of("B1")) == (["T1"], (State.MANUAL_REVIEW, "pinned_tables_taken"))
        api.unpin(booking_ref="B1", actor="staff:7")
        assert (tables_of("B1"), state_of("B1")[0]) == (["T1"], State.CONFIRMED)

    def test_pinning_the_tables_that_it_has_leaves_it_there(self, seated: TheHost) -> None:
        api.pin(booking_ref="B1", table_refs=["T4"], actor="staff:7")
        assert (state_of("B1")[0], tables_of("B1")) == (State.CONFIRMED, ["T4"])
        api.unpin(booking_ref="B1", actor="staff:7")
        assert tables_of("B1") == ["T4"]

    def test_tables_that_could_never_seat_it_cannot_be_pinned(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=4)
        with pytest.raises(TablesRefusedError, match="T4"):
            api.pin(booking_ref="B1", table_refs=["T4"], actor="staff:7")


class TestLooking:
    def test_evaluate_ranks_what_fits_and_writes_nothing(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=2)
        decision = api.evaluate(booking_ref="B1")
        assert decision.plans[0].table_refs == ("T4",)
        assert not Assignment.objects.exists()

    def test_explain_says_what_it_has_and_why(self, seated: TheHost) -> None:
        explanation = api.explain(booking_ref="B1")
        assert (explanation.state, explanation.table_refs) == ("confirmed", ("T4",))
        assert "T4" in explanation.text
        assert "for 2 covers" in explanation.text
        assert [row.target for row in explanation.transitions][-1] == "confirmed"

    def test_explain_says_why_there_is_no_table(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=14)
        run_all()
        text = api.explain(booking_ref="B1").text
        assert "manual review" in text
        assert "14" in text

    def test_explain_before_any_attempt_and_for_a_stranger(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        api.request(booking_ref="B1")
        assert "No attempts yet." in api.explain(booking_ref="B1").text
        with pytest.raises(AssignmentNotFoundError, match="B404"):
            api.explain(booking_ref="B404")


def test_release_and_reopen_start_over(seated: TheHost, tonight: datetime) -> None:
    assert api.release_tables(booking_ref="B1", actor="staff:7") == ("T4",)
    assert run_all()["B1"].kind is Kind.CONFIRMED
    seated.book("B2", starts_at=tonight, party=14)
    run_all()
    seated.edit("B2", party=4)
    api.reopen(booking_ref="B2", actor="staff:7")
    assert Assignment.objects.get(booking_ref="B2").attempts == 0
    assert run_all()["B2"].kind is Kind.CONFIRMED
    with pytest.raises(TransitionRefusedError, match="B2 is confirmed"):
        api.reopen(booking_ref="B2", actor="staff:7")
    assert Assignment.objects.get(booking_ref="B2").state == "confirmed"


@pytest.mark.parametrize("ref", ["B404", "B1\0"])
def test_an_unknown_ref_is_named_whoever_is_asked(host: TheHost, ref: str) -> None:
    for ask in (
        lambda: api.assign_now(booking_ref=ref),
        lambda: api.evaluate(booking_ref=ref),
        lambda: api.hold(booking_ref=ref, table_refs=["T1"]),
        lambda: api.assign(booking_ref=ref, table_refs=["T1"], actor="staff:1"),
        lambda: api.pin(booking_ref=ref, table_refs=["T1"], actor="staff:1"),
        lambda: api.release_tables(booking_ref=ref),
        lambda: api.booking_changed(booking_ref=ref),
        lambda: api.explain(booking_ref=ref),
    ):
        with pytest.raises((BookingNotFoundError, AssignmentNotFoundError)) as unknown:
            ask()
        assert repr(ref) in str(unknown.value)
    api.booking_cancelled(booking_ref=ref)
    assert not Assignment.objects.exists()


def test_joined_tables_are_told_in_the_order_of_their_names(host: TheHost, tonight: datetime) -> None:
    names = {"b": "T2", "a": "T10"}
    tables = [a_table(ref, name=name) for ref, name in names.items()]
    host.floors["R1"] = a_floor(tables=tables, adjacent=[("a", "b")])
    in_order = ("b", "a")
    host.book("B1", starts_at=tonight, party=8)
    assert run_all()["B1"].table_refs == in_order
    assert host.seated["B1"].table_refs == in_order
    assert Attempt.objects.get().table_refs == list(in_order)
    explained = api.explain(booking_ref="B1")
    assert explained.table_refs == in_order
    assert "T2 + T10" in explained.text

    host.edit("B1", is_confirmed=False)
    assert len(list(reconcile())) == 1
    assert host.seated["B1"].table_refs == in_order

    api.release_tables(booking_ref="B1")
    hold = api.hold(booking_ref="B1", table_refs=["a", "b"])
    assert hold.table_refs == in_order
    api.assign(booking_ref="B1", table_refs=["a", "b"], actor="staff:1", hold_token=hold.token)
    assert host.seated["B1"].table_refs == in_order
