"""Undoing a move that granted another restaurant or day: the tables of the promise, under that day's lock."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from assignments import api
from assignments.concurrency import locks
from assignments.models import Allocation, Assignment
from assignments.outcome import Change
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import TheHost

pytestmark = pytest.mark.django_db(transaction=True)


def grant(host: TheHost, tonight: datetime, **wish: Any) -> None:
    """A has T1 tonight, asks for ``wish`` where all is taken, and staff give it T2 there once that is free."""
    for ref in ("R1", "R2"):
        host.floors[ref] = a_floor(restaurant_ref=ref, tables=[a_table("T1"), a_table("T2")])
    host.book("A", starts_at=tonight, party=2)
    api.assign(booking_ref="A", table_refs=["T1"], actor="staff:1")
    for ref, table in (("X", "T1"), ("Y", "T2")):
        host.book(ref, **{"starts_at": tonight, "party": 2, **wish})
        api.assign(booking_ref=ref, table_refs=[table], actor="staff:1")
    host.edit("A", **wish)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    for ref in "XY":
        host.edit(ref, wants_table=False)
        api.booking_cancelled(booking_ref=ref)
    api.assign(booking_ref="A", table_refs=["T2"], actor="staff:7")


def test_the_tables_of_the_other_restaurant_come_back(host: TheHost, tonight: datetime) -> None:
    grant(host, tonight, restaurant_ref="R2")
    api.undo(booking_ref="A", actor="staff:7")
    assert [(row.restaurant_ref, row.table_ref) for row in Allocation.objects.current()] == [("R1", "T1")]
    row = Assignment.objects.get(booking_ref="A")
    assert (row.restaurant_ref, row.asked_restaurant_ref) == ("R1", "R2")


def test_the_day_of_the_promise_is_locked(host: TheHost, tonight: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    tomorrow = tonight + timedelta(days=1)
    grant(host, tonight, starts_at=tomorrow, ends_at=tomorrow + timedelta(hours=2))
    locked: list[Any] = []
    lock_days = locks.lock_days

    def spy(days: Any) -> Any:
        locked.extend(days)
        return lock_days(days)

    monkeypatch.setattr(locks, "lock_days", spy)
    api.undo(booking_ref="A", actor="staff:7")
    assert {("R1", tonight.date()), ("R1", tomorrow.date())} <= set(locked)
    seating = Allocation.objects.get(booking_ref="A")
    assert (seating.table_ref, seating.starts_at) == ("T1", tonight)
    row = Assignment.objects.get(booking_ref="A")
    assert (row.service_date, row.asked_until) == (tonight.date(), seating.ends_at)
    assert (row.asked_date, row.asked_ends_at) == (tomorrow.date(), tomorrow + timedelta(hours=2))
