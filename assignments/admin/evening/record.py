"""Each form acts once: its id is stored in the transaction that carries it out."""

import uuid
from collections.abc import Callable
from datetime import date

from django.db import connection

from assignments.concurrency import locks, transactions
from assignments.concurrency.sql import rows
from assignments.exceptions import ChangedMeanwhileError
from assignments.models import Assignment, StaffAction


class DoneAlreadyError(Exception):
    """Raised when a form is sent again that was already carried out."""


def once(
    key: uuid.UUID,
    work: Callable[[], tuple[str, ...]],
    *,
    actor: str,
    what: str,
    restaurant_ref: str,
    day: date,
    booking_ref: str = "",
    version: int | None = None,
    other_ref: str = "",
) -> None:
    """Carry out ``work`` and store its form's ``key``, both or neither. ``work`` returns the tables that it was about.

    Of two requests with one key the second waits for the first. ``version``: nobody may have changed the booking's
    assignment since it was that. ``other_ref``: another booking that ``work`` changes; the days of both are locked
    together, so that two who change the same two wait for each other in one order.

    Raises DoneAlreadyError, ChangedMeanwhileError, and what ``work`` raises.
    """

    def do() -> None:
        inserted = rows(
            "INSERT INTO assignments_staffaction (id, actor, what, restaurant_ref, service_date, booking_ref, table_refs)"
            " VALUES (%(id)s, %(actor)s, %(what)s, %(restaurant)s, %(day)s, %(booking)s, '{}')"
            " ON CONFLICT (id) DO NOTHING RETURNING id",
            id=key,
            actor=actor,
            what=what,
            restaurant=restaurant_ref,
            day=day,
            booking=booking_ref,
        )
        if not inserted:
            raise DoneAlreadyError
        if booking_ref:
            _require_version(booking_ref, version, other_ref)
        table_refs = work()
        if table_refs:
            StaffAction.objects.filter(pk=key).update(table_refs=list(table_refs))

    if connection.in_atomic_block:  # The project runs requests in transactions.
        with transactions.atomic():
            do()
            transactions.require_intact()
    else:
        transactions.run(do)


def _require_version(booking_ref: str, version: int | None, other_ref: str) -> None:
    both = Assignment.objects.filter(booking_ref__in=[ref for ref in (booking_ref, other_ref) if ref])
    locks.lock_days(both.days())
    found = Assignment.objects.of(booking_ref).values_list("version", flat=True).first()
    if version is not None and found != version:
        raise ChangedMeanwhileError(booking_ref=booking_ref, version=version)
