"""Rows that several tests need and that take long to come about: made once in a process, and copied afterwards."""

from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from psycopg import sql

_copies: dict[str, dict[str, bytes]] = {}


def built_once(name: str, build: Callable[[], object]) -> None:
    """Have in the database what ``build`` leaves there: by calling it the first time, by copying its rows afterwards.

    Only tables that were empty before are copied. Ids and times are those of the first time, and only rows come back: not
    what a process remembers, and no events in memory. Not for tests that ask how the rows came about. Settings that the rows
    depend on belong in the name.
    """
    key = f"{build.__module__}.{build.__qualname__}: {name}"  # Two files may call different rows by one name.
    if key in _copies:
        _put_back(_copies[key])
        return
    before = {table for table in _tables() if _holds_rows(table)}
    build()
    _copies[key] = {table: _copy_of(table) for table in _tables() if table not in before and _holds_rows(table)}


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
            _count_on(cursor, table)


def _count_on(cursor: Any, table: str) -> None:
    """Let new rows of the table have ids above those that were copied."""
    for each in connection.introspection.get_sequences(cursor, table):
        cursor.execute(
            sql.SQL("SELECT setval(%s, GREATEST(max({}), nextval(%s))) FROM {}").format(
                sql.Identifier(each["column"]), sql.Identifier(table)
            ),
            [each["name"], each["name"]],
        )
