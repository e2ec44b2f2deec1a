"""The roles of ``ops/sql/roles.sql``: whoever runs the site does all its work, and cannot rewrite history."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connection, transaction

from assignments import api
from assignments.models import Assignment, Breaker, SeatingChange, State, StateTransition
from tests.assignments import conftest
from tests.assignments.conftest import TheHost

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = Path(__file__).parents[2] / "ops" / "sql" / "roles.sql"
NAMES = ("assignments_runner", "assignments_metrics")
HISTORY = ("assignments_statetransition", "assignments_seatingchange", "rollout_change")

host, tonight = conftest.host, conftest.tonight


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture
def roles() -> Iterator[dict[str, str]]:
    """The roles under names of this process's own, because roles belong to the whole server."""
    own = {name: f"{name}_{os.getpid()}" for name in NAMES}
    script = SCRIPT.read_text(encoding="utf-8")
    for name, mine in own.items():
        script = script.replace(name, mine)
    execute(script)
    execute(script)  # It may be repeated.
    yield own
    execute("RESET ROLE")
    for mine in own.values():
        execute(f"DROP OWNED BY {mine}; DROP ROLE {mine}")


@contextmanager
def acting_as(role: str) -> Iterator[None]:
    execute(f"SET ROLE {role}")
    yield
    execute("RESET ROLE")


def test_the_runner_does_a_whole_pass(host: TheHost, tonight: datetime, roles: dict[str, str]) -> None:
    with acting_as(roles["assignments_runner"]):
        for ref in ("B1", "B2"):
            host.book(ref, starts_at=tonight, party=2)
        call_command("run_coordinator", json=True)
        assert set(Assignment.objects.values_list("state", flat=True)) == {State.CONFIRMED}
        api.swap(booking_ref="B1", other_ref="B2", actor="staff:1")
        api.booking_cancelled(booking_ref="B2")
        call_command("deliver_outbox")
        call_command("reconcile_assignments")
        call_command("prune_assignments")
    assert StateTransition.objects.exists()
    assert SeatingChange.objects.exists()


@pytest.mark.parametrize("table", HISTORY)
def test_the_runner_cannot_rewrite_history(roles: dict[str, str], table: str) -> None:
    with acting_as(roles["assignments_runner"]):
        execute(f"SELECT count(*) FROM {table}")
        for sql in (
            f"UPDATE {table} SET id = id",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            f"DROP TABLE {table}",
        ):
            with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
                execute(sql)


def test_the_runner_cannot_rewrite_what_was_found(roles: dict[str, str]) -> None:
    with acting_as(roles["assignments_runner"]):
        for table, column in (("rollout_audit", "wrong_refusal"), ("rollout_daycomparison", "candidate_unsafe")):
            with pytest.raises(ProgrammingError, match="permission denied"):
                execute(f"UPDATE {table} SET {column} = NULL")
            execute(f"DELETE FROM {table}")  # The trigger lets pruning alone delete rows.


def test_only_the_owner_of_the_tables_frees_them_without_a_trace(
    host: TheHost, tonight: datetime, roles: dict[str, str]
) -> None:
    for ref in ("B1", "B2"):
        host.book(ref, starts_at=tonight, party=2)
        assert api.assign_now(booking_ref=ref).table_refs
    with acting_as(roles["assignments_runner"]):
        cancel_while_loading("B1")
    changes = SeatingChange.objects.count()
    assert [each.what for each in SeatingChange.objects.filter(booking_ref="B1")] == ["seated", "freed"]
    cancel_while_loading("B2")
    assert SeatingChange.objects.count() == changes, "rows that are loaded have their history with them"


def cancel_while_loading(ref: str) -> None:
    with transaction.atomic():
        execute("SELECT set_config('assignments.loading', 'on', true)")
        api.booking_cancelled(booking_ref=ref)


def test_metrics_reads_our_tables_and_nothing_else(roles: dict[str, str]) -> None:
    Breaker.objects.create(name="v3:R1")
    with acting_as(roles["assignments_metrics"]):
        assert Breaker.objects.count() == 1
        execute("SELECT count(*) FROM rollout_comparison")
        for sql in ("SELECT * FROM auth_user", "DELETE FROM assignments_event", "TRUNCATE assignments_event"):
            with pytest.raises(ProgrammingError, match="permission denied"):
                execute(sql)
