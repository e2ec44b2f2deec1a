"""What machines ask over HTTP, and who is given what."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import Permission, User
from django.db import OperationalError, connection
from django.test import Client

from assignments import checks, conf
from assignments.models import Run
from assignments.telemetry import health, views
from tests.assignments.conftest import TheHost

TOKEN = "a-token-of-the-tests"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _token(host: TheHost, settings: Any) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "METRICS_TOKEN": TOKEN}


def scrape(authorization: str = "", client: Client | None = None) -> Any:
    headers = {"Authorization": authorization} if authorization else {}
    return (client or Client()).get("/metrics", headers=headers)


class TestMetrics:
    def test_whoever_knows_the_token_is_given_all_of_them(self) -> None:
        response = scrape(f"Bearer {TOKEN}")
        assert response.status_code == 200
        text = response.content.decode()
        for name in ("process_start_time_seconds", "assignment_process_pass_seconds_count", "assignment_due_bookings"):
            assert f"\n{name} " in text
        assert 'assignment_collector_up{collector="assignments"} 1.0' in text
        assert response["Content-Type"].startswith("text/plain")
        assert "no-store" in response["Cache-Control"]

    @pytest.mark.parametrize(
        "authorization",
        ["", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer ä"],
    )
    def test_whoever_does_not_know_it_is_told_what_is_missing_and_nothing_else(self, authorization: str) -> None:
        response = scrape(authorization)
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == 'Bearer realm="metrics"'
        assert b"assignment_" not in response.content
        assert TOKEN.encode() not in response.content

    @pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer "])
    def test_without_a_token_in_the_settings_none_opens(self, authorization: str, settings: Any) -> None:
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "METRICS_TOKEN": ""}
        assert scrape(authorization).status_code == 401

    def test_a_user_needs_the_permission(self) -> None:
        user = User.objects.create_user("operator")
        client = Client()
        client.force_login(user)
        assert scrape(client=client).status_code == 403
        user.user_permissions.add(Permission.objects.get(codename="view_health"))
        assert scrape(client=client).status_code == 200

    def test_a_project_without_users_goes_by_the_token(self, settings: Any) -> None:
        settings.MIDDLEWARE = []
        assert scrape().status_code == 401
        assert scrape(f"Bearer {TOKEN}").status_code == 200

    def test_nothing_can_be_posted(self) -> None:
        assert Client().post("/metrics").status_code == 405


def test_a_token_that_is_too_short_is_refused_without_being_told(settings: Any) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "METRICS_TOKEN": "hunter2"}
    (found,) = checks.check_settings(None)
    assert found.id == "assignments.E001"
    assert found.msg == "ASSIGNMENTS['METRICS_TOKEN'] must be empty, or a text of 20 ASCII characters or more"


def test_settings_that_are_printed_do_not_tell_the_token() -> None:
    assert TOKEN not in repr(conf.settings())


@pytest.fixture
def database_away() -> Iterator[None]:
    with mock.patch.object(connection, "cursor", side_effect=OperationalError("host=db.secret password=hunter2")):
        yield


class TestHealth:
    def test_a_server_that_reaches_its_database_is_healthy_at_the_cost_of_one_query(
        self, django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(1):
            response = Client().get("/health/")
        assert (response.status_code, response.json()) == (200, {"status": "ok"})
        assert "no-store" in response["Cache-Control"]

    @pytest.mark.parametrize("path", ["/health/", "/health/cron/"])
    def test_one_that_does_not_says_why_and_no_more(self, path: str, database_away: None) -> None:
        response = Client().get(path)
        assert response.status_code == 503
        assert response.json() == {
            "status": "unavailable",
            "reason": "The database is not available (OperationalError).",
        }

    def test_metrics_are_given_without_those_of_the_database(self, database_away: None) -> None:
        response = scrape(f"Bearer {TOKEN}")
        assert response.status_code == 200
        assert b'assignment_collector_up{collector="assignments"} 0.0' in response.content
        assert b"assignment_due_bookings" not in response.content


class TestCron:
    def test_runs_that_succeed_are_healthy_at_the_cost_of_one_query(self, django_assert_num_queries: Any) -> None:
        Run.objects.create(worker="a:1", succeeded_at=datetime.now(UTC) - timedelta(seconds=20))
        with django_assert_num_queries(4):  # BEGIN, timeouts, the query, COMMIT
            response = Client().get("/health/cron/")
        assert response.status_code == 200
        found = response.json()
        assert found.pop("last_success_age_seconds") == pytest.approx(20, abs=10)
        assert found == {"status": "ok", "oldest_due_age_seconds": 0.0, "due_bookings": 0, "limit_seconds": 180}

    def test_runs_that_ceased_are_not(self) -> None:
        Run.objects.create(worker="a:1", succeeded_at=datetime.now(UTC) - timedelta(hours=2))
        response = Client().get("/health/cron/")
        assert response.status_code == 503
        assert response.json()["status"] == "late"
        assert "The last successful run was 72" in response.json()["reason"]

    def test_how_late_is_too_late_is_a_setting(self, settings: Any) -> None:
        Run.objects.create(worker="a:1", succeeded_at=datetime.now(UTC) - timedelta(hours=2))
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "CRON_SECONDS": 10_000}
        assert Client().get("/health/cron/").status_code == 200

    def test_none_at_all_is_not_healthy_either(self) -> None:
        response = Client().get("/health/cron/")
        assert response.status_code == 503
        assert response.json()["last_success_age_seconds"] is None
        assert response.json()["reason"] == "No run of run_coordinator has succeeded yet."

    def test_a_slow_database_is_not_asked_for_ever(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(views, "STATEMENT_TIMEOUT_MS", 50)
        monkeypatch.setattr(health, "_VITALS", "SELECT pg_sleep(30)")
        response = Client().get("/health/cron/")
        assert (response.status_code, response.json()["status"]) == (503, "unavailable")
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("0",), "the connection goes on to other requests"


@pytest.mark.parametrize(("path", "answer"), [("/health/", 200), ("/health/cron/", 503), ("/metrics", 401)])
def test_whoever_asks_by_a_name_that_is_not_listed_is_refused_by_django(path: str, answer: int, settings: Any) -> None:
    """As docs/observability.md says beside the endpoints, and docs/alerts.md where nobody is scraped."""
    settings.ALLOWED_HOSTS = ["web-1.booking.example"]

    def asked_by(name: str) -> int:
        return Client().get(path, headers={"Host": name}).status_code

    assert [asked_by(name) for name in ("10.0.0.7", "10.0.0.7:443", "web-2.booking.example")] == [400, 400, 400]
    assert asked_by("web-1.booking.example") == asked_by("web-1.booking.example:443") == answer
    settings.ALLOWED_HOSTS = ["web-1.booking.example", "10.0.0.7"]
    assert asked_by("10.0.0.7") == answer


SEVERAL_PROCESSES = """
import django; django.setup()
from assignments.telemetry import process_metrics
process_metrics.observe_pass(2.0)
process_metrics.count_dropped_events("overflow", 3)
"""


def test_several_processes_of_a_server_are_added_up(tmp_path: Path) -> None:
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", SEVERAL_PROCESSES], env=environ, check=True, timeout=60)
    with mock.patch.dict(os.environ, {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}):
        text = scrape(f"Bearer {TOKEN}").content.decode()
    assert "\nassignment_process_pass_seconds_count 2.0\n" in text
    assert 'assignment_process_events_dropped_total{cause="overflow"} 6.0' in text
    assert "\nassignment_due_bookings 0.0\n" in text
