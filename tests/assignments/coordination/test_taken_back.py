"""What guests or staff take back leaves nothing behind: the promise stands again, and nobody waits for it to be decided."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from assignments import api
from assignments.concurrency.clock import shifted
from assignments.exceptions import TablesRefusedError
from assignments.maintenance.reconcile import reconcile
from assignments.models import Allocation, Assignment, Stage, State
from assignments.outcome import Change, Kind
from assignments.planning.reasons import Reason
from assignments.testing import a_floor, a_service, a_table
from tests.assignments.conftest import ALL_DAY, TheHost, host_with, run_all, state_of, tables_of

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
STAFF = "staff:7"
SITS: Mapping[str, Any] = {"stage": "seated", "wants_table": False, "keeps_tables": True}


def seat(host: TheHost, ref: str, table: str, starts_at: datetime, **facts: Any) -> None:
    host.book(ref, **{"starts_at": starts_at, "party": 2, **facts})
    api.assign(booking_ref=ref, table_refs=[table], actor=STAFF)


def change(host: TheHost, ref: str, **facts: Any) -> Change:
    host.edit(ref, **facts)
    return api.booking_changed(booking_ref=ref)


class TestGuestsWhoSit:
    """The host says that they sit, by a status of its own, or by the clock alone."""

    @pytest.fixture(params=["the host says so", "the clock says so"])
    def sitting(self, open_now: TheHost, request: pytest.FixtureRequest) -> TheHost:
        seat(open_now, "B1", "T1", datetime.now(UTC) - 10 * MINUTE, party=4)
        seat(open_now, "B2", "T2", datetime.now(UTC) - 10 * MINUTE, party=4)
        if request.param == "the host says so":
            change(open_now, "B1", **SITS)
        return open_now

    @pytest.mark.parametrize("party", [4, 3])
    def test_one_more_guest_does_not_come_after_all(self, sitting: TheHost, party: int) -> None:
        assert change(sitting, "B1", party=5) is Change.TO_STAFF
        assert change(sitting, "B1", party=party) is Change.RESTORED
        row = Assignment.objects.get(booking_ref="B1")
        assert (row.state, row.party, row.has_wish, tables_of("B1")) == (State.CONFIRMED, party, False, ["T1"])

    def test_they_need_a_window_no_more(self, sitting: TheHost) -> None:
        assert change(sitting, "B1", needs=("window",)) is Change.TO_STAFF
        assert change(sitting, "B1", needs=()) is Change.RESTORED
        assert (state_of("B1"), tables_of("B1")) == ((State.CONFIRMED, "edit_withdrawn"), ["T1"])

    def test_while_others_expect_their_table_staff_go_on_deciding_about_that(self, sitting: TheHost) -> None:
        end = Allocation.objects.get(booking_ref="B1").ends_at
        for ref, table in (("B3", "T1"), ("B4", "T2")):
            seat(sitting, ref, table, end + MINUTE)
        assert change(sitting, "B1", party=5) is Change.TO_STAFF
        assert api.extend(booking_ref="B1", until=end + HOUR / 2, actor=STAFF).change is Change.TO_STAFF
        assert change(sitting, "B1", party=4) is Change.TO_STAFF
        assert state_of("B1") == state_of("B3") == (State.MANUAL_REVIEW, "overlapping")


def test_a_guest_fewer_leaves_guests_who_sit_the_longer_stay_that_staff_gave_them(open_now: TheHost) -> None:
    now = datetime.now(UTC)
    seat(open_now, "B1", "T1", now - HOUR, ends_at=now + HOUR)
    api.extend(booking_ref="B1", until=now + 2 * HOUR, actor=STAFF)
    assert change(open_now, "B1", party=1) is Change.KEPT
    assert Allocation.objects.get().stays_until == now + 2 * HOUR


WISHES: Mapping[str, Mapping[str, Any]] = {
    "zone": {"zone_ref": "terrace"},
    "need": {"needs": ("window",)},
    "stay": {"ends_at": 3},
    "party": {"party": 9},
}


def wish_of(what: str, tonight: datetime) -> dict[str, Any]:
    found = dict(WISHES[what])
    return {"ends_at": tonight + 3 * HOUR} if "ends_at" in found else found


@pytest.fixture
def full(host: TheHost, tonight: datetime) -> TheHost:
    """One table: A has it tonight, and B after that."""
    host.floors["R1"] = a_floor(tables=[a_table("T1", zone_ref="main")])
    seat(host, "A", "T1", tonight)
    seat(host, "B", "T1", tonight + 2 * HOUR)
    return host


NO_WISH: Mapping[str, Any] = {"zone_ref": None, "needs": (), "ends_at": None, "party": 2}


@pytest.mark.parametrize("what", WISHES)
class TestGuestsWhoAreExpected:
    def test_the_promise_stands_again(self, full: TheHost, tonight: datetime, what: str) -> None:
        assert change(full, "A", **wish_of(what, tonight)) is Change.TO_STAFF
        assert change(full, "A", **NO_WISH) is Change.RESTORED
        row = Assignment.objects.get(booking_ref="A")
        assert (state_of("A"), row.has_wish) == ((State.CONFIRMED, "edit_withdrawn"), False)
        assert (row.zone_ref, row.needs, row.asked_until) == ("", [], None)

    def test_reconcile_sees_it_where_nobody_says_so(self, full: TheHost, tonight: datetime, what: str) -> None:
        assert change(full, "A", **wish_of(what, tonight)) is Change.TO_STAFF
        full.edit("A", **NO_WISH)
        assert [found.booking_ref for found in reconcile()] == ["A"]
        assert state_of("A") == (State.CONFIRMED, "edit_withdrawn")
        assert not list(reconcile())

    def test_though_todays_hours_would_not_allow_it(self, full: TheHost, tonight: datetime, what: str) -> None:
        assert change(full, "A", **wish_of(what, tonight)) is Change.TO_STAFF
        api.reject(booking_ref="A", actor=STAFF, reason="We are full.")
        early = a_service(starts=time(12), ends=time(14))
        full.floors["R1"] = a_floor(tables=[a_table("T1", zone_ref="main")], services=[early])
        assert change(full, "A", **NO_WISH) is Change.KEPT
        assert (state_of("A")[0], tables_of("A")) == (State.CONFIRMED, ["T1"])

    def test_who_asks_for_it_again_later_is_heard_again(self, full: TheHost, tonight: datetime, what: str) -> None:
        change(full, "A", **wish_of(what, tonight))
        api.reject(booking_ref="A", actor=STAFF, reason="We are full.")
        change(full, "A", **NO_WISH)
        assert change(full, "A", **wish_of(what, tonight)) is Change.TO_STAFF
        assert state_of("A") == (State.MANUAL_REVIEW, "edit_unmet")


def test_another_zone_than_the_one_that_staff_rejected_is_a_new_wish(full: TheHost) -> None:
    change(full, "A", zone_ref="terrace")
    api.reject(booking_ref="A", actor=STAFF, reason="It rains.")
    assert change(full, "A", zone_ref="garden") is Change.TO_STAFF
    assert Assignment.objects.get(booking_ref="A").asked_zone_ref == "garden"


def test_a_longer_stay_that_staff_gave_is_promised_whatever_todays_hours_are(full: TheHost, tonight: datetime) -> None:
    api.booking_cancelled(booking_ref="B")
    change(full, "A", ends_at=tonight + HOUR)
    api.extend(booking_ref="A", until=tonight + 2 * HOUR, actor=STAFF)
    assert change(full, "A", party=9) is Change.TO_STAFF
    early = a_service(starts=time(12), ends=time(14))
    full.floors["R1"] = a_floor(tables=[a_table("T1", zone_ref="main")], services=[early])
    assert change(full, "A", party=2) is Change.RESTORED
    assert Allocation.objects.get(booking_ref="A").stays_until == tonight + 2 * HOUR


def test_a_pin_that_waits_for_its_table_outlasts_an_edit_that_is_withdrawn(host: TheHost, tonight: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
    seat(host, "A", "T1", tonight)
    seat(host, "B", "T2", tonight)
    assert api.pin(booking_ref="A", table_refs=["T2"], actor=STAFF) is Change.TO_STAFF
    change(host, "A", party=9)
    change(host, "A", party=2)
    row = Assignment.objects.get(booking_ref="A")
    assert (state_of("A"), row.has_wish) == ((State.MANUAL_REVIEW, "pinned_tables_taken"), False)
    host.edit("B", wants_table=False)
    api.booking_cancelled(booking_ref="B")
    run_all()
    assert (state_of("A")[0], tables_of("A")) == (State.CONFIRMED, ["T2"])


@pytest.mark.parametrize("what", ["zone", "need", "stay"])
def test_who_was_rejected_and_asks_for_less_is_planned(host: TheHost, tonight: datetime, what: str) -> None:
    """Staff have rejected exactly what was asked for, and nothing else."""
    host.floors["R1"] = a_floor(tables=[a_table("T1", zone_ref="main")])
    host.book("A", starts_at=tonight, party=2, **{"ends_at": tonight + 9 * HOUR} if what == "stay" else WISHES[what])
    assert run_all()["A"].kind is Kind.MANUAL_REVIEW
    api.reject(booking_ref="A", actor=STAFF, reason="No.")
    assert api.booking_changed(booking_ref="A") is Change.NOTHING
    assert change(host, "A", **NO_WISH) is Change.REQUESTED
    assert run_all()["A"].kind is Kind.CONFIRMED


@pytest.mark.parametrize("how", ["undone", "they leave in time"])
@pytest.mark.parametrize(("gap", "kept"), [(10, 10), (40, 15)])
def test_once_an_overstay_is_taken_back_there_is_time_to_clear_the_table_again(
    open_now: TheHost, how: str, gap: int, kept: int
) -> None:
    """The next party comes within the buffer, which staff had shortened for it, or later."""
    open_now.floors["R1"] = a_floor(tables=[a_table("T1")], services=[replace(ALL_DAY, buffer_after_minutes=15)])
    now = datetime.now(UTC)
    end = now + HOUR
    seat(open_now, "B1", "T1", now - HOUR / 2, ends_at=end)
    open_now.book("B2", starts_at=end + gap * MINUTE, party=2)
    api.assign(booking_ref="B2", table_refs=["T1"], actor=STAFF, overriding=[Reason.BUFFER] if gap < 15 else [])
    api.seated(booking_ref="B1", actor=STAFF)
    assert api.extend(booking_ref="B1", until=end + HOUR, actor=STAFF).change is Change.TO_STAFF
    if how == "undone":
        api.undo(booking_ref="B1", actor=STAFF)
    else:
        api.extend(booking_ref="B1", until=end, actor=STAFF)
    run_all()
    row = Allocation.objects.get(booking_ref="B1")
    assert (row.stays_until, row.blocked.upper) == (end, end + kept * MINUTE)
    assert state_of("B1")[0] == state_of("B2")[0] == State.CONFIRMED


class TestAnOverstay:
    """B1 is to overstay at T1 into the time of B2, who comes at once when B1 was to leave. There is no other table."""

    @pytest.fixture
    def end(self, open_now: TheHost) -> datetime:
        now = datetime.now(UTC)
        end = now + HOUR
        seat(open_now, "B1", "T1", now - HOUR / 2, ends_at=end)
        for ref, table in (("B2", "T1"), ("B3", "T2")):
            seat(open_now, ref, table, end)
        api.seated(booking_ref="B1", actor=STAFF)
        assert api.extend(booking_ref="B1", until=end + HOUR, actor=STAFF).change is Change.TO_STAFF
        assert state_of("B1") == state_of("B2") == (State.MANUAL_REVIEW, "overlapping")
        return end

    @pytest.mark.parametrize("by", ["staff", "the host"])
    def test_they_leave_in_time_after_all(self, open_now: TheHost, end: datetime, by: str) -> None:
        until = end - 10 * MINUTE
        if by == "staff":
            assert api.extend(booking_ref="B1", until=end, actor=STAFF).change is Change.KEPT
        else:
            assert change(open_now, "B1", ends_at=until) is Change.KEPT
        run_all()
        assert state_of("B1")[0] == state_of("B2")[0] == State.CONFIRMED

    def test_that_they_stay_longer_is_undone(self, end: datetime) -> None:
        api.undo(booking_ref="B1", actor=STAFF)
        run_all()
        assert state_of("B1")[0] == state_of("B2")[0] == State.CONFIRMED
        assert Allocation.objects.get(booking_ref="B1").stays_until == end

    def test_that_they_stay_even_longer_is_undone(self, end: datetime) -> None:
        api.extend(booking_ref="B1", until=end + 90 * MINUTE, actor=STAFF)
        api.undo(booking_ref="B1", actor=STAFF)
        assert Allocation.objects.get(booking_ref="B1").stays_until == end + HOUR
        assert state_of("B1") == state_of("B2") == (State.MANUAL_REVIEW, "overlapping")

    def test_that_they_have_left_is_undone(self, end: datetime) -> None:
        api.left(booking_ref="B1", actor=STAFF)
        run_all()
        assert state_of("B2")[0] == State.CONFIRMED
        api.undo(booking_ref="B1", actor=STAFF)
        assert state_of("B1") == state_of("B2") == (State.MANUAL_REVIEW, "overlapping")

    def test_that_they_have_left_is_not_undone_once_others_sit_there(self, end: datetime) -> None:
        with shifted(HOUR + 5 * MINUTE):
            api.left(booking_ref="B1", actor=STAFF)
            api.seated(booking_ref="B2", actor=STAFF)
            with pytest.raises(TablesRefusedError, match="taken by booking B2"):
                api.undo(booking_ref="B1", actor=STAFF)
        assert Assignment.objects.get(booking_ref="B1").stage == Stage.LEFT

    def test_the_host_takes_back_that_they_have_left(self, open_now: TheHost, end: datetime) -> None:
        change(open_now, "B1", **SITS)
        change(open_now, "B1", stage="left")
        run_all()
        assert state_of("B2")[0] == State.CONFIRMED
        assert change(open_now, "B1", stage="seated") is Change.TO_STAFF
        assert state_of("B1") == state_of("B2") == (State.MANUAL_REVIEW, "overlapping")


def test_guests_who_overstay_leave_before_the_last_who_waits_for_their_table_comes(open_now: TheHost) -> None:
    now = datetime.now(UTC)
    end = now + HOUR
    seat(open_now, "B1", "T1", now - HOUR / 2, ends_at=end)
    for ref, table, start in (("B2", "T1", end), ("B3", "T1", end + HOUR / 2), ("B4", "T2", end)):
        seat(open_now, ref, table, start, ends_at=start + HOUR / 2 if table == "T1" else end + HOUR)
    api.extend(booking_ref="B1", until=end + HOUR, actor=STAFF)
    assert state_of("B2") == state_of("B3") == (State.MANUAL_REVIEW, "overlapping")
    api.extend(booking_ref="B1", until=end + HOUR / 4, actor=STAFF)
    run_all()
    assert (state_of("B2")[1], state_of("B3")[0]) == ("overlapping", State.CONFIRMED)


def test_staff_hear_again_that_a_table_closes_under_guests_who_have_not_left_after_all(open_now: TheHost) -> None:
    now = datetime.now(UTC)
    seat(open_now, "B1", "T1", now - HOUR, ends_at=now + 2 * HOUR)
    api.seated(booking_ref="B1", actor=STAFF)
    api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=now + HOUR, actor=STAFF)
    assert state_of("B1") == (State.MANUAL_REVIEW, "table_out_of_service")
    api.left(booking_ref="B1", actor=STAFF)
    api.undo(booking_ref="B1", actor=STAFF)
    assert state_of("B1") == (State.MANUAL_REVIEW, "table_out_of_service")


def test_the_next_party_is_moved_though_it_comes_sooner_than_one_may_book(host: TheHost, settings: Any) -> None:
    host = host_with(settings, MIN_LEAD_MINUTES=120)
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")], services=[ALL_DAY])
    now = datetime.now(UTC)
    seat(host, "B1", "T1", now - HOUR, ends_at=now + HOUR)
    seat(host, "B2", "T1", now + HOUR)
    assert api.extend(booking_ref="B1", until=now + 2 * HOUR, actor=STAFF).change is Change.KEPT
    assert (tables_of("B1"), tables_of("B2")) == (["T1"], ["T2"])
