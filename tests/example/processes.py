"""Commands as cron runs them: in processes of their own on the test database, or in this one."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from django.core.management import ManagementUtility
from django.db import connection

from tests.example import forks

PROJECT = Path(__file__).resolve().parents[2]


def environment(**extra: str) -> dict[str, str]:
    """The variables with which a process uses this test's database, and no flag of the developer's shell."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FEATURE_", "ASSIGNMENT_"))}
    return {
        **kept,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_NAME": str(connection.settings_dict["NAME"]),
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "",  # as cron runs it
        **extra,
    }


Process = subprocess.Popen[str] | forks.Forked


def start(*arguments: str, **extra: str) -> Process:
    """``manage.py`` with these arguments, in a process of its own: forked from one in which Django is ready."""
    return forks.start(arguments, environment(**extra)) or start_anew(*arguments, **extra)


def start_anew(*arguments: str, **extra: str) -> subprocess.Popen[str]:
    """The same, in a new interpreter: where its start is part of what is tested."""
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=environment(**extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str, **extra: str) -> tuple[int, str, str]:
    """The same, to its end: exit code, standard output, standard error."""
    return _finished(start(*arguments, **extra))


def run_anew(*arguments: str, **extra: str) -> tuple[int, str, str]:
    """The same in a new interpreter."""
    return _finished(start_anew(*arguments, **extra))


def _finished(process: Process) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    assert process.returncode is not None
    return process.returncode, out, err


def run_here(*arguments: str) -> tuple[int, str, str]:
    """The same in this process, under its settings: for exit codes and messages, without a second's start."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    in_place = mock.patch("assignments.management.supervisor.is_wanted", return_value=False)
    with redirect_stdout(out), redirect_stderr(err), in_place:
        try:
            ManagementUtility(["manage.py", *arguments]).fetch_command(arguments[0]).run_from_argv(
                ["manage.py", *arguments]
            )
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, out.getvalue(), err.getvalue()


@contextmanager
def on_database(name: str) -> Iterator[None]:
    """This process, connected to another database."""
    connection.close()
    with mock.patch.dict(connection.settings_dict, NAME=name):
        try:
            yield
        finally:
            connection.close()


def copy_database(name: str) -> None:
    """Make a database as this test's is: for processes that would otherwise migrate one of their own first."""
    connection.close()
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{connection.settings_dict["NAME"]}"')


def drop_database(name: str) -> None:
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
