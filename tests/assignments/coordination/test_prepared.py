"""The statements of every batch are planned once for each connection, where the project allows that."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assignments.coordination import dispatch
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
