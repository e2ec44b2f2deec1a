"""The clock: Python and SQL tell the same time, and both can be moved, for one thread and in tests only."""

import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from assignments import checks, conf
from assignments.concurrency import clock, locks, transactions
from assignments.models import OutboxMessage
from assignments.testing import at, shifted
from rollout import checks as rollout_checks

pytestmark = pytest.mark.django_db(transaction=True)

PROJECT = Path(__file__).resolve().parents[3]
A_MINUTE = timedelta(minutes=1)
NEW_YEAR = datetime(2031, 1, 1, tzinfo=UTC)


def in_sql() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT assignments_now()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]


def everybody() -> list[datetime]:
    """What each source of "now" says."""
    return [clock.now(), in_sql(), transactions.database_now()]


def test_python_and_sql_tell_the_same_moved_time_in_and_out_of_transactions() -> None:
    with at(NEW_YEAR):
        told = everybody()
        with transaction.atomic():
            told += everybody()
            told.append(locks.lock_days([("R1", NEW_YEAR.date())]))
            told.append(locks.try_enter("R1", NEW_YEAR.date()).now)
        with shifted(timedelta(hours=-2)):
            assert all(NEW_YEAR <= each + timedelta(hours=2) < NEW_YEAR + A_MINUTE for each in everybody())
        told += everybody()
    assert all(NEW_YEAR <= each < NEW_YEAR + A_MINUTE for each in told)
    assert all(abs(each - datetime.now(UTC)) < A_MINUTE for each in everybody())


def test_the_clock_can_be_moved_on_within_a_transaction_and_an_error_moves_it_back() -> None:
    with transaction.atomic():
        in_sql()
        with at(NEW_YEAR):
            assert in_sql() >= NEW_YEAR
        with pytest.raises(ZeroDivisionError), at(NEW_YEAR), transaction.atomic():
            _ = 1 / 0
        assert all(abs(each - datetime.now(UTC)) < A_MINUTE for each in everybody())


def test_rows_say_the_moved_time() -> None:
    with at(NEW_YEAR):
        message = OutboxMessage.objects.create(topic="t", booking_ref="B1")
    message.refresh_from_db()
    assert NEW_YEAR <= message.created_at < NEW_YEAR + A_MINUTE


def test_the_offset_ends_with_the_transaction_so_that_no_other_client_of_a_pooler_sees_it() -> None:
    with at(NEW_YEAR):
        in_sql()
        with transaction.atomic():
            in_sql()
        with connection.connection.cursor() as another_client:
            another_client.execute("SELECT assignments_clock_offset()")
            assert another_client.fetchone() == (timedelta(0),)


def test_a_transaction_with_a_moved_clock_can_still_choose_its_isolation() -> None:
    with at(NEW_YEAR), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("repeatable read",)


def test_other_threads_keep_their_time() -> None:
    told: list[datetime] = []

    def ask() -> None:
        told.extend(everybody())
        connection.close()

    with at(NEW_YEAR):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(20)
    assert len(told) == 3
    assert all(each < NEW_YEAR for each in told)


def test_a_clock_that_is_not_moved_costs_no_query_and_a_moved_one_costs_one_a_transaction() -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked, transaction.atomic():
            in_sql()
            in_sql()
        return len(asked)

    still = queries()
    with at(NEW_YEAR):
        assert queries() == still + 1
    assert queries() == still


def test_the_clock_cannot_be_moved_where_the_settings_do_not_allow_it(settings: Any) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "MOVABLE_CLOCK": False}
    with pytest.raises(ImproperlyConfigured, match="MOVABLE_CLOCK"), at(NEW_YEAR):
        pass
    assert clock.offset() == timedelta(0)
    assert conf.Settings().MOVABLE_CLOCK is False
    assert checks.check_clock(None) == []


def test_checks_refuse_a_movable_clock_in_production(settings: Any) -> None:
    assert [found.id for found in checks.check_clock(None)] == ["assignments.E008"]
    assert rollout_checks.check_clock(None) == []
    settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT": "production"}
    assert [found.id for found in rollout_checks.check_clock(None)] == ["rollout.E007"]
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "MOVABLE_CLOCK": False}
    assert rollout_checks.check_clock(None) == []


def test_nothing_asks_another_clock() -> None:
    others = re.compile(
        r"timezone\.now\b|timezone import .*\bnow\b"
        r"|functions import .*\bNow\b|functions\.Now\b|datetime\.now\(|date\.today\("
        r"|localdate\(|CURRENT_TIMESTAMP|statement_timestamp|auto_now(?:_add)?="
        r"|clock_timestamp\(\)(?!\"\)| \+ assignments_clock)"
        r"|(?<![\w.])now\(\)"
    )
    found = {
        f"{path.relative_to(PROJECT)}: {line.strip()}"
        for folder in ("assignments", "rollout", "legacy_planner")
        for path in (PROJECT / folder).rglob("*.py")
        if "migrations" not in path.parts and path.name not in {"moment.py", "clock.py"}
        for line in path.read_text().splitlines()
        if others.search(line)
    }
    assert found == set()
