"""The correlation id, shared by an invocation's events, attempts, history, outbox messages and log lines.

An invocation is a restaurant-day planned by a pass, a booking decided inline, a call of ``assignments.api``, or a
repaired discrepancy. Scopes nest: inner calls use the outer id. So a project can open its own scope, for example with
the UUID of a web request, and find that id on all resulting records.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """The current invocation. ``booking_ref`` is "" if it concerns several bookings or none."""

    correlation_id: uuid.UUID
    booking_ref: str = ""


_scope: ContextVar[Scope | None] = ContextVar("assignments_correlation", default=None)


@contextmanager
def scope(correlation_id: uuid.UUID | None = None, *, booking_ref: str = "") -> Iterator[uuid.UUID]:
    """Open a scope with the given id, the outer scope's id, or a new one."""
    around = _scope.get()
    entered = Scope(
        correlation_id=correlation_id or (around.correlation_id if around else uuid.uuid4()),
        booking_ref=booking_ref or (around.booking_ref if around else ""),
    )
    token = _scope.set(entered)
    try:
        yield entered.correlation_id
    finally:
        _scope.reset(token)


def current() -> Scope | None:
    """Return the current scope, or None."""
    return _scope.get()


def current_id() -> uuid.UUID | None:
    """Return the id of the current scope, or None."""
    around = _scope.get()
    return around.correlation_id if around else None


def id_or_new() -> uuid.UUID:
    """Return the id of the current scope, or a new id outside any."""
    return current_id() or uuid.uuid4()
