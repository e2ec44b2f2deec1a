"""The project's host as this app sees it: with its bookings, and walk-ins for which it keeps no booking.

Their refs are ours, and the host never hears of them.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import wraps
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from django.db import connection

from assignments import conf
from assignments.integration import callback_budget
from assignments.integration.host import Host, HostBooking, Message, Move, Seating, tell_of_moves
from assignments.integration.marks import own_writes
from assignments.models import GONE, Assignment, Stage, State
from assignments.planning.floor import Floor

PREFIX = "walk-in:"
"""Prefix of a walk-in's booking ref."""
READS = frozenset({"floor_fingerprint", "floor_fingerprints", "history", "unassigned"})
"""What else we read of the host, and pass on as it is. It has the same budget."""
DELIVERY_SECONDS = 10.0
"""Maximum time of the delivery of a message, which holds no lock, in our own workers."""


Ability = TypeVar("Ability")


def new_walk_in() -> str:
    """Return the ref of a new walk-in."""
    return f"{PREFIX}{uuid.uuid4()}"


def is_walk_in(booking_ref: str) -> bool:
    """Return whether the ref is ours and not the host's."""
    return booking_ref.startswith(PREFIX)


@runtime_checkable
class MakesWalkIns(Protocol):
    """A host that keeps a booking for walk-ins."""

    def create_walk_in(self, *, restaurant_ref: str, party: int, starts_at: datetime, ends_at: datetime | None) -> str:
        """Create a booking that waits for a table, and return its ref. Runs in the transaction that seats it."""
        ...


class HostWithWalkIns:
    """The project's host, with our walk-ins beside its bookings. It passes on everything else.

    What a callback writes to the bookings that it was called for is no change to follow.
    """

    def __init__(self, host: Host) -> None:
        self.project = host

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.project, name)
        return _in_time(found) if name in READS else found

    def walk_in(self, *, restaurant_ref: str, party: int, starts_at: datetime, ends_at: datetime | None) -> str | None:
        """Have the host create a booking for walk-ins, and return its ref; None if it keeps none."""
        if not isinstance(self.project, MakesWalkIns):
            return None
        with own_writes():
            return self.project.create_walk_in(
                restaurant_ref=restaurant_ref, party=party, starts_at=starts_at, ends_at=ends_at
            )

    def bookings(self, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        ours = [ref for ref in refs if is_walk_in(ref)]
        if not ours:
            with _reading():
                return self.project.bookings(refs, lock=lock)
        theirs = [ref for ref in refs if not is_walk_in(ref)]
        with _reading():
            found = self.project.bookings(theirs, lock=lock) if theirs else {}
        return {**found, **{row.booking_ref: _booking(row) for row in Assignment.objects.filter(booking_ref__in=ours)}}

    def tables_of(self, refs: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        theirs = [ref for ref in refs if not is_walk_in(ref)]
        with _reading():
            return self.project.tables_of(theirs) if theirs else {}

    def floor(self, restaurant_ref: str) -> Floor:
        with _reading():
            return self.project.floor(restaurant_ref)

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        theirs = [each for each in seatings if not is_walk_in(each.booking_ref)]
        if theirs:
            with _budget(), own_writes(each.booking_ref for each in theirs):
                self.project.on_confirmed(theirs)

    def on_review(self, reasons: Mapping[str, str]) -> None:
        theirs = {ref: reason for ref, reason in reasons.items() if not is_walk_in(ref)}
        if theirs:
            with _budget(), own_writes(theirs):
                self.project.on_review(theirs)

    def on_released(self, booking_refs: Sequence[str]) -> None:
        theirs = [ref for ref in booking_refs if not is_walk_in(ref)]
        if theirs:
            with _budget(), own_writes(theirs):
                self.project.on_released(theirs)

    def on_moved(self, moves: Sequence[Move]) -> None:
        theirs = [move for move in moves if not is_walk_in(move.booking_ref)]
        with _budget(), own_writes(move.booking_ref for move in theirs):
            tell_of_moves(self.project, theirs)

    def label(self, booking_ref: str) -> str:
        return booking_ref if is_walk_in(booking_ref) else self.project.label(booking_ref)

    def admin_url(self, booking_ref: str) -> str | None:
        return None if is_walk_in(booking_ref) else self.project.admin_url(booking_ref)

    def deliver(self, message: Message) -> None:
        if not is_walk_in(message.booking_ref):
            with callback_budget.limited(DELIVERY_SECONDS):
                self.project.deliver(message)


def able(host: object, ability: type[Ability]) -> Ability | None:
    """Return the host as one with this optional protocol, such as ``KnowsGuests``; None if the project's host lacks it.

    ``isinstance`` does not work on the result of ``configured``: since Python 3.12 it ignores ``__getattr__``.
    """
    project = host.project if isinstance(host, HostWithWalkIns) else host
    return cast("Ability", host) if isinstance(project, ability) else None


def _budget() -> AbstractContextManager[None]:
    return callback_budget.limited(conf.settings().CALLBACK_SECONDS)


def _reading() -> AbstractContextManager[None]:
    """Return a budget inside a transaction, because others wait for its locks; outside of one, reading has no limit."""
    return _budget() if connection.in_atomic_block else nullcontext()


def _in_time(read: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(read)
    def reads(*args: Any, **kwargs: Any) -> Any:
        with _reading():
            return read(*args, **kwargs)

    return reads


def _booking(row: Assignment) -> HostBooking:
    sits = row.stage in {Stage.SEATED, *GONE}
    return HostBooking(
        ref=row.booking_ref,
        restaurant_ref=row.restaurant_ref,
        starts_at=row.starts_at,
        party=row.party,
        ends_at=row.asked_until,
        zone_ref=row.zone_ref or None,
        requested_at=row.requested_at,
        wants_table=row.state != State.CANCELLED and not sits,
        keeps_tables=row.state != State.CANCELLED and sits,
        is_confirmed=row.state == State.CONFIRMED,
        stage=row.stage,
    )


def configured() -> Host:
    """Return this project's host, with our walk-ins beside its bookings. Raises ImproperlyConfigured."""
    return HostWithWalkIns(conf.load(conf.settings().HOST))
