"""What staff passed over holds for what they said it of: not for more guests, another time, or other needs."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from assignments import api
from assignments.models import Allocation, Assignment, State
from assignments.outcome import Change
from assignments.planning.floor import Pacing
from assignments.planning.reasons import Reason
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import TheHost, tables_of

pytestmark = pytest.mark.django_db(transaction=True)

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
STAFF = "staff:7"


@pytest.fixture
def one_table(host: TheHost) -> TheHost:
    host.floors["R1"] = a_floor(tables=[a_table("T1")])
    return host


def given(host: TheHost, start: datetime, overriding: Collection[Reason], **asked: Any) -> None:
    """B1 has T1, despite these rules."""
    host.book("B1", **{"starts_at": start, "party": 2, **asked})
    api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF, overriding=overriding)
    assert set(Allocation.objects.get(booking_ref="B1").despite) == set(overriding)


def changed(host: TheHost, **asked: Any) -> Change:
    host.edit("B1", **asked)
    return api.booking_changed(booking_ref="B1")


def closed(host: TheHost, start: datetime, end: datetime) -> int:
    return api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=start, ends_at=end, actor="staff:1")


def despite() -> list[str]:
    row = Allocation.objects.current().get(booking_ref="B1")
    return sorted(row.despite)


class TestSeats:
    def test_five_at_four_seats_may_not_become_nine(self, one_table: TheHost, tonight: datetime) -> None:
        given(one_table, tonight, {Reason.TOO_FEW_SEATS}, party=5)
        assert changed(one_table, party=9) is Change.TO_STAFF
        assert Allocation.objects.get().party == 5

    def test_five_at_four_seats_may_come_later(self, one_table: TheHost, tonight: datetime) -> None:
        given(one_table, tonight, {Reason.TOO_FEW_SEATS}, party=5)
        assert changed(one_table, starts_at=tonight + HOUR) is Change.KEPT
        assert despite() == [Reason.TOO_FEW_SEATS]

    def test_when_fewer_guests_come_nothing_is_passed_over_any_more(
        self, one_table: TheHost, tonight: datetime
    ) -> None:
        given(one_table, tonight, {Reason.TOO_FEW_SEATS}, party=5)
        assert changed(one_table, party=4) is Change.KEPT
        assert despite() == []
        assert changed(one_table, party=5) is Change.TO_STAFF


class TestClosures:
    @pytest.fixture
    def over_a_closure(self, one_table: TheHost, tonight: datetime) -> TheHost:
        """B1 has T1 from 19:00 to 21:00, though it is closed until 20:00."""
        closed(one_table, tonight - HOUR, tonight + HOUR)
        given(one_table, tonight, {Reason.CLOSED}, ends_at=tonight + 2 * HOUR)
        return one_table

    def test_another_evening_under_another_closure_is_asked_for_anew(
        self, over_a_closure: TheHost, tonight: datetime
    ) -> None:
        closed(over_a_closure, tonight + DAY, tonight + DAY + HOUR)
        assert changed(over_a_closure, starts_at=tonight + DAY, ends_at=tonight + DAY + 2 * HOUR) is Change.TO_STAFF
        assert Allocation.objects.get().starts_at == tonight

    def test_a_shorter_stay_over_the_same_closure_is_staffs_word_still(
        self, over_a_closure: TheHost, tonight: datetime
    ) -> None:
        assert changed(over_a_closure, ends_at=tonight + 90 * MINUTE, party=3) is Change.KEPT
        assert (despite(), Allocation.objects.get().overridden_by) == ([Reason.CLOSED], STAFF)

    def test_after_the_closure_nobody_has_passed_over_it(self, over_a_closure: TheHost, tonight: datetime) -> None:
        assert changed(over_a_closure, starts_at=tonight + HOUR) is Change.KEPT
        assert (despite(), Allocation.objects.get().overridden_by) == ([], "")

    def test_a_join_of_which_one_table_is_closed_keeps_who_said_so(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=6)
        api.close(restaurant_ref="R1", table_refs=["T2"], starts_at=tonight, ends_at=tonight + HOUR, actor="staff:1")
        api.assign(booking_ref="B1", table_refs=["T1", "T2"], actor=STAFF, overriding={Reason.CLOSED})
        Allocation.objects.filter(table_ref="T1").update(overridden_by="")
        assert changed(host, party=5) is Change.KEPT
        assert tables_of("B1") == ["T1", "T2"]


def test_a_need_that_is_added_is_asked_for_anew(one_table: TheHost, tonight: datetime) -> None:
    given(one_table, tonight, {Reason.NEEDS}, needs=("window",))
    assert changed(one_table, needs=("window", "step-free")) is Change.TO_STAFF
    assert Assignment.objects.get().needs == ["window"]


def test_the_same_needs_are_passed_over_at_another_time(one_table: TheHost, tonight: datetime) -> None:
    given(one_table, tonight, {Reason.NEEDS}, needs=("window",))
    assert changed(one_table, starts_at=tonight + HOUR) is Change.KEPT
    assert despite() == [Reason.NEEDS]


def test_another_time_and_more_guests_are_paced(host: TheHost, tonight: datetime) -> None:
    tables = [a_table(ref) for ref in ("T1", "T2", "T3")]
    host.floors["R1"] = replace(a_floor(tables=tables), pacing=(Pacing(interval_minutes=30, most_covers=2),))
    for ref, table, start in (("A", "T2", tonight), ("C", "T3", tonight + HOUR)):
        host.book(ref, starts_at=start, party=2)
        api.assign(booking_ref=ref, table_refs=[table], actor=STAFF)
    given(host, tonight, {Reason.PACING})
    assert changed(host, starts_at=tonight + HOUR, party=4) is Change.TO_STAFF
    assert changed(host, starts_at=tonight, party=3) is Change.TO_STAFF


def test_a_table_out_of_service_is_not_theirs_on_another_day(host: TheHost, tonight: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1", active=False), a_table("T2")])
    given(host, tonight, {Reason.TABLE_INACTIVE})
    assert changed(host, starts_at=tonight + 2 * DAY) is Change.MOVED
    assert tables_of("B1") == ["T2"]


@pytest.mark.parametrize("reason", [Reason.SERVICE_OVERRUN, Reason.OUTSIDE_SERVICE])
class TestHours:
    @pytest.fixture
    def after_hours(self, one_table: TheHost, tonight: datetime, reason: Reason) -> datetime:
        """B1 comes so late that its stay ends after closing time, or begins after it."""
        late = {Reason.SERVICE_OVERRUN: 225, Reason.OUTSIDE_SERVICE: 300}[reason]
        given(one_table, tonight + late * MINUTE, {reason}, party=3)
        return tonight + late * MINUTE

    def test_one_guest_fewer_keeps_the_table(self, one_table: TheHost, after_hours: datetime, reason: Reason) -> None:
        before = Allocation.objects.get()
        assert changed(one_table, party=2) is Change.KEPT
        row = Allocation.objects.get()
        assert (row.party, row.starts_at, row.ends_at, row.despite) == (2, before.starts_at, before.ends_at, [reason])

    def test_later_still_is_asked_for_anew(self, one_table: TheHost, after_hours: datetime, reason: Reason) -> None:
        assert changed(one_table, starts_at=after_hours + 10 * MINUTE) is Change.TO_STAFF
        assert Allocation.objects.get().starts_at == after_hours

    def test_nobody_else_is_at_the_table_then(self, one_table: TheHost, after_hours: datetime, reason: Reason) -> None:
        one_table.book("B2", starts_at=after_hours + 3 * HOUR, party=2)
        overriding = {Reason.SERVICE_OVERRUN, Reason.OUTSIDE_SERVICE}
        api.assign(booking_ref="B2", table_refs=["T1"], actor=STAFF, overriding=overriding)
        Allocation.objects.filter(booking_ref="B1").update(ends_at=after_hours + 4 * HOUR)
        assert changed(one_table, party=2, ends_at=after_hours + 4 * HOUR) is Change.TO_STAFF
        assert Assignment.objects.get(booking_ref="B1").state == State.MANUAL_REVIEW
