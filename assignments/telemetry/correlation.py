"""One id for everything that one invocation does: its events, attempts, history, outbox messages and log lines.

An invocation is a restaurant-day planned by a pass, one booking decided inline, one call of ``assignments.api``, one
discrepancy mended. Scopes nest: what is called inside of one belongs to it, so that a project that opens a scope of its own
(with the id of a web request, if that is a UUID) finds it on everything that came of it.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What is going on. ``booking_ref`` is "" while it is about several bookings, or none."""

    correlation_id: uuid.UUID
    booking_ref: str = ""


_scope: ContextVar[Scope | None] = ContextVar("assignments_correlation", default=None)


@contextmanager
def scope(correlation_id: uuid.UUID | None = None, *, booking_ref: str = "") -> Iterator[uuid.UUID]:
    """Everything in here carries one id: the given one, else that of the scope around it, else a new one."""
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
    """The scope that this is called in, or None."""
    return _scope.get()


def current_id() -> uuid.UUID | None:
    """The id of the scope that this is called in, or None."""
    around = _scope.get()
    return around.correlation_id if around else None


def id_or_new() -> uuid.UUID:
    """The id of the scope that this is called in; outside of one, a new id."""
    return current_id() or uuid.uuid4()
