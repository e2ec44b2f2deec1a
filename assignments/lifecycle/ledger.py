"""The ledger: who has which table when. Every write either keeps the tables apart or is refused by PostgreSQL."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.postgres.fields import ArrayField, DateTimeRangeField
from django.db import IntegrityError, transaction
from django.db.models import F, Func, Q, TextField, Value
from django.db.models.functions import Now
from psycopg.types.range import TimestamptzRange

from assignments.concurrency.transactions import is_overlap
from assignments.exceptions import HoldExpiredError, TableTakenError
from assignments.models import Allocation, Closure
from assignments.models.closure import TimeRange
from assignments.planning.floor import Floor
from assignments.planning.natural_order import natural_key
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Occupied


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """A booking, its tables and its window, on their way into the ledger.

    ``overridden_by``: who seats it even if the tables are closed; empty where nobody may.
    """

    restaurant_ref: str
    booking_ref: str
    table_refs: tuple[str, ...]
    window: SeatingWindow
    planner: str
    overridden_by: str = ""


def occupied(
    restaurant_ref: str,
    start: datetime,
    until: datetime,
    *,
    floor: Floor | None = None,
    remove_expired: bool = False,
) -> tuple[Occupied, ...]:
    """What is taken or closed in the restaurant over ``[start, until)``, expired holds left out. One query.

    Closures of a zone or of the whole restaurant close the tables that ``floor`` has there now.

    Who goes on to take tables sets ``remove_expired``, so that the constraint no longer sees those holds either (one query
    more if there are any).
    """
    taken = (
        Allocation.objects.at(restaurant_ref)
        .filter(blocked__overlap=(start, until))
        .annotate(
            refs=Func(F("table_ref"), template="ARRAY[%(expressions)s]", output_field=ArrayField(TextField())),
            zone=Value("", output_field=TextField()),
            is_expired=Q(kind=Allocation.Kind.HOLD, expires_at__lte=Now()),
        )
        .order_by()
        .values_list("refs", "zone", "blocked", "booking_ref", "is_expired")
    )
    closed = (
        Closure.objects.standing()
        .during(start, until)
        .filter(restaurant_ref=restaurant_ref)
        .annotate(
            span=TimeRange(F("starts_at"), F("ends_at"), output_field=DateTimeRangeField()),
            nobody=Value("", output_field=TextField()),
            is_expired=Value(False),
        )
        .order_by()
        .values_list("table_refs", "zone_ref", "span", "nobody", "is_expired")
    )
    rows = list(taken.union(closed, all=True))
    if remove_expired and any(expired for *_, expired in rows):
        remove_expired_holds(restaurant_ref)
    return tuple(
        Occupied(
            table_ref=table_ref,
            blocked_from=blocked.lower,
            blocked_until=blocked.upper or until,
            booking_ref=booking_ref or None,
            closed=not booking_ref,
        )
        for table_refs, zone_ref, blocked, booking_ref, expired in rows
        if not expired
        for table_ref in (table_refs if booking_ref else tables_closed(table_refs, zone_ref, floor))
    )


def tables_closed(table_refs: Sequence[str], zone_ref: str, floor: Floor | None) -> Sequence[str]:
    """Return the tables that a closure closes: those that it names, and those that the floor has there now."""
    if floor is None:
        return table_refs
    there = [table.ref for table in floor.tables if not table_refs or (zone_ref and table.zone_ref == zone_ref)]
    return tuple(dict.fromkeys([*table_refs, *there]))


def remove_expired_holds(restaurant_ref: str) -> int:
    """Forget holds whose time is up, so that the constraint no longer sees them. Returns how many tables they had."""
    removed, _by_model = Allocation.objects.filter(
        restaurant_ref=restaurant_ref, kind=Allocation.Kind.HOLD, expires_at__lte=Now()
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
    updated = Allocation.objects.filter(token=token, kind=Allocation.Kind.HOLD, expires_at__gt=Now()).update(
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


def blocked_at(
    restaurant_ref: str, table_refs: Sequence[str] | None, start: datetime, until: datetime | None
) -> list[Allocation]:
    """What bookings have of these tables (None: of all) at any time from ``start`` on, held or seated, buffers included.

    Up to ``until``; for ever if it is None.
    """
    rows = Allocation.objects.at(restaurant_ref).filter(blocked__overlap=TimestamptzRange(start, until))
    if table_refs is not None:
        rows = rows.filter(table_ref__in=table_refs)
    return list(rows.order_by("starts_at", "table_ref"))


def give_up_buffers(rows: Iterable[Allocation], start: datetime, until: datetime | None) -> None:
    """Free what these have of ``[start, until)`` by their buffers alone: nobody sits there then."""
    for row in rows:
        lower, upper = row.blocked.lower, row.blocked.upper
        row.blocked = TimestamptzRange(lower, start) if row.ends_at <= start else TimestamptzRange(until, upper)
        row.save(update_fields=["blocked"])


def give_up(rows: Iterable[Allocation]) -> None:
    """Free these tables, and leave the booking those that it has beside them."""
    Allocation.objects.filter(pk__in=[row.pk for row in rows]).delete()


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
        overridden_by=placement.overridden_by,
        **columns,
    )


def _insert(rows: list[Allocation]) -> None:
    # Sorted, so that two transactions that want the same tables meet at the first one instead of deadlocking.
    rows.sort(key=lambda row: (row.table_ref, row.starts_at))
    try:
        Allocation.objects.bulk_create(rows)
    except IntegrityError as error:
        if not is_overlap(error):
            raise
        raise TableTakenError(
            "Somebody else has one of these tables over this time, or it is closed: "
            + ", ".join(sorted({row.table_ref for row in rows}, key=natural_key))
        ) from error
