"""The host seam: what the booking project gives this app, and what it is told.

The app never imports the host's models. It refers to bookings, tables and restaurants by text refs (the host's primary
key as a string), and asks one class, named by ``ASSIGNMENTS["HOST"]``, for everything else. ``assignments.host.ModelHost``
implements that class from field names alone for the usual case.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from assignments import conf
from assignments.exceptions import BookingBusyError
from assignments.planning.floor import Floor


@dataclass(frozen=True, kw_only=True, slots=True)
class HostBooking:
    """A booking as the host tells it.

    ``party``: covers. ``starts_at``: aware datetime. ``ends_at``: if the host knows it (else turn times decide).
    ``wants_table``: False once nothing may be assigned any more: it is cancelled, or guests sit at their table, or sat.
    ``keeps_tables``: of those, guests sit there or sat: what they have is not freed. False means cancelled.
    ``is_confirmed``: the host already shows it as confirmed; such a booking is not waiting for a table.
    ``problem``: why the host's row cannot be planned (no start, a start in the DST gap), in a sentence for staff; the
    assignment fails with it, and the other bookings of the batch go on.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Seating:
    """A booking and the tables that it was given, over ``[starts_at, ends_at)``."""

    booking_ref: str
    table_refs: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """An outbox message. Delivered at least once: the host tells repeats apart by ``id``."""

    id: int
    topic: str
    booking_ref: str
    payload: Mapping[str, Any]
    created_at: datetime


@runtime_checkable
class Host(Protocol):
    """What a booking project implements. The callbacks ``on_*`` run inside the deciding transaction: raise to refuse.

    All of them take and give many bookings at once, so that a batch costs a handful of queries.
    """

    @property
    def tracks_confirmation(self) -> bool:
        """Whether ``HostBooking.is_confirmed`` means anything: False for a project that stores no such thing."""
        ...

    def bookings(self, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        """The bookings that exist, by ref.

        With ``lock`` inside a transaction: rows are locked against edits until its end, and rows that somebody else
        has locked are left out (``SKIP LOCKED``), so that planning never waits for a guest's edit.
        """
        ...

    def unassigned(
        self, *, after: str | None, limit: int, now: datetime, restaurant_ref: str | None = None
    ) -> Sequence[HostBooking]:
        """At most ``limit`` bookings that start after ``now`` and wait for a table, in a stable order, those behind
        the booking ref ``after``."""
        ...

    def history(
        self, *, start: datetime, until: datetime, after: str | None, limit: int, restaurant_ref: str | None = None
    ) -> Sequence[HostBooking]:
        """At most ``limit`` bookings that start in ``[start, until)``, in a stable order, those behind the ref ``after``.

        Everybody who wanted a table then: who waits, who is confirmed, who came, who did not show up. Cancelled bookings are
        left out. For replaying past evenings (``manage.py rollout backtest``).
        """
        ...

    def tables_of(self, refs: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """The tables that the project itself has stored for these bookings, by booking ref; those without are left out.

        Asked once, for bookings that were confirmed before this app was installed. Empty for a project that stores none.
        """
        ...

    def floor(self, restaurant_ref: str) -> Floor:
        """The restaurant's floor. Raises InvalidFloorError, or LookupError for an unknown restaurant."""
        ...

    def floor_fingerprint(self, restaurant_ref: str) -> str:
        """A cheap string that changes whenever ``floor`` would: floors are cached by it."""
        ...

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        """These bookings have their tables: mark them confirmed, and store the tables if the host does."""
        ...

    def on_review(self, reasons: Mapping[str, str]) -> None:
        """Staff have to decide on these bookings (ref -> reason code)."""
        ...

    def on_released(self, booking_refs: Sequence[str]) -> None:
        """These bookings lost their tables and wait again (edited, table broken, staff): unconfirm them, forget the
        tables. Must leave a booking that the host itself has cancelled as it is."""
        ...

    def restaurant_names(self, restaurant_refs: Sequence[str]) -> Mapping[str, str]:
        """What staff call these restaurants, by ref; those without a name are left out."""
        ...

    def label(self, booking_ref: str) -> str:
        """How staff recognise the booking, without personal data."""
        ...

    def admin_url(self, booking_ref: str) -> str | None:
        """Where staff open the booking, or None."""
        ...

    def deliver(self, message: Message) -> None:
        """Tell the guest, a bus, a webhook. Raise to have it tried again."""
        ...


def is_cancelled(booking: HostBooking | None) -> bool:
    """Whether nobody will come: the booking is gone or cancelled, and what it has is to be freed."""
    return booking is None or not (booking.wants_table or booking.keeps_tables)


def lock_bookings(host: Host, booking_refs: Sequence[str]) -> Mapping[str, HostBooking]:
    """Lock these bookings before the host is told of them; those that no longer exist are left out.

    Never waits: whoever edits a booking may wait for our locks already. Raises BookingBusyError for bookings that somebody
    else has locked; ``transactions.run`` runs that again.
    """
    locked = host.bookings(booking_refs, lock=True)
    absent = [ref for ref in booking_refs if ref not in locked]
    busy = sorted(host.bookings(absent)) if absent else []
    if busy:
        raise BookingBusyError(f"Booking {', '.join(busy)} is being edited right now; try again.")
    return locked


def configured() -> Host:
    """The host of this project, one instance a process. Raises ImproperlyConfigured."""
    host: Host = conf.load(conf.settings().HOST)
    return host
