"""The ledger: which booking has which table when. PostgreSQL refuses every write that would give a table twice.

Long because every write to the ledger is here, where one look tells what keeps tables apart and who is woken.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from psycopg.types.range import TimestamptzRange

from assignments.concurrency import sql, transactions
from assignments.concurrency.transactions import is_overlap
from assignments.exceptions import HoldExpiredError, TableTakenError
from assignments.lifecycle import buffers, waiting
from assignments.models import Allocation, Assignment, Closure, NewAllocation, Stage
from assignments.models.insertion import blocked_range, insert
from assignments.models.moment import DatabaseNow, process_now
from assignments.planning.floor import Floor
from assignments.planning.natural_order import NaturalKey, natural_key
from assignments.planning.reasons import Reason
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Occupied

_INSTANT = timedelta(microseconds=1)
"""The shortest time for which a table is blocked: an empty range would block nothing."""


_OCCUPIED = """
SELECT ARRAY[table_ref], '', lower(blocked), upper(blocked), booking_ref,
       kind = 'hold' AND expires_at <= assignments_now(), coalesce(party, 1),
       CASE WHEN %(has_stays)s THEN starts_at END,
       CASE WHEN %(has_stays)s THEN coalesce(ended_at, overstays_until, ends_at) END
  FROM assignments_allocation
 WHERE int8range(hashtextextended(restaurant_ref, 0), hashtextextended(restaurant_ref, 0), '[]')
       && int8range(hashtextextended(%(restaurant)s, 0), hashtextextended(%(restaurant)s, 0), '[]')
   AND restaurant_ref = %(restaurant)s AND blocked && tstzrange(%(start)s, %(until)s)
UNION ALL
SELECT ARRAY[table_ref], '', upper(blocked), overstays_until, booking_ref, false, coalesce(party, 1),
       CASE WHEN %(has_stays)s THEN starts_at END, CASE WHEN %(has_stays)s THEN overstays_until END
  FROM assignments_allocation AS cut
 WHERE ended_at IS NULL AND kind = 'seating' AND restaurant_ref = %(restaurant)s
   AND overstays_until > %(start)s AND starts_at > %(earliest)s AND starts_at < %(until)s
   AND upper(blocked) < %(until)s AND upper(blocked) < overstays_until
   AND NOT EXISTS (SELECT FROM assignments_allocation AS other
                    WHERE other.restaurant_ref = cut.restaurant_ref AND other.table_ref = cut.table_ref
                      AND other.ended_at IS NULL
                      AND other.blocked && tstzrange(upper(cut.blocked), cut.overstays_until))
UNION ALL
SELECT table_refs, zone_ref, starts_at, ends_at, '', false, 0, NULL, NULL
  FROM assignments_closure
 WHERE lifted_at IS NULL AND (ends_at IS NULL OR ends_at > %(start)s) AND starts_at < %(until)s
   AND restaurant_ref = %(restaurant)s
"""
"""What is taken, what guests keep whose table closes or is needed before they leave (``is_cut``), unless somebody else
has it then, and what is closed. In SQL since every decision asks it: to put it together takes longer than to run it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """A booking, its tables and its window, to be written to the ledger.

    ``party`` (covers) and ``zone_ref``: what the booking is promised. ``despite``: rules that staff overrode.
    ``overridden_by``: the actor that overrides closures; empty if nobody does.
    """

    restaurant_ref: str
    booking_ref: str
    table_refs: tuple[str, ...]
    window: SeatingWindow
    planner: str
    party: int | None = None
    zone_ref: str | None = None
    despite: tuple[str, ...] = ()
    overridden_by: str = ""


