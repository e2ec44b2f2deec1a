"""A booking that ends the process which decides it is found and set aside; the others are decided."""

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from assignments import api, conf
from assignments.concurrency import locks, transactions
from assignments.coordination import dispatch, quarantine
from assignments.exceptions import CallbackTooSlowError, DayBusyError
from assignments.integration import callback_budget, marks, project_host
from assignments.integration.host import Move, Seating
from assignments.integration.project_host import HostWithWalkIns
from assignments.maintenance import mark_following
from assignments.models import Assignment, BatchMark, HostMark, OutboxMessage, State
from assignments.outcome import Kind
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import HOST_PATH, TheHost, run_all, tables_of

pytestmark = pytest.mark.django_db(transaction=True)


class Died(BaseException):
    """Stands for the death of the process: nothing of ours handles it."""


@pytest.fixture
def deadly(host: TheHost, monkeypatch: Any) -> TheHost:
    """The host ends the process when it hears of the booking "poison"."""
    on_confirmed = host.on_confirmed

    def dies(seatings: Sequence[Seating]) -> None:
        if any(each.booking_ref == "poison" for each in seatings):
            raise Died
        on_confirmed(seatings)

    monkeypatch.setattr(host, "on_confirmed", dies)
    return host


def states() -> dict[str, str]:
    return dict(Assignment.objects.values_list("booking_ref", "state"))


def test_the_culprit_goes_to_review_and_the_others_are_decided(deadly: TheHost, tonight: datetime) -> None:
    for ref in ("B1", "poison", "B2"):
        deadly.book(ref, starts_at=tonight)
    for number in (1, 2):
        with pytest.raises(Died):
            run_all()
        mark = BatchMark.objects.get()
        assert set(mark.booking_refs) == ({"B1", "B2", "poison"} if number == 1 else {"poison"})
    assert {ref for ref, state in states().items() if state == State.CONFIRMED} == {"B1", "B2"}
    outcome = run_all()["poison"]
    assert (outcome.kind, outcome.reason) == (Kind.MANUAL_REVIEW, "poisonous")
    assert states() == {"B1": "confirmed", "B2": "confirmed", "poison": "manual_review"}
    assert not BatchMark.objects.exists()
    assert "poison" not in deadly.reviews, "the host is not called"
    told = OutboxMessage.objects.get(booking_ref="poison")
    assert (told.topic, told.payload["reason"]) == ("booking.assignment_state.manual_review", "poisonous")
    assert set(Assignment.objects.values_list("deaths", flat=True)) == {0}


def test_another_day_goes_on_before_the_suspects(deadly: TheHost, tonight: datetime) -> None:
    deadly.book("poison", starts_at=tonight)
    with pytest.raises(Died):
        run_all()
    deadly.book("B1", starts_at=tonight)
    with pytest.raises(Died):
        run_all()
    assert states()["B1"] == State.CONFIRMED


def test_a_mark_of_a_process_that_may_be_alive_counts_no_death(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight)
    dispatch.register_new()
    row = Assignment.objects.get()
    day = (row.restaurant_ref, row.service_date)
    BatchMark.objects.create(run=uuid.uuid4(), restaurant_ref="R1", service_date=row.service_date, booking_refs=["B1"])
    assert quarantine.note_deaths() == 0, "it is too young"
    BatchMark.objects.update(created_at=datetime(2020, 1, 1, tzinfo=row.starts_at.tzinfo))
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [locks._day_key(*day)])
            assert quarantine.note_deaths() == 0, "somebody has the day"
            cursor.execute("SELECT pg_advisory_unlock_all()")
    finally:
        other.close()
    assert quarantine.note_deaths() == 1
    row.refresh_from_db()
    assert (row.deaths, BatchMark.objects.exists()) == (1, False)


