"""The ledger: who has which table when. Every write either keeps the tables apart or is refused by PostgreSQL."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from psycopg.types.range import TimestamptzRange

from assignments.concurrency.transactions import is_overlap
from assignments.exceptions import HoldExpiredError, TableTakenError
from assignments.models import Allocation
from assignments.models.moment import DatabaseNow
from assignments.planning.natural_order import natural_key
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Occupied


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """A booking, its tables and its window, on their way into the ledger."""

    restaurant_ref: str
    booking_ref: str
    table_refs: tuple[str, ...]
    window: SeatingWindow
    planner: str


def occupied(
    restaurant_ref: str, start: datetime, until: datetime, *, remove_expired: bool = False
) -> tuple[Occupied, ...]:
    """What is taken in the restaurant over ``[start, until)``, expired holds left out. One query.

    Who goes on to take tables sets ``remove_expired``, so that the constraint no longer sees those holds either (one query
    more if there are any).
    """
    rows = list(
        Allocation.objects.at(restaurant_ref)
        .filter(blocked__overlap=(start, until))
        .annotate(is_expired=Q(kind=Allocation.Kind.HOLD, expires_at__lte=DatabaseNow()))
        .values_list("table_ref", "blocked", "booking_ref", "is_expired")
    )
    if remove_expired and any(expired for *_, expired in rows):
        remove_expired_holds(restaurant_ref)
    return tuple(
        Occupied(
            table_ref=table_ref,
            blocked_from=blocked.lower,
            blocked_until=blocked.upper,
            booking_ref=booking_ref or None,
        )
        for table_ref, blocked, booking_ref, expired in rows
        if not expired
    )


def remove_expired_holds(restaurant_ref: str) -> int:
    """Forget holds whose time is up, so that the constraint no longer sees them. Returns how many tables they had."""
    removed, _by_model = Allocation.objects.filter(
        restaurant_ref=restaurant_ref, kind=Allocation.Kind.HOLD, expires_at__lte=DatabaseNow()
    ).delete()
    return removed


def seat(placements: Iterable[Placement]) -> None:
    """Take the tables for good. Raises TableTakenError; the transaction must be rolled back then."""
    _insert(
        [
            _row(placement, table_ref, kind=Allocation.Kind.SEATING)
            for placement in placements
            for table_ref in placement.table_refs
        ]
    )


def hold(placement: Placement, *, seconds: float, now: datetime) -> uuid.UUID:
    """Take the tables for ``seconds`` and give the hold's token. Raises TableTakenError (roll back then)."""
    token = uuid.uuid4()
    columns = {"kind": Allocation.Kind.HOLD, "expires_at": now + timedelta(seconds=seconds), "token": token}
    _insert([_row(placement, table_ref, **columns) for table_ref in placement.table_refs])
    return token


def seat_hold(token: uuid.UUID) -> tuple[str, ...]:
    """Turn a hold into a seating and give its table refs. Raises HoldExpiredError when it is gone or too old."""
    rows = list(Allocation.objects.select_for_update().filter(token=token, kind=Allocation.Kind.HOLD))
    updated = Allocation.objects.filter(token=token, kind=Allocation.Kind.HOLD, expires_at__gt=DatabaseNow()).update(
        kind=Allocation.Kind.SEATING, expires_at=None
    )
    if not updated or updated != len(rows):
        raise HoldExpiredError(f"Hold {token} has expired or was released; take a new one.")
    return tuple(sorted(row.table_ref for row in rows))


