"""A worker reads the same timestamps as Django, only more quickly."""

import gc
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import DataError, connection, connections
from django.db.backends.signals import connection_created

from assignments.management import timestamps
from assignments.management.supervisor import Worker
from assignments.management.timestamps import TimestampLoader

pytestmark = pytest.mark.django_db(transaction=True)

MOMENTS = (
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1966, 7, 30, 15, 0, 0, 500_000, tzinfo=UTC),
    datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    datetime(2026, 11, 30, 22, 12, 59, 123_456, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    connection_created.disconnect(dispatch_uid="assignments.timestamps")
    connection.close()
    gc.unfreeze()


def loader() -> type[Any]:
    with connection.cursor() as cursor:
        found: type[Any] = cursor.cursor.adapters.get_loader(psycopg.adapters.types["timestamptz"].oid, 0)
        return found


def read(sql: str, *values: datetime) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        (value,) = cursor.fetchone()
        return value


def a_worker_begins() -> None:
    pipe = os.open(os.devnull, os.O_WRONLY)
    try:
        Worker(pipe=pipe).begins()
    finally:
        os.close(pipe)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_reads_every_moment_as_django_does(moment: datetime) -> None:
    djangos = read("SELECT %s::timestamptz", moment)
    a_worker_begins()
    assert loader() is TimestampLoader
    mine = read("SELECT %s::timestamptz", moment)
    assert (mine, mine.tzinfo) == (djangos, djangos.tzinfo) == (moment, UTC)


def test_moments_within_arrays_and_ranges_are_read_too() -> None:
    a_worker_begins()
    first, second = MOMENTS[2:4]
    assert read("SELECT ARRAY[%s, %s]::timestamptz[]", first, second) == [first, second]
    found = read("SELECT tstzrange(%s, %s)", first, second)
    assert (found.lower, found.upper) == (first, second)


def test_a_session_with_another_time_zone_is_understood() -> None:
    a_worker_begins()
    read("SELECT set_config('TimeZone', 'Asia/Kathmandu', false)")
    found = read("SELECT %s::timestamptz", MOMENTS[3])
    assert (found, found.utcoffset()) == (MOMENTS[3], timedelta(hours=5, minutes=45))


@pytest.mark.parametrize("sql", ["SELECT 'infinity'::timestamptz", "SELECT '0044-03-15 12:00 BC'::timestamptz"])
def test_what_is_no_moment_in_python_is_still_refused(sql: str) -> None:
    a_worker_begins()
    with pytest.raises(DataError):
        read(sql)


def test_a_new_connection_is_read_quickly_too() -> None:
    a_worker_begins()
    connection.close()
    assert loader() is TimestampLoader


def test_the_process_of_a_caller_is_left_as_it_is() -> None:
    before = loader()
    Worker().begins()
    connection.close()
    assert loader().__qualname__ == before.__qualname__ != TimestampLoader.__qualname__


def test_a_connection_with_a_time_zone_of_its_own_is_left_to_django(monkeypatch: pytest.MonkeyPatch) -> None:
    timestamps.read_quickly()
    connection.close()
    monkeypatch.setattr(connections["default"], "timezone", ZoneInfo("Europe/Berlin"))
    assert loader() is not TimestampLoader
    assert str(read("SELECT %s::timestamptz", MOMENTS[3]).tzinfo) == "Europe/Berlin"
