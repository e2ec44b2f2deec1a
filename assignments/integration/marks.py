"""Marks: a booking that the host writes gets a mark in the same transaction, so that no change is lost in a crash.

A mark costs one INSERT. Once the transaction is committed, the same process follows the change; marks that remain
(after a crash, an error, a ``loaddata``) are followed by a later pass.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from django.db import connection, transaction

from assignments import conf
from assignments.exceptions import DayBusyError

HANDS_OFF_SECONDS = 10
"""How long a mark is left to the process whose transaction stored it, before a pass looks at it."""

Follow = Callable[[Mapping[str, uuid.UUID]], object]
"""Follows marks, given as their bookings' refs and stamps."""

ALL = None
"""Every booking, for ``own_writes``."""

_own: ContextVar[frozenset[str] | None] = ContextVar("own", default=frozenset())

_is_migrated = False


@contextmanager
def own_writes(booking_refs: Iterable[str] | None = ALL) -> Iterator[None]:
    """Leave no marks at these bookings: their host writes what this app told it, and need not be followed."""
    outer = _own.get()
    token = _own.set(ALL if booking_refs is None or outer is None else outer | frozenset(booking_refs))
    try:
        yield
    finally:
        _own.reset(token)


@dataclass(eq=False, kw_only=True, slots=True)
class _OnCommit:
    """Follows the marks of one transaction once it is committed.

    ``savepoints``: those that were open. If one of them is rolled back, Django drops this hook, and the database the
    marks. ``stamps``: the marks' stamps by ref.
    """

    follow: Follow
    savepoints: frozenset[str]
    stamps: dict[str, uuid.UUID]

    def __call__(self) -> None:
        self.follow(dict(self.stamps))


def leave(booking_ref: str, *, follow: Follow | None) -> None:
    """Leave a mark at the booking, in the caller's transaction if there is one; ``follow`` is called after its commit.

    Without ``follow`` the next pass follows it. Several writes of one booking in a transaction cost one mark.
    """
    own = _own.get()
    if own is None or booking_ref in own or not are_stored():
        return
    if follow is None:
        _write(booking_ref, uuid.uuid4(), seconds=0)
        return
    hook = _latest_hook(follow)
    if hook is not None and booking_ref in hook.stamps:
        return
    stamp = uuid.uuid4()
    _write(booking_ref, stamp, seconds=HANDS_OFF_SECONDS)
    if hook is not None:
        hook.stamps[booking_ref] = stamp
    else:
        transaction.on_commit(_OnCommit(follow=follow, savepoints=_open_savepoints(), stamps={booking_ref: stamp}))


def leave_for_a_pass(booking_ref: str, *, cancels: bool = False) -> None:
    """Leave a mark in the caller's transaction that the next pass follows. It needs no lock.

    ``cancels``: the booking must be cancelled, whatever the host shows.
    """
    _write(booking_ref, uuid.uuid4(), seconds=0, cancels=cancels)


def leave_many_for_a_pass(booking_refs: Iterable[str]) -> None:
    """Leave a mark at each of these bookings, except our own, that the next pass follows. One query."""
    own = _own.get()
    if own is None or not are_stored():
        return
    refs = sorted(set(booking_refs) - own)
    if refs:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO assignments_hostmark AS mark
                       (booking_ref, stamp, created_at, due_at, attempts, last_error, cancels)
                SELECT ref, gen_random_uuid(), assignments_now(), assignments_now(), 0, '', false
                  FROM unnest(%s::text[]) AS ref
                ON CONFLICT (booking_ref)
                DO UPDATE SET stamp = EXCLUDED.stamp, due_at = EXCLUDED.due_at, attempts = 0, last_error = ''
                """,
                [refs],
            )


def settle(booking_ref: str) -> None:
    """Delete the mark of this transaction, because the caller follows the booking itself. No query without a mark.

    If the deletion is rolled back, the mark remains for a later pass. So does one that cancels.
    """
    hooks = [entry[1] for entry in connection.run_on_commit if isinstance(entry[1], _OnCommit)]
    ours = [hook for hook in hooks if hook.stamps.pop(booking_ref, None) is not None]
    if ours:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM assignments_hostmark WHERE booking_ref = %s AND NOT cancels", [booking_ref])


def may_cancel(booking_ref: str) -> bool:
    """Return whether the booking's mark still cancels; until the transaction ends, nobody takes that back.

    The mark itself is not locked, so that a host that writes the booking again never waits for us.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [_cancellation_key(booking_ref)])
        if not cursor.fetchone()[0]:
            return False
        # Asked once the lock is ours: whoever took the cancellation back before had it.
        cursor.execute("SELECT FROM assignments_hostmark WHERE booking_ref = %s AND cancels", [booking_ref])
        return cursor.fetchone() is not None


def take_back_cancellation(booking_ref: str) -> None:
    """Have the booking's mark no longer cancel it. Raises DayBusyError if a pass is cancelling the booking right now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT assignments_lock(%s, 0, %s) FROM assignments_hostmark WHERE booking_ref = %s AND cancels",
            [[_cancellation_key(booking_ref)], str(conf.settings().LOCK_TIMEOUT_MS), booking_ref],
        )
        locked = cursor.fetchone()
        if locked is None:
            return
        if locked[0] is None:
            raise DayBusyError("A pass is cancelling this booking right now; try again.")
        cursor.execute(
            "UPDATE assignments_hostmark SET cancels = false, stamp = %s, due_at = assignments_now()"
            " WHERE booking_ref = %s AND cancels",
            [uuid.uuid4(), booking_ref],
        )


def _cancellation_key(booking_ref: str) -> str:
    return f"assignments:cancellation:{booking_ref}"


def _latest_hook(follow: Follow) -> _OnCommit | None:
    """Return the hook that was registered last, if it is ours and the same savepoints are open."""
    hook = connection.run_on_commit[-1][1] if connection.run_on_commit else None
    if isinstance(hook, _OnCommit) and hook.follow == follow and hook.savepoints == _open_savepoints():
        return hook
    return None


def _open_savepoints() -> frozenset[str]:
    return frozenset(sid for sid in connection.savepoint_ids if sid is not None)


def are_stored() -> bool:
    """Return whether marks can be stored: a host must be able to save before ``migrate``, and without migrations."""
    global _is_migrated  # noqa: PLW0603  (asked once a process)
    if not _is_migrated and connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT to_regclass('assignments_hostmark') IS NOT NULL AND to_regprocedure('assignments_now()') IS NOT NULL"
            )
            _is_migrated = cursor.fetchone()[0]
    return _is_migrated


def _write(booking_ref: str, stamp: uuid.UUID, *, seconds: float, cancels: bool = False) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO assignments_hostmark AS mark (booking_ref, stamp, created_at, due_at, attempts, last_error, cancels)
            VALUES (%s, %s, assignments_now(), assignments_now() + %s * interval '1 second', 0, '', %s)
            ON CONFLICT (booking_ref)
            DO UPDATE SET stamp = EXCLUDED.stamp, due_at = EXCLUDED.due_at, attempts = 0, last_error = '',
                          cancels = mark.cancels OR EXCLUDED.cancels
            """,
            [booking_ref, stamp, seconds, cancels],
        )
