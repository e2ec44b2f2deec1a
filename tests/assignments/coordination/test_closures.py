"""Closures: tables, a zone or the restaurant that cannot be used, and what becomes of who was to sit there."""

import threading
import time as clock
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from assignments import api, conf
from assignments.concurrency import locks
from assignments.exceptions import (
    ChangedMeanwhileError,
    ClosureLiftedError,
    ClosureNotFoundError,
    TablesRefusedError,
)
from assignments.maintenance.reconcile import reconcile
from assignments.models import Allocation, Assignment, Attempt, Closure, OutboxMessage, State
from assignments.outcome import Kind
from assignments.planning.floor import CalendarEntry, TurnTime
from assignments.planning.reasons import Reason
from assignments.telemetry import events
from assignments.telemetry.events import MemorySink
from assignments.testing import a_floor, a_service, a_table
from tests.assignments.conftest import HOST_PATH, TheHost, run_all, state_of

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
STAFF = "staff:7"


def tables_of(ref: str) -> list[str]:
    return sorted(Allocation.objects.current().filter(booking_ref=ref).values_list("table_ref", flat=True))


def close(starts_at: datetime, hours: float | None = 5, **kwargs: Any) -> int:
    until = None if hours is None else starts_at + hours * HOUR
    return api.close(restaurant_ref="R1", starts_at=starts_at, ends_at=until, actor=STAFF, **kwargs)


