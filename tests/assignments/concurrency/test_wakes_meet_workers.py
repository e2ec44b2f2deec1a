"""A table becomes free while a worker, which has read that it is taken, still decides who waits for it."""

import threading
from collections.abc import Callable
from datetime import datetime, time, timedelta
from time import sleep
from typing import Any

import pytest
from django.db import connection, transaction

from assignments import api
from assignments.concurrency.transactions import database_now
from assignments.coordination import dispatch, floor_watch
from assignments.lifecycle.settlement import Settlement
from assignments.models import Allocation, Assignment, HostMark, State
from assignments.testing import a_floor, a_service, a_table
from tests.assignments.conftest import TheHost, host_with, run_all, state_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def one_table(host: TheHost) -> TheHost:
    host.floors["R1"] = a_floor(tables=[a_table("T1")])
    return host


@pytest.fixture
def before_it_writes(monkeypatch: Any) -> Callable[[Callable[[], object]], threading.Thread]:
    """Has other work begin in a thread, once the next worker has planned and before it stores anything."""

    def begin(work: Callable[[], object]) -> threading.Thread:
        def alone() -> None:
            try:
                work()
            finally:
                connection.close()

        thread, write = threading.Thread(target=alone), Settlement.write

        def late(settlement: Settlement) -> None:
            if thread.ident is None:
                thread.start()
                thread.join(0.8)
            write(settlement)

        monkeypatch.setattr(Settlement, "write", late)
        return thread

    return begin


def is_tried_again(ref: str) -> bool:
    row = Assignment.objects.get(booking_ref=ref)
    return row.is_woken or (row.due_at is not None and row.due_at <= database_now())


def test_a_hold_that_expires_wakes_who_is_being_refused(
    one_table: TheHost, tonight: datetime, before_it_writes: Any
) -> None:
    for ref in ("holds", "waits"):
        one_table.book(ref, starts_at=tonight)
    dispatch.register_new()
    api.hold(booking_ref="holds", table_refs=["T1"], seconds=0.3)

    def expire() -> None:
        sleep(0.3)
        dispatch._begin()

    sweeper = before_it_writes(expire)
    api.assign_now(booking_ref="waits")
    sweeper.join(10)
    assert state_of("waits")[0] != State.CONFIRMED
    assert is_tried_again("waits")


def test_an_edited_floor_wakes_who_is_being_refused_by_the_earlier_one(
    one_table: TheHost, tonight: datetime, before_it_writes: Any
) -> None:
    one_table.book("waits", starts_at=tonight, party=9)
    dispatch.register_new()

    def edit() -> None:
        one_table.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2", seats=9)])
        floor_watch.check(one_table, now=database_now())

    editor = before_it_writes(edit)
    api.assign_now(booking_ref="waits")
    editor.join(10)
    assert state_of("waits") == (State.MANUAL_REVIEW, "party_too_large")
    assert is_tried_again("waits")


def test_a_hold_that_is_released_wakes_who_is_being_refused(
    one_table: TheHost, tonight: datetime, before_it_writes: Any
) -> None:
    for ref in ("holds", "waits"):
        one_table.book(ref, starts_at=tonight)
    dispatch.register_new()
    hold = api.hold(booking_ref="holds", table_refs=["T1"])
    guest = before_it_writes(lambda: api.release_hold(token=hold.token))
    api.assign_now(booking_ref="waits")
    guest.join(10)
    assert state_of("waits")[0] != State.CONFIRMED
    assert is_tried_again("waits")


@pytest.mark.parametrize("was_woken", [False, True], ids=["due", "woken"])
def test_a_stay_into_the_next_day_is_not_freed_while_a_worker_decides_that_day(
    host: TheHost, settings: Any, tonight: datetime, was_woken: bool
) -> None:
    """Whoever cancels has locked the evening, and the worker the next day."""
    host = host_with(settings, MAX_ATTEMPTS=1)
    services = [a_service(allow_overrun=True), a_service(key="breakfast", starts=time(6), ends=time(12))]
    host.floors["R1"] = a_floor(tables=[a_table("T1")], services=services)
    host.book("night", starts_at=tonight, ends_at=tonight + timedelta(hours=14))
    host.book("waits", starts_at=tonight + timedelta(hours=13))
    run_all()
    assert state_of("night")[0] == State.CONFIRMED
    assert state_of("waits") == (State.MANUAL_REVIEW, "no_capacity")
    evening, morning = Assignment.objects.order_by("starts_at").values_list("service_date", flat=True)
    assert evening < morning
    if was_woken:
        Assignment.objects.filter(booking_ref="waits").update(wake_at=database_now())
    else:
        api.reopen(booking_ref="waits", actor="staff")
    worker = connection.copy()
    try:
        worker.set_autocommit(False)
        with worker.cursor() as cursor:
            cursor.execute("SELECT FROM assignments_assignment WHERE booking_ref = 'waits' FOR UPDATE")
        with transaction.atomic():
            api.booking_cancelled(booking_ref="night")
    finally:
        worker.close()
    assert HostMark.objects.get().cancels, "the next pass cancels it, and wakes who waits then"


def test_a_pass_leaves_expired_holds_to_the_next_one_where_a_planner_takes_long(
    host: TheHost, settings: Any, tonight: datetime
) -> None:
    host = host_with(settings, LOCK_TIMEOUT_MS=100)
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
    for ref in ("holds", "waits"):
        host.book(ref, starts_at=tonight)
    dispatch.register_new()
    api.hold(booking_ref="holds", table_refs=["T1"], seconds=0.01)
    sleep(0.02)
    worker = connection.copy()
    try:
        worker.set_autocommit(False)
        with worker.cursor() as cursor:
            cursor.execute("SELECT FROM assignments_assignment WHERE booking_ref = 'waits' FOR UPDATE")
        run_all()
        assert Allocation.objects.filter(kind=Allocation.Kind.HOLD).exists()
    finally:
        worker.close()
    run_all()
    assert not Allocation.objects.filter(kind=Allocation.Kind.HOLD).exists()
    assert {state_of(ref)[0] for ref in ("holds", "waits")} == {State.CONFIRMED}
