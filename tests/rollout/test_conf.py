"""Installing the rollout is enough: its settings have defaults, and the environment says the rest."""

from typing import Any

import pytest
from django.apps import apps
from django.core.checks import run_checks

from assignments import conf as assignments_conf
from rollout import checks, conf
from rollout.flags import resolution
from rollout.flags.resolution import Mode


def without_settings(settings: Any) -> None:
    settings.ROLLOUT = {}


@pytest.mark.legacy_planner
def test_the_installed_legacy_planner_is_found_and_can_be_declined(settings: Any, monkeypatch: Any) -> None:
    without_settings(settings)
    planner = assignments_conf.load(conf.settings().LEGACY_PLANNER)
    assert planner.key == "legacy"
    settings.ROLLOUT = {"LEGACY_PLANNER": ""}
    assert conf.settings().LEGACY_PLANNER == ""
    monkeypatch.setattr(apps.get_app_config("legacy_planner"), "brings_planner", False)
    without_settings(settings)
    assert conf.settings().LEGACY_PLANNER == ""


@pytest.mark.django_db
def test_the_variables_are_read_from_the_environment_unless_the_project_gives_them(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_settings(settings)
    assert resolution.read().mode is Mode.LEGACY
    monkeypatch.setenv(conf.SHADOW_VARIABLE, "on")
    without_settings(settings)
    assert resolution.read().mode is Mode.SHADOW
    monkeypatch.setenv(conf.KILL_VARIABLE, "1")
    without_settings(settings)
    assert resolution.is_killed()
    settings.ROLLOUT = {"ENVIRONMENT_VARIABLES": {}}
    assert resolution.read().mode is Mode.LEGACY
    assert not resolution.is_killed()


def test_a_server_says_which_environment_it_is(settings: Any) -> None:
    settings.DEBUG = True
    settings.ROLLOUT = {}
    assert run_checks(tags=["rollout"]) == []
    assert conf.settings().ENVIRONMENT == "dev"
    settings.DEBUG = False
    assert [each.id for each in run_checks(tags=["rollout"])] == ["rollout.E008"]
    settings.ROLLOUT = {"ENVIRONMENT": "dev"}
    assert run_checks(tags=["rollout"]) == []


@pytest.mark.django_db
def test_somebody_has_to_decide(settings: Any) -> None:
    def found() -> list[str | None]:
        return [each.id for each in checks.check_switches(None, databases=["default"])]

    settings.ROLLOUT = {"LEGACY_PLANNER": "", "ENVIRONMENT_VARIABLES": {}}
    assert found() == ["rollout.E009"]
    for variable in (conf.V3_VARIABLE, conf.KILL_VARIABLE):  # The kill variable is set by somebody who knows.
        settings.ROLLOUT = {"LEGACY_PLANNER": "", "ENVIRONMENT_VARIABLES": {variable: "1"}}
        assert found() == []
    settings.ROLLOUT = {"LEGACY_PLANNER": "own.Planner", "ENVIRONMENT_VARIABLES": {}}
    assert found() == []


def test_one_server_may_keep_its_database_if_it_says_why() -> None:
    local = {"ENGINE": "django.db.backends.postgresql", "HOST": "", "OPTIONS": {}}
    remote = {**local, "HOST": "db.example.test"}
    assert "remote PostgreSQL" in checks.objection_to_database(local, "production", local_reason=" ")
    assert checks.objection_to_database(local, "production", local_reason="one server, backed up nightly") == ""
    assert "sslmode" in checks.objection_to_database(remote, "production", local_reason="one server")
    sqlite = {"ENGINE": "django.db.backends.sqlite3"}
    assert "sqlite3" in checks.objection_to_database(sqlite, "production", local_reason="one server")
