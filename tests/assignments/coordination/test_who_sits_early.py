"""Guests who sit before their booked time have their table from then on: staff move them, and nobody else does."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assignments import api
from assignments.concurrency.clock import shifted
from assignments.exceptions import TablesRefusedError
from assignments.models import Allocation, Assignment, OutboxMessage, Stage, State
from assignments.outcome import Change
from assignments.planning.reasons import Reason
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import ALL_DAY, TheHost, run_all, state_of, tables_of

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
STAFF = "staff:7"


def a_floor_of(*tables: Any) -> Any:
    return a_floor(tables=tables, services=[ALL_DAY])


@pytest.fixture
def open_now(host: TheHost) -> TheHost:
    """A restaurant that is open at any hour: a table for four, and a larger one at the window."""
    host.floors["R1"] = a_floor_of(a_table("T1"), a_table("T2", seats=6, features=frozenset({"window"})))
    return host


@pytest.fixture
def early(open_now: TheHost) -> TheHost:
    """B1 is booked in 45 minutes, and sits at T1."""
    open_now.book("B1", starts_at=datetime.now(UTC) + 45 * MINUTE, party=2)
    api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
    api.seated(booking_ref="B1", actor=STAFF)
    return open_now


def is_blocked_now(ref: str) -> bool:
    (row,) = Allocation.objects.current().filter(booking_ref=ref)
    return bool(row.blocked.lower <= datetime.now(UTC) < row.blocked.upper)


def detail_of(ref: str) -> str:
    return str(Assignment.objects.get(booking_ref=ref).transitions.order_by("-version")[0].detail)


class TestTheirTable:
    def test_nobody_is_seated_there_after_one_more_guest_has_come(self, early: TheHost) -> None:
        early.edit("B1", party=3)
        assert api.booking_changed(booking_ref="B1") is Change.KEPT
        assert is_blocked_now("B1")
        until = datetime.now(UTC) + 40 * MINUTE
        with pytest.raises(TablesRefusedError):
            api.seat_walk_in(restaurant_ref="R1", party=2, table_refs=["T1"], until=until, actor=STAFF)

    def test_planned_again_they_keep_it_from_now_on(self, early: TheHost) -> None:
        before = Allocation.objects.get()
        assert api.replan(booking_ref="B1", actor=STAFF)
        row = Allocation.objects.current().get()
        assert (row.table_ref, row.starts_at, row.ends_at) == ("T1", before.starts_at, before.ends_at)
        assert is_blocked_now("B1")

    @pytest.mark.parametrize(
        "happens",
        [
            lambda host: _edited(host, party=5),
            lambda host: _edited(host, starts_at=host.rows["B1"].starts_at + HOUR),
            lambda host: api.note_features(booking_ref="B1", needs=["window"]),
            lambda host: _edited_floor(host, a_table("T1", active=False), a_table("T2", seats=6)),
        ],
        ids=["too many guests", "another time", "another need", "the table is out of service"],
    )
    def test_they_stay_there_until_staff_move_them(self, early: TheHost, happens: Callable[[TheHost], Any]) -> None:
        happens(early)
        run_all()
        assert tables_of("B1") == ["T1"]
        assert is_blocked_now("B1")
        api.move(booking_ref="B1", table_refs=["T2"], actor=STAFF)
        assert tables_of("B1") == ["T2"]
        assert is_blocked_now("B1")

    @pytest.mark.parametrize("later", [timedelta(0), HOUR], ids=["before their time", "in their time"])
    def test_they_cannot_be_pinned_to_another_table_and_staff_hear_why(self, early: TheHost, later: timedelta) -> None:
        with shifted(later), pytest.raises(TablesRefusedError, match="sit already") as refused:
            api.pin(booking_ref="B1", table_refs=["T2"], actor=STAFF)
        assert [each.reason for each in refused.value.refusals] == [Reason.PINNED_TABLES_UNFIT]
        assert (state_of("B1")[0], tables_of("B1")) == (State.CONFIRMED, ["T1"])
        api.pin(booking_ref="B1", table_refs=["T1"], actor=STAFF)


def _edited(host: TheHost, **changes: Any) -> None:
    host.edit("B1", **changes)
    api.booking_changed(booking_ref="B1")


def _edited_floor(host: TheHost, *tables: Any) -> None:
    run_all()
    host.floors["R1"] = a_floor_of(*tables)


class TestAWishOfGuestsWhoSit:
    @pytest.fixture
    def sitting(self, open_now: TheHost) -> TheHost:
        """B1 sits at T1 in its time, and asks for one guest more than there are seats."""
        open_now.book("B1", starts_at=datetime.now(UTC) - 10 * MINUTE, party=4)
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
        run_all()
        api.seated(booking_ref="B1", actor=STAFF)
        open_now.edit("B1", party=5)
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        return open_now

    @pytest.mark.parametrize("how", ["pass", "reopen"])
    def test_it_is_granted_when_their_table_gets_more_seats(self, sitting: TheHost, how: str) -> None:
        sitting.floors["R1"] = a_floor_of(a_table("T1", seats=6), a_table("T2"))
        if how == "pass":
            run_all()
        else:
            api.reopen(booking_ref="B1", actor=STAFF)
        assert (state_of("B1")[0], tables_of("B1")) == (State.CONFIRMED, ["T1"])
        assert Allocation.objects.current().get().party == 5

    def test_it_is_granted_where_the_host_says_that_they_sit(self, sitting: TheHost) -> None:
        sitting.edit("B1", stage="seated", wants_table=False, keeps_tables=True)
        api.booking_changed(booking_ref="B1")
        sitting.floors["R1"] = a_floor_of(a_table("T1", seats=6), a_table("T2"))
        run_all()
        assert (state_of("B1")[0], tables_of("B1")) == (State.CONFIRMED, ["T1"])
        assert Allocation.objects.current().get().party == 5

    def test_it_leaves_them_the_longer_stay_that_staff_gave_them(self, sitting: TheHost) -> None:
        until = datetime.now(UTC) + 5 * HOUR
        api.extend(booking_ref="B1", until=until, actor=STAFF)
        sitting.floors["R1"] = a_floor_of(a_table("T1", seats=6), a_table("T2"))
        run_all()
        row = Allocation.objects.current().get()
        assert (row.party, row.ends_at) == (5, until)

    def test_it_is_granted_to_guests_who_sit_longer_than_they_were_to(self, sitting: TheHost) -> None:
        sitting.floors["R1"] = a_floor_of(a_table("T1", seats=6), a_table("T2"))
        with shifted(3 * HOUR):
            api.reopen(booking_ref="B1", actor=STAFF)
        assert Allocation.objects.current().get().party == 5

    def test_planned_again_guests_keep_the_table_at_which_they_sit(self, open_now: TheHost) -> None:
        open_now.book("B1", starts_at=datetime.now(UTC) - 10 * MINUTE, party=4)
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
        api.seated(booking_ref="B1", actor=STAFF)
        assert api.replan(booking_ref="B1", actor=STAFF)
        assert (state_of("B1")[0], tables_of("B1")) == (State.CONFIRMED, ["T1"])


SITS: dict[str, dict[str, Any]] = {
    "a status that wants no table": {"stage": "seated", "wants_table": False, "keeps_tables": True},
    "a status that wants one": {"stage": "seated"},
}


@pytest.mark.parametrize("status", SITS.values(), ids=SITS)
class TestTheHostSaysSo:
    def test_their_table_is_blocked_from_then_on(self, open_now: TheHost, status: dict[str, Any]) -> None:
        open_now.book("B1", starts_at=datetime.now(UTC) + 45 * MINUTE, party=2)
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
        _edited(open_now, **status)
        assert (state_of("B1")[0], is_blocked_now("B1")) == (State.CONFIRMED, True)

    @pytest.fixture
    def both(self, open_now: TheHost, status: dict[str, Any]) -> TheHost:
        """B0 has T1 for half an hour still. The host says that the guests of B1, who come next, sit there."""
        now = datetime.now(UTC)
        open_now.book("B0", starts_at=now - HOUR, ends_at=now + 30 * MINUTE, party=2)
        open_now.book("B1", starts_at=now + 45 * MINUTE, party=2)
        for ref in ("B0", "B1"):
            api.assign(booking_ref=ref, table_refs=["T1"], actor=STAFF)
        api.seated(booking_ref="B0", actor=STAFF)
        open_now.edit("B1", **status)
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        return open_now

    def test_staff_hear_of_both_where_others_are_still_there(self, both: TheHost) -> None:
        assert state_of("B0") == state_of("B1") == (State.MANUAL_REVIEW, "overlapping")
        assert "B1" in detail_of("B0")
        assert "B0" in detail_of("B1")
        told = OutboxMessage.objects.filter(topic="booking.overlapping").count()
        api.booking_changed(booking_ref="B1")
        assert OutboxMessage.objects.filter(topic="booking.overlapping").count() == told

    def test_it_is_not_settled_for_one_of_them_alone(self, both: TheHost) -> None:
        Assignment.objects.update(wake_at=datetime(2026, 1, 1, tzinfo=UTC))
        run_all()
        assert state_of("B0") == state_of("B1") == (State.MANUAL_REVIEW, "overlapping")
        assert api.reopen(booking_ref="B0", actor=STAFF) is Change.TO_STAFF

    def test_the_table_is_theirs_once_the_others_have_left(self, both: TheHost) -> None:
        api.left(booking_ref="B0", actor=STAFF)
        run_all()
        assert (state_of("B1")[0], is_blocked_now("B1")) == (State.CONFIRMED, True)

    def test_the_others_are_confirmed_again_once_they_have_left(self, both: TheHost) -> None:
        api.left(booking_ref="B1", actor=STAFF)
        run_all()
        assert (state_of("B0")[0], tables_of("B0")) == (State.CONFIRMED, ["T1"])


def test_a_table_that_the_host_gave_guests_who_sit_is_theirs_from_now_on(open_now: TheHost) -> None:
    """The project's staff save a walk-in as seated, for the next quarter of an hour."""
    open_now.book("B1", starts_at=datetime.now(UTC) + 10 * MINUTE, party=2, table_refs=("T1",))
    open_now.edit("B1", stage="seated", wants_table=False, keeps_tables=True)
    api.booking_changed(booking_ref="B1")
    assert Assignment.objects.get().stage == Stage.SEATED
    assert is_blocked_now("B1")


