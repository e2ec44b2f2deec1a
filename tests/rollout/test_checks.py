"""Staging and production keep the tables on the remote database, over TLS; nothing else may have them."""

from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connection

from rollout import checks
from tests.example import processes

GOOD = {"ENGINE": "django.db.backends.postgresql", "HOST": "db.example.test", "OPTIONS": {"sslmode": "require"}}


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ENGINE": "example.embedded"}, "example.embedded"),
        ({"HOST": ""}, "local socket"),
        ({"HOST": "/var/run/postgresql"}, "/var/run/postgresql"),
        ({"HOST": "localhost"}, "localhost"),
        ({"HOST": "127.0.0.1"}, "127.0.0.1"),
        ({"HOST": "::1"}, "::1"),
        ({"OPTIONS": {}}, "sslmode"),
        ({"OPTIONS": {"sslmode": "prefer"}}, "prefer"),
    ],
)
def test_a_local_embedded_or_tls_less_database_is_refused(
    environment: str, changes: dict[str, Any], named: str
) -> None:
    assert named in checks.objection_to_database({**GOOD, **changes}, environment)


def test_the_remote_one_is_accepted_and_development_may_use_any() -> None:
    assert checks.objection_to_database(GOOD, "production") == ""
    assert checks.objection_to_database({"ENGINE": "example.embedded"}, "dev") == ""


def test_the_check_says_so(settings: Any) -> None:
    settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT": "production"}
    found = run_checks(tags=["rollout"])
    assert {each.id for each in found} == {"rollout.E006", "rollout.E007"}


class Unhooked:
    """A legacy planner that is not told of its decisions."""

    process = preview = judge = lambda *given, **named: None


def test_a_legacy_planner_that_lacks_a_method_is_named_before_an_edit_calls_it(settings: Any) -> None:
    settings.ROLLOUT = {**settings.ROLLOUT, "LEGACY_PLANNER": f"{__name__}.Unhooked"}
    (found,) = [each for each in run_checks(tags=["rollout"]) if each.id == "rollout.E003"]
    assert found.msg == f"{__name__}.Unhooked (ROLLOUT['LEGACY_PLANNER']) lacks decided."


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("arguments", [["migrate"], ["migrate", "--skip-checks"]], ids=" ".join)
def test_migrate_refuses_it_whatever_its_options(arguments: list[str]) -> None:
    code, _out, err = processes.run(
        *arguments, ENVIRONMENT="staging", SECRET_KEY="x" * 60, ALLOWED_HOSTS="booking.test"
    )
    assert code != 0
    assert "remote PostgreSQL" in err


@pytest.mark.django_db
def test_without_a_legacy_planner_the_first_migrate_says_that_somebody_must_decide(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = {"ENVIRONMENT": "dev", "LEGACY_PLANNER": "", "ENVIRONMENT_VARIABLES": {}}
    settings.ROLLOUT = alone
    found = {each.id: each for each in run_checks(databases=["default"])}
    assert found["rollout.E009"].is_serious()
    monkeypatch.setattr(connection.introspection, "table_names", lambda *given: [])
    found = {each.id: each for each in run_checks(databases=["default"])}
    assert "rollout.E009" not in found
    assert not found["rollout.W001"].is_serious()  # So that migrate goes on.
    assert "manage.py rollout set v3 on" in (found["rollout.W001"].hint or "")
    settings.ROLLOUT = {**alone, "ENVIRONMENT_VARIABLES": {"FEATURE_ASSIGNMENT_PIPELINE_V3": "true"}}
    assert "rollout.W001" not in {each.id for each in run_checks(databases=["default"])}
