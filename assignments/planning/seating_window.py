"""When a party sits, and how long its tables are blocked: the seating window."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from assignments.planning.floor import Floor, ServicePeriod
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.text import gettext as _

FIRST_YEAR, LAST_YEAR = 1900, 9000
"""Nearer to the ends of the calendar, adding minutes or an offset may leave it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatingWindow:
    """Guests sit over ``[starts_at, ends_at)``; the tables are blocked over ``[blocked_from, blocked_until)``. UTC."""

    starts_at: datetime
    ends_at: datetime
    blocked_from: datetime
    blocked_until: datetime
    service_key: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A service period on one date, by the wall clock: 22:00 is 22:00, whatever the clocks did that day."""

    period: ServicePeriod
    starts_at: datetime
    ends_at: datetime


def local_to_aware(local: datetime, zone: ZoneInfo) -> datetime:
    """The UTC moment of a naive local wall time; of the two in the autumn hour, the first.

    Raises ValueError for a wall time that the spring change skips, for one whose UTC moment lies beyond the calendar, and
    for one that is aware already.
    """
    if local.tzinfo is not None:
        raise ValueError(f"{local.isoformat()} is aware already.")
    try:
        moment = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{local:%Y-%m-%d %H:%M} in {zone.key} is beyond the end of the calendar.") from error
    if moment.astimezone(zone).replace(tzinfo=None) != local:
        raise ValueError(f"{local:%Y-%m-%d %H:%M} does not exist in {zone.key}: the clocks skip it.")
    return moment


def seating_window(
    floor: Floor, *, starts_at: datetime, party: int, ends_at: datetime | None = None
) -> SeatingWindow | Refusal:
    """When ``party`` covers that come at ``starts_at`` sit, or why they cannot.

    They stay for the turn time of their size, unless the host knows ``ends_at``; minutes are elapsed minutes, also in
    a night in which the clocks change. The service's buffers come on top. A booking belongs to the service that is on;
    else to the next one that starts within ``floor.outside_service_minutes``; else to the last one that ended within
    as many. Guests may stay past a service's end only where it allows overruns; buffers do not count for that.
    """
    for moment in (starts_at, ends_at):
        if moment is not None and moment.tzinfo is None:
            return Refusal(Reason.INVALID_START, _("The time %(time)s has no time zone.", time=moment.isoformat()))
        if moment is not None and not FIRST_YEAR <= moment.year <= LAST_YEAR:
            return Refusal(
                Reason.INVALID_START, _("The time %(time)s is no time for a dinner.", time=moment.isoformat())
            )
    start = starts_at.astimezone(UTC)
    service = _service_at(floor, start)
    if service is None:
        return Refusal(
            Reason.OUTSIDE_SERVICE,
            _(
                "Nothing is served at %(start)s, nor within %(minutes)s minutes of it.",
                start=_clock(start, floor),
                minutes=floor.outside_service_minutes,
            ),
        )
    period = service.period
    end = ends_at.astimezone(UTC) if ends_at else start + timedelta(minutes=period.turn_minutes(party))
    if end <= start:
        return Refusal(
            Reason.INVALID_START,
            _(
                "It ends at %(end)s, not after its start at %(start)s.",
                end=_clock(end, floor),
                start=_clock(start, floor),
            ),
        )
    if end > service.ends_at and not period.allow_overrun:
        return Refusal(
            Reason.SERVICE_OVERRUN,
            _(
                "A party of %(party)s that comes at %(start)s would sit until %(end)s; %(service)s ends at %(service_end)s.",
                party=party,
                start=_clock(start, floor),
                end=_clock(end, floor),
                service=period.key,
                service_end=_clock(service.ends_at, floor),
            ),
        )
    return SeatingWindow(
        starts_at=start,
        ends_at=end,
        blocked_from=start - timedelta(minutes=period.buffer_before_minutes),
        blocked_until=end + timedelta(minutes=period.buffer_after_minutes),
        service_key=period.key,
    )


def _service_at(floor: Floor, start: datetime) -> Service | None:
    today = start.astimezone(floor.zone).date()
    # Yesterday's, since a service that runs past midnight started then.
    nearby = [service for day in (-1, 0, 1) for service in services_on(floor, today + timedelta(days=day))]
    on_now = [service for service in nearby if service.starts_at <= start < service.ends_at]
    if on_now:
        return max(on_now, key=lambda service: service.starts_at)
    tolerance = timedelta(minutes=floor.outside_service_minutes)
    coming = [service for service in nearby if start < service.starts_at <= start + tolerance]
    if coming:
        return min(coming, key=lambda service: service.starts_at)
    over = [service for service in nearby if start - tolerance <= service.ends_at <= start]
    return max(over, key=lambda service: service.ends_at) if over else None


def services_on(floor: Floor, day: date) -> Iterator[Service]:
    """The services that start on the restaurant's date ``day``, in UTC."""
    for period in floor.services:
        if day.weekday() not in period.weekdays:
            continue
        last_day = day if period.ends > period.starts else day + timedelta(days=1)
        yield Service(
            period=period,
            starts_at=_wall_clock(day, period.starts, floor.zone),
            ends_at=_wall_clock(last_day, period.ends, floor.zone),
        )


def _wall_clock(day: date, clock: time, zone: ZoneInfo) -> datetime:
    # A wall time that the spring change skips is read by the offset before the change, as zoneinfo does.
    return datetime.combine(day, clock, tzinfo=zone).astimezone(UTC)


def _clock(moment: datetime, floor: Floor) -> str:
    return f"{moment.astimezone(floor.zone):%Y-%m-%d %H:%M}"