class TestIdentity:
    def test_next_weeks_closure_survives_lifting_tonights(self, host: TheHost, tonight: datetime) -> None:
        next_week = tonight + timedelta(days=7)
        now_closed, later = close(tonight - HOUR, table_refs=["T4"]), close(next_week - HOUR, table_refs=["T4"])
        again = close(tonight, table_refs=["T4"], reason="reported twice")
        host.book("B1", starts_at=tonight)
        host.book("B2", starts_at=next_week)
        assert {outcome.table_refs for outcome in run_all().values()} == {("T1",)}
        api.lift_closure(closure_id=now_closed, actor=STAFF)
        host.book("B3", starts_at=tonight)
        assert run_all()["B3"].table_refs != ("T4",), "somebody else has reported it too"
        api.lift_closure(closure_id=again, actor=STAFF)
        host.book("B4", starts_at=tonight)
        host.book("B5", starts_at=next_week)
        outcomes = run_all()
        assert outcomes["B4"].table_refs == ("T4",)
        assert outcomes["B5"].table_refs != ("T4",)
        lifted = Closure.objects.get(pk=now_closed)
        assert lifted.lifted_at is not None
        assert (lifted.author, lifted.lifted_by) == (STAFF, STAFF)
        assert list(Closure.objects.not_lifted().values_list("pk", flat=True)) == [later]

    def test_a_closure_is_edited_by_one_person_at_a_time(self, host: TheHost, tonight: datetime) -> None:
        closure_id = close(tonight, 2, table_refs=["T4"])
        api.edit_closure(closure_id=closure_id, actor=STAFF, version=0, ends_at=None, reason="a leg is loose")
        closure = Closure.objects.get()
        assert (closure.ends_at, closure.reason, closure.table_refs) == (None, "a leg is loose", ["T4"])
        with pytest.raises(ChangedMeanwhileError):
            api.edit_closure(closure_id=closure_id, actor=STAFF, version=0, reason="another")
        with pytest.raises(ChangedMeanwhileError):
            api.lift_closure(closure_id=closure_id, actor=STAFF, version=0)
        api.lift_closure(closure_id=closure_id, actor=STAFF, version=1)
        with pytest.raises(ClosureLiftedError):
            api.edit_closure(closure_id=closure_id, actor=STAFF, reason="no")
        with pytest.raises(ClosureLiftedError):
            _lift(closure_id)
        with pytest.raises(ClosureNotFoundError):
            _lift(closure_id + 1)

    def test_a_closure_that_is_edited_makes_way_where_it_closes_now(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        run_all()
        closure_id = close(tonight, table_refs=["T1"])
        assert tables_of("B1") == ["T4"]
        api.edit_closure(closure_id=closure_id, actor=STAFF, table_refs=["T4"])
        assert tables_of("B1") == ["T1"]
        api.edit_closure(closure_id=closure_id, actor=STAFF, table_refs=[])
        assert state_of("B1") == (State.MANUAL_REVIEW, "table_out_of_service")

    def test_the_host_is_told_of_each_closure(self, host: TheHost, tonight: datetime) -> None:
        closure_id = close(tonight, 2, table_refs=["T4"], reason="a leg is loose")
        api.edit_closure(closure_id=closure_id, actor=STAFF, ends_at=None)
        api.lift_closure(closure_id=closure_id, actor=STAFF)
        told = OutboxMessage.objects.filter(topic__startswith="closure.").order_by("id")
        assert [each.topic for each in told] == ["closure.closed", "closure.edited", "closure.lifted"]
        assert {each.booking_ref for each in told} == {""}
        assert [each.payload["ends_at"] for each in told] == [(tonight + 2 * HOUR).isoformat(), None, None]
        known = {"closure_id": closure_id, "restaurant_ref": "R1", "table_refs": ["T4"], "reason": "a leg is loose"}
        assert all(known.items() <= each.payload.items() for each in told)

    @pytest.mark.parametrize(
        ("what", "problem"),
        [
            ({"table_refs": ["T9"]}, "no table T9"),
            ({"zone_ref": "terrace"}, "no table in zone terrace"),
            ({"table_refs": ["T1"], "zone_ref": "terrace"}, "not both"),
            ({"reason": "x" * 501}, "500 characters"),
            ({"hours": -1}, "cannot be closed"),
        ],
        ids=str,
    )
    def test_what_cannot_be_closed_is_named(
        self, host: TheHost, tonight: datetime, what: dict[str, Any], problem: str
    ) -> None:
        with pytest.raises(ValueError, match=problem):
            close(tonight, **what)
        assert not Closure.objects.exists()


def _lift(closure_id: int) -> None:
    api.lift_closure(closure_id=closure_id, actor=STAFF)


class TestWhatCloses:
    @pytest.fixture
    def terrace(self, host: TheHost) -> TheHost:
        """T1 in the hall; T2 and T3, which seat the party better, on the terrace."""
        tables = [
            a_table("T1", seats=6, zone_ref="hall"),
            a_table("T2", seats=2, zone_ref="terrace"),
            a_table("T3", seats=2, zone_ref="terrace"),
        ]
        host.floors["R1"] = a_floor(tables=tables)
        return host

    def test_a_terrace_closes(self, terrace: TheHost, tonight: datetime) -> None:
        for ref in ("B1", "B2"):
            terrace.book(ref, starts_at=tonight)
        run_all()
        assert tables_of("B1") + tables_of("B2") == ["T2", "T3"]
        closure_id = close(tonight - HOUR, zone_ref="terrace", reason="rain")
        assert Closure.objects.get().table_refs == ["T2", "T3"]
        assert tables_of("B1") == ["T1"], "who asked first gets what is left"
        assert state_of("B2") == (State.MANUAL_REVIEW, "table_out_of_service")
        tables = [*terrace.floors["R1"].tables, a_table("T4", seats=2, zone_ref="terrace")]  # type: ignore[union-attr]
        terrace.floors["R1"] = a_floor(tables=tables)
        terrace.book("B3", starts_at=tonight + timedelta(hours=2), zone_ref="terrace")
        assert run_all()["B3"].reason == "closed", "a table that was added to the terrace since is closed too"
        _lift(closure_id)
        api.reopen(booking_ref="B3", actor=STAFF)
        assert run_all()["B3"].table_refs in {("T2",), ("T3",)}
        assert tables_of("B2") in (["T2"], ["T3"]), "it has its table again, where the host shows it still"

    def test_the_restaurant_closes_until_further_notice(self, terrace: TheHost, tonight: datetime) -> None:
        terrace.book("B1", starts_at=tonight)
        closure_id = close(tonight - HOUR, None)
        outcome = run_all()["B1"]
        assert (outcome.kind, outcome.reason) == (Kind.MANUAL_REVIEW, "closed")
        assert "closed" in outcome.detail
        assert "taken" not in outcome.detail
        terrace.book("B2", starts_at=tonight + timedelta(days=300))
        assert run_all()["B2"].reason == "closed"
        _lift(closure_id)
        api.reopen(booking_ref="B1", actor=STAFF)
        assert run_all()["B1"].kind is Kind.CONFIRMED

    def test_the_reason_says_closed_where_tables_are_closed_and_taken_where_they_are_taken(
        self, host: TheHost, tonight: datetime
    ) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
        close(tonight - HOUR, table_refs=["T1"])
        host.book("B1", starts_at=tonight)
        run_all()
        host.book("B2", starts_at=tonight)
        outcome = run_all()["B2"]
        assert outcome.reason == "no_capacity"
        rejected = Attempt.objects.filter(booking_ref="B2").latest("id").decision["rejected"]
        assert rejected == {"closed": 1, "table_taken": 1}
        assert [refusal.reason for refusal in api.judge(booking_ref="B2", table_refs=["T1"])] == [Reason.CLOSED]


class TestWhoWasToSitThere:
    def test_closing_a_table_replans_its_guests_in_one_transaction(self, host: TheHost, tonight: datetime) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2"), a_table("T3", seats=2)])
        for ref in ("B1", "B2", "B3"):
            host.book(ref, starts_at=tonight)
        outcomes = run_all()
        at_t3 = next(ref for ref, outcome in outcomes.items() if outcome.table_refs == ("T3",))
        others = {ref: tables_of(ref) for ref in outcomes if ref != at_t3}
        later = tonight + timedelta(days=1)
        host.book("B4", starts_at=later)
        run_all()
        before = OutboxMessage.objects.count()
        close(tonight - HOUR, 48, table_refs=["T3"], reason="broken")
        assert state_of(at_t3) == (State.MANUAL_REVIEW, "table_out_of_service"), "the other two are taken"
        assert host.reviews == {at_t3: "table_out_of_service"}
        assert {ref: tables_of(ref) for ref in others} == others
        assert state_of("B4")[0] == State.CONFIRMED
        assert host.seated["B4"].table_refs in {("T1",), ("T2",)}
        told = OutboxMessage.objects.order_by("id")[before:].values_list("topic", "booking_ref")
        assert set(told) == {
            ("closure.closed", ""),
            ("booking.assignment_state.manual_review", at_t3),
            ("booking.moved", "B4"),
        }
        assert list(reconcile(dry_run=True)) == []

    def test_they_keep_the_stay_that_they_were_promised(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        run_all()
        promised = Allocation.objects.get()
        shorter = a_service(turn_times=(TurnTime(max_party=100, minutes=30),))
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T4", seats=2)], services=[shorter])
        close(tonight, table_refs=[promised.table_ref])
        moved = Allocation.objects.get()
        assert moved.table_ref != promised.table_ref
        assert (moved.starts_at, moved.ends_at) == (promised.starts_at, promised.ends_at)

    def test_if_the_host_refuses_nothing_is_closed(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        run_all()
        before = tables_of("B1")
        host.raises["on_moved"] = RuntimeError("the host is ill")
        with pytest.raises(RuntimeError, match="ill"):
            close(tonight, table_refs=before)
        assert tables_of("B1") == before
        assert not Closure.objects.exists()

    def test_guests_at_joined_tables_of_which_one_closes_keep_the_other(self, host: TheHost) -> None:
        starts_at = datetime.now(UTC) - HOUR
        day_long = a_service(starts=time(0), ends=time(0), allow_overrun=True)
        host.floors["R1"] = a_floor(
            tables=[a_table("A"), a_table("B")], adjacent=[("A", "B")], services=[day_long], timezone="UTC"
        )
        host.book("B1", starts_at=starts_at, party=7)
        api.assign(booking_ref="B1", table_refs=["A", "B"], actor=STAFF)
        close(datetime.now(UTC), table_refs=["A"])
        assert state_of("B1") == (State.MANUAL_REVIEW, "table_out_of_service")
        assert tables_of("B1") == ["B"]
        host.book("B2", starts_at=datetime.now(UTC) + timedelta(minutes=1))
        assert run_all()["B2"].kind is not Kind.CONFIRMED, "B is theirs until staff decide"
        assert tables_of("B1") == ["B"]
        assert "B1" not in {found.booking_ref for found in reconcile(dry_run=True)}
        api.reject(booking_ref="B1", actor=STAFF, reason="They left.")
        assert tables_of("B1") == []

    def test_a_dinner_that_is_over_stays_on_record(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        run_all()
        past = datetime.now(UTC) - 5 * HOUR
        Allocation.objects.update(starts_at=past, ends_at=past + HOUR, blocked=(past, past + HOUR))
        close(past - HOUR, 48)
        assert state_of("B1")[0] == State.CONFIRMED
        assert len(tables_of("B1")) == 1


class TestStaff:
    def test_staff_seat_over_a_closure_by_name_and_planners_never_do(self, host: TheHost, tonight: datetime) -> None:
        closure_id = close(tonight - HOUR)
        host.book("B1", starts_at=tonight)
        run_all()
        with pytest.raises(TablesRefusedError) as refused:
            api.assign(booking_ref="B1", table_refs=["T4"], actor=STAFF)
        assert [refusal.reason for refusal in refused.value.refusals] == [Reason.CLOSED]
        api.assign(booking_ref="B1", table_refs=["T4"], actor=STAFF, overriding=[Reason.CLOSED])
        assert Allocation.objects.get().overridden_by == STAFF
        api.edit_closure(closure_id=closure_id, actor=STAFF, reason="a private party")
        assert tables_of("B1") == ["T4"], "who was seated there by name stays when the closure is edited"
        with pytest.raises(TablesRefusedError):
            api.hold(booking_ref=host.book("B2", starts_at=tonight).ref, table_refs=["T1"])


class TestCalendar:
    def test_a_day_closes_and_staff_may_seat_there_by_name(self, host: TheHost, tonight: datetime) -> None:
        floor = host.floors["R1"]
        day = tonight.date()
        host.floors["R1"] = replace(floor, calendar=(CalendarEntry(first_date=day, last_date=day),))  # type: ignore[type-var]
        host.book("B1", starts_at=tonight)
        host.book("B2", starts_at=tonight + timedelta(days=1))
        outcomes = run_all()
        assert (outcomes["B1"].kind, outcomes["B1"].reason) == (Kind.MANUAL_REVIEW, "closed")
        assert str(day) in outcomes["B1"].detail
        assert outcomes["B2"].kind is Kind.CONFIRMED
        api.assign(booking_ref="B1", table_refs=["T4"], actor=STAFF, overriding=[Reason.CLOSED])
        assert tables_of("B1") == ["T4"]

    def test_special_hours_on_a_date(self, host: TheHost, tonight: datetime) -> None:
        floor, day = host.floors["R1"], tonight.date()
        brunch = a_service(key="dinner", starts=time(9), ends=time(14))
        entry = CalendarEntry(
            first_date=day, last_date=date(day.year, 12, 31), weekdays=frozenset({day.weekday()}), services=(brunch,)
        )
        host.floors["R1"] = replace(floor, calendar=(entry,))  # type: ignore[type-var]
        host.book("B1", starts_at=tonight)
        host.book("B2", starts_at=tonight.replace(hour=11))
        outcomes = run_all()
        assert outcomes["B1"].reason == "outside_service"
        assert outcomes["B2"].kind is Kind.CONFIRMED


class TestRaces:
    def test_a_closure_of_ninety_days_against_eight_planners_seats_nobody_over_it(
        self, host: TheHost, tonight: datetime, settings: Any
    ) -> None:
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "MAX_PARALLEL": 20}
        host = conf.load(HOST_PATH)  # Another one, since the settings are others.
        refs = []
        for number in range(64):
            refs.append(f"B{number}")
            host.book(refs[-1], starts_at=tonight + timedelta(days=number))
            api.request(booking_ref=refs[-1])
        begin = threading.Barrier(9, timeout=30)
        until = clock.monotonic() + 60
        errors: list[BaseException] = []

        def plan(worker: int) -> None:
            for ref in refs[worker::8]:
                while api.assign_now(booking_ref=ref).reason == "lock_contention":
                    assert clock.monotonic() < until, "the closing keeps everybody out"

        def at_the_same_time(work: Callable[[], object]) -> threading.Thread:
            def run() -> None:
                try:
                    begin.wait()
                    work()
                except BaseException as error:  # noqa: BLE001
                    errors.append(error)
                finally:
                    connection.close()

            thread = threading.Thread(target=run)
            thread.start()
            return thread

        threads = [at_the_same_time(lambda worker=worker: plan(worker)) for worker in range(8)]  # type: ignore[misc]
        threads.append(at_the_same_time(lambda: close(tonight - HOUR, 90 * 24)))
        for thread in threads:
            thread.join(60)
        assert errors == []
        assert Closure.objects.count() == 1
        assert not Allocation.objects.exists(), "every day of it is closed"
        states = set(Assignment.objects.values_list("state", "reason"))
        assert states <= {(State.MANUAL_REVIEW, "closed"), (State.MANUAL_REVIEW, "table_out_of_service")}

    def test_while_somebody_closes_planners_of_that_restaurant_come_back_later(
        self, host: TheHost, tonight: datetime
    ) -> None:
        host.book("B1", starts_at=tonight)
        api.request(booking_ref="B1")
        outcomes: list[Any] = []

        def elsewhere(work: Callable[[], object]) -> None:
            def run() -> None:
                try:
                    outcomes.append(work())
                finally:
                    connection.close()

            thread = threading.Thread(target=run)
            thread.start()
            thread.join(30)

        with transaction.atomic():
            locks.lock_restaurant("R1")
            elsewhere(lambda: api.assign_now(booking_ref="B1"))
            elsewhere(lambda: locks_of_another_restaurant(tonight))
        assert outcomes[0].reason == "lock_contention"
        assert outcomes[1] is True
        assert api.assign_now(booking_ref="B1").kind is Kind.CONFIRMED


def locks_of_another_restaurant(tonight: datetime) -> bool:
    with transaction.atomic():
        return locks.try_enter("R2", tonight.date()).granted


def test_closing_editing_and_lifting_are_told_with_who_did_it_and_whom_it_woke(
    host: TheHost, tonight: datetime
) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T4")])
    MemorySink.events.clear()
    closure = close(tonight - HOUR, table_refs=["T4"], reason="The leg is broken, says Anna.")
    host.book("B1", starts_at=tonight)
    run_all()
    assert state_of("B1") == (State.MANUAL_REVIEW, Reason.CLOSED)
    api.edit_closure(closure_id=closure, actor="staff:8", reason="The leg is off.")
    api.lift_closure(closure_id=closure, actor="staff:9")
    events.flush()
    told = [each for each in MemorySink.events if each.type.startswith(("closure.", "seating.woken"))]
    assert [(each.type, each.restaurant_ref, dict(each.context)) for each in told] == [
        ("closure.closed", "R1", {"table_refs": ["T4"], "detail": str(closure), "actor": STAFF}),
        ("closure.edited", "R1", {"table_refs": ["T4"], "detail": str(closure), "actor": "staff:8"}),
        ("seating.woken", "R1", {"bookings": 1}),
        ("closure.lifted", "R1", {"table_refs": ["T4"], "detail": str(closure), "actor": "staff:9"}),
    ]
    assert run_all()["B1"].kind is Kind.CONFIRMED