def occupied(
    restaurant_ref: str,
    start: datetime,
    until: datetime,
    *,
    floor: Floor | None = None,
    remove_expired: bool = False,
    with_stays: bool = False,
) -> tuple[Occupied, ...]:
    """Return what is taken or closed in the restaurant over ``[start, until)``, without expired holds. One query.

    Closures of a zone or of the whole restaurant close the tables that ``floor`` has there now. If a table closes under
    its guests and opens again before they leave, they have it until they leave. ``with_stays``: include the time when
    the guests are there, without buffers, even if no pacing needs it.

    Set ``remove_expired`` before taking tables, so that the constraint no longer sees expired holds either (one query
    more if there are any).
    """
    has_stays = with_stays or (floor is not None and floor.is_paced)
    rows = sql.prepared_rows(
        _OCCUPIED,
        restaurant=restaurant_ref,
        start=start,
        until=until,
        earliest=start - waiting.LONGEST_STAY - waiting.LONGEST_BUFFER,
        has_stays=has_stays,
    )
    if remove_expired and any(row[5] for row in rows):
        remove_expired_holds(restaurant_ref)
    return tuple(
        Occupied(
            table_ref=table_ref,
            blocked_from=blocked_from,
            blocked_until=blocked_until or until,
            booking_ref=booking_ref or None,
            closed=not booking_ref,
            **(_sitting(covers, comes, goes) if has_stays and booking_ref else {}),
        )
        for table_refs, zone_ref, blocked_from, blocked_until, booking_ref, expired, covers, comes, goes in rows
        if not expired
        for table_ref in (table_refs if booking_ref else tables_closed(table_refs, zone_ref, floor))
    )


def sitting(row: Allocation) -> dict[str, Any]:
    """Return what pacing counts about a seating, as attributes of ``Occupied``."""
    return _sitting(1 if row.party is None else row.party, row.starts_at, row.ended_at or row.stays_until)


def _sitting(party: int, starts_at: datetime, ends_at: datetime) -> dict[str, Any]:
    return {"party": party, "starts_at": starts_at, "ends_at": ends_at}


def tables_closed(table_refs: Sequence[str], zone_ref: str, floor: Floor | None) -> Sequence[str]:
    """Return the refs of the tables that a closure closes.

    They are the tables that it names, and those that the floor has in its zone now; all if it names nothing.
    """
    if floor is None:
        return table_refs
    there = [table.ref for table in floor.tables if not table_refs or (zone_ref and table.zone_ref == zone_ref)]
    return tuple(dict.fromkeys([*table_refs, *there]))


def remove_expired_holds(restaurant_ref: str) -> int:
    """Delete expired holds, so that the constraint no longer sees them, and wake bookings that wait for their tables.

    Returns how many tables they had.
    """
    rows = list(_expired_holds().filter(restaurant_ref=restaurant_ref))
    _delete(rows)
    return len(rows)


def _expired_holds() -> QuerySet[Allocation]:
    return Allocation.objects.filter(kind=Allocation.Kind.HOLD, expires_at__lte=DatabaseNow())


def restaurants_with_expired_holds() -> list[str]:
    """Return the refs of the restaurants that have expired holds, in order. One query."""
    refs = _expired_holds().order_by("restaurant_ref").values_list("restaurant_ref", flat=True)
    return list(refs.distinct())


def expired_by_now() -> tuple[datetime, bool, bool]:
    """Return the database's time, whether there are expired holds, and whether there are batch marks. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT clock_timestamp() + assignments_clock_offset(), EXISTS (SELECT FROM assignments_allocation"
            " WHERE kind = 'hold' AND expires_at <= assignments_now()), EXISTS (SELECT FROM assignments_batchmark)"
        )
        now, has_expired, has_marks = cursor.fetchone()
    return now, has_expired, has_marks


def seat(placements: Iterable[Placement]) -> None:
    """Seat these placements. Raises TableTakenError; the transaction must be rolled back then."""
    _insert(
        [
            _row(placement, table_ref, kind=Allocation.Kind.SEATING)
            for placement in placements
            for table_ref in placement.table_refs
        ]
    )


def hold(placement: Placement, *, seconds: float, now: datetime) -> uuid.UUID:
    """Hold the tables for ``seconds``, and return the hold's token. Raises TableTakenError (roll back then)."""
    token = uuid.uuid4()
    columns = {"kind": Allocation.Kind.HOLD, "expires_at": now + timedelta(seconds=seconds), "token": token}
    _insert([_row(placement, table_ref, **columns) for table_ref in placement.table_refs])
    return token


