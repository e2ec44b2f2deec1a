"""Fixtures for all tests."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from unittest import mock

import pytest
from django.db import connection
from django.test import TransactionTestCase

from assignments.telemetry.events import DatabaseSink
from tests import built, emptying, process_state, sandboxes, template
from tests.schedule import Schedule

APART = {
    "full_removal": "all tests on a copy without the legacy planner, for several minutes",
    "scripts": "the scripts of docs/pages.md, done in a browser and counted, for a minute",
    "upgrade": "the release before on today's tables, and the way back, for minutes",
}
"""Marks of tests that take long by themselves: left out unless ``-m`` asks for them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="only what runs in this process, without whole evenings")


def pytest_configure(config: pytest.Config) -> None:
    for marker, meaning in APART.items():
        config.addinivalue_line("markers", f"{marker}: {meaning}")
    config.pluginmanager.register(Schedule(config), "schedule")
    if not config.getoption("numprocesses", None):  # otherwise others collect
        gc.disable()
    # Each of the many processes would compile everything anew; so would the next run.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    apart = [marker for marker in APART if marker not in config.option.markexpr]
    left_out = {item for item in items if any(item.get_closest_marker(marker) for marker in apart)}
    config.hook.pytest_deselected(items=[*left_out])
    items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """What is there now stays to the end: the garbage collector need not go through all modules and tests again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _tables_are_emptied_and_not_made_anew() -> Iterator[None]:
    """After a test that commits, few tables hold anything, and that is little: to delete it is quicker than to truncate.

    Not by way of the triggers, which keep the history, nor by Django's flush, which looks for apps and tables each time.
    """
    with mock.patch.object(TransactionTestCase, "_fixture_teardown", _empty_all_tables):
        yield


@pytest.fixture(scope="session", autouse=True)
def _the_connection_is_kept() -> Iterator[None]:
    """A new one after each test that commits would have to learn all tables anew."""
    with mock.patch.object(TransactionTestCase, "_should_reload_connections", return_value=False):
        yield


@pytest.fixture(scope="session", autouse=True)
def _what_is_built_is_shared(tmp_path_factory: pytest.TempPathFactory) -> None:
    """By all processes of this run."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = tmp_path_factory.getbasetemp().parent / "built"
        folder.mkdir(exist_ok=True)
        built.share(folder)


@pytest.fixture(scope="session", autouse=True)
def _candidates_are_forked() -> Iterator[None]:
    with sandboxes.forked():
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        template.use()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """No test may depend on what ids its rows get: TEST_SEQUENCE_START says from which number they are counted.

    Flushes leave sequences as they are.
    """
    start = int(os.environ.get("TEST_SEQUENCE_START") or 1)
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT setval(format('%%I.%%I', schemaname, sequencename)::regclass,
                          greatest(%s, coalesce(last_value, 0) + 1), false)
            FROM pg_sequences WHERE schemaname = 'public'
            """,
            [start],
        )


def _empty_all_tables(test: Any) -> None:
    for alias in test._databases_names(include_mirrors=False):
        emptying.empty_all_tables(alias)


@pytest.fixture(autouse=True)
def _fresh_process_state(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a process remembers (floors, settings, events, the language) is forgotten between tests."""
    with nullcontext() if _commits(request) else mock.patch.object(DatabaseSink, "write"):
        yield
        process_state.forget()


def _commits(request: pytest.FixtureRequest) -> bool:
    """Whether the tables are emptied after this test. Others are rolled back, but not what the event thread has stored."""
    marker = request.node.get_closest_marker("django_db")
    is_marked = marker is not None and bool(marker.kwargs.get("transaction"))
    return is_marked or not {"transactional_db", "live_server"}.isdisjoint(request.fixturenames)
