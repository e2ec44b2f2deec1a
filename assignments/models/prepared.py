"""Statements of every batch, which PostgreSQL plans only once for each connection where the project allows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.postgresql.base import Cursor


@contextmanager
def prepared_cursor(using: str = DEFAULT_DB_ALIAS) -> Iterator[Any]:
    """Open a cursor whose statements PostgreSQL keeps once they have run as often as ``prepare_threshold`` says.

    That is an option of the database (in ``OPTIONS``) and ``None`` by default, because behind a pooler the next statement
    may reach another session. Without it this is the connection's usual cursor; also while Django logs queries (``DEBUG``),
    because only Django's own cursor tells the log what was run, and where the project has a cursor class of its own, such
    as one that counts queries.

    Only for statements of few different texts: psycopg keeps up to a hundred for each connection.
    """
    connection = connections[using]
    with connection.cursor() as cursor:
        is_djangos = type(cursor.cursor) is Cursor
        if is_djangos and connection.connection.prepare_threshold is not None and not connection.queries_logged:
            cursor.cursor.close()
            cursor.cursor = psycopg.Cursor(connection.connection)  # Django's own writes values into the text.
        yield cursor
