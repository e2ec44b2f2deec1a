"""Following marks: a booking that was written in the host is brought in line with the host.

No lock on the mark is held meanwhile, so that a host's transaction that writes the booking again never waits for us. If
two processes follow the same mark, the second finds nothing left to do.
"""

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

from django.db import connection

from assignments import api, conf
from assignments.concurrency import sql, transactions
from assignments.coordination import adoption, host_changes, quarantine
from assignments.error_logging import log_error
from assignments.exceptions import BookingNotFoundError
from assignments.integration import marks
from assignments.integration.host import HostBooking
from assignments.integration.project_host import configured
from assignments.lifecycle import intake
from assignments.models import Assignment, State
from assignments.telemetry import correlation

logger = logging.getLogger("assignments.marked")

INLINE = 20
"""Most bookings that are followed in the process that wrote them; a pass follows the others of the transaction."""
LEASE_SECONDS = 10
"""How long a mark is left to the pass that has taken it up."""
FIRST_DELAY_SECONDS = 5
LONGEST_DELAY_SECONDS = 60
LONGEST_DINNER = timedelta(hours=12)
RETRIES = 1
"""Retries after a lost race. A guest's request may be waiting."""

_is_following: ContextVar[bool] = ContextVar("is_following", default=False)


@dataclass(kw_only=True)
class Swept:
    """Counts of a sweep. ``errors``: types of errors other than lost races."""

    followed: int = 0
    left: int = 0
    errors: list[str] = field(default_factory=list)


def follow_at_once(stamps: Mapping[str, uuid.UUID]) -> None:
    """Follow these marks after the commit of the transaction that left them. Never raises.

    If following leaves another mark, because a host's callback writes another booking, that one waits for a pass: two
    bookings that write each other must not keep a guest's request busy.
    """
    if _is_following.get():
        return
    for ref, stamp in islice(stamps.items(), INLINE):
        try:
            _follow_or_postpone(ref, stamp)
        except Exception as error:  # noqa: BLE001  (the mark is left, and the host's request goes on)
            log_error(
                logger, error, "The change to booking %s could not be followed now; the next pass will follow it", ref
            )
            if transactions.is_database_away(error):
                return


def sweep(*, limit: int = 500, should_stop: Callable[[], bool] = lambda: False) -> Swept:
    """Follow at most ``limit`` marks that are due, oldest first. Parallel passes share them. One query without any.

    A mark that fails is postponed, first for 5 s and at most for a minute, and stops no other. One that ends the process
    keeps back no other either, and is then left to staff.
    """
    swept = Swept()
    tried: list[str] = []
    while len(tried) < limit and not should_stop():
        taken = _take(tried)
        if taken is None:
            break
        ref, stamp, cancels = taken
        tried.append(ref)
        with quarantine.alone(ref) as may_be_tried:
            if not may_be_tried:
                continue
            error = _follow_or_postpone(ref, stamp, cancels=cancels)
        swept.followed += error is None
        swept.left += error is not None
        if error is not None and not transactions.is_lost_race(error):
            swept.errors.append(type(error).__name__)
    return swept


def _take(tried: Sequence[str]) -> tuple[str, uuid.UUID, bool] | None:
    """Take up the oldest mark that is due, besides those that were ``tried``. Only this one waits if the process dies."""
    taken = sql.rows(
        """
        UPDATE assignments_hostmark SET due_at = assignments_now() + %(lease)s * interval '1 second'
         WHERE booking_ref = (SELECT booking_ref FROM assignments_hostmark
                               WHERE due_at <= assignments_now() AND booking_ref <> ALL(%(tried)s)
                               ORDER BY created_at, booking_ref LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING booking_ref, stamp, cancels
        """,
        lease=LEASE_SECONDS,
        tried=list(tried),
    )
    return taken[0] if taken else None


