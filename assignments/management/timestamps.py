"""Reading timestamps quickly in a process of our own.

Django reads each ``timestamptz`` with psycopg's parser in Python, also where psycopg is compiled. A worker reads a dozen
for each booking, and ``datetime.fromisoformat`` takes a tenth of the time.
"""

from datetime import UTC, datetime
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg.types.datetime import TimestamptzLoader


class TimestampLoader(TimestamptzLoader):
    """Loads a ``timestamptz`` of a connection whose time zone is UTC, as Django's loader does."""

    timezone = UTC  # Django asks a loader for it.

    def load(self, data: Any) -> datetime:
        """Return the aware datetime, in UTC. Raises psycopg.DataError for one that Python cannot express."""
        try:
            return datetime.fromisoformat(str(data, "ascii"))
        except ValueError:
            return super().load(data)


def read_quickly() -> None:
    """Read timestamps quickly on every PostgreSQL connection of this process in UTC, open ones and those to come."""
    connection_created.connect(_register, dispatch_uid="assignments.timestamps")
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            _register(connection=connection)


def _register(*, connection: BaseDatabaseWrapper, **_signal: Any) -> None:
    if connection.vendor == "postgresql" and connection.timezone is UTC:
        connection.connection.adapters.register_loader("timestamptz", TimestampLoader)
