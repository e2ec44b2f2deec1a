"""The demo's database: the configured one, if the demo created everything in it.

This way ``manage.py``, ``make serve`` and the incidents all use the demo's data. An empty database is used; one with other
data is refused, never emptied. A comment on the restaurants' table lists those of the demo. It is written in the transaction
that creates each, so it is correct even after an interrupted run.

The demo user's password is created once. Since each run prints it again, it is stored in a file beside the embedded server's
data, ignored by git and readable only by its owner. For development only.
"""

import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import OperationalError, ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models.signals import post_save

from example.embedded.base import PGDATA
from example.models import Restaurant

USERNAME = "demo"
PASSWORD_FILE = Path(f"{PGDATA}.demo-password")

_MADE_BY_MIGRATIONS = ("django_migrations", "django_content_type", "auth_permission")


class OccupiedError(Exception):
    """Raised when the database contains data that the demo did not create. Nothing was changed."""


@contextmanager
def claimed(*, anew: bool, before_removal: Callable[[str], None] = lambda name: None) -> Iterator[str]:
    """Open the configured database for the demo, create and migrate it if necessary, and yield its name.

    With ``anew``, data of an earlier demo is removed. If there are evenings, ``before_removal`` is called first with
    the database's name; if it raises, they are kept. Restaurants created inside belong to the demo. Raises
    OccupiedError.
    """
    _create_if_missing()
    name = str(connection.settings_dict["NAME"])
    made = _made()
    if found := _others(made):
        raise OccupiedError(
            f"The database {name} contains data that the demo did not create ({', '.join(found)}). Nothing was changed. "
            "Give the demo its own database, which it creates: set DATABASE_NAME=booking_demo here and for all "
            "commands that should use it."
        )
    if anew and made is not None:
        if made:
            before_removal(name)
        empty()
    _migrate()
    if anew or made is None:
        _keep_made(())
    post_save.connect(_record, sender=Restaurant)
    try:
        yield name
    finally:
        post_save.disconnect(_record, sender=Restaurant)


def make_user() -> str:
    """Make a superuser for the admin and return the password, the same each time."""
    password = _password()
    user, _created = get_user_model().objects.get_or_create(username=USERNAME)
    if not (user.is_superuser and user.is_staff and user.is_active and user.check_password(password)):
        user.is_superuser = user.is_staff = user.is_active = True
        user.set_password(password)
        user.save()
    return password


def use_another(suffix: str) -> None:
    """Create an empty database, named like the configured one with this suffix, and use it from now on."""
    _create_if_missing()
    name = f"{connection.settings_dict['NAME']}{suffix}"
    connection.close()
    with connection._nodb_cursor() as cursor:  # noqa: SLF001  (what Django's own test runner makes databases with)
        cursor.execute(f"DROP DATABASE IF EXISTS {connection.ops.quote_name(name)} WITH (FORCE)")
        cursor.execute(f"CREATE DATABASE {connection.ops.quote_name(name)}")
    connection.settings_dict["NAME"] = name
    call_command("migrate", verbosity=0)


@contextmanager
def copied(suffix: str) -> Iterator[str | None]:
    """Copy the database under its name with this suffix, and yield the copy's name; drop the copy in the end.

    Yields None if PostgreSQL cannot copy it, because somebody else is connected or we may not create databases.
    """
    name = f"{connection.settings_dict['NAME']}{suffix}"
    drop = f"DROP DATABASE IF EXISTS {connection.ops.quote_name(name)} WITH (FORCE)"
    original = connection.ops.quote_name(connection.settings_dict["NAME"])
    connection.close()
    try:
        with connection._nodb_cursor() as cursor:  # noqa: SLF001
            cursor.execute(drop)
            cursor.execute(f"CREATE DATABASE {connection.ops.quote_name(name)} TEMPLATE {original}")
    except (OperationalError, ProgrammingError):
        yield None
        return
    try:
        yield name
    finally:
        with connection._nodb_cursor() as cursor:  # noqa: SLF001
            cursor.execute(drop)


def empty() -> None:
    """Drop all our tables and functions in one transaction. The database and its permissions stay."""
    with connection.cursor() as cursor:
        cursor.execute(_EMPTY)


_EMPTY = """
DO $$ DECLARE command text; BEGIN
    FOR command IN
        SELECT format('DROP TABLE %s CASCADE', oid::regclass) FROM pg_class
         WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
           AND relowner = current_user::regrole
           AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
    LOOP EXECUTE command; END LOOP;
    FOR command IN
        SELECT format('DROP ROUTINE %s CASCADE', oid::regprocedure) FROM pg_proc
         WHERE pronamespace = current_schema()::regnamespace AND proowner = current_user::regrole
           AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    LOOP EXECUTE command; END LOOP;
END $$
"""


def _create_if_missing() -> None:
    """Create the database, unless the embedded server does."""
    try:
        connection.ensure_connection()
    except OperationalError:
        name = connection.settings_dict["NAME"]
        with connection._nodb_cursor() as cursor:  # noqa: SLF001
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", [name])
            if cursor.fetchone() is not None:
                raise
            cursor.execute(f"CREATE DATABASE {connection.ops.quote_name(name)}")


def _migrate() -> None:
    """Run the migrations that are missing. Without any, ``migrate`` would still take a quarter of a second."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", verbosity=0)


def _made() -> list[int] | None:
    """Return the keys of the demo's restaurants in this database; None if it never ran here."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT obj_description(to_regclass('example_restaurant'), 'pg_class')")
        comment = cursor.fetchone()[0]
    with suppress(ValueError, TypeError, KeyError):
        return [int(pk) for pk in json.loads(comment)["made_by_demo"]]
    return None


def _keep_made(made: Sequence[int]) -> None:
    with connection.cursor() as cursor:
        # A COMMENT takes no parameters; this is JSON of numbers.
        cursor.execute(f"COMMENT ON TABLE example_restaurant IS '{json.dumps({'made_by_demo': list(made)})}'")


def _record(instance: Restaurant, created: bool, **options: Any) -> None:
    if created:
        _keep_made([*(_made() or ()), instance.pk])


def _others(made: Sequence[int] | None) -> list[str]:
    """Describe data that is not the demo's: restaurants and users in the demo's database, any row in another."""
    with connection.cursor() as cursor:
        if made is not None:
            cursor.execute("SELECT name FROM example_restaurant WHERE id <> ALL(%s) ORDER BY id LIMIT 3", [list(made)])
            found = [f"restaurant {name}" for (name,) in cursor.fetchall()]
            cursor.execute("SELECT username FROM auth_user WHERE username <> %s ORDER BY id LIMIT 3", [USERNAME])
            return found + [f"user {name}" for (name,) in cursor.fetchall()]
        tables = sorted(set(connection.introspection.table_names(cursor)) - set(_MADE_BY_MIGRATIONS))
        found = []
        for table in tables:
            cursor.execute(f"SELECT EXISTS (SELECT FROM {connection.ops.quote_name(table)})")  # noqa: S608
            if cursor.fetchone()[0]:
                found.append(f"rows in {table}")
        return found[:3]


def _password() -> str:
    """Return the password. Its file is created once, and is complete before anybody can read it."""
    if not PASSWORD_FILE.exists():
        handle, name = tempfile.mkstemp(dir=PASSWORD_FILE.parent, prefix=f"{PASSWORD_FILE.name}.")  # mode 0600
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(9))
        with suppress(FileExistsError):
            os.link(name, PASSWORD_FILE)
        Path(name).unlink()
    return PASSWORD_FILE.read_text().strip()
