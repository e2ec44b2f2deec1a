"""The statements of every batch are planned once for each connection, where the project allows that."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.backends.postgresql.base import Cursor
from django.test.utils import CaptureQueriesContext

from assignments.coordination import dispatch
from assignments.integration.project_host import configured
from assignments.models.prepared import prepared_cursor
from assignments.outcome import Kind
from tests.example.conftest import load

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def threshold(request: pytest.FixtureRequest) -> Iterator[int | None]:
    """The option of a connection of its own."""
    options = connection.settings_dict["OPTIONS"]
    before = options["prepare_threshold"]
    connection.close()
    options["prepare_threshold"] = request.param
    yield request.param
    connection.close()
    options["prepare_threshold"] = before


def prepared() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [statement for (statement,) in cursor.fetchall()]


@pytest.mark.parametrize("threshold", [0], indirect=True)
def test_an_evening_is_decided_by_statements_that_are_kept(threshold: int) -> None:
    load()
    dispatch.register_new()
    outcomes = [outcome for day in dispatch.run_pass() for outcome in day.outcomes]
    assert sum(outcome.kind is Kind.CONFIRMED for outcome in outcomes) > 70
    for table in ("statetransition", "allocation", "attempt", "batchmark"):
        assert any(f"assignments_{table}" in statement for statement in prepared()), table


@pytest.mark.parametrize("threshold", [0], indirect=True)
def test_what_is_asked_of_all_restaurants_at_once_is_not_kept(threshold: int) -> None:
    """A connection would keep the plans of a hundred such statements, of a megabyte for every three restaurants."""
    host: Any = configured()
    host.floor_fingerprint("1")
    assert len(prepared()) == 1
    host.floor_fingerprints(["1", "2"])
    assert len(prepared()) == 1


@pytest.mark.parametrize("threshold", [None], indirect=True)
def test_behind_a_pooler_none_is_kept(threshold: None) -> None:
    for _time in range(10):
        with prepared_cursor() as cursor:
            cursor.execute("SELECT %s::text", ["it"])
            assert cursor.fetchone() == ("it",)
    assert prepared() == []


@pytest.mark.parametrize("threshold", [0], indirect=True)
def test_the_log_of_queries_has_what_was_run(threshold: int) -> None:
    with CaptureQueriesContext(connection) as queries, prepared_cursor() as cursor:
        cursor.execute("SELECT %s::text", ["it"])
    assert [each["sql"] for each in queries] == ["SELECT 'it'::text"]


@pytest.mark.parametrize("threshold", [0], indirect=True)
def test_a_project_that_counts_queries_by_its_cursor_counts_these_too(threshold: int) -> None:
    run: list[str] = []

    class Counting(Cursor):
        def execute(self, query: Any, *arguments: Any, **named: Any) -> Any:
            run.append(query)
            return super().execute(query, *arguments, **named)  # type: ignore[misc]

    connection.ensure_connection()
    connection.connection.cursor_factory = Counting
    with prepared_cursor() as cursor:
        cursor.execute("SELECT %s::text", ["it"])
        assert cursor.fetchone() == ("it",)
    assert run == ["SELECT %s::text"]
