"""Staff and the host do without the time to clear and set a table. Guests are never in each other's way."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from assignments import api
from assignments.concurrency.clock import at
from assignments.coordination import undoing
from assignments.exceptions import TablesRefusedError, TransitionRefusedError
from assignments.models import Allocation, Assignment, State
from assignments.outcome import Change
from assignments.planning.reasons import OVERRIDABLE, Reason
from assignments.staff import review_queue
from assignments.testing import a_floor, a_service, a_table
from tests.assignments.conftest import TheHost, run_all, tables_of

pytestmark = pytest.mark.django_db(transaction=True)

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
STAFF = "staff:7"


def blocked(ref: str) -> tuple[datetime, datetime]:
    row = Allocation.objects.current().get(booking_ref=ref)
    return row.blocked.lower, row.blocked.upper


@pytest.fixture
def full(host: TheHost, tonight: datetime) -> TheHost:
    """B0 has T1 from 17:00 to 19:00, and it is cleared until 19:15. T2 is taken. B1 comes at 19:00, and waits."""
    host.floors["R1"] = a_floor(
        tables=[a_table("T1"), a_table("T2", seats=3)], services=[a_service(buffer_after_minutes=15)]
    )
    host.book("B0", starts_at=tonight - 2 * HOUR, party=4)
    host.book("X", starts_at=tonight, party=3)
    run_all()
    assert (tables_of("B0"), tables_of("X")) == (["T1"], ["T2"])
    host.book("B1", starts_at=tonight, party=4)
    api.request(booking_ref="B1")
    return host


def test_staff_give_the_table_by_name_and_it_is_offered_so(full: TheHost, tonight: datetime) -> None:
    with pytest.raises(TablesRefusedError) as refused:
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
    assert [each.reason for each in refused.value.refusals] == [Reason.BUFFER]
    assert "B0" in str(refused.value)
    row, now = Assignment.objects.get(booking_ref="B1"), tonight - 24 * HOUR
    found = review_queue.options(full.rows["B1"], row, host=full, now=now)
    offered = {option.table_refs: {each.reason for each in option.overriding} for option in found.by_passing_over}
    assert offered[("T1",)] == {Reason.BUFFER}
    outcome = api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF, overriding=[Reason.BUFFER])
    assert outcome.table_refs == ("T1",)
    seating = Allocation.objects.get(booking_ref="B1")
    assert seating.despite == [Reason.BUFFER]
    assert blocked("B0") == (tonight - 2 * HOUR, tonight)
    assert blocked("B1") == (tonight, tonight + 135 * MINUTE), "what is left of its own buffer stays"
    assert "buffer" in Assignment.objects.get(booking_ref="B1").transitions.latest("id").detail


def test_nothing_is_undone_for_a_party_beside_whom_another_was_squeezed_in(full: TheHost, tonight: datetime) -> None:
    api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF, overriding=[Reason.BUFFER])
    row = Assignment.objects.get(booking_ref="B0")
    assert undoing.offered(row, now=tonight - 24 * HOUR, host=full) is None
    with pytest.raises(TransitionRefusedError, match="nothing can be taken back"):
        api.undo(booking_ref="B0", actor=STAFF)


def test_the_guests_small_edit_leaves_them_there(full: TheHost, tonight: datetime) -> None:
    service = a_service(buffer_after_minutes=15, buffer_before_minutes=5)
    full.floors["R1"] = replace(full.floors["R1"], services=(service,))  # type: ignore[type-var]
    api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF, overriding=[Reason.BUFFER])
    full.edit("B1", party=3)
    assert api.booking_changed(booking_ref="B1") is Change.KEPT
    assert (tables_of("B1"), blocked("B1")[0]) == (["T1"], tonight)


def test_guests_who_sit_there_are_no_buffer(full: TheHost, tonight: datetime) -> None:
    full.edit("B1", starts_at=tonight - 1 * MINUTE)
    with pytest.raises(TablesRefusedError) as refused:
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF, overriding=OVERRIDABLE)
    assert [each.reason for each in refused.value.refusals] == [Reason.TABLE_TAKEN]


def test_the_buffer_before_a_party_gives_way_and_guests_who_came_early_do_not(host: TheHost, tonight: datetime) -> None:
    service = a_service(buffer_before_minutes=30)
    host.floors["R1"] = a_floor(tables=[a_table("T1")], services=[service])
    host.book("B1", starts_at=tonight)
    run_all()
    host.book("B0", starts_at=tonight - 2 * HOUR)
    api.request(booking_ref="B0")
    with at(tonight - 130 * MINUTE):
        api.assign(booking_ref="B0", table_refs=["T1"], actor=STAFF, overriding=[Reason.BUFFER])
    assert (blocked("B0")[1], blocked("B1")[0]) == (tonight, tonight)
    api.booking_cancelled(booking_ref="B0")
    host.book("B2", starts_at=tonight - HOUR, ends_at=tonight)
    api.request(booking_ref="B2")
    with at(tonight - 20 * MINUTE):
        api.seated(booking_ref="B1", actor=STAFF)
        with pytest.raises(TablesRefusedError) as refused:
            api.assign(booking_ref="B2", table_refs=["T1"], actor=STAFF, overriding=[Reason.BUFFER])
    assert Reason.TABLE_TAKEN in {each.reason for each in refused.value.refusals}


def test_staff_swap_without_buffers(full: TheHost, tonight: datetime) -> None:
    full.book("B2", starts_at=tonight + 15 * MINUTE, party=3)
    api.request(booking_ref="B2")
    full.edit("X", starts_at=tonight)
    api.assign(booking_ref="B2", table_refs=["T1"], actor=STAFF)
    api.swap(booking_ref="B2", other_ref="X", actor=STAFF, overriding=[Reason.BUFFER])
    assert (tables_of("B2"), tables_of("X")) == (["T2"], ["T1"])
    assert blocked("B0")[1] == tonight
    assert Allocation.objects.get(booking_ref="X").despite == [Reason.BUFFER]


@pytest.mark.parametrize("had", ["a table", "none"])
def test_the_host_gives_the_table_without_asking(full: TheHost, tonight: datetime, had: str) -> None:
    if had == "a table":
        full.rows.pop("X")
        api.booking_changed(booking_ref="X")
        full.edit("B1", party=3)
        api.booking_changed(booking_ref="B1")
        run_all()
        assert tables_of("B1") == ["T2"]
        full.seated["B1"] = replace(full.seated["B1"], table_refs=("T1",))
        assert api.booking_changed(booking_ref="B1") is Change.MOVED
    else:
        full.edit("B1", is_confirmed=True, table_refs=("T1",))
        assert api.booking_changed(booking_ref="B1") is Change.KEPT
    assert (tables_of("B1"), Assignment.objects.get(booking_ref="B1").state) == (["T1"], State.CONFIRMED)
    assert (blocked("B0")[1], blocked("B1")[0]) == (tonight, tonight)
    assert Allocation.objects.get(booking_ref="B1").despite == [Reason.BUFFER]


class TestStaysIntoAClosure:
    """B1 sits at T1 from 19:00 to 21:00; T1 closes from 21:00 on."""

    @pytest.fixture
    def closing(self, host: TheHost, tonight: datetime) -> TheHost:
        host.book("B1", starts_at=tonight, party=4)
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
        api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=tonight + 2 * HOUR, actor=STAFF)
        return host

    def test_staff_extend_it_only_by_name(self, closing: TheHost, tonight: datetime) -> None:
        until = tonight + 3 * HOUR
        with at(tonight + 5 * MINUTE):
            api.seated(booking_ref="B1", actor=STAFF)
            with pytest.raises(TablesRefusedError) as refused:
                api.extend(booking_ref="B1", until=until, actor=STAFF)
            assert [each.reason for each in refused.value.refusals] == [Reason.CLOSED]
            assert (
                api.extend(booking_ref="B1", until=until, actor=STAFF, overriding=[Reason.CLOSED]).change is Change.KEPT
            )
            row = Allocation.objects.get()
            assert (row.ends_at, row.overridden_by, row.despite) == (until, STAFF, [Reason.CLOSED])
            api.extend(booking_ref="B1", until=until + 15 * MINUTE, actor=STAFF)  # They said so already.
            assert api.extend(booking_ref="B1", until=tonight + HOUR, actor=STAFF).change is Change.KEPT

    def test_only_the_time_to_clear_it_is_given_up(self, host: TheHost, tonight: datetime) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T1")], services=[a_service(buffer_after_minutes=15)])
        host.book("B1", starts_at=tonight)
        run_all()
        api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=tonight + 150 * MINUTE, actor=STAFF)
        assert api.extend(booking_ref="B1", until=tonight + 145 * MINUTE, actor=STAFF).change is Change.KEPT
        row = Allocation.objects.get()
        assert (row.blocked.upper, row.overridden_by) == (tonight + 145 * MINUTE, "")

    def test_guests_who_sit_down_early_at_a_closed_table_are_recorded(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=4)
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
        api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=tonight - 2 * HOUR, ends_at=tonight, actor=STAFF)
        with at(tonight - 20 * MINUTE):
            api.seated(booking_ref="B1", actor="staff:3")
        row = Allocation.objects.get()
        assert (row.overridden_by, row.despite) == ("staff:3", [Reason.CLOSED])


def test_a_long_buffer_before_a_party_gives_way_and_its_stay_does_not(host: TheHost, tonight: datetime) -> None:
    """B1 comes at 20:00, and its table is kept for it from 18:00 on. Staff seat B0 there from 18:30 to 19:30."""
    service = a_service(buffer_before_minutes=120, buffer_after_minutes=15)
    host.floors["R1"] = a_floor(tables=[a_table("T1")], services=[service])
    host.book("B1", starts_at=tonight + HOUR, ends_at=tonight + 3 * HOUR)
    run_all()
    assert blocked("B1") == (tonight - HOUR, tonight + 195 * MINUTE)
    host.book("B0", starts_at=tonight - 30 * MINUTE, ends_at=tonight + 30 * MINUTE)
    api.request(booking_ref="B0")
    api.assign(booking_ref="B0", table_refs=["T1"], actor=STAFF, overriding=[Reason.BUFFER])
    assert blocked("B0") == (tonight - 150 * MINUTE, tonight + 30 * MINUTE)
    assert blocked("B1") == (tonight + 30 * MINUTE, tonight + 195 * MINUTE), "its own stay stays blocked"
    host.book("B2", starts_at=tonight + HOUR, ends_at=tonight + 3 * HOUR)
    api.request(booking_ref="B2")
    with pytest.raises(TablesRefusedError):
        api.assign(booking_ref="B2", table_refs=["T1"], actor=STAFF, overriding=OVERRIDABLE)


@pytest.mark.parametrize("how", ["by staff", "by the host"])
def test_guests_who_overstay_and_are_moved_leave_time_to_clear_their_new_table(
    host: TheHost, tonight: datetime, how: str
) -> None:
    """A stays at T1 until B comes, who needs it. There is no buffer left there; at T2 nobody is waiting."""
    host.floors["R1"] = a_floor(
        tables=[a_table("T1"), a_table("T2", seats=2)], services=[a_service(buffer_after_minutes=15)]
    )
    host.book("A", starts_at=tonight, party=2)
    host.book("B", starts_at=tonight + 135 * MINUTE, party=4, ends_at=tonight + 200 * MINUTE)
    for ref in "AB":
        api.assign(booking_ref=ref, table_refs=["T1"], actor=STAFF)
    with at(tonight + HOUR):
        api.seated(booking_ref="A", actor=STAFF)
        assert api.extend(booking_ref="A", until=tonight + 150 * MINUTE, actor=STAFF).change is Change.TO_STAFF
        if how == "by staff":
            api.move(booking_ref="A", table_refs=["T2"], actor=STAFF)
        else:
            host.edit("A", wants_table=False, keeps_tables=True, stage="seated", table_refs=("T2",))
            assert api.booking_changed(booking_ref="A") is Change.MOVED
        run_all()
    assert tables_of("A") == ["T2"]
    assert blocked("A")[1] == tonight + 165 * MINUTE
    assert Assignment.objects.get(booking_ref="B").state == State.CONFIRMED
