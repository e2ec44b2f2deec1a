"""The checks of this app, and what a project's processes say of settings that cannot work."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.postgres.constraints import ExclusionConstraint
from django.core.checks import CheckMessage, run_checks
from django.db import connection
from django.db.models import Deferrable, F, Func, UniqueConstraint, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Lower

from assignments.checks import check_connection
from assignments.integration import planners
from assignments.integration.swaps import obstacle_to_swaps
from assignments.testing import MemoryHost
from tests.shapes.hosts import CardHost, StayHost, VisitHost
from tests.shapes.models import Card

PROJECT = Path(__file__).resolve().parents[2]
SETTINGS = """
SECRET_KEY = "only for tests"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
INSTALLED_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages", "waffle", "assignments", "django.contrib.postgres", "rollout", "tests.shapes",
]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
ASSIGNMENTS = {"HOST": "tests.shapes.hosts.NoteHost"}
"""


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Path:
    """The folder of a project that has just installed both apps, on Django's default database."""
    (tmp_path / "settings.py").write_text(SETTINGS)
    return tmp_path


def manage(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run a command in this project; its exit code, and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{PROJECT}", "DJANGO_SETTINGS_MODULE": "settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [["check", "--database", "default"], ["migrate"]], ids=" ".join)
def test_another_database_than_postgresql_is_refused_in_words(on_sqlite: Path, arguments: list[str]) -> None:
    code, said = manage(on_sqlite, *arguments)
    assert code == 1
    assert "assignments.E004" in said
    assert "Traceback" not in said


def test_no_project_setting_makes_migrations_in_our_apps(on_sqlite: Path) -> None:
    arguments = ["makemigrations", "--check", "--dry-run", "--skip-checks", "assignments", "rollout"]
    code, said = manage(on_sqlite, *arguments)
    assert (code, said.startswith("No changes detected in apps")) == (0, True), said


def test_without_psycopg_3_it_says_what_to_install(on_sqlite: Path) -> None:
    """Django's own app for PostgreSQL fails without it, too, but would name only psycopg2. So ours stands before it."""
    (on_sqlite / "psycopg.py").write_text('raise ImportError("no pq wrapper available")')
    code, said = manage(on_sqlite, "check")
    assert code == 1
    assert said.splitlines()[-1].endswith("psycopg 3 (pip install 'psycopg[binary]'): no pq wrapper available")