def seat_hold(token: uuid.UUID) -> tuple[str, ...]:
    """Turn a hold into a seating, and return its table refs. Raises HoldExpiredError if it is gone or has expired."""
    rows = list(Allocation.objects.select_for_update().filter(token=token, kind=Allocation.Kind.HOLD))
    updated = Allocation.objects.filter(token=token, kind=Allocation.Kind.HOLD, expires_at__gt=DatabaseNow()).update(
        kind=Allocation.Kind.SEATING, expires_at=None
    )
    if not updated or updated != len(rows):
        raise HoldExpiredError(f"Hold {token} has expired or was released; take a new one.")
    return tuple(sorted((row.table_ref for row in rows), key=natural_key))


def release(booking_refs: Sequence[str], *, for_others: bool = True) -> Mapping[str, tuple[str, ...]]:
    """Free all tables of these bookings, held or seated, and wake bookings that wait. Return table refs by booking.

    Seatings that have ended stay on record. ``for_others``: False if the caller seats these bookings next, so that
    nobody is woken.
    """
    if not booking_refs:
        return {}
    rows = sorted(
        Allocation.objects.filter(booking_ref__in=booking_refs, ended_at__isnull=True).exclude(booking_ref=""),
        key=_by_table,
    )
    _delete(rows, for_others=for_others)
    freed: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        freed[row.booking_ref].append(row.table_ref)
    return {booking_ref: tuple(refs) for booking_ref, refs in freed.items()}


def vacate(rows: Sequence[Allocation], *, at: datetime, has_sat: bool) -> None:
    """Free a booking's current tables from ``at`` on, and wake bookings that wait for one.

    ``has_sat``: its guests sat there until then, which stays on record. Otherwise the rows are deleted.
    """
    ending = [row for row in rows if has_sat and row.blocked.lower < at]
    _delete([row for row in rows if row not in ending])
    freed = {(row.restaurant_ref, at, _last(row)) for row in ending}
    for row in ending:
        row.ended_at = at
        row.blocked = TimestamptzRange(row.blocked.lower, min(at, row.blocked.upper))
        row.save(update_fields=["ended_at", "blocked"])
    _wake(freed)


def close_at(rows: Sequence[Allocation], at: datetime, *, now: datetime) -> list[Allocation]:
    """End seatings at tables that close at ``at`` under their guests. Return those that go on until then.

    A table that closes now is freed now. A table that closes later is theirs until then; the end of their stay is kept
    beside the time for which the table is blocked.
    """
    kept = [row for row in rows if now < at and row.blocked.lower < at]
    vacate([row for row in rows if row not in kept], at=now, has_sat=True)
    for row in kept:
        if at < row.stays_until:
            row.overstays_until = row.stays_until
        row.blocked = TimestamptzRange(row.blocked.lower, min(at, row.blocked.upper))
        row.save(update_fields=["blocked", "overstays_until"])
    return kept


def closing_later(restaurant_ref: str, now: datetime) -> list[Allocation]:
    """Return the seatings at tables that will close before their guests leave (see ``close_at``). One query."""
    rows = Allocation.objects.current().filter(restaurant_ref=restaurant_ref, overstays_until__gt=now)
    return [row for row in rows if is_cut(row)]


def is_cut(row: Allocation) -> bool:
    """Return whether the table closes, or somebody else has it, before its guests leave."""
    return bool(row.overstays_until) and bool(row.blocked.upper < row.stays_until)


def closing_under(rows: Sequence[Allocation]) -> list[Allocation]:
    """Return those of these seatings whose tables close before their guests leave. At most one query each."""
    return [row for row in rows if is_cut(row) and closed_during([row], row.blocked.upper, row.stays_until)]


def reach_closures(rows: Iterable[Allocation]) -> list[Allocation]:
    """Block cut tables until they close or somebody else has them, as of now. Return those that are blocked longer."""
    longer = []
    for row in rows:
        upper, until = row.blocked.upper, row.stays_until
        closures = [max(upper, each.starts_at) for each in closed_during([row], upper, until)]
        last = min([until, *closures, *(max(upper, each.blocked.lower) for each in followers([row], until))])
        if upper < last:
            row.blocked = TimestamptzRange(row.blocked.lower, last)
            row.save(update_fields=["blocked"])
            longer.append(row)
    return longer


def note_promise(rows: Sequence[Allocation], *, party: int, zone_ref: str | None) -> None:
    """Record the party and zone for which these seatings were made, if an earlier version did not."""
    unknown = [row for row in rows if row.party is None]
    for row in unknown:
        row.party, row.zone_ref = party, zone_ref
    if unknown:
        Allocation.objects.bulk_update(unknown, ["party", "zone_ref"])


