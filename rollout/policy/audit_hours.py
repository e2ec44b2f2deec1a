"""The audit's own reading of a floor's hours: when a party sits, and how long its tables are blocked.

It reads the fields of immutable values and calls none of their methods: see ``seating_audit``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from assignments.planning.floor import Floor, ServicePeriod

YEARS = range(1900, 9001)
"""In others nobody dines, and adding minutes could overflow."""


class Stay(NamedTuple):
    """A party's time at its tables, ``[starts_at, ends_at)``, and the time for which they are blocked for it. UTC."""

    starts_at: datetime
    ends_at: datetime
    blocked_from: datetime
    blocked_until: datetime


def stay(floor: Floor, covers: int, starts_at: datetime, ends_at: datetime | None) -> Stay | None:
    """Return the stay of a party by the floor's hours, and its turn time or own end; None if nothing is served then."""
    for moment in (starts_at, ends_at):
        if moment is not None and (moment.tzinfo is None or moment.year not in YEARS):
            return None
    start = starts_at.astimezone(UTC)
    service = service_at(floor, start)
    if service is None:
        return None
    period, _opens, closes = service
    minutes = [turn.minutes for turn in period.turn_times if covers <= turn.max_party]
    stays = timedelta(minutes=minutes[0] if minutes else period.turn_times[-1].minutes)
    end = start + stays if ends_at is None else ends_at.astimezone(UTC)
    if end <= start or (end > closes and not period.allow_overrun):
        return None
    return Stay(
        starts_at=start,
        ends_at=end,
        blocked_from=start - timedelta(minutes=period.buffer_before_minutes),
        blocked_until=end + timedelta(minutes=period.buffer_after_minutes),
    )


def service_at(floor: Floor, start: datetime) -> tuple[ServicePeriod, datetime, datetime] | None:
    """Return the service of a start, with its start and end: one under way, or else within its early or late minutes."""
    on_now, coming, over = [], [], []
    is_of_earlier_release = floor.stored_outside_minutes is not None
    for period, opens, closes in _services_around(floor, start):
        if opens <= start < closes:
            on_now.append((opens, period, opens, closes))
        elif start < opens <= start + timedelta(minutes=period.early_minutes):
            coming.append((opens, period, opens, closes))
        elif (period.late_minutes or is_of_earlier_release) and (
            closes <= start <= closes + timedelta(minutes=period.late_minutes)
        ):
            over.append((closes, period, opens, closes))
    if on_now:
        _by, period, opens, closes = max(on_now, key=lambda each: each[0])
    elif coming:
        _by, period, opens, closes = min(coming, key=lambda each: each[0])
    elif over:
        _by, period, opens, closes = max(over, key=lambda each: each[0])
    else:
        return None
    return period, opens, closes


def _services_around(floor: Floor, start: datetime) -> Iterator[tuple[ServicePeriod, datetime, datetime]]:
    zone = ZoneInfo(floor.timezone)
    today = start.astimezone(zone).date()
    for day in (today - timedelta(days=1), today, today + timedelta(days=1)):
        for period in _periods_of(floor, day):
            last_day = day if period.ends > period.starts else day + timedelta(days=1)
            opens = datetime.combine(day, period.starts, tzinfo=zone)
            closes = datetime.combine(last_day, period.ends, tzinfo=zone)
            yield period, opens.astimezone(UTC), closes.astimezone(UTC)


def _periods_of(floor: Floor, day: date) -> Sequence[ServicePeriod]:
    """Return the services of a date: those of its weekday, changed by the calendar's shortest entry for that date."""
    found = [period for period in floor.services if day.weekday() in period.weekdays]
    about = [
        each for each in floor.calendar if each.first_date <= day <= each.last_date and day.weekday() in each.weekdays
    ]
    about.sort(key=lambda each: (each.first_date - each.last_date, each.first_date, not each.services))
    for entry in about:
        kept = found if entry.services else []
        found = [each for each in kept if all(each.key != other.key for other in entry.services)] + list(entry.services)
    return found
