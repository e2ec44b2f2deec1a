"""A booking project whose database refuses rows."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def refusing(table: str, *, unless: str = "false") -> Iterator[str]:
    """Have a constraint of the project's refuse every row that is written meanwhile, except those; its name."""
    name = "house_rule"
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({unless}) NOT VALID")
    try:
        yield name
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
