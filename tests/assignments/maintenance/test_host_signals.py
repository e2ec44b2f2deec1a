"""Signals of the host's models: what a project writes is followed without a call of its own."""

import json
import threading
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, cast

import pytest
from django.core import serializers
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import signals
from django.http import HttpRequest, JsonResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path

from assignments import api, conf
from assignments.concurrency import clock
from assignments.coordination import dispatch
from assignments.host import HostBooking, ModelHost, Seating, Watch
from assignments.integration import marks
from assignments.maintenance import mark_following
from assignments.maintenance.reconcile import reconcile
from assignments.models import OPEN_STATES, Allocation, Assignment, HostMark, OutboxMessage, State, StateTransition
from assignments.outcome import Change, Kind
from assignments.testing import MemoryHost, a_floor, a_table
from tests.shapes.hosts import BanquetHost, TicketHost, VisitHost
from tests.shapes.models import (
    Banquet,
    Bench,
    Board,
    Feast,
    House,
    Note,
    NotedBoard,
    Outing,
    Record,
    Reservation,
    Sitting,
    Standing,
    Stay,
    Ticket,
    Visit,
)

pytestmark = pytest.mark.django_db(transaction=True)

DAY = (datetime.now(UTC) + timedelta(days=30)).date()
NOON = datetime.combine(DAY, time(12), tzinfo=UTC)
SINKS = ("assignments.telemetry.events.MemorySink",)


