"""Starting real processes on the test database."""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

from django.db import connection

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


def start(*arguments: str, into: IO[str] | None = None, **extra: str) -> subprocess.Popen[str]:
    """``manage.py`` with these arguments, in a process of its own. What it prints goes ``into`` a file, or pipes."""
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=environment(**extra),
        stdout=into or subprocess.PIPE,
        stderr=into or subprocess.PIPE,
        text=True,
    )


def run(*arguments: str, **extra: str) -> tuple[int, str, str]:
    """The same, to its end: exit code, standard output, standard error."""
    process = start(*arguments, **extra)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err
