"""Tonight, for browser tests: the real evening, with the clock of server and database moved into the middle of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, connections
from psycopg import sql

from assignments.models import moment as clock_of_models


@contextmanager
def clock_at(moment: datetime) -> Iterator[None]:
    """Move the clock of every thread and connection to ``moment``; it ticks on from there."""
    by = moment - clock_of_models.process_now()
    _tell_database(by)
    clock_of_models._Moved.by = by
    try:
        yield
    finally:
        _tell_database(None)
        clock_of_models._Moved.by = timedelta(0)


def know_the_clock(**_request: Any) -> None:
    """Before a request: connect anew if the clock was moved, since a connection has the clock of when it was opened."""
    mine: Any = connections["default"]
    if getattr(mine, "clock_moved_by", None) != clock_of_models._Moved.by:
        mine.close()
        mine.clock_moved_by = clock_of_models._Moved.by


def _tell_database(by: timedelta | None) -> None:
    """Have every new connection know by how much the clock is moved; ours begins anew."""
    name = sql.Identifier(str(connection.settings_dict["NAME"]))
    with connection.cursor() as cursor:
        if by is None:
            cursor.execute(sql.SQL("ALTER DATABASE {} RESET assignments.clock_offset").format(name))
        else:
            seconds = sql.Literal(str(by.total_seconds()))
            cursor.execute(sql.SQL("ALTER DATABASE {} SET assignments.clock_offset = {}").format(name, seconds))
    connection.close()
