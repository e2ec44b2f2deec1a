"""A template of the tests' database, so that each process copies it instead of carrying out all migrations.

It is kept on the embedded server from run to run, under a name that tells what it was made of. A server that somebody else
provides has none.
"""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from django.apps import apps
from django.db import connection
from psycopg import sql

from tests import server

PREFIX = "tests_template_"
SCHEMA = frozenset({"migrations", "models", "models.py", "apps.py"})
"""Files and folders of an app that make its tables."""
LOCK = Path(f"{server.DATA}.template.lock")


def use() -> None:
    """Let the database of this process be a copy of the template, which is made if it is not there."""
    test = connection.settings_dict["TEST"]
    if not connection.settings_dict.get("SERVER_OPTIONS") or test.get("TEMPLATE"):
        return
    name = f"{PREFIX}{_digest()}"
    with _alone():
        if name not in _templates():
            _make(name)
    test["TEMPLATE"] = name


def _digest() -> str:
    """Return what tells one schema from another: migrations and models of all apps, and who carries them out."""
    found = hashlib.sha256(f"{django.__version__} {connection.settings_dict['USER']}".encode())
    for app in sorted(apps.get_app_configs(), key=lambda each: each.name):
        folder = Path(app.path)
        for path in sorted(each for each in folder.rglob("*") if each.suffix == ".py"):
            if SCHEMA & set(path.relative_to(folder).parts):
                found.update(f"{app.name} {path.relative_to(folder)}".encode() + path.read_bytes())
    return found.hexdigest()[:16]


@contextmanager
def _alone() -> Iterator[None]:
    """Have processes that start at the same time make it once."""
    with LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _templates() -> list[str]:
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{PREFIX}%"])
        return [name for (name,) in cursor.fetchall()]


def _make(name: str) -> None:
    """Make the template, in the place of older ones. It has its name only once it is complete."""
    making, settings = f"{name}_making", connection.settings_dict
    before, test_name = settings["NAME"], settings["TEST"].get("NAME")
    _run(*(sql.SQL("DROP DATABASE {}").format(sql.Identifier(old)) for old in _templates()))
    settings["TEST"]["NAME"] = making
    try:
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    finally:
        connection.close()
        settings["NAME"], settings["TEST"]["NAME"] = before, test_name
    _run(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(making), sql.Identifier(name)))


def _run(*statements: sql.Composable) -> None:
    with connection._nodb_cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