def test_the_mark_of_another_thread_counts_no_death(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight)
    dispatch.register_new()
    row = Assignment.objects.get()
    with quarantine.marked("R1", row.service_date, ["B1"]):
        assert quarantine.note_deaths() == 0, "this process lives"
        assert BatchMark.objects.exists()
    with pytest.raises(Died), quarantine.marked("R1", row.service_date, ["B1"]):
        raise Died
    assert quarantine.note_deaths() == 2, "both are left over"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_forked_from_one_another_do_not_take_each_other_for_dead() -> None:
    """As the workers of Celery are, or a server's that loads the project before it forks."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, str(quarantine._process.run).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as said:
        run = uuid.UUID(said.read())
    assert run != quarantine._process.run


def test_who_was_taken_for_dead_decides_nothing(host: TheHost, tonight: datetime, monkeypatch: Any) -> None:
    host.book("B1", starts_at=tonight)
    try_enter = locks.try_enter

    def late(*args: Any, **kwargs: Any) -> locks.Entry:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM assignments_batchmark")
        return try_enter(*args, **kwargs)

    monkeypatch.setattr(locks, "try_enter", late)
    run_all()
    assert host.seated == {}


def test_a_process_that_was_only_slow_takes_its_death_back(host: TheHost, tonight: datetime, monkeypatch: Any) -> None:
    host.book("B1", starts_at=tonight)
    try_enter = locks.try_enter
    counted: list[int] = []

    def late(*args: Any, **kwargs: Any) -> locks.Entry:
        if not counted:  # Another process meets its mark before it has begun.
            BatchMark.objects.update(created_at=datetime(2020, 1, 1, tzinfo=tonight.tzinfo))
            counted.append(BatchMark.objects.count())
            mark = BatchMark.objects.get()
            BatchMark.objects.all().delete()
            Assignment.objects.filter(booking_ref__in=mark.booking_refs).update(deaths=1)
        return try_enter(*args, **kwargs)

    monkeypatch.setattr(locks, "try_enter", late)
    run_all()
    assert counted == [1]
    assert Assignment.objects.get().deaths == 0
    run_all()
    assert states() == {"B1": "confirmed"}


def test_no_mark_is_left_by_a_pass_that_fails_or_meets_others(host: TheHost, tonight: datetime) -> None:
    for ref in ("B1", "B2"):
        host.book(ref, starts_at=tonight)
    host.raises["on_confirmed"], host.raises_for = RuntimeError("x"), {"B2"}
    run_all()
    assert states() == {"B1": "confirmed", "B2": "assignment_pending"}
    assert not BatchMark.objects.exists()


class TestABusyDay:
    """A guest's own change succeeds, whatever our workers do."""

    @pytest.fixture
    def host(self, host: TheHost, settings: Any) -> TheHost:
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "LOCK_TIMEOUT_MS": 500}
        impatient: TheHost = conf.load(HOST_PATH)
        return impatient

    @pytest.fixture
    def busy(self, host: TheHost, tonight: datetime) -> Any:
        host.book("B1", starts_at=tonight)
        run_all()
        other = connection.copy()
        self.lock_the_day(other)
        yield other
        other.close()

    def lock_the_day(self, other: Any) -> None:
        row = Assignment.objects.get()
        with other.cursor() as cursor:
            key = locks._day_key(row.restaurant_ref, row.service_date)
            cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [key])

    def follow(self, busy: Any) -> None:
        with busy.cursor() as cursor:  # To close the connection would end the session only some time later.
            cursor.execute("SELECT pg_advisory_unlock_all()")
        assert mark_following.sweep().followed == 1
        assert not HostMark.objects.exists()

    def test_an_edit_is_followed_by_the_next_pass(self, host: TheHost, busy: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '7s'")
            host.edit("B1", party=4)
            assert api.booking_changed(booking_ref="B1") == "later"
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone()[0] == "7s", "the caller's limits are the caller's"
        self.follow(busy)
        assert Assignment.objects.get().party == 4

    def test_a_cancellation_by_call_alone_is_followed_too(self, host: TheHost, busy: Any) -> None:
        with transaction.atomic():
            api.booking_cancelled(booking_ref="B1")
        assert Assignment.objects.get().state == State.CONFIRMED
        self.follow(busy)
        assert Assignment.objects.get().state == State.CANCELLED

    def test_who_asks_again_before_the_cancellation_is_followed_keeps_the_table(self, host: TheHost, busy: Any) -> None:
        with transaction.atomic():
            api.booking_cancelled(booking_ref="B1")
        with transaction.atomic():
            api.request(booking_ref="B1")
        self.follow(busy)
        assert (Assignment.objects.get().state, tables_of("B1")) == (State.CONFIRMED, ["T4"])

    def test_who_asks_again_for_a_cancelled_booking_is_told_that_the_day_is_busy(
        self, host: TheHost, busy: Any
    ) -> None:
        with busy.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")
        api.booking_cancelled(booking_ref="B1")
        self.lock_the_day(busy)
        with pytest.raises(DayBusyError):
            api.request(booking_ref="B1")
        with transaction.atomic():
            with pytest.raises(DayBusyError):
                api.request(booking_ref="B1")
            assert Assignment.objects.get().state == State.CANCELLED
        busy.close()
        api.request(booking_ref="B1")
        assert Assignment.objects.get().due_at is not None

    def test_who_asks_again_while_the_cancellation_is_followed_keeps_the_table(
        self, host: TheHost, busy: Any, monkeypatch: Any
    ) -> None:
        """The pass has taken up the mark; the guest asks again just before it cancels."""
        with transaction.atomic():
            api.booking_cancelled(booking_ref="B1")
        may_cancel = marks.may_cancel

        def asks_again(ref: str) -> bool:
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join(20)
            return may_cancel(ref)

        def ask() -> None:
            api.request(booking_ref="B1")
            connection.close()

        monkeypatch.setattr(marks, "may_cancel", asks_again)
        busy.close()
        mark_following.sweep()
        assert Assignment.objects.get().state == State.CONFIRMED

    def test_a_later_save_of_a_cancelled_booking_does_not_undo_the_cancellation(self, host: TheHost, busy: Any) -> None:
        with transaction.atomic():
            api.booking_cancelled(booking_ref="B1")
        busy.close()
        with transaction.atomic():
            marks.leave("B1", follow=lambda stamps: None)  # The project saves it, and says so as well.
            api.booking_changed(booking_ref="B1")
        HostMark.objects.update(due_at=datetime(2020, 1, 1, tzinfo=UTC))
        mark_following.sweep()
        assert Assignment.objects.get().state == State.CANCELLED

    def test_a_hook_after_our_commit_has_transactions_of_its_own(
        self, host: TheHost, tonight: datetime, busy: Any, monkeypatch: Any
    ) -> None:
        """The project's receiver edits another booking, whose day is busy."""
        found: list[str] = []
        on_confirmed = host.on_confirmed

        def edit_the_other() -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                host.edit("B1", party=4)
                found.append(api.booking_changed(booking_ref="B1"))
                cursor.execute("SHOW idle_in_transaction_session_timeout")
                found.append(cursor.fetchone()[0])

        def tell(seatings: Sequence[Seating]) -> None:
            on_confirmed(seatings)
            transaction.on_commit(edit_the_other)

        monkeypatch.setattr(host, "on_confirmed", tell)
        host.book("B2", starts_at=tonight + timedelta(days=1))
        run_all()
        assert found == ["later", "0"]
        self.follow(busy)

    @pytest.mark.parametrize("change", ["edited", "cancelled"])
    def test_a_booking_that_changes_its_day_meanwhile_is_left_to_the_next_pass(
        self, host: TheHost, busy: Any, monkeypatch: Any, change: str
    ) -> None:
        lock_days = locks.lock_days

        def changes(days: Any) -> datetime:
            with busy.cursor() as cursor:
                cursor.execute("UPDATE assignments_assignment SET service_date = service_date + 1")
            return lock_days(days)

        with busy.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")
        host.edit("B1", party=4)
        with transaction.atomic(), monkeypatch.context() as patched:
            patched.setattr(locks, "lock_days", changes)
            if change == "edited":
                assert api.booking_changed(booking_ref="B1") == "later"
            else:
                api.booking_cancelled(booking_ref="B1")
        self.follow(busy)
        assert Assignment.objects.get().state == (State.CONFIRMED if change == "edited" else State.CANCELLED)

    def test_outside_of_a_transaction_it_is_left_to_the_next_pass_too(self, host: TheHost, busy: Any) -> None:
        host.edit("B1", party=4)
        started = time.monotonic()
        assert api.booking_changed(booking_ref="B1") == "later"
        api.booking_cancelled(booking_ref="B1")
        assert time.monotonic() - started < 5
        self.follow(busy)
        assert Assignment.objects.get().state == State.CANCELLED

    def test_without_a_busy_day_the_limits_are_as_before_as_well(self, host: TheHost, busy: Any) -> None:
        busy.close()
        with transaction.atomic(), connection.cursor() as cursor:
            host.edit("B1", party=4)
            api.booking_changed(booking_ref="B1")
            for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
                cursor.execute(f"SHOW {name}")
                assert cursor.fetchone()[0] == "0", name


def test_a_transaction_of_ours_does_not_stay_open_when_its_process_stops(
    host: TheHost, tonight: datetime, monkeypatch: Any
) -> None:
    limits: list[str] = []
    on_confirmed = host.on_confirmed

    def look(seatings: Sequence[Seating]) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            limits.append(cursor.fetchone()[0])
        on_confirmed(seatings)

    monkeypatch.setattr(host, "on_confirmed", look)
    host.book("B1", starts_at=tonight)
    host.book("B2", starts_at=tonight)
    api.request(booking_ref="B2")
    api.assign(booking_ref="B2", table_refs=["T1"], actor="staff:7")
    run_all()
    assert limits == ["4s", "4s"]


def test_a_batch_that_stopped_for_too_long_is_decided_after_all(
    host: TheHost, tonight: datetime, monkeypatch: Any
) -> None:
    monkeypatch.setattr(transactions, "IDLE_TIMEOUT_MS", 700)
    stops = [2.0]
    on_confirmed = host.on_confirmed

    def stop(seatings: Sequence[Seating]) -> None:
        if stops:
            time.sleep(stops.pop())  # The transaction is gone afterwards, so nothing of this is kept.
            return
        on_confirmed(seatings)

    monkeypatch.setattr(host, "on_confirmed", stop)
    for ref in ("B1", "B2"):
        host.book(ref, starts_at=tonight)
    assert {each.kind for each in run_all().values()} == {Kind.CONFIRMED}
    assert not BatchMark.objects.exists()


def test_a_callback_that_hangs_is_interrupted_in_a_worker(monkeypatch: Any) -> None:
    before = signal.getsignal(signal.SIGALRM)
    monkeypatch.setattr(callback_budget, "_is_enforced", False)
    callback_budget.enforce()
    try:
        with pytest.raises(CallbackTooSlowError), callback_budget.limited(0.05):
            time.sleep(30)
        with callback_budget.limited(0.5):
            pass
        time.sleep(0.6)  # Nothing rings any more.
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def enforced(monkeypatch: Any) -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    monkeypatch.setattr(callback_budget, "_is_enforced", False)
    callback_budget.enforce()
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("enforced")
def test_a_budget_inside_another_one_leaves_the_outer_its_time() -> None:
    with pytest.raises(CallbackTooSlowError), callback_budget.limited(0.1):
        with callback_budget.limited(5):
            pass
        time.sleep(30)
    with pytest.raises(CallbackTooSlowError), callback_budget.limited(0.1), callback_budget.limited(30):
        time.sleep(30)


@pytest.mark.usefixtures("enforced")
@pytest.mark.parametrize(
    "name",
    ["bookings", "tables_of", "floor", "floor_fingerprint", "floor_fingerprints", "history", "unassigned"],
)
def test_a_host_that_hangs_as_it_is_read_is_interrupted_in_a_transaction(
    host: TheHost, monkeypatch: Any, name: str
) -> None:
    monkeypatch.setattr(project_host, "_budget", lambda: callback_budget.limited(0.1))
    monkeypatch.setattr(host, name, lambda asked, **kwargs: time.sleep(0.3), raising=False)
    read = getattr(HostWithWalkIns(host), name)
    asked: Any = "R1" if name == "floor" else ["B1"]
    with pytest.raises(CallbackTooSlowError), transaction.atomic():
        read(asked)
    read(asked)  # It keeps nobody waiting outside of a transaction.


@pytest.mark.usefixtures("enforced")
def test_the_others_are_decided_while_the_host_hangs_at_one_booking(
    host: TheHost, tonight: datetime, monkeypatch: Any
) -> None:
    monkeypatch.setattr(project_host, "_budget", lambda: callback_budget.limited(0.5))
    for ref in ("B1", "B2", "B3"):
        host.book(ref, starts_at=tonight)
    bookings = type(host).bookings

    def hang(self: TheHost, refs: Sequence[str], *, lock: bool = False) -> Any:
        if lock and "B2" in refs:
            time.sleep(30)
        return bookings(self, refs, lock=lock)

    with monkeypatch.context() as patched:
        patched.setattr(type(host), "bookings", hang)
        run_all()
    assert {ref for ref, state in states().items() if state == State.CONFIRMED} == {"B1", "B3"}
    assert Assignment.objects.get(booking_ref="B2").due_at is not None


class TestWhatAPassDoesBesidePlanning:
    """An edited floor, a woken booking, a change in the host: one that ends the process stops nothing else for good."""

    @pytest.fixture
    def host(self, host: TheHost, monkeypatch: Any) -> TheHost:
        """The host ends the process when the booking "poison" is moved."""
        on_moved = host.on_moved

        def dies(moves: Sequence[Move]) -> None:
            if any(each.booking_ref == "poison" for each in moves):
                raise Died
            on_moved(moves)

        monkeypatch.setattr(host, "on_moved", dies)
        return host

    def test_who_cannot_be_moved_off_a_lost_table_goes_to_review_and_the_others_are_decided(
        self, host: TheHost, tonight: datetime
    ) -> None:
        host.book("poison", starts_at=tonight)
        run_all()
        left = [a_table(ref) for ref in ("T1", "T2", "T3", "T4") if ref not in tables_of("poison")]
        host.floors["R1"] = a_floor(tables=left)
        host.book("B1", starts_at=tonight)
        for _number in (1, 2):
            with pytest.raises(Died):
                run_all()
        run_all()
        row = Assignment.objects.get(booking_ref="poison")
        assert (row.state, row.reason) == (State.MANUAL_REVIEW, "poisonous")
        assert states()["B1"] == State.CONFIRMED
        assert not BatchMark.objects.exists()
        assert "poison" not in host.reviews, "the host is not called"
        assert OutboxMessage.objects.filter(booking_ref="poison", payload__reason="poisonous").exists()
        assert tables_of("poison"), "it keeps its table until staff decide"
        run_all()
        assert Assignment.objects.get(booking_ref="poison").reason == "poisonous"

    def test_who_is_woken_and_cannot_be_moved_stays_in_review_and_the_others_are_decided(
        self, host: TheHost, tonight: datetime
    ) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2", seats=2)])
        for ref, table, party in (("large", "T1", 4), ("poison", "T2", 2)):
            host.book(ref, starts_at=tonight, party=party)
            api.assign(booking_ref=ref, table_refs=[table], actor="staff:7")
        host.edit("poison", party=4)
        assert api.booking_changed(booking_ref="poison") == "to_staff"
        api.booking_cancelled(booking_ref="large")
        host.edit("large", wants_table=False)
        host.book("B1", starts_at=tonight)
        for _number in (1, 2):
            with pytest.raises(Died):
                run_all()
        run_all()
        assert (states()["poison"], tables_of("poison")) == (State.MANUAL_REVIEW, ["T2"])
        assert (states()["B1"], tables_of("B1")) == (State.CONFIRMED, ["T1"])
        assert not BatchMark.objects.exists()

    def test_a_change_in_the_host_that_cannot_be_followed_keeps_back_no_other(
        self, host: TheHost, tonight: datetime
    ) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T1", seats=2), a_table("T2"), a_table("T3", seats=2)])
        for ref in ("poison", "B1"):
            host.book(ref, starts_at=tonight)
        run_all()
        before = tables_of("poison")
        host.edit("poison", party=4)
        host.edit("B1", starts_at=tonight + timedelta(minutes=15))
        for ref in ("poison", "B1"):
            marks.leave_for_a_pass(ref)
        with pytest.raises(Died):
            mark_following.sweep()
        assert mark_following.sweep().followed == 1
        assert Assignment.objects.get(booking_ref="B1").starts_at == tonight + timedelta(minutes=15)
        HostMark.objects.update(due_at=tonight - timedelta(days=400))
        with pytest.raises(Died):
            mark_following.sweep()
        HostMark.objects.update(due_at=tonight - timedelta(days=400))
        assert mark_following.sweep().followed == 0
        row = Assignment.objects.get(booking_ref="poison")
        assert (row.state, row.reason, tables_of("poison")) == (State.MANUAL_REVIEW, "poisonous", before)