def _delete(rows: Sequence[Allocation], *, for_others: bool = True) -> None:
    if not rows:
        return
    if for_others:
        _wake({(row.restaurant_ref, row.blocked.lower, _last(row)) for row in rows}, [row.pk for row in rows])
    else:
        Allocation.objects.filter(pk__in=[row.pk for row in rows]).delete()


def _last(row: Allocation) -> datetime:
    """Return until when this row keeps the table from others."""
    until: datetime = row.blocked.upper
    return max(until, row.overstays_until or until)


def _wake_for_less(rows: Sequence[Allocation], kept: Mapping[int, datetime]) -> None:
    """Wake bookings that wait for what these rows kept from others before, until ``kept`` by key, and no longer keep.

    Another booking may wait for staff only because guests were to overstay into its time.
    """
    _wake({(row.restaurant_ref, _last(row), kept[row.pk]) for row in rows if _last(row) < kept[row.pk]})


def _wake(freed: Iterable[tuple[str, datetime, datetime]], deleting: Sequence[int] = ()) -> None:
    """Wake bookings that wait for what is freed. ``deleting``: keys of rows to delete in the same query."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for restaurant_ref, start, until in freed:
        first, last = spans.get(restaurant_ref, (start, until))
        spans[restaurant_ref] = (min(first, start), max(last, until))
    for restaurant_ref, (start, until) in sorted(spans.items()):
        waiting.wake(restaurant_ref, start, until, deleting=deleting)


def release_hold(token: uuid.UUID) -> int:
    """Release a hold. Return the number of its tables (0 if it was gone already)."""
    rows = list(Allocation.objects.filter(token=token, kind=Allocation.Kind.HOLD))
    _delete(rows)
    return len(rows)


def tables_of(booking_refs: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Return the tables at which these bookings are seated, by ref, without holds and tables that they have left."""
    return {ref: tuple(row.table_ref for row in rows) for ref, rows in seatings_of(booking_refs).items()}


def seated_past_their_time(restaurant_ref: str, *, now: datetime) -> list[tuple[str, str]]:
    """Return tables, each with the booking whose guests sit there although its time is over. One query."""
    rows = Allocation.objects.current().filter(
        restaurant_ref=restaurant_ref, starts_at__gt=now - waiting.LONGEST_STAY, starts_at__lt=now, ends_at__lte=now
    )
    seated = Assignment.objects.filter(stage=Stage.SEATED, booking_ref=OuterRef("booking_ref"))
    return list(
        rows.filter(Exists(seated)).order_by("booking_ref", "table_ref").values_list("table_ref", "booking_ref")
    )


def seatings_of(booking_refs: Sequence[str]) -> Mapping[str, list[Allocation]]:
    """Return the current seatings of these bookings, by ref, in the order of tables. One query.

    Bookings without seatings are left out.
    """
    seated: dict[str, list[Allocation]] = defaultdict(list)
    storable = [ref for ref in booking_refs if "\0" not in ref]
    for row in sorted(Allocation.objects.current().filter(booking_ref__in=storable), key=_by_table):
        seated[row.booking_ref].append(row)
    return dict(seated)


def taken_at(restaurant_ref: str, table_refs: Sequence[str], start: datetime, until: datetime) -> list[Allocation]:
    """Return what is taken of these tables at any time in ``[start, until)``, with buffers, by start. One query."""
    rows = Allocation.objects.at(restaurant_ref).filter(table_ref__in=table_refs, blocked__overlap=(start, until))
    return list(
        rows.exclude(kind=Allocation.Kind.HOLD, expires_at__lte=DatabaseNow()).order_by("starts_at", "table_ref")
    )


def are_closed(restaurant_ref: str, table_refs: Sequence[str], window: SeatingWindow) -> bool:
    """Return whether one of these tables is closed for some part of the window, as the database judges it. One query."""
    closures = (
        Closure.objects.not_lifted().during(window.starts_at, window.ends_at).filter(restaurant_ref=restaurant_ref)
    )
    return closures.filter(Q(table_refs=[]) | Q(table_refs__overlap=list(table_refs))).exists()