def test_without_an_app_that_the_rollout_needs_it_says_which(on_sqlite: Path) -> None:
    (on_sqlite / "settings.py").write_text(SETTINGS.replace('"assignments", ', ""))
    code, said = manage(on_sqlite, "check")
    assert code == 1
    assert said.splitlines()[-1].endswith('INSTALLED_APPS has "rollout", which also needs "assignments".')
    (on_sqlite / "settings.py").write_text(SETTINGS.replace('"waffle", ', ""))
    code, said = manage(on_sqlite, "check")
    assert code == 1
    assert '(rollout.E011) INSTALLED_APPS has "rollout", which also needs "waffle"' in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def (", "SyntaxError: invalid syntax, {file}:1"),
        ("import os\nHost = Hots", "NameError: name 'Hots' is not defined, {file}:2"),
        ("from nowhere import Host", "ModuleNotFoundError: No module named 'nowhere', {file}:1"),
        ("1 / 0", "ZeroDivisionError: division by zero, {file}:1"),
        ("", 'ImportError: Module "broken" does not define a "Thing" attribute/class'),
    ],
)
def test_whatever_a_named_module_raises_is_told_with_its_file_and_line(
    source: str, said: str, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "broken.py"
    file.write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    right = settings.ASSIGNMENTS
    for given, id_ in (
        ({"HOST": "broken.Thing"}, "assignments.E002"),
        ({"ROUTER": "broken.Thing"}, "assignments.E002"),
        ({"TASKS": "broken.Thing"}, "assignments.E002"),
        ({"EVENT_SINKS": ["broken.Thing"]}, "assignments.E002"),
        ({"LEGACY_PLANNER": "broken.Thing"}, "rollout.E003"),
        ({"CANDIDATE": "broken.Thing"}, "rollout.E010"),
    ):
        is_ours = id_.startswith("assignments")
        settings.ASSIGNMENTS = {**right, **given} if is_ours else right
        settings.ROLLOUT = {"ENVIRONMENT": "dev", **({} if is_ours else given)}
        monkeypatch.delitem(sys.modules, "broken", raising=False)
        (told,) = [each for each in run_checks() if each.is_serious()]
        assert told.id == id_
        assert f"'broken.Thing' cannot be imported: {said.format(file=file)}" in told.msg
        assert told.hint


def test_a_host_whose_own_check_raises_is_told(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StayHost, "check", lambda self: 1 / 0)
    settings.ASSIGNMENTS = {"HOST": "tests.shapes.hosts.StayHost"}
    (told,) = [each for each in run_checks() if each.is_serious()]
    assert (told.id, "cannot be checked: ZeroDivisionError" in told.msg) == ("assignments.E002", True)


class Elsewhere:
    """Routes the tables of one app to another database."""

    def __init__(self, label: str) -> None:
        self.label = label

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "reports" if model._meta.app_label == self.label else None

    db_for_write = db_for_read


@pytest.mark.parametrize(("label", "id_"), [("assignments", "assignments.E010"), ("example", "assignments.E011")])
def test_tables_on_another_database_are_refused(settings: Any, label: str, id_: str) -> None:
    settings.DATABASE_ROUTERS = [Elsewhere(label)]
    found = [each for each in run_checks(tags=["assignments"]) if each.is_serious()]
    assert [each.id for each in found] == [id_]
    assert "'reports'" in found[0].msg
    settings.DATABASE_ROUTERS = [Elsewhere("auth")]
    assert [each for each in run_checks(tags=["assignments"]) if each.is_serious()] == []


class Lockless(MemoryHost):
    """Cannot lock."""

    def bookings(self, refs: Any) -> Any:  # type: ignore[override]
        return {}


class Rowless(StayHost):
    """Says when a booking starts without looking at it."""

    def start_of(self) -> Any:  # type: ignore[override]
        return None


class Loose(StayHost):
    """Takes whatever it is given."""

    def start_of(self, *given: Any, **named: Any) -> Any:
        return None


@pytest.mark.parametrize(
    ("host", "named"), [(Lockless, "parameters: bookings."), (Rowless, "parameters: start_of."), (Loose, None)]
)
def test_methods_with_other_parameters_are_named_before_the_first_booking(
    settings: Any, host: type, named: str | None
) -> None:
    settings.ASSIGNMENTS = {"HOST": f"{__name__}.{host.__name__}"}
    found = [each for each in run_checks(tags=["assignments"]) if each.is_serious()]
    assert [each.id for each in found] == (["assignments.E003"] if named else [])
    assert all(named in each.msg for each in found if named)


@pytest.mark.parametrize("name", ["Table", "Restaurant"])
def test_floors_on_another_database_than_the_bookings_are_refused(
    settings: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    settings.ASSIGNMENTS = {"HOST": "example.host.ExampleHost"}
    settings.DATABASE_ROUTERS = [Elsewhere("somewhere")]
    monkeypatch.setattr(apps.get_model("example", name)._meta, "app_label", "somewhere")
    (found,) = [each for each in run_checks(tags=["assignments"]) if each.is_serious()]
    assert (found.id, "on the database 'reports'" in found.msg, "example.Booking" in found.msg) == (
        "assignments.E011",
        True,
        False,
    )


def test_an_app_that_brings_a_router_makes_it_the_default_and_the_setting_wins(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ASSIGNMENTS = {"HOST": "example.host.ExampleHost"}
    assert planners.router_path() == "rollout.routing.RolloutRouter"
    monkeypatch.setattr(planners, "_registered", [])
    assert planners.router_path() == "assignments.integration.planners.SoleRouter"
    settings.ASSIGNMENTS = {"HOST": "example.host.ExampleHost", "ROUTER": "booking.routing.OwnRouter"}
    planners.register_router("rollout.routing.RolloutRouter")
    assert planners.router_path() == "booking.routing.OwnRouter"


def test_where_a_required_table_is_unique_at_once_swaps_are_impossible_and_refused_by_name(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warned() -> list[str]:
        return [each.msg for each in run_checks(tags=["assignments"]) if each.id == "assignments.W010"]

    def unique(**options: Any) -> None:
        constraint = UniqueConstraint(fields=["board", "start"], name="one_party_a_board", **options)
        monkeypatch.setattr(Card._meta, "constraints", [constraint])

    settings.ASSIGNMENTS = {"HOST": "tests.shapes.hosts.CardHost"}
    assert warned() == []
    unique()
    assert len(warned()) == 1
    assert "one_party_a_board" in warned()[0]
    unique(deferrable=Deferrable.DEFERRED)
    assert warned() == []
    monkeypatch.setattr(Card._meta, "unique_together", (("board", "start"),))
    assert "unique_together" in warned()[0]
    monkeypatch.setattr(Card._meta, "unique_together", ())
    at_a_time = (Func("start", Value(timedelta(hours=2)), function="tstzrange"), "&&")
    for constraint, is_obstacle in (
        (UniqueConstraint(F("board_id"), "start", name="by_expressions"), True),
        (UniqueConstraint(Lower("code"), name="of_codes"), False),
        (ExclusionConstraint(name="no_overlap", expressions=[("board", "="), at_a_time]), True),
        (ExclusionConstraint(name="by_text", expressions=[(RawSQL("board_id", ()), "="), at_a_time]), True),
        (ExclusionConstraint(name="one_at_a_time", expressions=[at_a_time]), False),
    ):
        monkeypatch.setattr(Card._meta, "constraints", [constraint])
        assert [constraint.name in each for each in warned()] == [True] * is_obstacle
    assert [obstacle_to_swaps(host) for host in (StayHost(), VisitHost())] == ["", ""]
    monkeypatch.setattr(Card._meta, "unique_together", (("board", "start"),))
    monkeypatch.setattr(CardHost, "can_swap", True, raising=False)
    assert warned() == []


ENOUGH = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}


@pytest.mark.parametrize(
    ("host", "options", "problem"),
    [
        ("", {}, ""),
        ("/run/postgresql", {}, ""),
        ("localhost", {}, ""),
        ("127.0.0.1", {}, ""),
        ("::1", {}, ""),
        ("10.0.0.5", ENOUGH, ""),
        ("db.example", {key: str(value) for key, value in ENOUGH.items()}, ""),
        ("db.example", {**ENOUGH, "keepalives": 0}, "keepalives is off"),
        ("db.example", {"tcp_user_timeout": 10_000}, "keepalives_idle is not set"),
        ("db.example", {"keepalives_idle": 5, "tcp_user_timeout": 10_000}, "680 seconds"),
        ("10.0.0.5", {**ENOUGH, "keepalives_count": 40}, "85 seconds"),
        ("db.example", {**ENOUGH, "tcp_user_timeout": 0}, "tcp_user_timeout is 0"),
        ("db.example", {**ENOUGH, "tcp_user_timeout": 90_000}, "tcp_user_timeout is 90000"),
        ("db.example", {**ENOUGH, "tcp_user_timeout": None}, "tcp_user_timeout is None"),
    ],
)
def test_a_database_on_another_machine_needs_limits_for_the_network(
    monkeypatch: Any, host: str, options: dict[str, Any], problem: str
) -> None:
    monkeypatch.setitem(connection.settings_dict, "HOST", host)
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    found = check_connection(None)
    assert [each.id for each in found] == (["assignments.W030"] if problem else [])
    assert not problem or problem in found[0].msg


class Outspoken(MemoryHost):
    """What it raises names a guest."""

    def check(self) -> list[CheckMessage]:
        raise ValueError("Ada Lovelace, 0170 123")


def test_what_the_host_raises_is_named_by_type_and_place_alone(settings: Any) -> None:
    settings.ASSIGNMENTS = {"HOST": f"{__name__}.Outspoken"}
    (told,) = (each for each in run_checks() if each.id == "assignments.E002")
    assert "ValueError at " in told.msg
    assert "test_checks.py:" in told.msg
    assert "Lovelace" not in f"{told.msg} {told.hint}"
