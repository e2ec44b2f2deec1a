"""Statements that are run for every batch: PostgreSQL plans them once for each connection, where the project allows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections


@contextmanager
def prepared_cursor(using: str = DEFAULT_DB_ALIAS) -> Iterator[Any]:
    """Open a cursor whose statements PostgreSQL keeps once they were run as often as ``prepare_threshold`` says.

    Django's option of that name (in ``OPTIONS`` of the database) is ``None`` by default, because behind a pooler the next
    statement may meet another session. Then it is Django's usual cursor; so it is while Django logs queries (``DEBUG``),
    because only that one tells the log what it has run.
    """
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.connection.prepare_threshold is not None and not connection.queries_logged:
            cursor.cursor.close()
            cursor.cursor = psycopg.Cursor(connection.connection)  # Django's own puts the values into the statement.
        yield cursor
