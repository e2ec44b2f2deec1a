"""What the candidate's process does not get to see: secrets that it does not need."""

from typing import Any
from unittest import mock

import pytest

from rollout.shadow import comparator
from rollout.shadow.withheld import without_secrets

SECRET = "a-secret-of-the-site-" * 3
GIVEN = {
    "SECRET_KEY": SECRET,
    "DJANGO_KEY": SECRET,
    "METRICS_TOKEN": "t" * 32,
    "STRIPE_API_KEY": "sk_live_1",
    "SMTP_PASSWORD": "smtp",
    "DB_PASSWORD": "of-the-database",
    "PGPASSWORD": "of-libpq",
    "DATABASE_URL": "postgresql://planner:of-the-database@db/booking",
    "FEATURE_ASSIGNMENT_PIPELINE_V3": "true",
    "PATH": "/usr/bin",
    "EMPTY_SECRET": "",
}
NEEDED = {"DB_PASSWORD", "PGPASSWORD", "DATABASE_URL", "FEATURE_ASSIGNMENT_PIPELINE_V3", "PATH", "EMPTY_SECRET"}


@pytest.fixture
def kept(settings: Any) -> None:
    settings.SECRET_KEY = SECRET
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "METRICS_TOKEN": GIVEN["METRICS_TOKEN"]}


@pytest.mark.usefixtures("kept")
def test_secrets_become_placeholders_and_what_the_database_needs_stays() -> None:
    from django.db import connection

    with mock.patch.dict(connection.settings_dict, PASSWORD="of-the-database"):
        seen = without_secrets(GIVEN)
    assert {name for name in GIVEN if seen[name] == GIVEN[name]} == NEEDED
    assert all(len(seen[name]) >= 50 for name in GIVEN.keys() - NEEDED), "long enough for settings that ask for it"
    assert without_secrets(GIVEN) == without_secrets(GIVEN)


@pytest.mark.usefixtures("kept")
@pytest.mark.django_db
def test_the_candidates_process_is_started_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, str]] = []

    class NotStartedError(Exception):
        """Instead of the process."""

    def popen(*_arguments: Any, env: dict[str, str], **_options: Any) -> None:
        started.append(env)
        raise NotStartedError

    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("rollout.shadow.comparator.subprocess.Popen", popen)
    with pytest.raises(NotStartedError), comparator.CandidateProcess(1) as process:
        process.ask({})
    (environ,) = started
    assert SECRET not in environ.values()
    assert not {GIVEN["METRICS_TOKEN"], GIVEN["STRIPE_API_KEY"], GIVEN["SMTP_PASSWORD"]} & set(environ.values())
    assert environ["PGPASSWORD"] == GIVEN["PGPASSWORD"]
