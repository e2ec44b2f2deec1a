"""The host protocol: what the booking project provides to this app, and what this app tells it.

The app never imports the host's models. It identifies bookings, tables and restaurants by text refs (the host's primary
key as a string), and asks one class, named by ``ASSIGNMENTS["HOST"]``, for everything else. For the usual case
``assignments.host.ModelHost`` implements that class from field names alone.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from django.db import IntegrityError

from assignments.exceptions import BookingBusyError, HostRefusedError
from assignments.planning.floor import Floor


@dataclass(frozen=True, kw_only=True, slots=True)
class HostBooking:
    """A booking from the host.

    ``party``: covers. ``starts_at``: aware datetime. ``ends_at``: aware datetime, if the host stores an end (else turn
    times decide).

    ``wants_table``: False if no table may be assigned any more, because the booking is cancelled, or its guests are
    seated or have left. ``keeps_tables``: tells these apart: True if the guests are seated or have left, so that the
    tables are not freed; False if the booking is cancelled. ``is_confirmed``: the host shows the booking as confirmed,
    so it does not wait for a table. ``stage``: the stage of the guests (a value of ``assignments.models.Stage``), if
    the host knows it.

    ``problem``: why the host's row cannot be planned (no start, a start in the DST gap), as a sentence for staff. The
    assignment fails with it; other bookings of the batch are not affected.

    ``table_refs``: the tables that the host shows for the booking, if they are read along with it; otherwise
    ``tables_of`` is asked. ``table_told``: the guests have been told their table, so it is not changed. ``may_move``:
    False if the host wants the booking to keep its table for another reason.

    ``needs``: features that its tables must have, such as step-free. ``wishes``: features that they should have if
    possible.
    """

    ref: str
    restaurant_ref: str
    starts_at: datetime
    party: int
    ends_at: datetime | None = None
    zone_ref: str | None = None
    requested_at: datetime | None = None
    wants_table: bool = True
    keeps_tables: bool = False
    is_confirmed: bool = False
    problem: str | None = None
    stage: str | None = None
    table_refs: tuple[str, ...] | None = None
    table_told: bool = False
    may_move: bool = True
    needs: tuple[str, ...] = ()
    wishes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Seating:
    """A booking and its tables for ``[starts_at, ends_at)``."""

    booking_ref: str
    table_refs: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A change of a booking's tables, or of the time for which it has them.

    The guests have the new tables for ``[starts_at, ends_at)``. ``from_table_refs`` and ``to_table_refs`` are in the
    floor's order.
    """

    booking_ref: str
    from_table_refs: tuple[str, ...]
    to_table_refs: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime

    @property
    def seating(self) -> Seating:
        """The tables that the guests have from now on."""
        return Seating(
            booking_ref=self.booking_ref,
            table_refs=self.to_table_refs,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
        )


@runtime_checkable
class MovesGuests(Protocol):
    """A host that is told of moves. Any other host is told of a release and a confirmation instead."""

    def on_moved(self, moves: Sequence[Move]) -> None:
        """Store the new tables of these bookings, and mark waiting ones as confirmed. Runs in the deciding transaction."""
        ...


@runtime_checkable
class LimitsUsers(Protocol):
    """A host that limits each user to some restaurants. Without it, permissions alone decide."""

    def restaurants_of(self, user: Any) -> Collection[str] | None:
        """Return the refs of the restaurants that an admin user may see and act on; None for all."""
        ...


@runtime_checkable
class FindsRestaurants(Protocol):
    """A host that finds restaurants by name. Without it, commands know only the names of restaurants with bookings."""

    def restaurants_called(self, text: str) -> Collection[str]:
        """Return the refs of the restaurants whose name, or whose own reference, is this text."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Guest:
    """The guest of a booking, for staff who may see it. Read when a page is shown; never stored, logged or announced.

    ``reference``: the booking's reference in the guest's own confirmation.
    """

    name: str = ""
    phone: str = ""
    notes: str = ""
    reference: str = ""

    def __bool__(self) -> bool:
        return bool(self.name or self.phone or self.notes or self.reference)

    def __repr__(self) -> str:
        """Leave out all personal data, so that no traceback or log has it."""
        return "Guest(...)"


@runtime_checkable
class KnowsGuests(Protocol):
    """A host that names guests, and finds bookings by them. Without it, pages show labels only."""

    def guests(self, refs: Sequence[str]) -> Mapping[str, Guest]:
        """Return the guests of these bookings, by ref; bookings without known guests are left out."""
        ...

    def find(self, text: str, *, restaurant_refs: Collection[str] | None, limit: int) -> Sequence[str]:
        """Return the refs of bookings, latest first, by a part of the guest's name, phone or reference.

        ``restaurant_refs``: the restaurants to search; None for all. ``limit``: the most refs to return.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """An outbox message. It is delivered at least once; the host detects repeats by ``id``.

    ``booking_ref``: empty if it is about a restaurant (topics ``closure.closed``, ``closure.edited``,
    ``closure.lifted``). ``number`` counts the messages of the booking (or of the restaurant) from 1. A message whose
    number is not greater than the last one's is a repeat, or was retried late by staff, and may be dropped. 0: stored
    by an earlier release.
    """

    id: int
    topic: str
    booking_ref: str
    payload: Mapping[str, Any]
    created_at: datetime
    number: int = 0


