"""Each safeguard, taken away: then what it guards against happens. And with it, on the same steps, it does not.

Where another safeguard would hide the difference, both are taken away and one is put back.
"""

import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from typing import Any

import pytest
from django.db import DatabaseError, InternalError, OperationalError, connection, transaction

from assignments import api
from assignments.concurrency import locks, sql, transactions
from assignments.coordination import dispatch, dry_run, quarantine
from assignments.exceptions import CallbackTooSlowError, StaleAssignmentError, TableTakenError
from assignments.integration import callback_budget
from assignments.lifecycle import ledger, transitions
from assignments.maintenance import mark_following, outbox, promise_check
from assignments.models import (
    NO_OVERLAP_CONSTRAINT,
    Allocation,
    Assignment,
    BatchMark,
    HostMark,
    OutboxMessage,
    State,
    insertion,
)
from assignments.models import assignment as assignment_model
from assignments.models.assignment import AssignmentQuerySet
from assignments.outcome import Kind
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import TheHost, host_with, run_all
from tests.assignments.lifecycle.test_ledger import placement

pytestmark = pytest.mark.django_db(transaction=True)

WITH_AND_WITHOUT = pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "taken away"])


class Died(BaseException):
    """Stands for the death of the process: nothing of ours handles it."""


@contextmanager
def another_session() -> Iterator[Any]:
    """A cursor of another worker."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            yield cursor
    finally:
        other.close()


@contextmanager
def without_constraint() -> Iterator[None]:
    """The ledger without its exclusion constraint, which is put back as it was."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s",
            [NO_OVERLAP_CONSTRAINT],
        )
        definition = cursor.fetchone()[0]
        cursor.execute(f"ALTER TABLE assignments_allocation DROP CONSTRAINT {NO_OVERLAP_CONSTRAINT}")
    try:
        yield
    finally:
        Allocation.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE assignments_allocation ADD CONSTRAINT {NO_OVERLAP_CONSTRAINT} {definition}")


def overlaps() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM assignments_allocation AS one JOIN assignments_allocation AS other"
            " ON one.id < other.id AND one.table_ref = other.table_ref AND one.blocked && other.blocked"
        )
        return int(cursor.fetchone()[0])


def in_a_thread(work: Callable[[], object]) -> threading.Thread:
    def alone() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=alone)
    thread.start()
    return thread


class TestTheExclusionConstraint:
    def test_with_it_the_second_seating_is_refused(self) -> None:
        ledger.seat([placement("A", "T1")])
        with pytest.raises(TableTakenError), transaction.atomic():
            ledger.seat([placement("B", "T1")])
        assert overlaps() == 0

    def test_without_it_a_table_is_double_booked(self) -> None:
        with without_constraint():
            ledger.seat([placement("A", "T1")])
            ledger.seat([placement("B", "T1")])
            assert overlaps() == 1


@WITH_AND_WITHOUT
def test_the_days_lock_keeps_two_planners_from_one_day(
    host: TheHost, tonight: datetime, monkeypatch: Any, guarded: bool
) -> None:
    """The second planner decides while the first, which has looked at the tables, has not committed."""
    host.floors["R1"] = a_floor(tables=[a_table("T1")])
    host.book("B1", starts_at=tonight)
    host.book("B2", starts_at=tonight)
    dispatch.register_new()
    if not guarded:  # Everybody has a lock of his own.
        monkeypatch.setattr(locks, "_day_key", lambda *day: f"{uuid.uuid4()}")
    meanwhile: list[Any] = []
    on_confirmed = host.on_confirmed

    def second(seatings: Any) -> None:
        on_confirmed(seatings)
        if not meanwhile:
            meanwhile.append(None)
            thread = in_a_thread(lambda: meanwhile.append(api.assign_now(booking_ref="B2", budget_seconds=1.5)))
            thread.join(10)

    monkeypatch.setattr(host, "on_confirmed", second)
    api.assign_now(booking_ref="B1")
    # Without the lock it runs into the first one's uncommitted seating, and waits there instead of going away at once.
    reasons = {str(outcome.reason) for outcome in meanwhile[1:]}
    assert (reasons == {"lock_contention"}) is guarded, meanwhile


