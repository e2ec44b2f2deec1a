"""An earlier release of this project, taken from the repository, and databases that it and today's code share."""

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from tests.example import processes

PROJECT = Path(__file__).resolve().parents[2]
BASE = Path(__file__).with_name("BASE").read_text().strip()
"""The commit of an earlier release, whose migrations today's continue."""


def unpack_base(folder: Path) -> Path:
    """The tree of BASE in this folder. The test fails where the clone does not have it."""
    packed = subprocess.run(["git", "archive", BASE], cwd=PROJECT, capture_output=True, check=False)
    if packed.returncode:
        pytest.fail(
            f"This clone has no commit {BASE}, which tests/upgrade/BASE names: {packed.stderr.decode().strip()}. "
            "Fetch the whole history (git fetch --unshallow)."
        )
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as tar:
        safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Since Python 3.11.4.
        tar.extractall(folder, **safely)
    return folder


@dataclass(frozen=True, kw_only=True, slots=True)
class Database:
    """A database of its own on the tests' server, for processes of either tree."""

    name: str
    host: str
    port: str
    user: str

    @property
    def conninfo(self) -> str:
        port = f"&port={self.port}" if self.port else ""
        return f"postgresql://{self.user}@/{self.name}?host={self.host}{port}"

    def run(self, tree: Path, *arguments: str, **variables: str) -> str:
        """``manage.py`` of this tree on the database. What it prints; the test fails if it does."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=tree,
            env={
                **processes.environment(),
                "DJANGO_SETTINGS_MODULE": "example.settings",
                "PYTHONPATH": str(tree),
                "DATABASE_URL": self.conninfo,
                "DATABASE_NAME": self.name,
                "FEATURE_ASSIGNMENT_PIPELINE_V3": "true",
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{tree.name}: {' '.join(arguments)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.conninfo) as asked:
            return asked.execute(query.encode()).fetchall()

    def tables(self) -> list[str]:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        return [str(name) for (name,) in self.rows(query)]

    def counts(self, tables: list[str]) -> dict[str, int]:
        """How many rows each of these tables has."""
        return {table: int(str(self.rows(f'SELECT count(*) FROM "{table}"')[0][0])) for table in tables}


@contextmanager
def database(name: str) -> Iterator[Database]:
    """An empty database of this name, until the end."""
    connection.ensure_connection()
    settings = connection.settings_dict
    processes.drop_database(name)
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}"')
    try:
        yield Database(name=name, host=str(settings["HOST"]), port=str(settings["PORT"]), user=str(settings["USER"]))
    finally:
        processes.drop_database(name)