@pytest.mark.parametrize("seats", [4, 5])
def test_the_host_seats_more_guests_than_the_table_has_seats(open_now: TheHost, seats: int) -> None:
    open_now.floors["R1"] = a_floor_of(a_table("T1", seats=seats), a_table("T2"))
    open_now.book("B1", starts_at=datetime.now(UTC) - 10 * MINUTE, party=2)
    api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF, overriding={Reason.TOO_MANY_SPARE_SEATS})
    open_now.edit("B1", stage="seated", wants_table=False, keeps_tables=True, party=5)
    asks = seats < 5
    assert api.booking_changed(booking_ref="B1") is (Change.TO_STAFF if asks else Change.NOTHING)
    assert state_of("B1") == ((State.MANUAL_REVIEW, "edit_unmet") if asks else (State.CONFIRMED, "by_hand"))
    assert ("4 seats, and are 5 now" in detail_of("B1")) is asks
    assert api.booking_changed(booking_ref="B1") is Change.NOTHING


@pytest.mark.parametrize("how", ["the host keeps it as waiting", "the host says that they sit"])
def test_guests_who_sit_need_what_their_table_lacks(open_now: TheHost, how: str) -> None:
    open_now.book("B1", starts_at=datetime.now(UTC) - 10 * MINUTE, party=2)
    api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
    if how == "the host says that they sit":
        open_now.edit("B1", stage="seated", wants_table=False, keeps_tables=True)
        api.booking_changed(booking_ref="B1")
    assert api.note_features(booking_ref="B1", needs=["window"]) is Change.TO_STAFF
    assert (state_of("B1"), tables_of("B1")) == ((State.MANUAL_REVIEW, "edit_unmet"), ["T1"])
    assert "at tables without window" in detail_of("B1")
    assert api.booking_changed(booking_ref="B1") is Change.NOTHING


@pytest.mark.parametrize("minutes", [-10, 180], ids=["who sit", "who are expected"])
def test_guests_need_it_no_more(open_now: TheHost, minutes: int) -> None:
    for ref, table, party in (("B1", "T1", 2), ("B2", "T2", 5)):
        open_now.book(ref, starts_at=datetime.now(UTC) + minutes * MINUTE, party=party)
        api.assign(booking_ref=ref, table_refs=[table], actor=STAFF)
    assert api.note_features(booking_ref="B1", needs=["window"]) is Change.TO_STAFF
    assert api.note_features(booking_ref="B1", needs=[]) is Change.RESTORED
    assert (state_of("B1")[0], tables_of("B1")) == (State.CONFIRMED, ["T1"])