def blocked_at(
    restaurant_ref: str, table_refs: Sequence[str] | None, start: datetime, until: datetime | None
) -> list[Allocation]:
    """Return what bookings have of these tables (None: of all) from ``start`` on, held or seated, with buffers.

    Looks up to ``until``, or without an end if it is None. Includes tables at which guests will overstay in that time.
    """
    overstayed = Q(kind=Allocation.Kind.SEATING, ended_at__isnull=True, overstays_until__gt=start)
    if until is not None:
        overstayed &= Q(starts_at__lt=until)
    rows = Allocation.objects.at(restaurant_ref).filter(Q(blocked__overlap=TimestamptzRange(start, until)) | overstayed)
    if table_refs is not None:
        rows = rows.filter(table_ref__in=table_refs)
    return list(rows.order_by("starts_at", "table_ref"))


def give_up_buffers(rows: Iterable[Allocation], start: datetime, until: datetime | None) -> None:
    """Free the parts of ``[start, until)`` that only the buffers of these rows block."""
    for row in rows:
        lower, upper = row.blocked.lower, row.blocked.upper
        _shorten(row, TimestamptzRange(lower, start) if row.ends_at <= start else TimestamptzRange(until, upper))


def make_room(rows: Iterable[Allocation], window: SeatingWindow) -> None:
    """Shorten the buffers of these rows where they meet the window. None of their guests is there then."""
    for row in rows:
        blocked = buffers.shortened(row, window)
        if blocked is not None:
            _shorten(row, blocked)


def _shorten(row: Allocation, blocked: Any) -> None:
    """Shorten the time for which a row blocks its table. What it blocks of the stay itself must not shrink."""
    comes, leaves = max(row.starts_at, row.blocked.lower), min(row.stays_until, row.blocked.upper)
    assert comes >= leaves or (blocked.lower <= comes and leaves <= blocked.upper), f"{row} would lose part of its stay"
    row.blocked = blocked
    row.save(update_fields=["blocked"])


def stay_until(
    seatings: Sequence[Allocation], ends_at: datetime, blocked_until: datetime, *, actor: str, into_closures: bool
) -> bool:
    """Change the end of the guests' stay, later or earlier. Returns False if somebody follows too soon.

    Then nothing has changed. If they stay longer than a table is open: with ``into_closures`` the row names ``actor``
    as overriding the closure; without, the table is theirs until it closes, and the end of their stay is kept beside.
    If only the buffer runs into a closure, it is given up.
    """
    before = {row.pk: (row.ends_at, row.blocked, row.overstays_until) for row in seatings}
    kept = {row.pk: _last(row) for row in seatings}
    closures = closed_during(seatings, min(row.blocked.upper for row in seatings), blocked_until)
    if into_closures:
        _note_override(seatings, [each for each in closures if each.starts_at < ends_at], actor)
    if any(ends_at <= each.starts_at for each in closures):
        blocked_until = ends_at
    try:
        with transactions.atomic():
            for row in seatings:
                last = blocked_until if into_closures else _open_until(row, closures, blocked_until)
                row.ends_at, row.overstays_until = ends_at, ends_at if last < ends_at else None
                row.blocked = TimestamptzRange(row.blocked.lower, max(last, row.blocked.lower + _INSTANT))
                row.save(update_fields=["ends_at", "blocked", "overstays_until", "overridden_by", "despite"])
    except IntegrityError as error:
        if not is_overlap(error):
            raise
        for row in seatings:
            row.ends_at, row.blocked, row.overstays_until = before[row.pk]
        return False
    _wake_for_less(seatings, kept)
    return True


def _open_until(row: Allocation, closures: Sequence[Closure], until: datetime) -> datetime:
    """Return when the table closes for its guests, at most ``until``. Closures overridden for them do not count."""
    upper: datetime = row.blocked.upper
    closing = [
        max(upper, each.starts_at)
        for each in closures
        if closes(each, row) and not (row.overridden_by and each.starts_at < upper)
    ]
    return min([until, *closing])


