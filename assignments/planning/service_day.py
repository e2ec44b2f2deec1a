"""The service day: the local date to which a moment at a restaurant belongs. A night belongs to the evening before."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from assignments.planning.floor import Floor
from assignments.planning.seating_window import SeatingWindow, service_of

A_DAY = timedelta(days=1)
NIGHT = timedelta(hours=5)
"""Where nothing is served, a day lasts until so long after midnight."""


def service_date(floor: Floor | None, moment: datetime) -> date:
    """Return the local date on which the service of a booking at ``moment`` starts.

    At half past midnight, in a service from 18:00 to 02:00, that is the day before. Without a service it is the local
    date five hours before ``moment``; without a floor, the same in UTC. A naive moment, which planning refuses, keeps
    its own date.
    """
    if moment.tzinfo is None:
        return moment.date()
    try:
        service = service_of(floor, moment.astimezone(UTC)) if floor else None
        return service.day if service else (moment.astimezone(floor.zone if floor else UTC) - NIGHT).date()
    except OverflowError:  # At the very end of the calendar; planning refuses it.
        return moment.date()


def touched_days(floor: Floor, window: SeatingWindow) -> Iterator[date]:
    """Yield the service days within which a seating blocks its tables, in order: its bookings may conflict with it."""
    last = window.blocked_until - timedelta(microseconds=1)
    days = {service_date(floor, moment) for moment in (window.blocked_from, window.starts_at, last)}
    day = min(days)
    while day <= max(days):
        yield day
        day += A_DAY