@WITH_AND_WITHOUT
def test_the_days_lock_alone_keeps_a_table_from_two_planners(
    host: TheHost, tonight: datetime, monkeypatch: Any, guarded: bool
) -> None:
    """The constraint, which hides it, is taken away from both: only the lock is put back."""
    host.floors["R1"] = a_floor(tables=[a_table("T1")])
    host.book("B1", starts_at=tonight)
    host.book("B2", starts_at=tonight)
    dispatch.register_new()
    if not guarded:
        monkeypatch.setattr(locks, "_day_key", lambda *day: f"{uuid.uuid4()}")
    on_confirmed = host.on_confirmed
    has_begun: list[bool] = []

    def second(seatings: Any) -> None:
        on_confirmed(seatings)
        if not has_begun:
            has_begun.append(True)
            in_a_thread(lambda: api.assign_now(booking_ref="B2")).join(10)

    monkeypatch.setattr(host, "on_confirmed", second)
    with without_constraint():
        api.assign_now(booking_ref="B1")
        assert overlaps() == (0 if guarded else 1)


@WITH_AND_WITHOUT
def test_the_version_keeps_a_stale_decision_out(
    host: TheHost, tonight: datetime, monkeypatch: Any, guarded: bool
) -> None:
    """The history's uniqueness would hide the difference, so it is taken away in both cases."""
    host.book("B1", starts_at=tonight)
    run_all()
    stale = Assignment.objects.get()
    api.release_tables(booking_ref="B1", actor="staff:1")
    released = Assignment.objects.get()
    assert released.version > stale.version
    stale.cancel(actor="test")
    if not guarded:
        query = assignment_model._GUARDED_UPDATE_WITH_HISTORY
        without = query.replace(" AND stored.version = given.stored_version", "")
        assert without != query
        monkeypatch.setattr(assignment_model, "_GUARDED_UPDATE_WITH_HISTORY", without)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'assignments_statetransition'::regclass AND contype = 'u'"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE assignments_statetransition DROP CONSTRAINT {name}")
        try:
            Assignment.objects.persist([stale], correlation_id=uuid.uuid4())
        except StaleAssignmentError:
            assert guarded
        else:
            assert not guarded
            overwritten = Assignment.objects.get()
            assert (overwritten.state, overwritten.version) == (State.CANCELLED, stale.version)
        transaction.set_rollback(True)


@WITH_AND_WITHOUT
def test_skip_locked_leaves_a_booking_that_somebody_has(
    host: TheHost, tonight: datetime, monkeypatch: Any, impatient: TheHost, guarded: bool
) -> None:
    """Without it the whole evening waits for one booking's row, until the lock's time limit."""
    for ref in ("B1", "B2"):
        impatient.book(ref, starts_at=tonight)
    dispatch.register_new()
    if not guarded:
        monkeypatch.setattr(AssignmentQuerySet, "claim", lambda self: self.select_for_update())
    monkeypatch.setattr(transactions, "repeated", Counter())
    with another_session() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT FROM assignments_assignment WHERE booking_ref = 'B1' FOR UPDATE")
        run_all()
        waited = transactions.repeated[transactions.LOCK_NOT_AVAILABLE]
    assert (waited == 0) is guarded
    assert Assignment.objects.get(booking_ref="B2").state == State.CONFIRMED or not guarded


@WITH_AND_WITHOUT
def test_skip_locked_leaves_a_mark_that_a_host_is_writing(
    host: TheHost, tonight: datetime, monkeypatch: Any, guarded: bool
) -> None:
    """Without it every later change of the host waits for the one that a request has not committed yet."""
    for ref in ("B1", "B2"):
        host.book(ref, starts_at=tonight)
        HostMark.objects.create(booking_ref=ref)
    if not guarded:
        rows = sql.rows
        monkeypatch.setattr(sql, "rows", lambda text, **given: rows(text.replace("SKIP LOCKED", ""), **given))
    with another_session() as cursor, connection.cursor() as own:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE assignments_hostmark SET stamp = gen_random_uuid() WHERE booking_ref = 'B1'")
        own.execute("SET lock_timeout = '150ms'")
        try:
            mark_following.sweep()
        except OperationalError as error:
            assert "lock timeout" in str(error)
            waited = True
        else:
            waited = False
        finally:
            own.execute("RESET lock_timeout")
    assert waited is not guarded
    followed = Assignment.objects.values_list("booking_ref", flat=True)
    assert list(followed) == (["B2"] if guarded else [])


@pytest.fixture
def impatient(host: TheHost, settings: Any) -> TheHost:
    return host_with(settings, LOCK_TIMEOUT_MS=150)


