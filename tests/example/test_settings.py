"""The example's settings, read anew under other variables, and its embedded database, in processes of its own."""

import os
import runpy
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.exceptions import ImproperlyConfigured

PROJECT = Path(__file__).resolve().parents[2]
URL = "postgresql://planner:p%40ss@db.example:5432/booking?sslmode=require"
NETWORK = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
DEPLOYED = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "s3cr3t-" + "kYx7Qw9ZrT" * 6,
    "ALLOWED_HOSTS": "booking.test",
    "DATABASE_URL": URL,
}


def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Python in the project, with these variables and none of the developer's."""
    environ = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "example.settings", **variables}
    return subprocess.Popen(
        [sys.executable, "-W", "error", *arguments],
        cwd=PROJECT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str, **variables: str) -> tuple[int, str, str]:
    process = start(*arguments, **variables)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def setting(name: str, **variables: str) -> Any:
    """This setting of ``example.settings`` as a process with these variables and none of the developer's reads it."""
    with mock.patch.dict(os.environ, variables, clear=True):
        return runpy.run_path(str(PROJECT / "example" / "settings.py"))[name]


def refusal(**variables: str) -> str:
    """What the settings say when they refuse these variables: all that a process prints."""
    with pytest.raises(ImproperlyConfigured) as refused:
        setting("DATABASES", **variables)
    return "".join(traceback.format_exception(refused.value))


