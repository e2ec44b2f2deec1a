"""Staff hear of everything that they have to decide: of both halves of an overlap, and of a table that closes too early."""

from datetime import UTC, datetime, timedelta

import pytest

from assignments import api
from assignments.integration import floor_cache
from assignments.lifecycle.staff_decisions import Undo
from assignments.models import Allocation, Assignment, State
from assignments.outcome import Change
from assignments.planning.reasons import Reason
from tests.assignments.conftest import TheHost, run_all, state_of, tables_of

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
STAFF = "staff:7"


def detail_of(ref: str) -> str:
    return str(Assignment.objects.get(booking_ref=ref).transitions.order_by("-version")[0].detail)


class TestBothHalvesOfAnOverlap:
    @pytest.fixture
    def overlapping(self, open_now: TheHost) -> TheHost:
        """B2 asks for nine, in vain. Then B1 stays at its table until after B2 comes; there is no other."""
        now = datetime.now(UTC)
        open_now.book("B1", starts_at=now - HOUR / 2, ends_at=now + HOUR, party=2)
        for ref in ("B2", "B3"):
            open_now.book(ref, starts_at=now + HOUR, party=2)
        for ref, table in (("B1", "T1"), ("B2", "T1"), ("B3", "T2")):
            api.assign(booking_ref=ref, table_refs=[table], actor=STAFF)
        open_now.edit("B2", party=9)
        assert api.booking_changed(booking_ref="B2") is Change.TO_STAFF
        assert api.extend(booking_ref="B1", until=now + 2 * HOUR, actor=STAFF).change is Change.TO_STAFF
        assert (state_of("B1")[1], state_of("B2")[1]) == ("overlapping", "edit_unmet")
        return open_now

    @pytest.mark.parametrize("how", ["withdrawn", "rejected"])
    def test_it_is_not_over_when_the_wish_of_the_next_party_is(self, overlapping: TheHost, how: str) -> None:
        if how == "withdrawn":
            overlapping.edit("B2", party=2)
            assert api.booking_changed(booking_ref="B2") is Change.TO_STAFF
        else:
            api.reject(booking_ref="B2", actor=STAFF, reason="Nine is too many.")
        assert state_of("B1") == state_of("B2") == (State.MANUAL_REVIEW, "overlapping")
        assert "B1" in detail_of("B2")
        api.left(booking_ref="B1", actor=STAFF)
        run_all()
        assert (state_of("B2")[0], tables_of("B2")) == (State.CONFIRMED, ["T1"])


class TestATableThatClosesBeforeTheyLeave:
    @pytest.fixture
    def closes(self, open_now: TheHost) -> datetime:
        """B1 sits at T1 for an hour still. In two hours the table closes."""
        now = datetime.now(UTC)
        open_now.book("B1", starts_at=now - HOUR / 2, ends_at=now + HOUR, party=2)
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
        api.seated(booking_ref="B1", actor=STAFF)
        at = now + 2 * HOUR
        api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=at, ends_at=at + 6 * HOUR, actor="staff:1")
        return at

    @pytest.mark.parametrize("status", [{}, {"stage": "seated", "wants_table": False, "keeps_tables": True}])
    def test_staff_hear_of_a_longer_stay_that_the_host_gives(
        self, open_now: TheHost, closes: datetime, status: dict[str, object]
    ) -> None:
        open_now.edit("B1", ends_at=closes + HOUR, **status)
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        assert state_of("B1") == (State.MANUAL_REVIEW, "table_out_of_service")
        local = closes.astimezone(floor_cache.floor_of("R1").zone)
        assert f"closes at {local:%H:%M}" in detail_of("B1")
        row = Allocation.objects.get()
        assert (row.blocked.upper, row.stays_until, row.overridden_by, row.despite) == (closes, closes + HOUR, "", [])
        open_now.edit("B1", ends_at=closes + 2 * HOUR)
        api.booking_changed(booking_ref="B1")
        row = Allocation.objects.get()
        assert (row.blocked.upper, row.stays_until, row.overridden_by) == (closes, closes + 2 * HOUR, "")

    def test_they_are_confirmed_again_when_the_host_has_them_leave_in_time(
        self, open_now: TheHost, closes: datetime
    ) -> None:
        for hours in (1, -0.5):
            open_now.edit("B1", ends_at=closes + hours * HOUR)
            api.booking_changed(booking_ref="B1")
        row = Allocation.objects.get()
        assert (state_of("B1")[0], row.blocked.upper) == (State.CONFIRMED, closes - HOUR / 2)
        assert row.overstays_until is None

    def test_staff_who_say_so_keep_them_there(self, open_now: TheHost, closes: datetime) -> None:
        open_now.edit("B1", ends_at=closes + HOUR)
        api.booking_changed(booking_ref="B1")
        api.extend(booking_ref="B1", until=closes + HOUR, actor=STAFF, overriding={Reason.CLOSED})
        row = Allocation.objects.get()
        assert (state_of("B1")[0], row.blocked.upper) == (State.CONFIRMED, closes + HOUR)
        assert (row.overridden_by, row.despite) == (STAFF, [Reason.CLOSED])

    def test_a_longer_stay_that_is_taken_back_leaves_nothing_passed_over(self, closes: datetime) -> None:
        api.extend(booking_ref="B1", until=closes + HOUR, actor=STAFF, overriding={Reason.CLOSED})
        assert Allocation.objects.get().overridden_by == STAFF
        assert api.undo(booking_ref="B1", actor=STAFF).what is Undo.STAY
        row = Allocation.objects.get()
        assert (row.overridden_by, row.despite) == ("", [])
