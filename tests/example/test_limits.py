"""Every flow into which faults are injected: no transaction of ours is committed without time limits."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic
from psycopg.pq import TransactionStatus

from tests.chaos.flows import FLOWS

pytestmark = pytest.mark.django_db(transaction=True)

OURS = {"assignments", "rollout", "legacy_planner"}
AROUND = {"django", "contextlib", "waffle"}


def opener() -> tuple[str, int]:
    """Who opens the transaction: the first caller that is neither Django nor a library."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals["__name__"].partition(".")[0] in AROUND:
        frame = frame.f_back
    return frame.f_globals["__name__"], frame.f_lineno


@contextmanager
def watched() -> Iterator[set[str]]:
    """Who of ours has committed, or rolled back, a transaction that could be idle for ever."""
    unlimited: set[str] = set()
    current = ["", 0]
    enter = Atomic.__enter__

    def begin(self: Any) -> Any:
        if not connection.in_atomic_block:
            current[:] = opener()
        return enter(self)

    def ended(original: Callable[..., Any]) -> Callable[..., Any]:
        def end(self: Any) -> Any:
            module, line = current
            is_open = (
                self.connection is not None and self.connection.info.transaction_status == TransactionStatus.INTRANS
            )
            if self is connection._connections[connection._alias] and is_open and module.partition(".")[0] in OURS:  # type: ignore[attr-defined]
                limit = self.connection.execute("SHOW idle_in_transaction_session_timeout").fetchone()[0]
                if limit == "0":
                    unlimited.add(f"{module}:{line}")
            return original(self)

        return end

    with (
        mock.patch.object(Atomic, "__enter__", begin),
        mock.patch.object(BaseDatabaseWrapper, "_commit", ended(vars(BaseDatabaseWrapper)["_commit"])),
        mock.patch.object(BaseDatabaseWrapper, "_rollback", ended(vars(BaseDatabaseWrapper)["_rollback"])),
    ):
        yield unlimited


NEEDS_LEGACY = {"rollback"}
"""What there has to be somebody else for, who decides afterwards."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.legacy_planner] * (name in NEEDS_LEGACY)) for name in FLOWS]
)
def test_no_transaction_of_ours_could_be_idle_for_ever(name: str) -> None:
    FLOWS[name].prepare()
    with watched() as unlimited:
        FLOWS[name].do()
    assert not unlimited
