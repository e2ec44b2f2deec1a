"""The host's staff give bookings other tables: while guests sit, among each other, and beside the guest's edits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta

import pytest
from django.db import connection, transaction
from django.utils import translation

from assignments import api
from assignments.concurrency.clock import at
from assignments.coordination import host_changes
from assignments.integration.host import HostBooking, Seating
from assignments.maintenance.reconcile import reconcile
from assignments.models import Allocation, Assignment, OutboxMessage, Stage, State, StateTransition
from assignments.outcome import Change, Kind
from assignments.staff import labels
from assignments.testing import a_floor, a_service, a_table
from tests.assignments.conftest import TheHost, run_all, state_of, tables_of

pytestmark = pytest.mark.django_db(transaction=True)

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
STAFF = "staff:7"


def show(host: TheHost, ref: str, *tables: str) -> None:
    """The host's staff give the booking these tables in the host."""
    start = host.rows[ref].starts_at
    known = host.seated.get(ref) or Seating(booking_ref=ref, table_refs=(), starts_at=start, ends_at=start + HOUR)
    host.seated[ref] = replace(known, table_refs=tables)


def promise_of(ref: str) -> tuple[datetime, int, datetime | None, int | None]:
    """Start and party that are promised, and those that are asked for instead."""
    assignment = Assignment.objects.get(booking_ref=ref)
    return assignment.starts_at, assignment.party, assignment.asked_starts_at, assignment.asked_party