@runtime_checkable
class Host(Protocol):
    """The interface that a booking project implements.

    The callbacks ``on_*`` run in the deciding transaction; a callback refuses by raising. All methods work on many
    bookings at once, so that a batch needs only a few queries.
    """

    @property
    def tracks_confirmation(self) -> bool:
        """Return whether the project stores confirmation, so that ``HostBooking.is_confirmed`` is meaningful."""
        ...

    def bookings(self, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        """Return the existing bookings by ref.

        With ``lock``, the rows are locked against edits until the transaction ends. Rows locked by others are left out
        (``SKIP LOCKED``), so that planning never waits for a guest's edit.
        """
        ...

    def unassigned(
        self, *, after: str | None, limit: int, now: datetime, restaurant_ref: str | None = None
    ) -> Sequence[HostBooking]:
        """Return up to ``limit`` bookings that start after ``now`` and wait for a table.

        They are in a stable order, and come after the ref ``after``. ``now`` may be up to a day ago, to find bookings
        that started while no run succeeded.
        """
        ...

    def history(
        self, *, start: datetime, until: datetime, after: str | None, limit: int, restaurant_ref: str | None = None
    ) -> Sequence[HostBooking]:
        """Return up to ``limit`` bookings that start in ``[start, until)``, in a stable order after the ref ``after``.

        Includes all that needed a table: waiting, confirmed, seated and no-show bookings, but not cancelled ones. Used
        to replay past evenings (``manage.py rollout backtest``).
        """
        ...

    def tables_of(self, refs: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Return the tables that the project has stored for these bookings, by ref, without those that have none.

        Called once, for bookings that were confirmed before this app was installed. Empty if the project stores no
        tables.
        """
        ...

    def floor(self, restaurant_ref: str) -> Floor:
        """Return the restaurant's floor. Raises InvalidFloorError, or LookupError for an unknown restaurant."""
        ...

    def floor_fingerprint(self, restaurant_ref: str) -> str:
        """Return a string that changes whenever ``floor`` does. It must be cheap, because floors are cached by it."""
        ...

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        """Mark these bookings as confirmed, and store their tables if the host does that."""
        ...

    def on_review(self, reasons: Mapping[str, str]) -> None:
        """Handle bookings that need a decision by staff (ref -> reason code)."""
        ...

    def on_released(self, booking_refs: Sequence[str]) -> None:
        """Mark these bookings as waiting and clear their tables (edited, table out of service, undone by staff).

        Must not change a booking that the host has cancelled.
        """
        ...

    def restaurant_names(self, restaurant_refs: Sequence[str]) -> Mapping[str, str]:
        """Return the names of these restaurants, by ref; restaurants without a name are left out."""
        ...

    def label(self, booking_ref: str) -> str:
        """Return a label without personal data by which staff recognise the booking."""
        ...

    def admin_url(self, booking_ref: str) -> str | None:
        """Return the URL at which staff open the booking, or None."""
        ...

    def deliver(self, message: Message) -> None:
        """Deliver a message to the guest, a bus or a webhook, within 10 seconds. Raise an error to have it retried."""
        ...


def pages(read: Callable[[str | None], Sequence[HostBooking]]) -> Iterator[Sequence[HostBooking]]:
    """Yield the pages of bookings that ``read`` returns, each read after the last ref of the one before."""
    page = read(None)
    while page:
        yield page
        page = read(page[-1].ref)


def is_cancelled(booking: HostBooking | None) -> bool:
    """Return whether the booking is gone or cancelled, so that its tables must be freed."""
    return booking is None or not (booking.wants_table or booking.keeps_tables)


def lock_bookings(host: Host, booking_refs: Sequence[str]) -> Mapping[str, HostBooking]:
    """Lock these bookings before a callback to the host; those that no longer exist are left out.

    Never waits, because an edit may already wait for our locks. Raises BookingBusyError, which ``transactions.run``
    retries, if others have locked one of them.
    """
    locked = host.bookings(booking_refs, lock=True)
    absent = [ref for ref in booking_refs if ref not in locked]
    busy = sorted(host.bookings(absent)) if absent else []
    if busy:
        raise BookingBusyError(f"Booking {', '.join(busy)} is being edited right now; try again.")
    return locked


@contextmanager
def named_refusals(booking_refs: Sequence[str]) -> Iterator[None]:
    """Turn a refusal by the host's own database, while it is told of these bookings, into HostRefusedError.

    The error names the constraint, never the row, whose values may name a guest. The transaction must be rolled back.
    """
    try:
        yield
    except IntegrityError as error:
        diagnostics = getattr(error.__cause__, "diag", None)
        constraint = getattr(diagnostics, "constraint_name", None) or type(error).__name__
        raise HostRefusedError(
            f"The booking project's database refuses these tables for booking {', '.join(booking_refs)}: {constraint}.",
            constraint=constraint,
        ) from error


def tell_of_moves(host: Host, moves: Sequence[Move]) -> None:
    """Tell the host of these moves, as a release and a confirmation if it has no ``on_moved``."""
    if not moves:
        return
    if isinstance(host, MovesGuests):
        host.on_moved(moves)
        return
    host.on_released([move.booking_ref for move in moves])
    host.on_confirmed([move.seating for move in moves])
