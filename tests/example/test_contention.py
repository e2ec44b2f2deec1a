"""Guests edit, staff move, planners plan, all at once on the same few bookings: nobody deadlocks, nothing overlaps."""

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction

from assignments import api
from assignments.coordination import dispatch
from assignments.exceptions import (
    AssignmentNotFoundError,
    BookingBusyError,
    InvalidBookingError,
    TablesRefusedError,
    TableTakenError,
)
from assignments.models import Assignment
from example import demo, models
from example.booking import save_booking
from tests.example.conftest import load
from tests.example.test_processes import assert_history_equals_states

ROUNDS = 60
EXPECTED = (TablesRefusedError, TableTakenError, BookingBusyError, InvalidBookingError, AssignmentNotFoundError)
"""What the API may answer to somebody who comes too late. A deadlock is none of it."""


@pytest.mark.parametrize("planner", ["v3", pytest.param("legacy", marks=pytest.mark.legacy_planner)])
def test_nobody_deadlocks_and_nothing_overlaps(transactional_db: Any, planner: str) -> None:
    restaurant = load(planner)
    few = [booking.pk for booking in restaurant.bookings.filter(start__hour__gte=18).order_by("start")[:12]]
    restaurant.bookings.exclude(pk__in=few).delete()
    tables = [str(pk) for pk in restaurant.tables.values_list("pk", flat=True)]
    failures: list[BaseException] = []

    def guest(chance: random.Random) -> None:
        with transaction.atomic():  # the booking's row first, then the app's locks: the order of any host
            booking = models.Booking.objects.select_for_update().get(pk=chance.choice(few))
            booking.party = chance.randint(1, 6)
            booking.status = chance.choice(["pending", "pending", "pending", "cancelled"])
            save_booking(booking)

    def staff(chance: random.Random) -> None:
        ref = str(chance.choice(few))
        try:
            if chance.random() < 0.5:
                api.assign(booking_ref=ref, table_refs=[chance.choice(tables)], actor="staff:1")
            else:
                api.release(booking_ref=ref, actor="staff:1")
        except EXPECTED:
            pass

    def cron(chance: random.Random) -> None:
        Assignment.objects.open().update(due_at=datetime(2020, 1, 1, tzinfo=UTC))
        dispatch.register_new()
        for progress in dispatch.run_pass():
            for outcome in progress.outcomes:
                assert not outcome.unexpected, outcome

    def repeat(act: Callable[[random.Random], None], seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(ROUNDS):
                act(chance)
        except BaseException as error:  # noqa: BLE001  (raised again by the test itself)
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=repeat, args=each) for each in ((guest, 1), (guest, 2), (staff, 3), (cron, 4))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures == []
    cron(random.Random(0))
    assert demo.count_overlaps() == 0
    assert demo.count_lost() == 0
    assert_history_equals_states()