class HidingHost(VisitHost):
    """Its visits of the room "deleted" are soft-deleted: readers do not see them."""

    def bookings(self, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        hidden = {str(key) for key in Visit.objects.filter(room="deleted").values_list("pk", flat=True)}
        return super().bookings([ref for ref in refs if ref not in hidden], lock=lock)


class FailingHost(VisitHost):
    """It cannot read visits of the room "broken"."""

    def bookings(self, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        if Visit.objects.filter(pk__in=refs, room="broken").exists():
            raise ZeroDivisionError
        return super().bookings(refs, lock=lock)


class SavingHost(VisitHost):
    """Its callbacks save the bookings that they are called for, and one other."""

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        super().on_confirmed(seatings)
        for seating in seatings:
            Visit.objects.get(pk=seating.booking_ref).save()
        for other in Visit.objects.filter(room="other"):
            other.save()


class WalkInHost(VisitHost):
    """It keeps a visit for walk-ins, and knows who sits."""

    stage_statuses: Mapping[Any, str] = {Visit.Stage.SEATED: "seated"}

    def create_walk_in(self, *, restaurant_ref: str, party: int, starts_at: datetime, ends_at: datetime | None) -> str:
        visit = Visit.objects.create(
            house_id=int(restaurant_ref), day=starts_at.date(), hour=starts_at.time(), guests=party
        )
        return str(visit.pk)


class NotedTicketHost(TicketHost):
    tables_field = "noted_boards"


class OutingHost(ModelHost):
    """Its start lies behind a foreign key."""

    booking_model = "shapes.Outing"
    start_field = "sitting__starts_at"
    end_field = "sitting__ends_at"
    party_field = "covers"
    status_field = "status"
    tables_field = "board"
    table_model = "shapes.Board"
    table_seats_field = "places"


class FeastHost(BanquetHost):
    """It names a proxy of the model that its project saves."""

    booking_model = "shapes.Feast"


class BenchHost(ModelHost):
    """Keys that are UUIDs, and tables in a many-to-many."""

    booking_model = "shapes.Stay"
    start_field = "start"
    party_field = "covers"
    confirmed_field = "accepted"
    tables_field = "benches"
    table_model = "shapes.Bench"


class OwnHost(MemoryHost):
    """No ModelHost: it says itself what to watch."""

    def __init__(self) -> None:
        super().__init__(floors=[a_floor(tables=[a_table("T1")])])

    def watched(self) -> Sequence[Watch]:
        return [Watch(model=Note, refs=self.refs)]

    def refs(self, note: Note) -> list[str]:
        return [f"N{note.covers // note.covers * note.pk}"]


@pytest.fixture(autouse=True)
def use(settings: Any) -> Any:
    """Make a class the project's host, VisitHost at first."""

    def chosen(host: type, **others: Any) -> None:
        path = f"{host.__module__}.{host.__qualname__}"
        sole = "assignments.integration.planners.SoleRouter"
        given = {"HOST": path, "ROUTER": sole, "EVENT_SINKS": SINKS, "MOVABLE_CLOCK": True}
        settings.ASSIGNMENTS = {**given, **others}

    chosen(VisitHost)
    return chosen


@pytest.fixture
def written(monkeypatch: Any) -> list[str]:
    """The refs of all marks that are written."""
    refs: list[str] = []
    write = marks._write

    def counted(booking_ref: str, stamp: uuid.UUID, *, seconds: float) -> None:
        refs.append(booking_ref)
        write(booking_ref, stamp, seconds=seconds)

    monkeypatch.setattr(marks, "_write", counted)
    return refs


@pytest.fixture
def house() -> House:
    house = House.objects.create(name="Anchor")
    for number in (1, 2, 3):
        Board.objects.create(house=house, label=f"B{number}", places=4, room="bar")
    return house


@pytest.fixture
def visit(house: House) -> Visit:
    return a_visit(house)


@pytest.fixture
def seated(visit: Visit) -> Visit:
    assert api.assign_now(booking_ref=str(visit.pk)).kind is Kind.CONFIRMED
    visit.refresh_from_db()
    return visit


def a_visit(house: House, **values: Any) -> Visit:
    return Visit.objects.create(house=house, **{"day": DAY, "hour": time(12), "guests": 2, **values})


def assignment(booking: Any) -> Assignment:
    return Assignment.objects.get(booking_ref=str(booking.pk))


def tables_of(booking: Any) -> set[str]:
    return set(Allocation.objects.current().filter(booking_ref=str(booking.pk)).values_list("table_ref", flat=True))


def make_due() -> None:
    HostMark.objects.update(due_at=datetime(2020, 1, 1, tzinfo=UTC))


def crash(*args: Any) -> None:
    """What a process that dies right after the commit does: nothing."""


class TestWhatIsFollowed:
    def test_a_saved_booking_is_asked_for_edited_and_cancelled_without_a_call(self, house: House) -> None:
        visit = a_visit(house)
        assert assignment(visit).state in OPEN_STATES
        assert api.assign_now(booking_ref=str(visit.pk)).kind is Kind.CONFIRMED
        before = tables_of(visit)
        visit.refresh_from_db()
        visit.guests = 3
        visit.save()
        assert (assignment(visit).party, tables_of(visit)) == (3, before)
        visit.stage = Visit.Stage.CANCELLED
        visit.save()
        assert (assignment(visit).state, tables_of(visit)) == (State.CANCELLED, set())
        assert not HostMark.objects.exists()

    def test_a_deleted_booking_frees_its_tables(self, seated: Visit) -> None:
        ref = str(seated.pk)
        seated.delete()
        assert Assignment.objects.get(booking_ref=ref).state == State.CANCELLED
        assert not Allocation.objects.current().exists()

    def test_a_queryset_that_is_deleted_sends_signals_too(self, seated: Visit) -> None:
        Visit.objects.all().delete()
        assert Assignment.objects.get().state == State.CANCELLED

    def test_a_row_behind_a_foreign_key_changes_all_bookings_that_point_to_it(
        self, use: Any, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use(OutingHost)
        monkeypatch.setattr(mark_following, "INLINE", 2)
        for code in ("pending", "confirmed", "cancelled"):
            Standing.objects.create(code=code)
        sitting, other = (Sitting.objects.create(starts_at=NOON) for _each in range(2))
        outings = [Outing.objects.create(sitting=sitting, covers=2) for _each in range(3)]
        elsewhere = Outing.objects.create(sitting=other, covers=2)
        for each in outings:
            assert api.assign_now(booking_ref=str(each.pk)).kind is Kind.CONFIRMED
        sitting.starts_at = NOON + timedelta(days=1)
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            sitting.save()
        assert len([each for each in queries if "INSERT INTO assignments_hostmark" in each["sql"]]) == 3
        # Two are followed at once, and a pass follows the rest.
        assert {assignment(each).starts_at for each in outings[:2]} == {sitting.starts_at}
        assert assignment(outings[2]).starts_at == NOON
        mark_following.sweep()
        assert assignment(outings[2]).starts_at == sitting.starts_at
        assert assignment(elsewhere).starts_at == NOON
        # What update() wrote is found when it is reconciled.
        Sitting.objects.filter(pk=sitting.pk).update(starts_at=NOON + timedelta(days=2))
        assert assignment(outings[0]).starts_at == sitting.starts_at
        list(reconcile())
        assert assignment(outings[0]).starts_at == NOON + timedelta(days=2)
        sitting.delete()
        make_due()
        mark_following.sweep()
        assert {assignment(each).state for each in outings} == {State.CANCELLED}

    def test_what_was_never_known_and_is_gone_is_ignored(self, use: Any, house: House) -> None:
        use(VisitHost, CONNECT_SIGNALS=False)
        visit = a_visit(house)
        use(VisitHost)
        visit.delete()
        assert not Assignment.objects.exists()
        assert not HostMark.objects.exists()

    def test_a_soft_deleted_booking_is_cancelled_and_planned_again_when_it_is_restored(
        self, use: Any, house: House
    ) -> None:
        use(HidingHost)
        visit = a_visit(house)
        api.assign_now(booking_ref=str(visit.pk))
        visit.refresh_from_db()
        visit.room = "deleted"
        visit.save()
        assert (assignment(visit).state, tables_of(visit)) == (State.CANCELLED, set())
        visit.room, visit.stage = "", Visit.Stage.ASKED
        visit.save()
        assert assignment(visit).state in OPEN_STATES

    def test_other_tables_in_the_many_to_many_are_taken_over_from_either_side(
        self, seated: Visit, written: list[str]
    ) -> None:
        (now,) = tables_of(seated)
        other, third = cast("Any", Board.objects.exclude(pk=now))
        seated.boards.set([other])
        assert tables_of(seated) == {str(other.pk)}
        written.clear()
        with transaction.atomic():
            other.visit_set.clear()
            assert written == [str(seated.pk)]
            third.visit_set.add(seated)
        assert tables_of(seated) == {str(third.pk)}

    def test_a_table_row_of_the_projects_own_is_watched(self, use: Any, house: House) -> None:
        use(NotedTicketHost)
        ticket = Ticket.objects.create(code="T1", start=NOON, covers=2, status="asked")
        assert api.assign_now(booking_ref="T1").kind is Kind.CONFIRMED
        (now,) = tables_of(ticket)
        other = Board.objects.exclude(pk=now)[0]
        row = NotedBoard._default_manager.get(ticket=ticket)
        row.board = other
        row.save()
        assert tables_of(ticket) == {str(other.pk)}

    def test_a_table_row_of_the_projects_own_that_is_given_to_another_booking_concerns_both(
        self, use: Any, house: House, written: list[str]
    ) -> None:
        use(NotedTicketHost)
        first, second = (Ticket.objects.create(code=code, start=NOON, covers=2, status="asked") for code in "AB")
        assert api.assign_now(booking_ref="A").kind is Kind.CONFIRMED
        row = NotedBoard._default_manager.get(ticket=first)
        written.clear()
        row.ticket = second
        row.save()
        assert written == ["A", "B"]
        assert assignment(first).reason == "tables_changed_by_host", "the project shows no table for it"
        written.clear()
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            row.note = "by the window"
            row.save()
        reads = [each["sql"] for each in queries if each["sql"].startswith("SELECT") and "notedboard" in each["sql"]]
        assert written == ["B"]
        assert "ticket_id" in reads[0]
        with transaction.atomic():
            row.delete()
        assert written == ["B", "B"]

    def test_proxies_and_models_that_inherit_are_watched(self, use: Any, house: House) -> None:
        use(BanquetHost)
        feast = Feast.objects.create(start=NOON, covers=2)
        assert assignment(feast).state in OPEN_STATES
        feast.covers = 4
        feast.save()
        assert assignment(feast).party == 4
        Banquet.objects.get().delete()
        assert Assignment.objects.get().state == State.CANCELLED

    def test_the_model_that_a_proxy_stands_for_is_watched(self, use: Any, house: House) -> None:
        use(FeastHost)
        banquet = Banquet.objects.create(start=NOON, covers=2)
        assert assignment(banquet).state in OPEN_STATES
        banquet.status = "cancelled"
        banquet.save()
        assert assignment(banquet).state == State.CANCELLED

    def test_a_parents_row_that_holds_a_part_of_the_booking_is_watched(self, use: Any, house: House) -> None:
        use(BanquetHost)
        banquet = Banquet.objects.create(start=NOON, covers=2)
        assert api.assign_now(booking_ref=str(banquet.pk)).kind is Kind.CONFIRMED
        (now,) = tables_of(banquet)
        parent: Any = Reservation._default_manager.get(pk=banquet.pk)
        parent.board = Board.objects.exclude(pk=now)[0]
        parent.save()
        assert tables_of(banquet) == {str(parent.board_id)}
        record = Record.objects.get(pk=banquet.pk)
        record.status = "cancelled"
        record.save()
        assert (assignment(banquet).state, tables_of(banquet)) == (State.CANCELLED, set())
        Record.objects.create()
        assert not HostMark.objects.exists(), "a parent's row without a booking is nobody's"

    def test_a_key_in_another_spelling_means_the_same_booking(self, use: Any, house: House, written: list[str]) -> None:
        use(BenchHost)
        benches = [Bench.objects.create(seats=4) for _each in range(2)]
        stay = Stay.objects.create(start=NOON, covers=2)
        assert api.assign_now(booking_ref=str(stay.pk)).kind is Kind.CONFIRMED
        (now,) = tables_of(stay)
        (other,) = (bench for bench in benches if str(bench.pk) != now)
        spelt = Stay(id=stay.pk.hex.upper(), start=NOON, covers=3, accepted=True)
        spelt.save(force_update=True)
        assert assignment(stay).party == 3
        spelt.benches.set([other])
        assert tables_of(stay) == {str(other.pk)}
        assert set(written) == {str(stay.pk)}

    def test_a_host_that_is_no_model_host_says_what_to_watch(self, use: Any) -> None:
        use(OwnHost)
        host = conf.load(conf.settings().HOST)
        note = Note(pk=1_000_007, start=NOON, covers=2)
        host.book("N1000007", starts_at=NOON, party=2)
        note.save()
        assert Assignment.objects.get().booking_ref == "N1000007"
        Note.objects.create(start=NOON, covers=0)
        assert Note.objects.count() == 2, "what the host cannot tell of a row does not stop the row"

    def test_the_setting_turns_it_off(self, use: Any, house: House) -> None:
        use(VisitHost, CONNECT_SIGNALS=False)
        a_visit(house)
        assert not Assignment.objects.exists()
        assert not signals.post_save.has_listeners(Visit)

    def test_another_database_is_none_of_ours(self, visit: Visit, written: list[str]) -> None:
        signals.post_save.send(Visit, instance=visit, using="archive", raw=False, created=False)
        signals.m2m_changed.send(
            Visit.boards.through, instance=visit, using="archive", action="post_add", reverse=False, pk_set={1}
        )
        assert written == []
        visit.save()
        assert written == [str(visit.pk)]


class TestEarlierDays:
    def test_old_bookings_that_are_saved_again_do_not_come_up_for_planning(self, house: House) -> None:
        """A job of the project that saves all its rows must not fill the review queue."""
        long_ago = DAY - timedelta(days=100)
        a_visit(house, day=long_ago)
        a_visit(house, day=long_ago, stage=Visit.Stage.CONFIRMED)
        assert not Assignment.objects.exists()
        assert not HostMark.objects.exists()

    def test_a_booking_of_an_earlier_day_that_is_known_is_left_as_it_was(self, seated: Visit) -> None:
        before = assignment(seated).version
        with clock.at(NOON + timedelta(days=2)):
            Board.objects.update(in_use=False)
            seated.save()
            assert (assignment(seated).version, assignment(seated).state) == (before, State.CONFIRMED)
            seated.day = DAY + timedelta(days=7)
            seated.save()
            assert assignment(seated).version > before, "it was put off to a day that is to come"


class TestOneChangeIsOneDecision:
    def test_several_signals_in_a_transaction_cost_one_mark(self, seated: Visit, written: list[str]) -> None:
        with transaction.atomic():
            seated.guests = 3
            seated.save()
            seated.boards.set(Board.objects.all()[:2])
            seated.save()
            assert HostMark.objects.count() == 1
        assert written == [str(seated.pk)]
        assert not HostMark.objects.exists()

    def test_a_call_and_a_signal_of_the_same_change_are_followed_once(self, seated: Visit, monkeypatch: Any) -> None:
        followed: list[Any] = []
        monkeypatch.setattr(mark_following, "_follow", followed.append)
        before = OutboxMessage.objects.count()
        with transaction.atomic():
            seated.stage = Visit.Stage.CANCELLED
            seated.save()
            assert api.booking_changed(booking_ref=str(seated.pk)) is Change.CANCELLED
        assert followed == []
        assert not HostMark.objects.exists()
        assert OutboxMessage.objects.count() == before + 1

    @pytest.mark.parametrize("is_first", [True, False])
    def test_a_cancellation_by_call_is_not_revived_by_a_later_save(self, seated: Visit, is_first: bool) -> None:
        with transaction.atomic():
            if is_first:
                api.booking_cancelled(booking_ref=str(seated.pk))
            seated.save()
            if not is_first:
                api.booking_cancelled(booking_ref=str(seated.pk))
        seated.stage = Visit.Stage.ASKED
        with CaptureQueriesContext(connection) as captured:
            seated.save()
        assert len(captured) <= 7, "without a lock"
        assert (assignment(seated).state, assignment(seated).reason) == (State.CANCELLED, "cancelled_by_call")
        assert list(reconcile()) == []

    def test_a_booking_that_is_made_and_cancelled_by_call_in_one_transaction_is_never_seated(
        self, house: House
    ) -> None:
        with transaction.atomic():
            visit = a_visit(house)
            api.booking_cancelled(booking_ref=str(visit.pk))
        call_command("run_coordinator", "--json")
        assert (assignment(visit).state, assignment(visit).reason) == (State.CANCELLED, "cancelled_by_call")
        assert tables_of(visit) == set()
        api.request(booking_ref=str(visit.pk))
        assert api.assign_now(booking_ref=str(visit.pk)).kind is Kind.CONFIRMED

    def test_a_call_that_is_rolled_back_leaves_the_mark(self, seated: Visit) -> None:
        class NoError(Exception): ...

        with transaction.atomic():
            seated.stage = Visit.Stage.CANCELLED
            seated.save()
            with pytest.raises(NoError), transaction.atomic():
                api.booking_changed(booking_ref=str(seated.pk))
                raise NoError
        make_due()
        assert mark_following.sweep().followed == 1
        assert assignment(seated).state == State.CANCELLED

    def test_a_savepoint_that_is_rolled_back_takes_only_its_own_change_with_it(
        self, seated: Visit, house: House, written: list[str]
    ) -> None:
        class NoError(Exception): ...

        other = a_visit(house)
        written.clear()
        with transaction.atomic():
            other.save()
            with pytest.raises(NoError), transaction.atomic():
                seated.guests = 4
                seated.save()
                raise NoError
            assert HostMark.objects.get().booking_ref == str(other.pk)
            seated.guests = 3
            seated.save()
            assert HostMark.objects.count() == 2
        assert assignment(seated).party == 3
        assert written == [str(other.pk), str(seated.pk), str(seated.pk)]

    def test_a_save_that_changes_nothing_decides_nothing(self, seated: Visit) -> None:
        versions = assignment(seated).version, StateTransition.objects.count(), OutboxMessage.objects.count()
        with CaptureQueriesContext(connection) as captured:
            seated.save()
        assert (assignment(seated).version, StateTransition.objects.count(), OutboxMessage.objects.count()) == versions
        assert len(captured) <= 20, "\n".join(query["sql"][:120] for query in captured.captured_queries)

    def test_a_booking_that_waits_keeps_its_attempts_and_its_place_in_review(self, house: House) -> None:
        visit = a_visit(house, guests=50)
        for _attempt in range(6):
            Assignment.objects.open().update(due_at=datetime(2020, 1, 1, tzinfo=UTC))
            list(dispatch.run_pass())
        before = assignment(visit)
        assert before.state in {State.MANUAL_REVIEW, State.FAILED}
        with CaptureQueriesContext(connection) as captured:
            visit.save()
        assert (assignment(visit).state, assignment(visit).version) == (before.state, before.version)
        assert len(captured) <= 8, "\n".join(query["sql"][:120] for query in captured.captured_queries)
        visit.guests = 2
        visit.save()
        assert assignment(visit).state in OPEN_STATES

    def test_what_a_callback_saves_is_not_followed_again(self, use: Any, house: House, written: list[str]) -> None:
        use(SavingHost)
        visit, other = a_visit(house), a_visit(house, room="other", hour=time(20))
        written.clear()
        assert api.assign_now(booking_ref=str(visit.pk)).kind is Kind.CONFIRMED
        assert written == [str(other.pk)], "its own booking is not marked, the other is"
        assert not HostMark.objects.exists()
        assert tables_of(visit)

    def test_a_walk_in_that_the_host_makes_is_not_followed(self, use: Any, house: House, written: list[str]) -> None:
        use(WalkInHost)
        with clock.at(NOON):
            outcome = api.seat_walk_in(restaurant_ref=str(house.pk), party=2, actor="staff:7")
        assert (outcome.kind, outcome.booking_ref) == (Kind.CONFIRMED, str(Visit.objects.get().pk))
        assert written == []

    def test_a_booking_whose_guests_sit_is_saved_again(self, use: Any, house: House) -> None:
        use(WalkInHost)
        visit = a_visit(house)
        api.assign_now(booking_ref=str(visit.pk))
        with clock.at(NOON + timedelta(minutes=5)):
            visit.refresh_from_db()
            visit.stage = Visit.Stage.SEATED
            visit.save()
            before = assignment(visit)
            assert before.stage == "seated"
            visit.save()
            assert assignment(visit).version == before.version
            visit.guests = 3
            visit.save()
            assert assignment(visit).party == 3

    def test_two_bookings_that_write_each_other_do_not_go_on_for_ever(
        self, use: Any, house: House, written: list[str]
    ) -> None:
        use(SavingHost)
        visit = a_visit(house)
        api.assign_now(booking_ref=str(visit.pk))
        a_visit(house, room="other", hour=time(20))
        visit.refresh_from_db()
        visit.stage = Visit.Stage.ASKED  # The host is told again, whose callback saves the other one.
        written.clear()
        visit.save()
        assert len(written) == 2
        assert HostMark.objects.count() == 1, "left to a pass"
        make_due()
        assert mark_following.sweep().followed == 1


class TestNothingIsLost:
    def test_after_a_crash_the_next_pass_follows(self, seated: Visit, monkeypatch: Any) -> None:
        monkeypatch.setattr(mark_following, "follow_at_once", crash)
        seated.stage = Visit.Stage.CANCELLED
        seated.save()
        assert assignment(seated).state == State.CONFIRMED
        assert mark_following.sweep().followed == 0, "left to the process that wrote it, at first"
        make_due()
        call_command("run_coordinator", "--json")
        assert assignment(seated).state == State.CANCELLED
        assert not HostMark.objects.exists()

    def test_a_change_that_is_rolled_back_leaves_no_mark(self, seated: Visit) -> None:
        with transaction.atomic():
            seated.guests = 4
            seated.save()
            transaction.set_rollback(True)
        assert not HostMark.objects.exists()
        assert assignment(seated).party == 2

    def test_an_error_is_logged_by_type_and_never_reaches_the_hosts_request(
        self, use: Any, house: House, caplog: Any
    ) -> None:
        use(FailingHost)
        visit = a_visit(house, room="broken")
        mark = HostMark.objects.get()
        assert (mark.attempts, mark.last_error) == (1, "ZeroDivisionError")
        assert "ZeroDivisionError" in caplog.text
        Visit.objects.update(room="")
        make_due()
        assert mark_following.sweep().followed == 1
        assert assignment(visit).state in OPEN_STATES

    def test_a_poisonous_mark_stops_no_other_and_is_put_off_longer_each_time(self, use: Any, house: House) -> None:
        use(FailingHost)
        broken = a_visit(house, room="broken")
        use(FailingHost, CONNECT_SIGNALS=False)
        others = [a_visit(house, hour=time(hour)) for hour in (18, 19)]
        HostMark.objects.bulk_create(HostMark(booking_ref=str(other.pk)) for other in others)
        make_due()
        delays = []
        for _attempt in range(3):
            swept = mark_following.sweep()
            mark = HostMark.objects.get()
            delays.append(mark.due_at)
            assert (mark.booking_ref, swept.errors) == (str(broken.pk), ["ZeroDivisionError"])
            make_due()
        assert set(Assignment.objects.values_list("booking_ref", flat=True)) == {str(other.pk) for other in others}
        assert HostMark.objects.get().attempts == 4
        assert delays[0] < delays[1] - timedelta(seconds=5) < delays[2] - timedelta(seconds=10)

    def test_a_pass_takes_what_is_oldest_and_no_more_than_its_limit(self, house: House, monkeypatch: Any) -> None:
        followed: list[str] = []
        monkeypatch.setattr(mark_following, "_follow", followed.append)
        for number in range(4):
            moment = datetime(2020, 1, 4 - number, tzinfo=UTC)
            HostMark.objects.create(booking_ref=f"B{number}", created_at=moment, due_at=moment)
        assert mark_following.sweep(limit=3).followed == 3
        assert followed == ["B3", "B2", "B1"]
        assert HostMark.objects.get().booking_ref == "B0"

    def test_a_later_write_keeps_its_mark(self, seated: Visit, monkeypatch: Any) -> None:
        """The booking is written again while its mark is being followed."""
        ref = str(seated.pk)
        HostMark.objects.create(booking_ref=ref)
        monkeypatch.setattr(mark_following, "_follow", lambda ref: marks._write(ref, uuid.uuid4(), seconds=0))
        assert mark_following.sweep(limit=1).followed == 1
        assert HostMark.objects.get().booking_ref == ref

    def test_many_bookings_of_one_transaction_do_not_keep_the_request(self, house: House) -> None:
        with transaction.atomic():
            for _number in range(mark_following.INLINE + 5):
                a_visit(house)
        assert Assignment.objects.count() == mark_following.INLINE
        assert HostMark.objects.count() == 5
        make_due()
        mark_following.sweep()
        assert Assignment.objects.count() == mark_following.INLINE + 5

    def test_a_fixture_is_followed_by_the_next_pass(self, visit: Visit) -> None:
        visit.guests = 4
        for loaded in serializers.deserialize("json", serializers.serialize("json", [visit])):
            loaded.save()
        assert assignment(visit).party == 2
        assert HostMark.objects.count() == 1
        mark_following.sweep()
        assert assignment(visit).party == 4

    @pytest.mark.parametrize("how", ["update", "bulk"])
    def test_what_sends_no_signals_is_found_by_reconcile(self, seated: Visit, how: str) -> None:
        seated.stage = Visit.Stage.CANCELLED
        if how == "update":
            Visit.objects.update(stage=Visit.Stage.CANCELLED)
        else:
            Visit.objects.bulk_update([seated], ["stage"])
        assert assignment(seated).state == State.CONFIRMED
        assert [found.problem for found in reconcile()] == ["cancelled in the host"]
        assert assignment(seated).state == State.CANCELLED

    def test_what_the_host_cancelled_without_a_signal_is_seated_again_once_its_staff_reopen_it(
        self, seated: Visit
    ) -> None:
        Visit.objects.update(stage=Visit.Stage.CANCELLED)
        list(reconcile())
        assert (assignment(seated).state, tables_of(seated)) == (State.CANCELLED, set())
        seated.stage = Visit.Stage.ASKED
        seated.save()
        assert api.assign_now(booking_ref=str(seated.pk)).kind is Kind.CONFIRMED
        assert tables_of(seated)

    @pytest.mark.parametrize("how", ["save", "update"])
    def test_what_was_hidden_without_a_signal_is_seated_again_once_it_is_restored(
        self, use: Any, house: House, how: str
    ) -> None:
        use(HidingHost)
        visit = a_visit(house)
        api.assign_now(booking_ref=str(visit.pk))
        Visit.objects.update(room="deleted")
        assert [found.problem for found in reconcile()] == ["the booking no longer exists in the host"]
        assert (assignment(visit).state, tables_of(visit)) == (State.CANCELLED, set())
        visit.room, visit.stage = "", Visit.Stage.ASKED
        if how == "save":
            visit.save()
        else:
            Visit.objects.update(room="", stage=Visit.Stage.ASKED)
            assert [found.problem for found in reconcile()] == ["cancelled here, active in the host"]
        assert api.assign_now(booking_ref=str(visit.pk)).kind is Kind.CONFIRMED
        assert tables_of(visit)

    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            pytest.param("TABLE", "assignments_hostmark", id="before migrate"),
            # Then there are tables, as the models say, and no functions.
            pytest.param("FUNCTION", "assignments_now", id="tests without migrations"),
        ],
    )
    def test_a_project_without_this_apps_migrations_can_save(
        self, house: House, monkeypatch: Any, kind: str, name: str
    ) -> None:
        monkeypatch.setattr(marks, "_is_migrated", False)
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER {kind} {name} RENAME TO {name}_away")
        try:
            a_visit(house)
        except DatabaseError:
            pytest.fail("the host's own save was refused")
        finally:
            with connection.cursor() as cursor:
                cursor.execute(f"ALTER {kind} {name}_away RENAME TO {name}")
        assert (Visit.objects.count(), HostMark.objects.count()) == (1, 0)


class TestTransactions:
    def test_a_request_in_a_transaction_of_its_own_is_followed_after_it(self, seated: Visit, settings: Any) -> None:
        settings.ROOT_URLCONF = __name__
        settings.MIDDLEWARE = []
        connection.settings_dict["ATOMIC_REQUESTS"] = True
        try:
            answer = Client().post(f"/party-of-three/{seated.pk}/")
        finally:
            connection.settings_dict["ATOMIC_REQUESTS"] = False
        assert json.loads(answer.content) == {"in transaction": True, "party": 2}
        assert assignment(seated).party == 3

    def test_a_booking_that_is_written_while_its_mark_is_followed_holds_up_nobody(
        self, seated: Visit, monkeypatch: Any
    ) -> None:
        """The project's transaction is still open when the mark is to be deleted, and has written a new one."""
        ref = str(seated.pk)
        HostMark.objects.create(booking_ref=ref)
        has_marked, is_swept = threading.Event(), threading.Event()

        def edit() -> None:
            try:
                with transaction.atomic():
                    visit = Visit.objects.get(pk=seated.pk)
                    visit.guests = 4
                    visit.save()
                    has_marked.set()
                    assert is_swept.wait(20)
            finally:
                connection.close()

        thread = threading.Thread(target=edit)

        def written_meanwhile(booking_ref: str) -> None:
            thread.start()
            assert has_marked.wait(20)

        with monkeypatch.context() as patched:
            patched.setattr(mark_following, "_follow", written_meanwhile)
            patched.setattr(mark_following, "LEASE_SECONDS", 0)  # It is due again at once.
            assert mark_following.sweep().followed == 1
            assert HostMark.objects.filter(booking_ref=ref).exists()
            assert mark_following.sweep().followed == 0, "it is locked, so it is left to who writes it"
        is_swept.set()
        thread.join(20)
        assert assignment(seated).party == 4
        assert not HostMark.objects.exists()

    def test_two_passes_at_once_follow_a_change_once(self, seated: Visit) -> None:
        Visit.objects.update(stage=Visit.Stage.CANCELLED)
        HostMark.objects.create(booking_ref=str(seated.pk))
        swept: list[int] = []

        def sweep() -> None:
            try:
                swept.append(mark_following.sweep().followed)
            finally:
                connection.close()

        threads = [threading.Thread(target=sweep) for _number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(swept) == [0, 0, 0, 1]
        assert StateTransition.objects.filter(booking_ref=str(seated.pk), target=State.CANCELLED).count() == 1

    @pytest.mark.django_db(transaction=False)
    def test_a_projects_own_tests_can_run_the_commit_hooks(
        self, house: House, django_capture_on_commit_callbacks: Any
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            visit = a_visit(house)
        assert assignment(visit).state in OPEN_STATES


def party_of_three(request: HttpRequest, pk: int) -> JsonResponse:
    visit = Visit.objects.get(pk=pk)
    visit.guests = 3
    visit.save()
    return JsonResponse({"in transaction": connection.in_atomic_block, "party": assignment(visit).party})


urlpatterns = [path("party-of-three/<int:pk>/", party_of_three)]


def test_settings_that_cannot_be_read_do_not_stop_the_project(settings: Any, house: House) -> None:
    for broken in ({"HOST": "nowhere.Host"}, {"HOST": ""}, {"HOST": f"{__name__}.Missing"}, None):
        settings.ASSIGNMENTS = broken
        a_visit(house)
    assert not HostMark.objects.exists()