def leave_earlier(seatings: Sequence[Allocation], ends_at: datetime) -> None:
    """Note that guests leave earlier than planned, though still after one of their tables closes.

    That table stays theirs until it closes. Their other tables become free earlier, and bookings that wait for one are
    woken.
    """
    kept = {row.pk: _last(row) for row in seatings}
    for row in seatings:
        before, is_theirs = row.blocked.upper, row.blocked.upper < ends_at
        last = before if is_theirs else min(before, ends_at + row.buffer_after)
        row.ends_at, row.overstays_until = ends_at, ends_at if is_theirs else None
        row.blocked = TimestamptzRange(row.blocked.lower, last)
        row.save(update_fields=["ends_at", "blocked", "overstays_until"])
    _wake_for_less(seatings, kept)


def closed_during(seatings: Sequence[Allocation], since: datetime, until: datetime) -> list[Closure]:
    """Return the closures of these tables for some part of ``[since, until)``. One query, none for an empty time."""
    if until <= since:
        return []
    closures = Closure.objects.not_lifted().during(since, until).filter(restaurant_ref=seatings[0].restaurant_ref)
    return [each for each in closures if any(closes(each, row) for row in seatings)]


def closes(closure: Closure, row: Allocation) -> bool:
    """Return whether the closure names the row's table, or no tables at all."""
    return not closure.table_refs or row.table_ref in closure.table_refs


def _note_override(seatings: Sequence[Allocation], closures: Sequence[Closure], actor: str) -> None:
    """Note in memory that ``actor`` overrides these closures for the seatings at tables that they close."""
    if not closures:
        return
    for row in seatings:
        row.despite = sorted({*row.despite, Reason.CLOSED.value})
        if not row.overridden_by and any(closes(each, row) for each in closures):
            row.overridden_by = actor


def forget_closures(seatings: Sequence[Allocation]) -> None:
    """Forget that closures were overridden for these seatings, if nothing closes the tables any more during them."""
    if not any(row.overridden_by or Reason.CLOSED in row.despite for row in seatings):
        return
    first = min(row.blocked.lower for row in seatings)
    closures = closed_during(seatings, first, max(row.blocked.upper for row in seatings))
    for row in seatings:
        if not any(closes(each, row) for each in closures):
            row.overridden_by, row.despite = "", sorted({*row.despite} - {Reason.CLOSED.value})
            row.save(update_fields=["overridden_by", "despite"])


def overstaying(seatings: Sequence[Allocation], at: datetime | None = None) -> list[Allocation]:
    """Return the seatings of overstaying guests at these tables at ``at`` (by default when these begin). One query."""
    first = seatings[0]
    moment = at or first.blocked.lower
    rows = Allocation.objects.current().filter(
        restaurant_ref=first.restaurant_ref,
        table_ref__in=[row.table_ref for row in seatings],
        overstays_until__gt=moment,
        starts_at__lt=at or first.starts_at,
    )
    return list(rows.exclude(booking_ref=first.booking_ref).order_by("table_ref"))


def sharing_tables(seatings: Sequence[Allocation]) -> list[str]:
    """Return the refs of bookings that expect one of these tables at the same time, before or after these guests."""
    found = {row.booking_ref for row in overstaying(seatings)} if seatings else set()
    until = seatings[0].overstays_until if seatings else None
    if until is not None:
        found |= {row.booking_ref for row in followers(seatings, until)}
    for row in _sitting_early(seatings) if seatings else ():
        there = [row] if row.booking_ref != seatings[0].booking_ref else still_there([row], process_now())
        found |= {each.booking_ref for each in there}
    return sorted(found)


def _sitting_early(seatings: Sequence[Allocation]) -> list[Allocation]:
    """Return seatings at these tables whose guests sit there before the table is theirs. One query.

    It includes these guests themselves, and others who come after them.
    """
    sits = Assignment.objects.filter(booking_ref=OuterRef("booking_ref"), stage=Stage.SEATED)
    early = Allocation.objects.current().filter(
        Exists(sits),
        restaurant_ref=seatings[0].restaurant_ref,
        table_ref__in=[row.table_ref for row in seatings],
        blocked__startswith__gt=DatabaseNow(),
    )
    mine = {row.table_ref: row for row in seatings}
    return [row for row in early if mine[row.table_ref].blocked.lower <= row.blocked.lower]