class TestDatabase:
    def test_without_a_url_it_is_the_embedded_one(self) -> None:
        assert setting("DATABASES")["default"] == {
            "ENGINE": "example.embedded",
            "NAME": "booking",
            "OPTIONS": {"prepare_threshold": 5},
        }

    def test_a_url_is_taken_apart(self) -> None:
        database = setting("DATABASES", DATABASE_URL=URL)["default"]
        assert database["ENGINE"] == "django.db.backends.postgresql"
        assert {key: database[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")} == {
            "NAME": "booking",
            "USER": "planner",
            "PASSWORD": "p@ss",
            "HOST": "db.example",
            "PORT": "5432",
        }
        assert database["OPTIONS"] == {"sslmode": "require", **NETWORK, "prepare_threshold": 5}
        assert "DISABLE_SERVER_SIDE_CURSORS" not in database

    def test_a_transaction_pooler_gets_nothing_that_belongs_to_a_session(self) -> None:
        database = setting("DATABASES", DATABASE_URL=URL.replace("5432", "6543"))["default"]
        assert database["OPTIONS"] == {"sslmode": "require", **NETWORK, "prepare_threshold": None}
        assert database["DISABLE_SERVER_SIDE_CURSORS"] is True

    @pytest.mark.parametrize("variables", [{}, {"DATABASE_URL": URL}], ids=["embedded", "url"])
    def test_the_name_can_be_another(self, variables: dict[str, str]) -> None:
        database = setting("DATABASES", DATABASE_NAME="another", **variables)["default"]
        assert database["NAME"] == "another"
        assert "dbname" not in database.get("OPTIONS", {})

    @pytest.mark.parametrize(
        "url", ["mysql://planner:hunter2@db/booking", "postgresql://planner:hunter2@db/x?nonsense=1", "hunter2"]
    )
    def test_one_that_cannot_be_read_is_refused_without_its_password(self, url: str) -> None:
        said = refusal(DATABASE_URL=url)
        assert "postgresql://user:password@host:port/database" in said
        assert "hunter2" not in said

    def test_a_process_of_that_database_says_no_more(self) -> None:
        code, out, err = run("manage.py", "check", DATABASE_URL="mysql://planner:hunter2@db/booking")
        assert code == 1
        assert "ImproperlyConfigured: DATABASE_URL cannot be read" in err
        assert "hunter2" not in out + err


class TestEnvironment:
    def test_development_needs_nothing(self) -> None:
        assert (setting("ENVIRONMENT"), setting("DEBUG")) == ("dev", True)
        assert setting("ALLOWED_HOSTS") == ["localhost", "127.0.0.1", "[::1]"]
        assert len(setting("SECRET_KEY")) >= 50
        assert setting("SECRET_KEY") != setting("SECRET_KEY")

    def test_an_empty_variable_is_an_unset_one(self) -> None:
        empty = dict.fromkeys(
            ("ENVIRONMENT", "DEBUG", "ALLOWED_HOSTS", "DATABASE_URL", "DATABASE_NAME", "SECRET_KEY"), ""
        )
        assert setting("DEBUG", **empty) is True
        assert setting("ALLOWED_HOSTS", **empty) == ["localhost", "127.0.0.1", "[::1]"]
        assert setting("DATABASES", **empty)["default"]["NAME"] == "booking"

    def test_production_passes_the_deployment_check(self) -> None:
        code, out, err = run(
            "manage.py",
            "check",
            "--deploy",
            "--fail-level",
            "WARNING",
            **DEPLOYED,
            FEATURE_ASSIGNMENT_PIPELINE_V3="true",
        )
        assert code == 0, out + err
        assert setting("DEBUG", **DEPLOYED) is False

    @pytest.mark.parametrize("missing", ["SECRET_KEY", "ALLOWED_HOSTS"])
    @pytest.mark.parametrize("environment", ["staging", "production"])
    def test_elsewhere_what_is_missing_is_named(self, missing: str, environment: str) -> None:
        for absent in ("", None):
            variables = {**DEPLOYED, "ENVIRONMENT": environment, missing: absent}
            said = refusal(**{name: value for name, value in variables.items() if value is not None})
            assert f"{missing} is required where ENVIRONMENT is {environment}" in said

    def test_host_names_are_a_list(self) -> None:
        given = {**DEPLOYED, "ALLOWED_HOSTS": "a.test, b.test,"}
        assert setting("ALLOWED_HOSTS", **given) == ["a.test", "b.test"]

    @pytest.mark.parametrize(
        ("variables", "complaint"),
        [
            ({"ENVIRONMENT": "prod"}, "ENVIRONMENT must be dev, staging or production, not 'prod'"),
            ({"DEBUG": "maybe"}, "DEBUG must be true or false, not 'maybe'"),
        ],
    )
    def test_a_wrong_value_is_named(self, variables: dict[str, str], complaint: str) -> None:
        assert complaint in refusal(**variables)


class TestApps:
    def test_the_variables_of_the_rollout_reach_it_as_they_are(self) -> None:
        given = {
            "ASSIGNMENT_PIPELINE_KILL": "",
            "FEATURE_ASSIGNMENT_PIPELINE_V3": "Yes",
            "FEATURE_ASSIGNMENT_PIPELINE_V3_SHADOW": "perhaps",
        }
        assert setting("ROLLOUT", **given)["ENVIRONMENT_VARIABLES"] == given
        assert setting("ROLLOUT")["ENVIRONMENT_VARIABLES"] == {}

    @pytest.mark.parametrize(("given", "taken"), [("", 3), ("7", 7), (" 7 ", 7), ("many", "many"), ("²", "²")])
    def test_parallelism_is_a_number_or_left_to_the_check(self, given: str, taken: int | str) -> None:
        assert setting("ASSIGNMENTS", FEATURE_ASSIGNMENT_PIPELINE_V3_MAX_PARALLEL=given)["MAX_PARALLEL"] == taken

    def test_the_check_names_a_wrong_parallelism(self) -> None:
        code, _out, err = run("manage.py", "check", FEATURE_ASSIGNMENT_PIPELINE_V3_MAX_PARALLEL="many")
        assert code == 1
        assert "MAX_PARALLEL" in err
        assert "'many'" in err


class TestEmbedded:
    """Slow on purpose: each test has a server of its own."""

    QUERY = (
        "import django; django.setup()\n"
        "from django.db import connection\n"
        "with connection.cursor() as cursor:\n"
        "    cursor.execute('SELECT current_database(), pg_postmaster_start_time()::text')\n"
        "    print(*cursor.fetchone(), sep='|')\n"
    )

    def test_what_asks_nothing_of_the_database_starts_no_server(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        commands = (
            "from django.core.management import execute_from_command_line\n"
            "execute_from_command_line(['manage.py', '--help'])\n"
            "execute_from_command_line(['manage.py', 'check'])\n"
            "execute_from_command_line(['manage.py', 'run_coordinator', '--help'])\n"
        )
        code, out, err = run("-c", commands, EMBEDDED_POSTGRES_DATA=str(data))
        assert code == 0, err
        assert "no issues" in out
        assert out.rindex("usage: manage.py run_coordinator") > out.index("no issues")
        assert not data.exists()

    def test_a_server_that_cannot_start_is_said_and_nothing_else(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        data.mkdir()
        (data / "PG_VERSION").write_text("18\n")  # as if it was made, but nothing else is there
        code, _out, err = run("-c", self.QUERY, EMBEDDED_POSTGRES_DATA=str(data))
        assert code == 1
        assert err.count("Traceback (most recent call last)") == 1
        assert "pg_ctl" in err

    def test_several_processes_start_one_server_in_a_long_path_and_it_ends_with_the_last(self, tmp_path: Path) -> None:
        data = tmp_path / ("a-long-name-" * 8) / "data"
        data.parent.mkdir()
        variables = {"EMBEDDED_POSTGRES_DATA": str(data), "DATABASE_NAME": "made on demand"}
        for name in "abc":
            (tmp_path / name).mkdir()
        processes = [start("-c", self.QUERY, **variables, TMPDIR=str(tmp_path / name)) for name in "abc"]
        answers = [(*process.communicate(timeout=120), process.returncode) for process in processes]
        assert [(err, code) for _out, err, code in answers] == [("", 0)] * 3
        assert {out.split("|")[0] for out, _err, _code in answers} == {"made on demand"}
        assert not (data / "postmaster.pid").exists()
        assert data.with_name("data.lock").exists(), "processes with temporary folders of their own share no lock"
        (data / ".handle_pids.json").write_text("[1, 2]45]")  # as a killed process left it
        code, out, _err = run("-c", self.QUERY, **variables)
        assert code == 0
        assert out.startswith("made on demand|")
        # Users that were killed, before or meanwhile, do not keep the server for ever.
        users, killed = data / ".handle_pids.json", "999999999"
        users.write_text(f"[{killed}]")
        meanwhile = f"users = open({str(users)!r}, 'w'); users.write('[%d, {killed}]' % __import__('os').getpid())"
        code, out, err = run("-c", f"{self.QUERY}\n{meanwhile}\nusers.close()", **variables)
        assert (code, err) == (0, "")
        assert not (data / "postmaster.pid").exists()

    def test_a_server_option_of_the_settings_holds_for_all_who_come_later(self, tmp_path: Path) -> None:
        variables = {"EMBEDDED_POSTGRES_DATA": str(tmp_path / "data")}
        shown = (
            "import django; django.setup()\n"
            "from django.db import connection\n"
            "connection.settings_dict.update({})\n"
            "with connection.cursor() as cursor:\n"
            "    cursor.execute('SHOW fsync')\n"
            "    print(cursor.fetchone()[0])\n"
        )
        given = "SERVER_OPTIONS={'fsync': 'off'}"
        says = [run("-c", shown.replace("{}", options), **variables)[1:] for options in ("", given, "")]
        assert says == [("on\n", ""), ("off\n", ""), ("off\n", "")]

    @pytest.mark.legacy_planner
    def test_it_migrates_and_every_system_check_passes(self, tmp_path: Path) -> None:
        variables = {"EMBEDDED_POSTGRES_DATA": str(tmp_path / "data")}
        code, _out, err = run("manage.py", "migrate", "--verbosity", "0", **variables)
        assert (code, err) == (0, "")
        # With V3 on, so that somebody decides also where no legacy planner is installed.
        on = {**variables, "FEATURE_ASSIGNMENT_PIPELINE_V3": "true"}
        code, _out, err = run("manage.py", "check", "--database", "default", "--fail-level", "WARNING", **on)
        assert code == 0, err


class TestWhatMachinesAsk:
    def test_the_token_of_metrics_comes_from_the_environment(self) -> None:
        assert setting("ASSIGNMENTS", METRICS_TOKEN="t" * 20)["METRICS_TOKEN"] == "t" * 20
        assert setting("ASSIGNMENTS")["METRICS_TOKEN"] == ""

    def test_a_token_that_is_too_short_is_refused_and_not_told(self) -> None:
        code, out, err = run("manage.py", "check", METRICS_TOKEN="hunter2")
        assert code == 1
        assert "METRICS_TOKEN'] must be empty, or a text of 20" in err
        assert "hunter2" not in out + err

    def test_health_is_asked_without_tls_and_metrics_are_not(self) -> None:
        asked = (
            "import django; django.setup(); from django.test import Client; "
            "print([Client().get(path, headers={'host': 'booking.test'}).status_code"
            " for path in ('/health/', '/health/cron/', '/metrics')])"
        )
        away = {"DATABASE_URL": "postgresql://planner@127.0.0.1:1/booking?sslmode=require"}
        code, out, err = run("-c", asked, **{**DEPLOYED, **away})
        assert code == 0, err
        assert out.strip() == "[503, 503, 301]"