def locks_of(*refs: str) -> dict[str, str]:
    """Who locked or changed each row last, as the database marks it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT booking_ref, ctid::text || xmax::text FROM assignments_assignment WHERE booking_ref = ANY(%s)",
            [list(refs)],
        )
        return dict(cursor.fetchall())


CHANGED = (State.CONFIRMED, "tables_changed_by_host")
WAITS = (State.MANUAL_REVIEW, "tables_changed_by_host")


@pytest.fixture
def three(host: TheHost, tonight: datetime) -> TheHost:
    """B1, B2 and B3 are at T1, T2 and T3, from 19:00 to 21:00; T4 is free."""
    host.floors["R1"] = a_floor(tables=[a_table(f"T{number}") for number in range(1, 5)])
    for number in (1, 2, 3):
        host.book(f"B{number}", starts_at=tonight, party=3)
        api.assign(booking_ref=f"B{number}", table_refs=[f"T{number}"], actor=STAFF)
    return host


class TestGuestsWhoSit:
    """The host shows them as seated: they want no table, and keep theirs."""

    @pytest.fixture
    def at_ten_past(self, three: TheHost, tonight: datetime) -> object:
        three.edit("B1", wants_table=False, keeps_tables=True, stage="seated")
        with at(tonight + 10 * MINUTE):
            api.booking_changed(booking_ref="B1")
            yield None

    @pytest.mark.parametrize("noticed_by", ["the call", "the comparison"])
    def test_who_is_moved_in_the_host_sits_there_here_too(
        self, three: TheHost, at_ten_past: object, tonight: datetime, noticed_by: str
    ) -> None:
        show(three, "B1", "T4")
        assignment, now = Assignment.objects.get(booking_ref="B1"), tonight + 10 * MINUTE
        assert not host_changes.is_followed(assignment, three.rows["B1"], now=now)
        if noticed_by == "the call":
            assert api.booking_changed(booking_ref="B1") is Change.MOVED
        else:
            assert [each.problem for each in reconcile()] == ["other tables in the host than here"]
        assert (tables_of("B1"), state_of("B1")) == (["T4"], CHANGED)
        row = Allocation.objects.current().get(booking_ref="B1")
        assert (row.ends_at, row.blocked.lower >= now) == (tonight + 2 * HOUR, True)
        assert Allocation.objects.exclude(ended_at=None).get().table_ref == "T1", "where they sat stays on record"
        assert Assignment.objects.get(booking_ref="B1").stage == Stage.SEATED
        assert list(reconcile()) == []
        three.book("N", starts_at=tonight + 15 * MINUTE, ends_at=tonight + HOUR, party=3)
        run_all()
        assert tables_of("N") == ["T1"], "nobody gets the table at which they sit now"

    def test_who_is_shown_where_others_sit_is_left_to_staff_until_that_is_free(
        self, three: TheHost, at_ten_past: object
    ) -> None:
        show(three, "B1", "T2")
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        assert (tables_of("B1"), state_of("B1")) == (["T1"], WAITS)
        version = Assignment.objects.get(booking_ref="B1").version
        Assignment.objects.filter(booking_ref="B1").update(wake_at=Assignment.objects.get(booking_ref="B1").stage_at)
        run_all()
        assert Assignment.objects.get(booking_ref="B1").version == version, "a try that seats nobody changes nothing"
        api.left(booking_ref="B2", actor=STAFF)
        run_all()
        assert (tables_of("B1"), state_of("B1")) == (["T2"], CHANGED)

    def test_a_host_that_stores_no_tables_is_not_asked_why_it_shows_none(
        self, three: TheHost, at_ten_past: object
    ) -> None:
        three.edit("B1", table_refs=())
        assert api.booking_changed(booking_ref="B1") is Change.NOTHING
        assert (tables_of("B1"), state_of("B1")[0]) == (["T1"], State.CONFIRMED)
        assert Assignment.objects.get(booking_ref="B1").told_table_refs == []
        assert list(reconcile()) == []

    def test_the_comparison_looks_while_the_stay_lasts(
        self, three: TheHost, at_ten_past: object, tonight: datetime
    ) -> None:
        show(three, "B2", "T4")
        with at(tonight + HOUR):
            assert [each.booking_ref for each in reconcile(dry_run=True)] == ["B2"], "unmarked, and there by the clock"
        with at(tonight + 3 * HOUR):
            assert list(reconcile(dry_run=True)) == []

    def test_a_longer_stay_and_another_table_at_once(
        self, three: TheHost, at_ten_past: object, tonight: datetime
    ) -> None:
        three.edit("B1", ends_at=tonight + 150 * MINUTE)
        show(three, "B1", "T4")
        assert api.booking_changed(booking_ref="B1") is Change.MOVED
        row = Allocation.objects.current().get(booking_ref="B1")
        assert (row.table_ref, row.ends_at) == ("T4", tonight + 150 * MINUTE)


class TestAmongEachOther:
    @pytest.mark.parametrize("cycle", [("B1", "B2"), ("B1", "B2", "B3")], ids=["two", "three"])
    def test_who_swap_their_tables_in_the_host_swap_them_here(self, three: TheHost, cycle: tuple[str, ...]) -> None:
        wanted = {ref: f"T{other[1]}" for ref, other in zip(cycle, (*cycle[1:], cycle[0]), strict=True)}
        for ref, table in wanted.items():
            show(three, ref, table)
            api.booking_changed(booking_ref=ref)  # One after the other, as they are saved.
        assert {ref: tables_of(ref) for ref in cycle} == {ref: [table] for ref, table in wanted.items()}
        assert {state_of(ref) for ref in cycle} == {CHANGED}
        assert three.moves == [], "the host has decided"
        assert list(reconcile()) == []

    def test_a_chain_that_ends_at_a_free_table_moves_as_one(self, three: TheHost) -> None:
        for ref, table in (("B1", "T2"), ("B2", "T3"), ("B3", "T4")):
            show(three, ref, table)
        assert api.booking_changed(booking_ref="B1") is Change.MOVED
        assert [tables_of(ref) for ref in ("B1", "B2", "B3")] == [["T2"], ["T3"], ["T4"]]

    def test_one_neighbour_gives_up_the_time_before_it_and_the_time_after_it(
        self, host: TheHost, tonight: datetime
    ) -> None:
        service = a_service(starts=time(16), buffer_before_minutes=15, buffer_after_minutes=15)
        host.floors["R1"] = a_floor(tables=[a_table(f"T{number}") for number in range(1, 5)], services=[service])
        for ref, table, start, end in (
            ("N", "T1", 90, 150),
            ("A", "T4", 150, 220),
            ("C", "T3", 60, 180),
            ("D", "T2", 0, 90),
        ):
            start_at, ends_at = tonight - HOUR + start * MINUTE, tonight - HOUR + end * MINUTE
            host.book(ref, starts_at=start_at, ends_at=ends_at, party=3)
            api.assign(booking_ref=ref, table_refs=[table], actor=STAFF)
        for ref, tables in (("A", ("T1", "T3")), ("C", ("T2",)), ("D", ("T1",))):
            show(host, ref, *tables)
        assert api.booking_changed(booking_ref="A") is Change.MOVED
        assert {ref: tables_of(ref) for ref in "ACDN"} == {"A": ["T1", "T3"], "C": ["T2"], "D": ["T1"], "N": ["T1"]}
        neighbour = Allocation.objects.get(booking_ref="N")
        assert (neighbour.blocked.lower, neighbour.blocked.upper) == (neighbour.starts_at, neighbour.ends_at)

    def test_who_asks_for_another_day_is_neither_moved_nor_locked(
        self, three: TheHost, tonight: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        three.edit("B2", starts_at=tonight + timedelta(days=1), party=9)
        assert api.booking_changed(booking_ref="B2") is Change.TO_STAFF
        locked: set[str] = set()
        read = three.bookings

        def bookings(refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
            locked.update(refs if lock else ())
            return read(refs, lock=lock)

        monkeypatch.setattr(three, "bookings", bookings)
        show(three, "B1", "T2")
        show(three, "B2", "T3")
        show(three, "B3", "T1")
        with transaction.atomic():
            before = locks_of("B1", "B2", "B3")
            assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
            after = locks_of("B1", "B2", "B3")
        assert (before["B1"] != after["B1"], before["B2"] == after["B2"], "B2" in locked) == (True, True, False)

    def test_two_who_are_shown_at_one_table_stay_where_they_are(self, three: TheHost) -> None:
        for ref, table in (("B1", "T2"), ("B2", "T3"), ("B3", "T2")):
            show(three, ref, table)
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        assert [tables_of(ref) for ref in ("B1", "B2", "B3")] == [["T1"], ["T2"], ["T3"]]

    def test_guests_who_sit_swap_from_now_on(self, three: TheHost, tonight: datetime) -> None:
        with at(tonight + 10 * MINUTE):
            for ref in ("B1", "B2"):
                api.seated(booking_ref=ref, actor=STAFF)
            show(three, "B1", "T2")
            show(three, "B2", "T1")
            assert api.booking_changed(booking_ref="B1") is Change.MOVED
            assert (tables_of("B1"), tables_of("B2")) == (["T2"], ["T1"])
            assert Allocation.objects.exclude(ended_at=None).count() == 2


class TestBesideTheGuestsEdit:
    """B1 is at T1, and the host shows it at T2, where B2 is: staff have to decide."""

    @pytest.fixture
    def shown(self, three: TheHost) -> TheHost:
        show(three, "B1", "T2")
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        return three

    def test_staff_read_why_in_their_language_with_the_names_of_the_tables(self, three: TheHost) -> None:
        three.floors["R1"] = a_floor(tables=[a_table(f"T{number}", name=f"Table {number}") for number in range(1, 5)])
        show(three, "B1", "T2")
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        detail = StateTransition.objects.filter(booking_ref="B1").latest("version").detail
        assert detail == "The booking project shows it at Table 2, where booking B2 is seated."
        show(three, "B3", "T99")
        assert api.booking_changed(booking_ref="B3") is Change.TO_STAFF
        detail = StateTransition.objects.filter(booking_ref="B3").latest("version").detail
        with translation.override("de"):
            assert "T99" in labels.reason("tables_changed_by_host", detail)
            assert "The booking" not in labels.reason("tables_changed_by_host", detail)

    def test_fewer_guests_are_settled_and_the_choice_of_the_host_is_kept(self, shown: TheHost) -> None:
        shown.edit("B1", party=2)
        assert api.booking_changed(booking_ref="B1") is Change.KEPT
        assert (tables_of("B1"), state_of("B1")) == (["T1"], WAITS)
        assert promise_of("B1") == (Allocation.objects.get(booking_ref="B1").starts_at, 2, None, None)
        assert Allocation.objects.get(booking_ref="B1").party == 2
        assert shown.seated["B1"].table_refs == ("T2",)
        assert shown.moves == []
        shown.rows.pop("B2")
        api.booking_changed(booking_ref="B2")
        run_all()
        assert (tables_of("B1"), state_of("B1")) == (["T2"], CHANGED)
        assert Allocation.objects.get(booking_ref="B1").party == 2

    def test_another_time_and_fewer_guests_are_promised_beside_the_choice_of_the_host(
        self, shown: TheHost, tonight: datetime
    ) -> None:
        later = tonight + 30 * MINUTE
        shown.edit("B1", starts_at=later, party=2)
        assert api.booking_changed(booking_ref="B1") is Change.KEPT
        row = Allocation.objects.get(booking_ref="B1")
        assert (row.table_ref, row.starts_at, row.party) == ("T1", later, 2)
        assert (promise_of("B1"), state_of("B1")) == ((later, 2, None, None), WAITS)
        assert api.booking_changed(booking_ref="B1") is Change.NOTHING

    def test_guests_who_sit_and_become_fewer_are_promised_that(self, shown: TheHost, tonight: datetime) -> None:
        with at(tonight + 10 * MINUTE):
            shown.edit("B1", party=2, ends_at=tonight + HOUR)
            assert api.booking_changed(booking_ref="B1") is Change.KEPT
            assert (tables_of("B1"), state_of("B1")) == (["T1"], WAITS)
            assert promise_of("B1") == (tonight, 2, None, None)
            assert Assignment.objects.get(booking_ref="B1").asked_until == tonight + HOUR

    def test_what_its_own_table_does_not_do_for_waits_for_staff_too(self, shown: TheHost, tonight: datetime) -> None:
        shown.edit("B1", party=7)
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        assert (tables_of("B1"), state_of("B1")) == (["T1"], WAITS)
        shown.edit("B1", party=3)
        api.booking_changed(booking_ref="B1")
        assert (tables_of("B1"), state_of("B1")) == (["T1"], WAITS), "the host shows it at the other table still"
        assert shown.seated["B1"].table_refs == ("T2",)


class TestPins:
    @pytest.fixture
    def pinned(self, host: TheHost, tonight: datetime) -> TheHost:
        host.book("B1", starts_at=tonight, party=4)
        run_all()
        api.pin(booking_ref="B1", table_refs=["T2"], actor=STAFF)
        assert tables_of("B1") == ["T2"]
        return host

    @pytest.mark.parametrize("by", ["staff", "the host"])
    def test_a_later_choice_of_other_tables_replaces_the_pin(self, pinned: TheHost, by: str) -> None:
        if by == "staff":
            api.move(booking_ref="B1", table_refs=["T3"], actor=STAFF)
        else:
            show(pinned, "B1", "T3")
            api.booking_changed(booking_ref="B1")
        assert Assignment.objects.get().pinned_table_refs == ["T3"]
        pinned.edit("B1", party=3)
        assert api.booking_changed(booking_ref="B1") is Change.KEPT
        assert tables_of("B1") == ["T3"]

    def test_taking_the_move_back_takes_the_pin_back(self, pinned: TheHost) -> None:
        api.move(booking_ref="B1", table_refs=["T3"], actor=STAFF)
        api.undo(booking_ref="B1", actor=STAFF)
        assert (tables_of("B1"), Assignment.objects.get().pinned_table_refs) == (["T2"], ["T2"])

    def test_who_is_not_pinned_is_not_pinned_by_a_move(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        assert run_all()["B1"].kind is Kind.CONFIRMED
        api.move(booking_ref="B1", table_refs=["T3"], actor=STAFF)
        assert Assignment.objects.get().pinned_table_refs == []


def test_who_is_moved_to_where_others_overstay_goes_to_staff_with_them(three: TheHost, tonight: datetime) -> None:
    """B1 stays at T1 until 21:30, and somebody comes there at 21:00; then the host shows B4 there in its place."""
    later = tonight + 2 * HOUR
    for ref, table in (("gone", "T1"), ("B4", "T4")):
        three.book(ref, starts_at=later, party=3)
        api.assign(booking_ref=ref, table_refs=[table], actor=STAFF)
    api.pin(booking_ref="gone", table_refs=["T1"], actor=STAFF)
    api.extend(booking_ref="B1", until=later + 30 * MINUTE, actor=STAFF)
    three.edit("gone", wants_table=False)
    api.booking_cancelled(booking_ref="gone")
    show(three, "B4", "T1")
    assert api.booking_changed(booking_ref="B4") is Change.TO_STAFF
    assert state_of("B1") == state_of("B4") == (State.MANUAL_REVIEW, "overlapping")
    assert tables_of("B1") == tables_of("B4") == ["T1"]
    told = OutboxMessage.objects.filter(topic="booking.overlapping").order_by("-id")
    said = {each.booking_ref: each.payload["detail"] for each in reversed(told)}
    assert (said["B1"], said["B4"]) == ("B4", "B1")
    run_all()
    assert (state_of("B1")[0], tables_of("B1")) == (State.CONFIRMED, ["T1"]), "B4 has another table again"
    assert (state_of("B4")[0], len(tables_of("B4")), tables_of("B4") == ["T1"]) == (State.CONFIRMED, 1, False)