def still_there(seatings: Sequence[Allocation], now: datetime) -> list[Allocation]:
    """Return what others still have of these tables before these seatings begin. One query."""
    first = seatings[0]
    refs, lower = [row.table_ref for row in seatings], max(now, first.blocked.lower)
    rows = taken_at(first.restaurant_ref, refs, now, lower) if now < lower else []
    return [row for row in rows if row.booking_ref != first.booking_ref]


def reinstate(seatings: Iterable[tuple[int, Any]]) -> None:
    """Make seatings current again, given by their keys and blocked ranges.

    Raises TableTakenError if somebody else has one of the tables by now; roll back then.
    """
    try:
        for key, blocked in seatings:
            Allocation.objects.filter(pk=key).update(ended_at=None, blocked=blocked)
    except IntegrityError as error:
        if not is_overlap(error):
            raise
        raise TableTakenError from error


def begin_at(seatings: Sequence[Allocation], at: datetime, *, actor: str) -> bool:
    """Let guests who come early have their tables from ``at`` on. Returns False if they are not free.

    If a table is closed in that time, the row names ``actor`` as overriding the closure.
    """
    _note_override(seatings, closed_during(seatings, at, seatings[0].blocked.lower), actor)
    try:
        with transactions.atomic():
            for row in seatings:
                row.blocked = TimestamptzRange(at, row.blocked.upper)
                row.save(update_fields=["blocked", "overridden_by", "despite"])
    except IntegrityError as error:
        if not is_overlap(error):
            raise
        for row in seatings:
            row.refresh_from_db()
        return False
    return True


def overstay(seatings: Sequence[Allocation], until: datetime, *, actor: str, into_closures: bool) -> None:
    """Note that guests overstay until ``until``, and block their tables until somebody else has them.

    ``into_closures``: as for ``stay_until``.
    """
    next_ones, kept = followers(seatings, until), {row.pk: _last(row) for row in seatings}
    closures = closed_during(seatings, min(row.blocked.upper for row in seatings), until)
    if into_closures:
        _note_override(seatings, closures, actor)
    for row in seatings:
        first = min(
            (next_one.blocked.lower for next_one in next_ones if next_one.table_ref == row.table_ref), default=until
        )
        first = first if into_closures else _open_until(row, closures, first)
        row.overstays_until = until
        row.blocked = TimestamptzRange(row.blocked.lower, max(first, row.blocked.upper))
        row.save(update_fields=["overstays_until", "blocked", "overridden_by", "despite"])
    _wake_for_less(seatings, kept)


def followers(seatings: Sequence[Allocation], until: datetime) -> list[Allocation]:
    """Return what other bookings have of these tables from the end of these seatings to ``until``, by start. One query."""
    if not seatings:
        return []
    first = seatings[0]
    after = min(row.blocked.upper for row in seatings)
    rows = (
        Allocation.objects.at(first.restaurant_ref)
        .filter(table_ref__in=[row.table_ref for row in seatings], blocked__overlap=(after, until))
        .exclude(booking_ref__in=["", first.booking_ref])
        .order_by("starts_at", "booking_ref", "table_ref")
    )
    return list(rows) if after < until else []


def _by_table(row: Allocation) -> NaturalKey:
    return natural_key(row.table_ref)


def _row(placement: Placement, table_ref: str, **columns: Any) -> NewAllocation:
    window = placement.window
    return NewAllocation(
        restaurant_ref=placement.restaurant_ref,
        table_ref=table_ref,
        booking_ref=placement.booking_ref,
        blocked=blocked_range(window.blocked_from, window.blocked_until),
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        planner=placement.planner,
        party=placement.party,
        zone_ref=placement.zone_ref,
        despite=placement.despite,
        overridden_by=placement.overridden_by,
        **columns,
    )


def _insert(rows: list[NewAllocation]) -> None:
    # Sorted, so that two transactions that want the same tables meet at the first one and do not deadlock.
    rows.sort(key=lambda row: (row.restaurant_ref, row.table_ref, row.starts_at))
    try:
        insert(rows)
    except IntegrityError as error:
        if not is_overlap(error):
            raise
        raise TableTakenError(
            "Somebody else has one of these tables over this time, or it is closed: "
            + ", ".join(sorted({row.table_ref for row in rows}, key=natural_key))
        ) from error
