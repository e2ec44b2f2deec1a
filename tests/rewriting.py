"""Rows that the database keeps from being rewritten, rewritten all the same: for tests that need a past of their own."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def rewriting() -> Iterator[None]:
    """A transaction in which no trigger runs. Constraints hold as ever."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield
        cursor.execute("SET LOCAL session_replication_role = origin")
