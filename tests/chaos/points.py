"""The points at which a fault may come: before and after each statement, COMMIT and ROLLBACK of this thread."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import TransactionStatus

MET = b"\n(met)\n"


def met() -> None:
    """Say in the child's output, even if it dies at once, that what it does has met the fault."""
    os.write(2, MET)


@contextmanager
def noticed(*sqlstates: str) -> Iterator[None]:
    """Notice that PostgreSQL answers this thread's statements with one of these errors."""

    def execute(run: Callable[..., Any], statement: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        try:
            return run(statement, params, many, context)
        except DatabaseError as error:
            if getattr(error.__cause__, "sqlstate", None) in sqlstates:
                met()
            raise

    with connection.execute_wrapper(execute):
        yield


@contextmanager
def unconnected() -> Iterator[None]:
    """Notice that PostgreSQL takes no connection of this process."""
    connect = BaseDatabaseWrapper.connect

    def try_to(self: BaseDatabaseWrapper) -> None:
        try:
            connect(self)
        except Exception:
            met()
            raise

    with mock.patch.object(BaseDatabaseWrapper, "connect", try_to):
        yield


@dataclass
class Points:
    """Counts the points, and calls ``at`` at the one that is meant. Nothing that it does itself is counted."""

    meant: int = -1
    at: Callable[[], object] = lambda: None
    count: int = 0
    statements: list[str] = field(default_factory=list)
    is_busy: bool = False

    def pass_by(self) -> None:
        if self.is_busy:
            return
        number, self.count = self.count, self.count + 1
        if number == self.meant:
            self.is_busy = True
            met()
            try:
                self.at()
            finally:
                self.is_busy = False

    def note(self, statement: str) -> None:
        if not self.is_busy:
            self.statements.append(" ".join(statement.split())[:80])


@contextmanager
def counted(points: Points) -> Iterator[None]:
    """Have this thread's statements go by these points."""

    def execute(run: Callable[..., Any], statement: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        points.note(statement)
        points.pass_by()
        result = run(statement, params, many, context)
        points.pass_by()
        return result

    def around(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def end(self: BaseDatabaseWrapper) -> Any:
            if self is not connection._connections[connection._alias]:  # type: ignore[attr-defined]
                return original(self)
            # Without a statement before it, nothing is sent.
            is_open = self.connection.info.transaction_status != TransactionStatus.IDLE
            points.note(name if is_open else f"{name} of nothing")
            points.pass_by()
            result = original(self)
            points.pass_by()
            return result

        return end

    with (
        mock.patch.object(BaseDatabaseWrapper, "_commit", around("COMMIT", vars(BaseDatabaseWrapper)["_commit"])),
        mock.patch.object(BaseDatabaseWrapper, "_rollback", around("ROLLBACK", vars(BaseDatabaseWrapper)["_rollback"])),
        connection.execute_wrapper(execute),
    ):
        yield
