"""A host in memory for the tests of the app itself; the database is real."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from typing import Any, cast

import pytest
from django.db import connection

from assignments import conf
from assignments.coordination import dispatch
from assignments.integration import planners
from assignments.integration.planners import Batch, SoleRouter
from assignments.models import Allocation, Assignment
from assignments.testing import MemoryHost, a_floor, a_service, a_table

HOST_PATH = "tests.assignments.conftest.TheHost"
ALL_DAY = a_service(key="all_day", starts=time(0), ends=time(0), allow_overrun=True)


class TheHost(MemoryHost):
    """The host of these tests: three 4-tops and a 2-top, all of one zone and adjacent."""

    def __init__(self) -> None:
        tables = [a_table("T1"), a_table("T2"), a_table("T3"), a_table("T4", seats=2)]
        adjacent = [("T1", "T2"), ("T2", "T3"), ("T3", "T4")]
        super().__init__(floors=[a_floor(tables=tables, adjacent=adjacent)])


class Keeping(SoleRouter):
    """A router for which V3 decides everything, and which keeps the batches.

    A class of its own: what ``isinstance`` once says of a class, it says to the end of the process.
    """

    def __init__(self) -> None:
        self.kept: list[Batch] = []

    def keep(self, batch: Batch) -> None:
        self.kept.append(batch)


@pytest.fixture
def open_now(host: TheHost) -> TheHost:
    """A restaurant with two tables for four that is open at any hour."""
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")], services=[ALL_DAY])
    return host


@pytest.fixture
def keeping(monkeypatch: pytest.MonkeyPatch) -> Keeping:
    """The router of everything in this test."""
    monkeypatch.setattr(planners, "router_path", lambda: "tests.assignments.conftest.Keeping")
    made: Any = planners.router()
    return cast("Keeping", made)


@pytest.fixture
def host(settings: Any) -> TheHost:
    settings.ASSIGNMENTS = {
        "HOST": HOST_PATH,
        "ROUTER": "assignments.integration.planners.SoleRouter",
        "EVENT_SINKS": ("assignments.telemetry.events.MemorySink",),
        "MOVABLE_CLOCK": True,
    }
    loaded: TheHost = conf.load(HOST_PATH)
    return loaded


def host_with(settings: Any, **changed: Any) -> TheHost:
    """The host that the app uses once these settings are changed."""
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, **changed}
    loaded: TheHost = conf.load(HOST_PATH)
    return loaded


def state_of(ref: str) -> tuple[str, str]:
    """The state of a booking, and the reason for it."""
    assignment = Assignment.objects.get(booking_ref=ref)
    return assignment.state, assignment.reason


def asked(number: int) -> datetime:
    """When somebody asked: so many minutes after the first."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)


@pytest.fixture
def tonight() -> datetime:
    """19:00 in London on the next 14th of January that is a day away or more, and so within 366 days."""
    now = datetime.now(UTC)
    this_year = now.replace(month=1, day=14, hour=19, minute=0, second=0, microsecond=0)
    return this_year if this_year > now + timedelta(days=1) else this_year.replace(year=now.year + 1)


@contextmanager
def rewritten_history() -> Iterator[Any]:
    """A cursor to which the history of states is not append-only: for what has to have happened long ago."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE assignments_statetransition DISABLE TRIGGER statetransition_append_only")
        yield cursor
        cursor.execute("ALTER TABLE assignments_statetransition ENABLE TRIGGER statetransition_append_only")


def run_all() -> dict[str, Any]:
    """One whole pass; outcomes by booking ref."""
    dispatch.register_new()
    return {outcome.booking_ref: outcome for progress in dispatch.run_pass() for outcome in progress.outcomes}


def tables_of(ref: str) -> list[str]:
    return sorted(Allocation.objects.current().filter(booking_ref=ref).values_list("table_ref", flat=True))


@contextmanager
def override(settings: Any, *, rows: Any, **given: Any) -> Iterator[None]:
    """Other settings, and the same bookings in the host that is loaded anew for them."""
    floors, seated = conf.load(HOST_PATH).floors, conf.load(HOST_PATH).seated
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, **given}
    loaded: TheHost = conf.load(HOST_PATH)
    loaded.rows, loaded.floors, loaded.seated = rows, floors, seated
    yield
