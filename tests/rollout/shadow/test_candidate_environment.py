"""What the candidate's process does not get to see: secrets that it does not need."""

from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import pytest

from rollout.shadow import comparator
from rollout.shadow.candidate_environment import without_secrets

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
    "DATABASE_DSN": "host=db dbname=booking password=of-the-database",
    "READ_DSN": "postgresql://planner@db/booking",
    "FEATURE_ASSIGNMENT_PIPELINE_V3": "true",
    "PATH": "/usr/bin",
    "EMPTY_SECRET": "",
    "DOCS_URL": "https://docs@booking.example/a:b@c",
    "CACHE_URL": "redis://:of-the-cache@cache:6379/0",
    "CACHE_URLS": "redis://one:of-the-cache@cache:6379/0,redis://two:of-the-cache@cache:6379/1",
    "SENTRY_DSN": "https://0123abcd@errors.example/42",
    "MAIL_DSN": "host=mail password=of-the-mail",
    "LEDGER_URL": "postgresql://books:of-the-books@ledger/books",
}
LOGINS = {"CACHE_URL", "SENTRY_DSN", "LEDGER_URL"}
"""Addresses stay addresses, for settings that read them as such."""
NEEDED = {
    "DB_PASSWORD",
    "PGPASSWORD",
    "DATABASE_URL",
    "DATABASE_DSN",
    "READ_DSN",
    "FEATURE_ASSIGNMENT_PIPELINE_V3",
    "PATH",
    "EMPTY_SECRET",
    "DOCS_URL",
}


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
    assert not [word for word in ("of-the-cache", "0123abcd", "of-the-mail", "of-the-books") if word in str(seen)]
    for name in LOGINS:
        before, after = urlsplit(GIVEN[name]), urlsplit(seen[name])
        assert (after.scheme, after.hostname, after.path) == (before.scheme, before.hostname, before.path)
        assert after.username == before.username or name == "SENTRY_DSN"


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


def test_so_do_the_passwords_of_mail_servers(settings: Any) -> None:
    """Those of ``MAILERS`` since Django 6.1."""
    settings.MAILERS = {"default": {"BACKEND": "smtp", "OPTIONS": {"password": "of-the-post-office"}}, "other": {}}
    seen = without_secrets({"POST": "of-the-post-office", "PATH": "/usr/bin"})
    assert seen["POST"].startswith("withheld-")
    assert seen["PATH"] == "/usr/bin"
