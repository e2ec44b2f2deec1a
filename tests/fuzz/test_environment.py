"""Whatever the environment says is taken, or refused by the name of its variable, without the secrets in it."""

import os
import runpy
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql.base import DatabaseWrapper
from hypothesis import example, given
from hypothesis import strategies as st

import assignments.conf
import rollout.conf
from rollout.flags import resolution
from tests.fuzz.fuzzing import few, texts
from tests.server import PROJECT

KNOWN = (*rollout.conf.VARIABLES, *assignments.conf.VARIABLES.values())
OTHERS = ("ENVIRONMENT", "DEBUG", "SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_NAME", "LOG_FORMAT", "LOG_LEVEL")

# The operating system knows no NUL in a variable; bytes that are no UTF-8 become surrogates.
values = texts.filter(lambda text: "\0" not in text).map(
    lambda text: os.fsdecode(text.encode("utf-8", "surrogatepass"))
)
hosts = st.sampled_from(["", "db.test", "[::1]", "%2Ftmp", "a,b", "[", "é"]) | values
urls = st.builds(
    "{}://{}:{}@{}:{}/{}?{}={}".format,
    st.sampled_from(["postgresql", "postgres", "mysql", "", "file"]),
    values,
    st.just("hunter2"),
    hosts,
    st.sampled_from(["", "5432", "6543", "0", "-1", "65536", "x", "5432,5433"]),
    values,
    st.sampled_from(["sslmode", "connect_timeout", "dbname", "service", "nonsense", "options", "pool"]),
    values,
)


def read(variables: dict[str, str]) -> dict[str, Any]:
    """The settings of a process with these variables alone."""
    with mock.patch.dict(os.environ, variables, clear=True):
        return runpy.run_path(str(PROJECT / "example" / "settings.py"))


@few(60)
@given(st.dictionaries(st.sampled_from((*KNOWN, *OTHERS)), values, max_size=5))
@example({"FEATURE_ASSIGNMENT_PIPELINE_V3_MAX_PARALLEL": "9" * 5000})
def test_variables_are_taken_or_named(settings: Any, variables: dict[str, str]) -> None:
    try:
        said = read(variables)
    except ImproperlyConfigured as refused:
        assert any(name in str(refused) for name in (*variables, "SECRET_KEY", "ALLOWED_HOSTS"))
        return
    settings.ASSIGNMENTS, settings.ROLLOUT = said["ASSIGNMENTS"], {**said["ROLLOUT"], "LADDERS": {}}
    problems = assignments.conf.problems() + rollout.conf.problems()
    for name in ("METRICS_TOKEN",):
        secret = variables.get(name, "")
        assert len(secret) < 10 or secret not in str(problems), "a token is never quoted"
    found = checks.run_checks(tags=["assignments", "rollout", "security"])
    assert all(isinstance(str(each), str) for each in found)
    if not problems:
        assert isinstance(resolution.is_killed(), bool)
        assert all(map(str, resolution.wrong_variables()))
        assert resolution.from_rows({}).mode in resolution.Mode


@few(80)
@given(urls | values)
@example("postgresql://planner:hunter2@db/booking\udcff")
def test_a_database_url_is_taken_or_refused_without_its_password(url: str) -> None:
    try:
        database = read({"DATABASE_URL": url})["DATABASES"]["default"]
    except ImproperlyConfigured as refused:
        assert "DATABASE_URL" in str(refused)
        assert "hunter2" not in str(refused)
        return
    if database["ENGINE"] == "example.embedded":
        return
    defaults: dict[str, Any] = {
        "CONN_MAX_AGE": 0,
        "AUTOCOMMIT": True,
        "TIME_ZONE": None,
        "ATOMIC_REQUESTS": False,
        "TEST": {},
    }
    try:
        asked = DatabaseWrapper({**defaults, **database}).get_connection_params()
    except ImproperlyConfigured as refused:  # Django's own: a name that PostgreSQL cannot have.
        assert "hunter2" not in str(refused)
        return
    for ours in ("context", "cursor_factory", "prepare_threshold", "server_side_binding"):
        asked.pop(ours, None)
    assert psycopg.conninfo.make_conninfo(**asked)


def test_a_number_of_thousands_of_digits_is_reported_by_the_settings_check() -> None:
    said = read({"FEATURE_ASSIGNMENT_PIPELINE_V3_MAX_PARALLEL": "9" * 5000})
    assert said["ASSIGNMENTS"]["MAX_PARALLEL"] == "9" * 5000
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL"):
        read({"DATABASE_URL": "postgresql://planner@db/booking\udcff"})