@WITH_AND_WITHOUT
def test_a_transaction_that_meets_a_deadlock_is_done_again_as_a_whole(
    host: TheHost, tonight: datetime, monkeypatch: Any, guarded: bool
) -> None:
    host.book("B1", starts_at=tonight)
    dispatch.register_new()
    if not guarded:
        monkeypatch.setattr(transactions, "RETRYABLE", frozenset())
    on_confirmed = host.on_confirmed
    met: list[Any] = []

    def deadlock(seatings: Any) -> None:
        if not met:
            met.append(seatings)
            with connection.cursor() as cursor:
                cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'test' USING ERRCODE = '40P01'; END $$")
        on_confirmed(seatings)

    monkeypatch.setattr(host, "on_confirmed", deadlock)
    outcome = api.assign_now(booking_ref="B1")
    assert (outcome.kind is Kind.CONFIRMED) is guarded, outcome


@WITH_AND_WITHOUT
def test_a_dry_run_cannot_write(host: TheHost, tonight: datetime, monkeypatch: Any, guarded: bool) -> None:
    host.book("B1", starts_at=tonight)
    if not guarded:
        monkeypatch.setattr(transactions, "read_only", transaction.atomic)
    floor = host.floor

    def writes(restaurant_ref: str) -> Any:
        BatchMark.objects.create(
            run=uuid.uuid4(), restaurant_ref="R1", service_date=tonight.date(), booking_refs=["written"]
        )
        return floor(restaurant_ref)

    monkeypatch.setattr(host, "floor", writes)
    with pytest.raises(InternalError) if guarded else nullcontext():
        list(dry_run.preview())
    assert BatchMark.objects.exists() is not guarded


@WITH_AND_WITHOUT
def test_the_outbox_is_in_the_transaction_that_decides(
    host: TheHost, tonight: datetime, monkeypatch: Any, guarded: bool
) -> None:
    """The process dies right after COMMIT."""
    host.book("B1", starts_at=tonight)
    dispatch.register_new()
    if not guarded:
        store = insertion.insert
        monkeypatch.setattr(transitions, "insert", lambda rows: transaction.on_commit(lambda: store(rows)))

    def dies() -> None:
        raise Died

    monkeypatch.setattr(
        transactions,
        "guard_commit_hooks",
        lambda: connection.run_on_commit.insert(0, (set(), dies, False)),  # type: ignore[arg-type]
    )
    with pytest.raises(Died):
        api.assign_now(booking_ref="B1")
    monkeypatch.undo()
    untold = [each for each in promise_check.violations(days=1) if each.promise == "the host is told of everything"]
    assert Assignment.objects.get().state == State.CONFIRMED
    assert (not untold) is guarded


@WITH_AND_WITHOUT
def test_marks_find_the_booking_that_ends_its_process(
    host: TheHost, tonight: datetime, monkeypatch: Any, guarded: bool
) -> None:
    if not guarded:
        monkeypatch.setattr(quarantine, "marked", lambda *_given: nullcontext())
        monkeypatch.setattr(quarantine, "take_back", lambda _mark: True)
    on_confirmed = host.on_confirmed

    def dies(seatings: Any) -> None:
        if any(each.booking_ref == "poison" for each in seatings):
            raise Died
        on_confirmed(seatings)

    monkeypatch.setattr(host, "on_confirmed", dies)
    for ref in ("B1", "poison"):
        host.book(ref, starts_at=tonight)
    for _ in range(6):
        with suppress(Died):
            run_all()
    states = dict(Assignment.objects.values_list("booking_ref", "state"))
    assert (states == {"B1": "confirmed", "poison": "manual_review"}) is guarded, states


@WITH_AND_WITHOUT
def test_an_attempt_that_was_stored_finds_the_message_that_ends_its_process(
    host: TheHost, tonight: datetime, monkeypatch: Any, guarded: bool
) -> None:
    host.book("B1", starts_at=tonight)
    run_all()
    if not guarded:  # The attempt is not committed before the host is called.
        monkeypatch.setattr(outbox, "_claimed", lambda pk, *_given: OutboxMessage.objects.get(pk=pk))

    def dies(message: Any) -> None:
        raise Died

    monkeypatch.setattr(host, "deliver", dies)
    run = uuid.uuid4()
    for _ in range(5):
        with suppress(Died):
            outbox.deliver(run=run)
        OutboxMessage.objects.update(due_at=tonight.replace(year=2020))
    assert OutboxMessage.objects.filter(set_aside_at__isnull=False).exists() is guarded