def _follow_or_postpone(booking_ref: str, stamp: uuid.UUID, *, cancels: bool = False) -> Exception | None:
    """Follow the booking and delete its mark; return the error if it failed. Raises if the database is away."""
    token = _is_following.set(True)
    try:
        with correlation.scope(booking_ref=booking_ref):
            is_cancelled = cancels and transactions.run(partial(_cancel, booking_ref), retries=RETRIES)
            _follow(booking_ref)
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        # By its type, never by what it says: a host's message may name a guest. A lost race is nobody's mistake.
        level = logging.INFO if transactions.is_lost_race(error) else logging.ERROR
        log_error(
            logger,
            error,
            "The change to booking %s could not be followed now; the next pass will follow it",
            booking_ref,
            level=level,
        )
        _write(_POSTPONE, booking_ref, stamp, error=type(error).__name__)
        return error
    finally:
        _is_following.reset(token)
    _write(_DELETE, booking_ref, stamp, cancels=is_cancelled)
    return None


def _cancel(booking_ref: str) -> bool:
    """Cancel the booking; return False if it was requested again meanwhile, or its host writes it right now."""
    if not marks.may_cancel(booking_ref):
        return False
    api.booking_cancelled(booking_ref=booking_ref)
    return True


def _follow(booking_ref: str) -> None:
    if not _is_followed(booking_ref):
        transactions.run(partial(_change, booking_ref), retries=RETRIES)


def _change(booking_ref: str) -> None:
    with suppress(BookingNotFoundError):  # Raised for a booking that was deleted before this app knew it.
        api.booking_changed(booking_ref=booking_ref)


def _is_followed(booking_ref: str) -> bool:
    """Return whether nothing relevant has changed, judged without a lock. Three to five queries.

    So a waiting booking keeps its attempts and its place in review if only its notes are edited. A past booking that is
    saved again, perhaps for its bill, is not planned.
    """
    booking = configured().bookings([booking_ref]).get(booking_ref)
    assignment = Assignment.objects.of(booking_ref).first()
    if booking is None:
        return assignment is None or assignment.state == State.CANCELLED
    now = transactions.database_now()
    if assignment is None and not booking.wants_table:
        return not adoption.given([booking], host=configured(), now=now)
    if booking.wants_table and _is_over(booking, assignment, now=now):
        return True
    return assignment is not None and host_changes.is_followed(assignment, booking, now=now)


def _is_over(booking: HostBooking, assignment: Assignment | None, *, now: datetime) -> bool:
    """Return whether the booking started so long ago that nothing is left to decide, here or in the host.

    Intake takes up waiting bookings that started in the meantime, so an unknown one is over once intake would not take
    it up.
    """
    start = intake.stored_start(booking)
    if assignment is None and not booking.is_confirmed:
        return start < now - timedelta(minutes=conf.settings().GRACE_MINUTES)
    return start < now - LONGEST_DINNER and (assignment is None or assignment.starts_at == start)


def _write(statement: str, booking_ref: str, stamp: uuid.UUID, **parameters: Any) -> None:
    """Write the mark, unless a host's transaction is writing or has written a new one."""
    values: dict[str, Any] = {"ref": booking_ref, "stamp": stamp, **parameters}
    with connection.cursor() as cursor:
        cursor.execute(statement, {**values, "first": FIRST_DELAY_SECONDS, "longest": LONGEST_DELAY_SECONDS})


_OURS = """booking_ref IN (SELECT booking_ref FROM assignments_hostmark
                            WHERE booking_ref = %(ref)s AND stamp = %(stamp)s FOR UPDATE SKIP LOCKED)"""

_DELETE = f"DELETE FROM assignments_hostmark WHERE {_OURS} AND (%(cancels)s OR NOT cancels)"  # noqa: S608  (our own SQL)

_POSTPONE = f"""
UPDATE assignments_hostmark
   SET attempts = attempts + 1, last_error = %(error)s,
       due_at = assignments_now() + least(%(first)s * 2.0 ^ least(attempts, 20), %(longest)s) * interval '1 second'
 WHERE {_OURS}
"""  # noqa: S608  (our own SQL)
