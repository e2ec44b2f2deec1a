"""Buffers: the time in which a table is cleared and set. Nobody sits there then, so staff and hosts may shorten them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg.types.range import TimestamptzRange

from assignments.models import Allocation
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason
from assignments.planning.seating_window import SeatingWindow, service_of

Interval = tuple[datetime, datetime]


class Span(NamedTuple):
    """The time for which a seating or a hold blocks its table, and when its guests leave."""

    lower: datetime
    upper: datetime
    leave_at: datetime


def after(row: Allocation, floor: Floor | None) -> timedelta:
    """Return the time to clear the table after a seating; of guests who overstay, what their service has today."""
    service = service_of(floor, row.starts_at) if floor and row.overstays_until else None
    if service is None or Reason.BUFFER in row.despite:
        return max(row.buffer_after, timedelta(0))
    return timedelta(minutes=service.period.buffer_after_minutes)


def stay_in(window: SeatingWindow) -> Interval:
    """Return when the guests themselves are at the table."""
    return max(window.starts_at, window.blocked_from), window.ends_at


def bare(window: SeatingWindow) -> SeatingWindow:
    """Return the window without buffers."""
    start, end = stay_in(window)
    return replace(window, blocked_from=start, blocked_until=end)


def stay_of(blocked_from: datetime, blocked_until: datetime, stay: Interval, *, now: datetime) -> Interval:
    """Return when the guests of a blocked time are at the table.

    If the blocked time has begun, it counts from its start, because the guests may have come early.
    """
    starts_at, ends_at = stay
    first = blocked_from if blocked_from <= now else max(starts_at, blocked_from)
    return first, min(ends_at, blocked_until)


def meet(one: Interval, other: Interval) -> bool:
    """Return whether the two intervals overlap."""
    return one[0] < other[1] and other[0] < one[1]


def in_the_way(rows: Iterable[Allocation], window: SeatingWindow, *, now: datetime) -> list[Allocation]:
    """Return the seatings and holds whose guests are there at the same time as those of the window."""
    return [
        row
        for row in rows
        if meet(
            stay_of(row.blocked.lower, row.blocked.upper, (row.starts_at, row.stays_until), now=now), stay_in(window)
        )
    ]


def fitted(window: SeatingWindow, taken: Iterable[Interval | Span]) -> SeatingWindow:
    """Return the window with its buffers shortened to what is free. Nothing in ``taken`` meets the stay itself."""
    start, end = stay_in(window)
    first, last = window.blocked_from, window.blocked_until
    for each in taken:
        if _is_before(each, start):
            first = max(first, min(start, each[1]))
        else:
            last = min(last, max(end, each[0]))
    return replace(window, blocked_from=first, blocked_until=last)


def _is_before(taken: Interval | Span, start: datetime) -> bool:
    """Return whether ``taken`` is before a stay from ``start`` on. Its guests decide: its buffer may reach further."""
    return taken[0] < start and (not isinstance(taken, Span) or taken.leave_at <= start)


def spans(rows: Iterable[Allocation]) -> list[Interval | Span]:
    """Return when these block their tables."""
    return [_span(row) for row in rows]


def _span(row: Allocation) -> Span:
    lower, upper = row.blocked.lower, row.blocked.upper
    return Span(lower, upper, leave_at=min(row.stays_until, upper))


def shortened(row: Allocation, window: SeatingWindow) -> Any:
    """Return the shortened blocked range of a seating next to the window; None if it stays the same."""
    lower, upper = row.blocked.lower, row.blocked.upper
    if not meet((lower, upper), (window.blocked_from, window.blocked_until)):
        return None
    if _is_before(_span(row), stay_in(window)[0]):
        return TimestamptzRange(lower, window.blocked_from)
    return TimestamptzRange(window.blocked_until, upper)


def squeezed(window: SeatingWindow, rows: Sequence[Allocation]) -> tuple[SeatingWindow, bool]:
    """Return the window fitted beside these seatings, and whether a buffer was shortened. None of them is in the way."""
    found = fitted(window, spans(rows))
    return found, found != window or any(shortened(row, found) is not None for row in rows)
