"""Tables that a booking project shows and the floor does not have, and tables that it clears: staff hear of both."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from assignments import api
from assignments.exceptions import TablesRefusedError
from assignments.maintenance import mark_following
from assignments.maintenance.reconcile import reconcile
from assignments.models import Allocation, Assignment, State, StateTransition
from assignments.outcome import Change, Kind
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import TheHost
from tests.shapes.hosts import SupperHost
from tests.shapes.models import Area, Board, House, Place, Slot, Supper, Visit

pytestmark = pytest.mark.django_db

DAY = (datetime.now(UTC) + timedelta(days=30)).date()
SOLE = "assignments.integration.planners.SoleRouter"


@pytest.fixture(autouse=True)
def places(settings: Any) -> list[Place]:
    """Tables 5 and 6, which bookings know by their numbers. Signals are off: the tests say what changed."""
    settings.ASSIGNMENTS = {"HOST": "tests.shapes.hosts.SupperHost", "ROUTER": SOLE, "CONNECT_SIGNALS": False}
    area = Area.objects.create(house=House.objects.create(name="Anchor"), name="bar")
    return [Place.objects.create(area=area, number=number, seats="4") for number in (5, 6)]


def a_supper(**values: Any) -> Supper:
    slot, _is_new = Slot.objects.get_or_create(house=House.objects.get(), starts=time(19))
    return Supper.objects.create(**{"slot": slot, "day": DAY, "size": "2 people", **values})


@pytest.fixture
def supper() -> Supper:
    """It is confirmed at a table."""
    row = a_supper()
    assert api.assign_now(booking_ref=str(row.pk)).kind is Kind.CONFIRMED
    row.refresh_from_db()
    return row


def changed(row: Supper, **values: Any) -> Change:
    Supper.objects.filter(pk=row.pk).update(**values)
    return api.booking_changed(booking_ref=str(row.pk))


def shown(row: Supper) -> tuple[int | None, int]:
    row.refresh_from_db()
    return row.place_number, row.status


def state_of(row: Supper) -> tuple[str, str]:
    return Assignment.objects.values_list("state", "reason").get(booking_ref=str(row.pk))


def detail_of(row: Supper) -> str:
    return StateTransition.objects.filter(booking_ref=str(row.pk)).latest("version").detail


def tables_of(row: Supper) -> list[str]:
    return list(Allocation.objects.current().filter(booking_ref=str(row.pk)).values_list("table_ref", flat=True))


def problems() -> list[str]:
    return [each.problem for each in reconcile(dry_run=True)]


def test_a_table_that_the_floor_does_not_have_goes_to_staff_by_its_number(supper: Supper) -> None:
    before = supper.place_number
    assert changed(supper, place_number=77) is Change.TO_STAFF
    assert state_of(supper) == (State.MANUAL_REVIEW, "tables_changed_by_host")
    assert detail_of(supper) == "The booking project shows it at 77, which is not on this restaurant's floor."
    assert tables_of(supper) == [str(before)]
    assert Allocation.objects.get().despite == []
    assert api.booking_changed(booking_ref=str(supper.pk)) is Change.NOTHING
    assert problems() == ["other tables in the host than here"]
    # Staff turn it down: the project shows its own table again, and nothing differs any more.
    api.reject(booking_ref=str(supper.pk), actor="staff:7", reason="There is no table 77.")
    assert shown(supper) == (before, Supper.Status.SET)
    assert state_of(supper)[0] == State.CONFIRMED
    assert problems() == []


def test_reconcile_finds_it_and_sends_it_to_staff(supper: Supper) -> None:
    Supper.objects.filter(pk=supper.pk).update(place_number=77)
    (found,) = reconcile()
    assert found.remedy == "staff have to decide: it is in review"
    assert state_of(supper) == (State.MANUAL_REVIEW, "tables_changed_by_host")


@pytest.mark.parametrize("how", ["changed", "reconciled", "waiting"])
def test_a_booking_that_the_project_seats_there_itself_is_not_taken_over(how: str) -> None:
    row = a_supper()
    ref = str(row.pk)
    if how == "waiting":
        api.request(booking_ref=ref)
    Supper.objects.filter(pk=row.pk).update(place_number=77, status=Supper.Status.SET)
    if how == "reconciled":
        assert [each.remedy for each in reconcile()] == ["staff have to decide: it is in review"]
    else:
        assert api.booking_changed(booking_ref=ref) is Change.TO_STAFF
    assert state_of(row) == (State.MANUAL_REVIEW, "confirmed_by_host")
    assert "77, which is not on this restaurant's floor" in detail_of(row)
    assert tables_of(row) == []


def test_adopting_it_by_hand_is_refused() -> None:
    row = a_supper(place_number=77, status=Supper.Status.SET)
    with pytest.raises(TablesRefusedError, match="77, which is not on this restaurant's floor"):
        api.adopt(booking_ref=str(row.pk), table_refs=["77"])
    assert not Assignment.objects.exists()


def test_tables_that_the_project_clears_stay_the_guests_and_go_to_staff(supper: Supper) -> None:
    before = supper.place_number
    assert problems() == []
    Supper.objects.filter(pk=supper.pk).update(place_number=None)
    assert problems() == ["no tables in the host, but here"]
    assert api.booking_changed(booking_ref=str(supper.pk)) is Change.TO_STAFF
    assert state_of(supper) == (State.MANUAL_REVIEW, "tables_changed_by_host")
    assert detail_of(supper) == f"The booking project shows no table for it, and here it has {before}."
    assert tables_of(supper) == [str(before)]
    assert api.booking_changed(booking_ref=str(supper.pk)) is Change.NOTHING
    # Shown at its table again, nobody has to decide.
    assert changed(supper, place_number=before) is Change.RESTORED
    assert state_of(supper)[0] == State.CONFIRMED
    assert problems() == []


@pytest.mark.parametrize("by", ["call", "reconcile"])
def test_tables_of_guests_who_sit_that_the_project_clears_go_to_staff(
    supper: Supper, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SupperHost, "stage_statuses", {3: "seated"})
    before = supper.place_number
    assert changed(supper, status=3) is Change.NOTHING
    Supper.objects.filter(pk=supper.pk).update(place_number=None)
    if by == "call":
        assert api.booking_changed(booking_ref=str(supper.pk)) is Change.TO_STAFF
    else:
        assert [each.problem for each in reconcile()] == ["no tables in the host, but here"]
    assert state_of(supper) == (State.MANUAL_REVIEW, "tables_changed_by_host")
    assert tables_of(supper) == [str(before)]


def test_staff_who_turn_it_down_have_the_project_told_its_table_again(supper: Supper) -> None:
    before = supper.place_number
    assert changed(supper, place_number=None) is Change.TO_STAFF
    api.reject(booking_ref=str(supper.pk), actor="staff:7", reason="They keep it.")
    assert shown(supper) == (before, Supper.Status.SET)
    assert problems() == []


def test_cleared_first_and_given_another_table_then_it_is_seated_there(supper: Supper) -> None:
    (other,) = {5, 6} - {supper.place_number}
    assert changed(supper, place_number=None) is Change.TO_STAFF
    assert changed(supper, place_number=other) is Change.MOVED
    assert (tables_of(supper), state_of(supper)[0]) == ([str(other)], State.CONFIRMED)


def test_a_form_that_clears_tables_with_an_edit_meant_the_edit(supper: Supper) -> None:
    assert changed(supper, place_number=None, size="4 people") is Change.KEPT
    assert (state_of(supper)[0], len(tables_of(supper))) == (State.CONFIRMED, 1)
    assert [str(shown(supper)[0])] == tables_of(supper)
    assert problems() == []


@pytest.fixture
def unstored(settings: Any, supper: Supper) -> Supper:
    """It is confirmed at a table, which its project reads and was told, but does not store."""
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "HOST": f"{__name__}.HostWithoutTables"}
    Supper.objects.filter(pk=supper.pk).update(place_number=None)
    return supper


class HostWithoutTables(SupperHost):
    def write_tables(self, tables: Mapping[str, Sequence[str]]) -> None:
        """Store none: somebody types them in later, if at all."""


def told(row: Supper) -> list[str] | None:
    return Assignment.objects.get(booking_ref=str(row.pk)).told_table_refs


def test_a_project_that_stores_no_tables_is_not_asked_why_it_shows_none(unstored: Supper) -> None:
    before, ref = tables_of(unstored), str(unstored.pk)
    assert api.booking_changed(booking_ref=ref) is Change.NOTHING
    assert (state_of(unstored)[0], tables_of(unstored), told(unstored)) == (State.CONFIRMED, before, [])
    version = Assignment.objects.get().version
    assert api.booking_changed(booking_ref=ref) is Change.NOTHING
    assert (problems(), Assignment.objects.get().version) == ([], version)


def test_nor_after_an_edit_and_after_staff_turned_another_down(unstored: Supper) -> None:
    ref = str(unstored.pk)
    assert changed(unstored, size="4 people") is Change.KEPT
    assert api.booking_changed(booking_ref=ref) is Change.NOTHING
    assert changed(unstored, size="9 people") is Change.TO_STAFF
    api.reject(booking_ref=ref, actor="staff:7", reason="Too many.")
    assert api.booking_changed(booking_ref=ref) is Change.NOTHING
    assert (state_of(unstored)[0], told(unstored)) == (State.CONFIRMED, [])


def test_tables_that_it_shows_in_the_end_are_its_own_or_a_choice(unstored: Supper) -> None:
    (own,) = tables_of(unstored)
    (other,) = {"5", "6"} - {own}
    assert changed(unstored) is Change.NOTHING
    assert changed(unstored, place_number=int(own)) is Change.NOTHING
    assert (tables_of(unstored), told(unstored)) == ([own], [own])
    assert changed(unstored, place_number=None) is Change.NOTHING
    assert changed(unstored, place_number=int(other)) is Change.MOVED
    assert tables_of(unstored) == [other]


def test_staff_who_turn_an_edit_down_are_not_asked_about_the_cleared_table_too(supper: Supper) -> None:
    before = supper.place_number
    assert changed(supper, place_number=None, size="9 people") is Change.TO_STAFF
    assert state_of(supper) == (State.MANUAL_REVIEW, "edit_unmet")
    api.reject(booking_ref=str(supper.pk), actor="staff:7", reason="Too many.")
    assert shown(supper) == (before, Supper.Status.SET)
    assert api.booking_changed(booking_ref=str(supper.pk)) is Change.NOTHING
    assert state_of(supper) == (State.CONFIRMED, "edit_rejected")


def test_a_booking_that_waits_again_without_its_table_is_told_it_again(supper: Supper) -> None:
    before = supper.place_number
    assert changed(supper, place_number=None, status=Supper.Status.NEW) is Change.NOTHING
    assert shown(supper) == (before, Supper.Status.SET)


def test_a_table_that_is_deleted_is_no_table_that_was_cleared(supper: Supper, places: list[Place]) -> None:
    before = supper.place_number
    Place.objects.filter(number=before).delete()
    assert changed(supper, place_number=None) is not Change.TO_STAFF
    (other,) = {5, 6} - {before}
    assert (tables_of(supper), shown(supper)[0]) == ([str(other)], other)


@pytest.mark.django_db(transaction=True)
def test_a_cleared_many_to_many_is_noticed_by_its_signal(settings: Any, places: list[Place]) -> None:
    settings.ASSIGNMENTS = {"HOST": "tests.shapes.hosts.VisitHost", "ROUTER": SOLE}
    house = House.objects.get()
    Board.objects.create(house=house, label="B1", places=4)
    visit = Visit.objects.create(house=house, day=DAY, hour=time(19), guests=2)
    assert api.assign_now(booking_ref=str(visit.pk)).kind is Kind.CONFIRMED
    visit.boards.clear()
    mark_following.sweep()
    assert Assignment.objects.get().reason == "tables_changed_by_host"


def test_a_table_out_of_service_that_the_project_gave_itself_stays_theirs(host: TheHost, tonight: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2", active=False)])
    host.book("B1", starts_at=tonight)
    api.adopt(booking_ref="B1", table_refs=["T2"])
    host.edit("B1", is_confirmed=True)
    assert Allocation.objects.get().despite == ["table_inactive"]
    assert list(reconcile()) == []
    assert Allocation.objects.get().table_ref == "T2"
