"""Test helpers for projects that use this app: a host in memory, and builders for its values.

    host = MemoryHost(floors=[a_floor(tables=[a_table("T1", seats=4)])])
    host.book("B1", starts_at=..., party=2)
    with shifted(timedelta(hours=3)):  # or at(a_moment)
        ...

Set ``ASSIGNMENTS["HOST"]`` to a subclass of it, or pass it to ``Coordinator(host)``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time
from typing import Any

from assignments.concurrency.clock import at, shifted
from assignments.integration.host import HostBooking, Message, Move, Seating
from assignments.planning.floor import Floor, Join, Pacing, ServicePeriod, Table, TurnTime, adjacency

__all__ = ["MemoryHost", "a_floor", "a_service", "a_table", "at", "shifted"]


def a_table(ref: str, *, name: str = "", seats: int = 4, **kwargs: Any) -> Table:
    """Build a table, by default with its ref as its name."""
    return Table(ref=ref, name=name or ref, seats=seats, **kwargs)


def a_service(**kwargs: Any) -> ServicePeriod:
    """Build a service period. Default: dinner, 17:00 to 23:00, with a turn time of two hours."""
    defaults: dict[str, Any] = {
        "key": "dinner",
        "starts": time(17),
        "ends": time(23),
        "turn_times": (TurnTime(max_party=100, minutes=120),),
    }
    return ServicePeriod(**{**defaults, **kwargs})


def a_floor(
    restaurant_ref: str = "R1",
    *,
    tables: Iterable[Table] = (),
    services: Iterable[ServicePeriod] = (),
    adjacent: Iterable[tuple[str, str]] = (),
    joins: Iterable[Join] = (),
    timezone: str = "Europe/London",
    pacing: Iterable[Pacing] = (),
) -> Floor:
    """Build a floor. Default for ``services``: one dinner."""
    return Floor(
        restaurant_ref=restaurant_ref,
        timezone=timezone,
        tables=tuple(tables),
        services=tuple(services) or (a_service(),),
        adjacent=adjacency(adjacent),
        joins=tuple(joins),
        pacing=tuple(pacing),
    )


class MemoryHost:
    """An ``assignments.integration.host.Host`` in memory that records the calls to it.

    ``locked`` refs behave like rows that another transaction has locked. ``raises`` maps method names to exceptions,
    which are raised for the booking refs in ``raises_for``, or always if that is empty.
    """

    tracks_confirmation = True

    def __init__(self, *, floors: Iterable[Floor] = ()) -> None:
        self.floors: dict[str, Floor | Exception] = {floor.restaurant_ref: floor for floor in floors}
        self.rows: dict[str, HostBooking] = {}
        self.seated: dict[str, Seating] = {}
        self.reviews: dict[str, str] = {}
        self.released: list[str] = []
        self.moves: list[Move] = []
        self.delivered: list[Message] = []
        self.locked: set[str] = set()
        self.raises: dict[str, Exception] = {}
        self.raises_for: set[str] = set()

    def book(
        self, ref: str, *, starts_at: datetime, party: int = 2, restaurant_ref: str = "R1", **kwargs: Any
    ) -> HostBooking:
        """Add a booking that needs a table."""
        self.rows[ref] = HostBooking(ref=ref, restaurant_ref=restaurant_ref, starts_at=starts_at, party=party, **kwargs)
        return self.rows[ref]

    def edit(self, ref: str, **changes: Any) -> HostBooking:
        """Change fields of a booking."""
        self.rows[ref] = replace(self.rows[ref], **changes)
        return self.rows[ref]

    def bookings(self, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        self._maybe_raise("bookings", refs)
        return {ref: self.rows[ref] for ref in refs if ref in self.rows and not (lock and ref in self.locked)}

    def unassigned(
        self, *, after: str | None, limit: int, now: datetime, restaurant_ref: str | None = None
    ) -> Sequence[HostBooking]:
        waiting = [
            booking
            for ref, booking in sorted(self.rows.items())
            if booking.wants_table
            and not booking.is_confirmed
            and (after is None or ref > after)
            and restaurant_ref in {None, booking.restaurant_ref}
        ]
        return waiting[:limit]

    def history(
        self, *, start: datetime, until: datetime, after: str | None, limit: int, restaurant_ref: str | None = None
    ) -> Sequence[HostBooking]:
        wanted = [
            booking
            for ref, booking in sorted(self.rows.items())
            if booking.wants_table
            and start <= booking.starts_at < until
            and (after is None or ref > after)
            and restaurant_ref in {None, booking.restaurant_ref}
        ]
        return wanted[:limit]

    def tables_of(self, refs: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        return {ref: self.seated[ref].table_refs for ref in refs if ref in self.seated}

    def floor(self, restaurant_ref: str) -> Floor:
        floor = self.floors[restaurant_ref]
        if isinstance(floor, Exception):
            raise floor
        return floor

    def floor_fingerprint(self, restaurant_ref: str) -> str:
        floor = self.floors.get(restaurant_ref)
        return floor.version if isinstance(floor, Floor) else repr(floor)

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        self._maybe_raise("on_confirmed", [seating.booking_ref for seating in seatings])
        for seating in seatings:
            self.seated[seating.booking_ref] = seating
            self.edit(seating.booking_ref, is_confirmed=True)

    def on_moved(self, moves: Sequence[Move]) -> None:
        self._maybe_raise("on_moved", [move.booking_ref for move in moves])
        self.moves += moves
        for move in moves:
            self.seated[move.booking_ref] = move.seating
            self.edit(move.booking_ref, is_confirmed=True)

    def on_review(self, reasons: Mapping[str, str]) -> None:
        self._maybe_raise("on_review", list(reasons))
        self.reviews.update(reasons)

    def on_released(self, booking_refs: Sequence[str]) -> None:
        self._maybe_raise("on_released", booking_refs)
        for ref in booking_refs:
            self.released.append(ref)
            self.seated.pop(ref, None)
            if ref in self.rows:
                self.edit(ref, is_confirmed=False)

    def restaurant_names(self, restaurant_refs: Sequence[str]) -> Mapping[str, str]:
        return {ref: f"Restaurant {ref}" for ref in restaurant_refs if ref in self.floors}

    def label(self, booking_ref: str) -> str:
        return f"Booking {booking_ref}"

    def admin_url(self, booking_ref: str) -> str | None:
        return None

    def deliver(self, message: Message) -> None:
        self._maybe_raise("deliver", [message.booking_ref])
        self.delivered.append(message)

    def _maybe_raise(self, method: str, refs: Sequence[str]) -> None:
        error = self.raises.get(method)
        if error is not None and (not self.raises_for or self.raises_for & set(refs)):
            raise error