@WITH_AND_WITHOUT
def test_the_time_limit_of_an_idle_transaction_frees_its_day(
    host: TheHost, tonight: datetime, monkeypatch: Any, guarded: bool
) -> None:
    """A worker stops in the middle of its transaction; whoever comes next asks for its day."""
    host.book("B1", starts_at=tonight)
    dispatch.register_new()
    row = Assignment.objects.get()
    monkeypatch.setattr(transactions, "IDLE_TIMEOUT_MS", 500 if guarded else 0)
    stopped, goes_on = threading.Event(), threading.Event()

    def stop(_seatings: Any) -> None:
        stopped.set()
        goes_on.wait(10)
        raise RuntimeError("It was stopped.")

    monkeypatch.setattr(host, "on_confirmed", stop)
    worker = in_a_thread(lambda: api.assign_now(booking_ref="B1"))
    try:
        assert stopped.wait(10)
        is_free = False
        for _ in range(500 if guarded else 40):
            time.sleep(0.02)
            with transaction.atomic():
                is_free = locks.try_days(row.restaurant_ref, [row.service_date])
            if is_free:
                break
        assert is_free is guarded
    finally:
        goes_on.set()
        worker.join(20)


A_DAY_MS = 86_400_000
"""A time limit that is none: settings take no longer one."""


@WITH_AND_WITHOUT
def test_the_time_limit_of_waits_for_locks_ends_a_persons_wait(
    host: TheHost, tonight: datetime, settings: Any, guarded: bool
) -> None:
    """Somebody has the day and does not give it back; a person wants to change a booking of it."""
    host.book("B1", starts_at=tonight)
    run_all()
    row = Assignment.objects.get()
    host_with(settings, LOCK_TIMEOUT_MS=300 if guarded else A_DAY_MS)
    raised: list[str | None] = []

    def change() -> None:
        try:
            api.release_tables(booking_ref="B1", actor="staff:1")
        except DatabaseError as error:
            raised.append(transactions.sqlstate(error))

    with transaction.atomic():
        assert locks.try_days(row.restaurant_ref, [row.service_date])
        person = in_a_thread(change)
        person.join(10 if guarded else 1)
        has_waited_enough = not person.is_alive()
    person.join(10)
    assert has_waited_enough is guarded
    assert raised == ([transactions.LOCK_NOT_AVAILABLE] if guarded else [])


@WITH_AND_WITHOUT
def test_the_time_limit_of_statements_ends_a_slow_query(
    host: TheHost, tonight: datetime, monkeypatch: Any, settings: Any, guarded: bool
) -> None:
    """A query of the host takes long, in the transaction that decides. An idle transaction's limit does not see it."""
    host = host_with(settings, STATEMENT_TIMEOUT_MS=1000 if guarded else A_DAY_MS)
    host.book("B1", starts_at=tonight)
    on_confirmed, ends = host.on_confirmed, set[str | None]()

    def slow(seatings: Any) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(2)")
        except DatabaseError as error:
            ends.add(transactions.sqlstate(error))
            raise
        ends.add("its own")
        on_confirmed(seatings)

    monkeypatch.setattr(host, "on_confirmed", slow)
    run_all()
    assert ends == {transactions.QUERY_CANCELED if guarded else "its own"}
    assert (Assignment.objects.get().state == State.CONFIRMED) is not guarded


@WITH_AND_WITHOUT
def test_the_budget_of_callbacks_ends_one_that_hangs(
    host: TheHost, tonight: datetime, monkeypatch: Any, settings: Any, guarded: bool
) -> None:
    """Only there is a hang that PostgreSQL cannot see, before the transaction has been idle for too long."""
    host = host_with(settings, CALLBACK_SECONDS=1.0)
    host.book("B1", starts_at=tonight)
    on_confirmed, ends = host.on_confirmed, set[str]()

    def hang(seatings: Any) -> None:
        try:
            time.sleep(2)
        except CallbackTooSlowError:
            ends.add("interrupted")
            raise
        ends.add("its own")
        on_confirmed(seatings)

    monkeypatch.setattr(host, "on_confirmed", hang)
    monkeypatch.setattr(callback_budget, "_is_enforced", False)
    handler = signal.getsignal(signal.SIGALRM)
    if guarded:
        callback_budget.enforce()
    try:
        run_all()
    finally:
        signal.signal(signal.SIGALRM, handler)
    assert ends == {"interrupted" if guarded else "its own"}
    assert (Assignment.objects.get().state == State.CONFIRMED) is not guarded
