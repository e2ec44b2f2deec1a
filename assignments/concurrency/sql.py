"""Running SQL queries with named parameters."""

from typing import Any

from django.db import connection

from assignments.models.prepared import prepared_cursor


def rows(query: str, **parameters: Any) -> list[Any]:
    """Return the rows as tuples."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def prepared_rows(query: str, **parameters: Any) -> list[Any]:
    """Return the rows of a query that every batch makes."""
    with prepared_cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def dicts(query: str, **parameters: Any) -> list[dict[str, Any]]:
    """Return the rows as dictionaries by column."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
