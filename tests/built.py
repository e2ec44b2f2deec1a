"""Rows that several tests need and that take long to come about: made once in a run, and copied afterwards."""

import fcntl
import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from django.db import connection, transaction
from psycopg import sql

_copies: dict[str, dict[str, bytes]] = {}
_folder: list[Path] = []


def share(folder: Path) -> None:
    """Have in this folder what is built, for all processes of this run."""
    _folder[:] = [folder]


def built_once(name: str, build: Callable[[], object], *, shared: bool = True) -> None:
    """Have in the database what ``build`` leaves there: by calling it the first time, by copying its rows afterwards.

    Only tables that were empty before are copied. Ids and times are those of the first time, and only rows come back: not
    what a process remembers, and no events in memory. Not for tests that ask how the rows came about. Settings that the rows
    depend on belong in the name. With ``shared``, all processes of the run have the rows of the one that came first.
    """
    key = f"{build.__module__}.{build.__qualname__}: {name}"  # Two files may call different rows by one name.
    if key not in _copies and shared and _folder:
        path = _folder[0] / hashlib.sha256(key.encode()).hexdigest()[:16]
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                _copies[key] = _built(build)
                _write(path, _copies[key])
                return
        _copies[key] = _read(path)
    elif key not in _copies:
        _copies[key] = _built(build)
        return
    _put_back(_copies[key])


def _built(build: Callable[[], object]) -> dict[str, bytes]:
    before = {table for table in _tables() if _holds_rows(table)}
    build()
    return {table: _copy_of(table) for table in _tables() if table not in before and _holds_rows(table)}


def _write(path: Path, copies: dict[str, bytes]) -> None:
    """Write the rows. The file has its name only once it is complete."""
    making = path.with_suffix(".making")
    making.write_text(json.dumps({table: rows.decode() for table, rows in copies.items()}))
    making.replace(path)


def _read(path: Path) -> dict[str, bytes]:
    return {table: rows.encode() for table, rows in json.loads(path.read_text()).items()}


def _tables() -> list[str]:
    return connection.introspection.table_names()


def _holds_rows(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(table)))
        return bool(cursor.fetchone()[0])


def _copy_of(table: str) -> bytes:
    with connection.cursor() as cursor, cursor.copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as copy:
        return b"".join(bytes(block) for block in copy)


def _put_back(copies: dict[str, bytes]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # rows come in any order, and start nothing
        for table, rows in copies.items():
            with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy:
                copy.write(rows)
        cursor.execute(_count_on(tuple(copies)))


@cache
def _count_on(tables: tuple[str, ...]) -> sql.Composable:
    """The statement that lets new rows of these tables have ids above those that were copied."""
    with connection.cursor() as cursor:
        owned = [(table, each) for table in tables for each in connection.introspection.get_sequences(cursor, table)]
    next_values = [
        sql.SQL("setval({0}, GREATEST((SELECT max({1}) FROM {2}), nextval({0})))").format(
            sql.Literal(each["name"]), sql.Identifier(each["column"]), sql.Identifier(table)
        )
        for table, each in owned
    ]
    return sql.SQL("SELECT {}").format(sql.SQL(", ").join(next_values))
