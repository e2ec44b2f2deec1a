"""Rows that several tests need and that take long to come about: made once in a process, and copied afterwards."""

from collections.abc import Callable
from functools import cache

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