def release(booking_refs: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Free every table of these bookings, holds and seatings; table refs by booking."""
    if not booking_refs:
        return {}
    rows = Allocation.objects.filter(booking_ref__in=booking_refs).exclude(booking_ref="")
    freed: dict[str, list[str]] = defaultdict(list)
    for booking_ref, table_ref in rows.order_by("table_ref").values_list("booking_ref", "table_ref"):
        freed[booking_ref].append(table_ref)
    if freed:
        rows.order_by().delete()
    return {booking_ref: tuple(refs) for booking_ref, refs in freed.items()}


def release_hold(token: uuid.UUID) -> int:
    """Give a hold's tables back; how many there were (0 if it was gone already)."""
    removed, _by_model = Allocation.objects.filter(token=token, kind=Allocation.Kind.HOLD).delete()
    return removed


def tables_of(booking_refs: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """The tables at which these bookings are seated (holds not counted)."""
    seated: dict[str, list[str]] = defaultdict(list)
    rows = Allocation.objects.filter(booking_ref__in=booking_refs, kind=Allocation.Kind.SEATING)
    for booking_ref, table_ref in rows.order_by("table_ref").values_list("booking_ref", "table_ref"):
        seated[booking_ref].append(table_ref)
    return {booking_ref: tuple(refs) for booking_ref, refs in seated.items()}


def blocked_at(restaurant_ref: str, table_ref: str, start: datetime, until: datetime) -> list[Allocation]:
    """What bookings have of the table at any time over ``[start, until)``, held or seated, buffers included."""
    rows = Allocation.objects.at(restaurant_ref).filter(table_ref=table_ref, blocked__overlap=(start, until))
    return list(rows.exclude(booking_ref="").order_by("starts_at"))


def give_up_buffers(rows: Iterable[Allocation], start: datetime, until: datetime) -> None:
    """Free what these have of ``[start, until)`` by their buffers alone: nobody sits there then."""
    for row in rows:
        lower, upper = row.blocked.lower, row.blocked.upper
        row.blocked = TimestamptzRange(lower, start) if row.ends_at <= start else TimestamptzRange(until, upper)
        row.save(update_fields=["blocked"])


def stay_until(seatings: Iterable[Allocation], window: SeatingWindow) -> bool:
    """Keep guests who sit at their tables until the end of ``window``, longer or shorter; False if somebody follows too
    soon, and then nothing is changed."""
    try:
        with transaction.atomic():
            for row in seatings:
                row.ends_at = window.ends_at
                row.blocked = TimestamptzRange(row.blocked.lower, window.blocked_until)
                row.save(update_fields=["ends_at", "blocked"])
    except IntegrityError as error:
        if not is_overlap(error):
            raise
        return False
    return True


def close_table(restaurant_ref: str, table_ref: str, start: datetime, until: datetime) -> None:
    """Keep everybody from the table over ``[start, until)``. Raises TableTakenError while somebody sits there.

    A closure that is there already is extended: a table that is reported broken twice is broken once.
    """
    closures = Allocation.objects.at(restaurant_ref).filter(
        table_ref=table_ref, kind=Allocation.Kind.CLOSURE, blocked__overlap=(start, until)
    )
    known = list(closures.values_list("starts_at", "ends_at"))
    if known:
        start, until = min(start, *(first for first, _last in known)), max(until, *(last for _first, last in known))
        closures.delete()
    _insert(
        [
            Allocation(
                restaurant_ref=restaurant_ref,
                table_ref=table_ref,
                kind=Allocation.Kind.CLOSURE,
                blocked=TimestamptzRange(start, until),
                starts_at=start,
                ends_at=until,
            )
        ]
    )


def open_table(restaurant_ref: str, table_ref: str) -> int:
    """End every closure of the table; how many there were."""
    removed, _by_model = Allocation.objects.filter(
        restaurant_ref=restaurant_ref, table_ref=table_ref, kind=Allocation.Kind.CLOSURE
    ).delete()
    return removed


def _row(placement: Placement, table_ref: str, **columns: Any) -> Allocation:
    window = placement.window
    return Allocation(
        restaurant_ref=placement.restaurant_ref,
        table_ref=table_ref,
        booking_ref=placement.booking_ref,
        blocked=TimestamptzRange(window.blocked_from, window.blocked_until),
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        planner=placement.planner,
        **columns,
    )


def _insert(rows: list[Allocation]) -> None:
    # Sorted, so that two transactions that want the same tables meet at the first one instead of deadlocking.
    rows.sort(key=lambda row: (row.restaurant_ref, row.table_ref, row.starts_at))
    try:
        Allocation.objects.bulk_create(rows)
    except IntegrityError as error:
        if not is_overlap(error):
            raise
        raise TableTakenError(
            "Somebody else has one of these tables over this time: "
            + ", ".join(sorted({row.table_ref for row in rows}, key=natural_key))
        ) from error
