"""A process stops in the middle of a transaction of ours, as a frozen machine does: the others soon go on."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction

from assignments import api, conf
from assignments.concurrency import locks, transactions
from assignments.coordination import dispatch, handover, quarantine
from assignments.exceptions import DayBusyError
from assignments.integration import marks
from assignments.lifecycle import ledger
from assignments.maintenance import mark_following, outbox, retention
from assignments.models import Assignment, BatchMark, HostMark, State
from tests.assignments.conftest import TheHost, host_with, run_all

pytestmark = pytest.mark.django_db(transaction=True)

LIMITS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: Any) -> None:
    monkeypatch.setattr(transactions, "IDLE_TIMEOUT_MS", 400)


@contextmanager
def stopped(work: Callable[[], object], patch: Any, owner: object, name: str) -> Iterator[None]:
    """A thread does the work, and stops after it has called this function, with all its locks."""
    original, begun, goes_on = getattr(owner, name), threading.Event(), threading.Event()

    def call(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if threading.current_thread() is thread:
            begun.set()
            goes_on.wait(30)
        return result

    def alone() -> None:
        with suppress(DatabaseError):
            work()
        connections.close_all()

    thread = threading.Thread(target=alone)
    patch.setattr(owner, name, call)
    thread.start()
    try:
        assert begun.wait(10)
        yield
    finally:
        goes_on.set()
        thread.join(20)


def test_who_stops_while_counting_a_death_does_not_keep_the_day(
    host: TheHost, tonight: datetime, monkeypatch: Any
) -> None:
    host.book("B1", starts_at=tonight)
    dispatch.register_new()
    row = Assignment.objects.get()
    run = uuid.uuid4()
    BatchMark.objects.create(
        run=run, restaurant_ref=row.restaurant_ref, service_date=row.service_date, booking_refs=["B1"]
    )
    monkeypatch.setattr(quarantine._process, "run", run)
    with stopped(quarantine.note_deaths, monkeypatch, locks, "try_days"):
        time.sleep(1)
        assert api.assign_now(booking_ref="B1").kind == "confirmed"


def test_who_stops_while_handing_back_does_not_keep_the_booking(
    host: TheHost, tonight: datetime, monkeypatch: Any
) -> None:
    host.book("B1", starts_at=tonight)
    dispatch.register_new()
    Assignment.objects.update(planner="v3")
    with stopped(lambda: handover.hand_back(["B1"]), monkeypatch, handover, "hand_over"):
        time.sleep(1)
        assert api.assign_now(booking_ref="B1").kind == "confirmed"


def test_who_stops_while_telling_the_host_does_not_keep_what_the_host_has_locked(
    host: TheHost, tonight: datetime, monkeypatch: Any
) -> None:
    host.book("B1", starts_at=tonight)
    run_all()
    monkeypatch.setattr(outbox, "DELIVERY_SECONDS", -0.6)

    def deliver(_message: Any) -> None:
        list(Assignment.objects.select_for_update())  # Stands for a row of the host's.

    monkeypatch.setattr(host, "deliver", deliver)
    with stopped(outbox.deliver, monkeypatch, host, "deliver"):
        time.sleep(1)
        with transaction.atomic():
            assert Assignment.objects.select_for_update(nowait=True).get().state == State.CONFIRMED


@pytest.mark.parametrize("change", ["edited", "cancelled"])
def test_a_guest_does_not_wait_for_whoever_has_the_bookings_row(
    host: TheHost, tonight: datetime, settings: Any, change: str
) -> None:
    host = host_with(settings, LOCK_TIMEOUT_MS=300)
    host.book("B1", starts_at=tonight)
    run_all()
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT FROM assignments_assignment FOR UPDATE")
        started = time.monotonic()
        with transaction.atomic(), connection.cursor() as cursor:
            if change == "edited":
                host.edit("B1", party=4)
                assert api.booking_changed(booking_ref="B1") == "later"
            else:
                api.booking_cancelled(booking_ref="B1")
            for name in LIMITS:
                cursor.execute(f"SHOW {name}")
                assert cursor.fetchone()[0] == "0", "the caller's limits are the caller's"
        assert time.monotonic() - started < 2
    finally:
        other.close()
    assert mark_following.sweep().followed == 1
    assert not HostMark.objects.exists()
    row = Assignment.objects.get()
    assert (row.party, row.state) == ((4, State.CONFIRMED) if change == "edited" else (2, State.CANCELLED))


def test_a_guest_waits_once_for_several_days_and_not_once_for_each(tonight: datetime, settings: Any) -> None:
    """Two workers have a day each, the second one for longer than the guest has patience from the start."""
    host_with(settings, LOCK_TIMEOUT_MS=1000)
    days = [("R1", tonight.date()), ("R1", tonight.date() + timedelta(days=1))]
    workers = [connection.copy(), connection.copy()]
    for worker, (restaurant, day) in zip(workers, days, strict=True):
        worker.inc_thread_sharing()
        worker.set_autocommit(False)
        with worker.cursor() as cursor:
            key = locks._day_key(restaurant, day)
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
    ends = [threading.Timer(seconds, worker.close) for seconds, worker in zip((0.6, 1.4), workers, strict=True)]
    for end in ends:
        end.start()
    with transaction.atomic():
        with pytest.raises(DayBusyError):
            locks.lock_days(days)
        assert limits() == ("0", "0", "0"), "the caller's limits are the caller's"
    for end in ends:
        end.join(10)
    with transaction.atomic():
        locks.lock_days(days)


@pytest.mark.parametrize("change", ["edited", "cancelled"])
def test_a_guest_does_not_wait_for_a_worker_that_has_bookings_of_the_next_day(
    host: TheHost, tonight: datetime, change: str
) -> None:
    """What becomes free wakes those who wait, also on the days around."""
    host.book("B1", starts_at=tonight, party=8)
    for ref in ("C1", "C2", "C3", "waits"):
        host.book(ref, starts_at=tonight + timedelta(days=1), party=4)
    run_all()
    before = Assignment.objects.get(booking_ref="waits")
    assert before.state != State.CONFIRMED
    assert not before.is_woken
    worker = connection.copy()
    try:
        worker.set_autocommit(False)
        with worker.cursor() as cursor:
            cursor.execute("SELECT FROM assignments_assignment WHERE booking_ref = 'waits' FOR UPDATE")
        started = time.monotonic()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '5s'")
            if change == "edited":
                host.edit("B1", party=2)
                assert api.booking_changed(booking_ref="B1") == "later"
            else:
                api.booking_cancelled(booking_ref="B1")
            assert limits() == ("0", "5s", "0"), "the caller's limits are the caller's"
        assert time.monotonic() - started < 2
    finally:
        worker.close()
    assert mark_following.sweep().followed == 1
    assert not HostMark.objects.exists()
    followed = Assignment.objects.get(booking_ref="B1")
    assert (followed.party, followed.state) == ((2, State.CONFIRMED) if change == "edited" else (8, State.CANCELLED))
    after = Assignment.objects.get(booking_ref="waits")
    assert after.wake_at is not None or (after.due_at is not None and after.due_at <= transactions.database_now())


def test_a_guest_waits_for_the_short_work_of_a_worker_on_the_next_day(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight)
    for ref in ("C1", "C2", "C3", "waits"):
        host.book(ref, starts_at=tonight + timedelta(days=1), party=4)
    run_all()
    worker = connection.copy()
    worker.inc_thread_sharing()
    worker.set_autocommit(False)
    with worker.cursor() as cursor:
        cursor.execute("SELECT FROM assignments_assignment WHERE booking_ref = 'waits' FOR UPDATE")
    ends = threading.Timer(0.1, worker.close)
    ends.start()
    with transaction.atomic():
        api.booking_cancelled(booking_ref="B1")
    ends.join(10)
    assert Assignment.objects.get(booking_ref="B1").state == State.CANCELLED
    after = Assignment.objects.get(booking_ref="waits")
    assert after.wake_at is not None or (after.due_at is not None and after.due_at <= transactions.database_now())


@pytest.mark.parametrize("change", ["saved", "cancelled again", "requested again"])
def test_a_guest_does_not_wait_for_a_worker_that_follows_the_cancellation(
    host: TheHost, settings: Any, tonight: datetime, monkeypatch: Any, change: str
) -> None:
    monkeypatch.setattr(transactions, "IDLE_TIMEOUT_MS", 20_000)
    host = host_with(settings, LOCK_TIMEOUT_MS=300)
    host.book("B1", starts_at=tonight)
    run_all()
    marks.leave_for_a_pass("B1", cancels=True)
    with stopped(mark_following.sweep, monkeypatch, marks, "may_cancel"):
        started = time.monotonic()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '5s'")
            if change == "saved":
                marks.leave("B1", follow=lambda stamps: None)
            elif change == "cancelled again":
                marks.leave_for_a_pass("B1", cancels=True)
            else:
                with pytest.raises(DayBusyError):
                    api.request(booking_ref="B1")
            assert limits() == ("0", "5s", "0"), "the caller's limits are the caller's"
        assert time.monotonic() - started < 2
    assert Assignment.objects.get().state == State.CANCELLED
    assert HostMark.objects.exists() is (change != "requested again"), "what was left meanwhile is followed as well"


def test_a_pass_does_not_cancel_what_the_guest_is_taking_back(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight)
    run_all()
    marks.leave_for_a_pass("B1", cancels=True)
    guest = connection.copy()
    guest.set_autocommit(False)
    try:
        with guest.cursor() as cursor:
            key = marks._cancellation_key("B1")
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
        with transaction.atomic():
            assert not marks.may_cancel("B1")
        guest.rollback()
    finally:
        guest.close()
    with transaction.atomic():
        assert marks.may_cancel("B1")


def limits() -> tuple[str, ...]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in LIMITS))
        return tuple(cursor.fetchone())


def test_the_first_statement_sets_the_limits_whatever_it_is() -> None:
    wanted = (f"{conf.settings().LOCK_TIMEOUT_MS // 1000}s", "10s", "400ms")
    assert transactions.run(limits) == wanted
    with transactions.atomic():
        assert limits() == wanted
    with transactions.atomic(limits=transactions.Limits(lock=1500, statement=70, idle=90)):
        assert limits() == ("1500ms", "70ms", "90ms")
        with transactions.atomic(limits=transactions.Limits(lock=1)):
            assert limits() == ("1500ms", "70ms", "90ms"), "a savepoint keeps them"
    with transactions.read_only():
        assert limits()[2] == "1min"
    assert limits() == ("0", "0", "0")


def test_nothing_is_set_in_the_callers_transaction() -> None:
    with transaction.atomic(), transactions.atomic():
        assert limits() == ("0", "0", "0")


def test_a_first_statement_that_locks_the_day_costs_no_second_one(
    host: TheHost, tonight: datetime, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(3):  # BEGIN, locks and limits, COMMIT
        transactions.run(lambda: locks.lock_days([("R1", tonight.date())]))
    with django_assert_num_queries(4):
        transactions.run(lambda: ledger.remove_expired_holds("R1"))


def test_what_is_deleted_in_chunks_has_a_long_time_for_statements_alone(monkeypatch: Any) -> None:
    seen: list[tuple[str, ...]] = []
    days = retention._days

    def look() -> dict[str, float]:
        seen.append(limits())
        return days()

    monkeypatch.setattr(retention, "_days", look)
    list(retention.prune())
    assert set(seen) == {("30s", "5min", "400ms")}
