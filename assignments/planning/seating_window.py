"""The seating window: when a party is seated, and how long its tables are blocked."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from assignments.planning.calendar import is_closed, periods_on
from assignments.planning.floor import Floor, ServicePeriod
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.text import by_the_clock
from assignments.planning.text import gettext as _

FIRST_YEAR, LAST_YEAR = 1900, 9000
"""Range of years in which adding minutes or an offset cannot overflow."""
MOST_DAYS_KNOWN = 1_000
"""Dates whose services a floor remembers at most."""
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatingWindow:
    """A seating for ``[starts_at, ends_at)`` that blocks tables for ``[blocked_from, blocked_until)``. UTC."""

    starts_at: datetime
    ends_at: datetime
    blocked_from: datetime
    blocked_until: datetime
    service_key: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A service period on the local date ``day``, in UTC, correct even when the clocks change."""

    period: ServicePeriod
    day: date
    starts_at: datetime
    ends_at: datetime

    @property
    def opens_at(self) -> datetime:
        """Return the first moment at which guests may come: the start, less the early minutes."""
        return self.starts_at - timedelta(minutes=self.period.early_minutes)

    @property
    def closes_at(self) -> datetime:
        """Return the last moment at which guests may come: the end, plus the late minutes."""
        return self.ends_at + timedelta(minutes=self.period.late_minutes)


def local_to_aware(local: datetime, zone: ZoneInfo) -> datetime:
    """Convert naive local time to UTC. In the repeated autumn hour it means the first one.

    Raises ValueError for a time that the spring change skips, a time beyond the calendar in UTC, and an aware time.
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
    """Return the seating window of ``party`` covers at ``starts_at``, or a refusal.

    The duration is the turn time for the party, unless ``ends_at`` is given. Minutes are elapsed minutes, even when the
    clocks change. Buffers are added. The seating belongs to the service of ``service_of``, and may exceed it only if
    overruns are allowed; buffers do not count.
    """
    for moment in (starts_at, ends_at):
        if moment is not None and moment.tzinfo is None:
            return Refusal(Reason.INVALID_START, _("The time %(time)s has no time zone.", time=moment.isoformat()))
        if moment is not None and not FIRST_YEAR <= moment.year <= LAST_YEAR:
            text = _("The time %(time)s is out of range.", time=moment.isoformat())
            return Refusal(Reason.INVALID_START, text)
    start = starts_at.astimezone(UTC)
    service = service_of(floor, start)
    if service is None:
        if closed := _closed_by_calendar(floor, start):
            return closed
        text = _(
            "Nothing is served at %(start)s, and no service takes guests that early or that late.",
            start=by_the_clock(start, floor.zone),
        )
        return Refusal(Reason.OUTSIDE_SERVICE, text)
    period = service.period
    end = ends_at.astimezone(UTC) if ends_at else start + timedelta(minutes=period.turn_minutes(party))
    if end <= start:
        text = _(
            "It ends at %(end)s, not after its start at %(start)s.",
            end=by_the_clock(end, floor.zone),
            start=by_the_clock(start, floor.zone),
        )
        return Refusal(Reason.INVALID_START, text)
    if end > service.ends_at and not period.allow_overrun:
        text = _(
            "A party of %(party)s that comes at %(start)s would sit until %(end)s; %(service)s ends at %(service_end)s.",
            party=party,
            start=by_the_clock(start, floor.zone),
            end=by_the_clock(end, floor.zone),
            service=period.key,
            service_end=by_the_clock(service.ends_at, floor.zone),
        )
        return Refusal(Reason.SERVICE_OVERRUN, text)
    return SeatingWindow(
        starts_at=start,
        ends_at=end,
        blocked_from=start - timedelta(minutes=period.buffer_before_minutes),
        blocked_until=end + timedelta(minutes=period.buffer_after_minutes),
        service_key=period.key,
    )


def from_now_on(window: SeatingWindow, now: datetime) -> SeatingWindow:
    """Return the window of a party that should already be here: its tables are blocked from now on, its times stay.

    A window that begins later, or is over, is returned unchanged.
    """
    if window.starts_at >= now or window.ends_at <= now:
        return window
    return replace(window, blocked_from=now)


def service_of(floor: Floor, start: datetime) -> Service | None:
    """Return the service to which a booking at ``start`` (aware) belongs, or None if nothing is served.

    That is the service under way, or of several the one that began last; else the next one, within its early minutes;
    else the last one, within its late minutes.
    """
    today = start.astimezone(floor.zone).date()
    # Includes yesterday, for services that run past midnight.
    days = (today - _ONE_DAY, today, today + _ONE_DAY)
    nearby = [service for day in days for service in services_on(floor, day)]
    on_now = [service for service in nearby if service.starts_at <= start < service.ends_at]
    if on_now:
        return max(on_now, key=lambda service: service.starts_at)
    coming = [service for service in nearby if service.opens_at <= start < service.starts_at]
    if coming:
        return min(coming, key=lambda service: service.starts_at)
    over = [service for service in nearby if service.ends_at <= start <= service.closes_at]
    # Without late minutes the end itself is too late. On floors of an earlier release it was not.
    over = [service for service in over if service.period.late_minutes or floor.is_of_earlier_release]
    return max(over, key=lambda service: service.ends_at) if over else None


def _closed_by_calendar(floor: Floor, start: datetime) -> Refusal | None:
    """Return why nothing is served at ``start``, if that is because the calendar closes a date."""
    if not floor.calendar:
        return None
    usual = service_of(replace(floor, calendar=()), start)
    if usual is None:
        return None
    day = usual.starts_at.astimezone(floor.zone).date()
    if not is_closed(floor, day):
        return None
    text = _("The restaurant is closed on %(date)s.", date=f"{day:%Y-%m-%d}")
    return Refusal(Reason.CLOSED, text)


def services_on(floor: Floor, day: date) -> tuple[Service, ...]:
    """Return the service periods that start on the local date ``day``, in UTC."""
    found: tuple[Service, ...] | None = floor.services_known.get(day)
    if found is None:
        if len(floor.services_known) >= MOST_DAYS_KNOWN:
            floor.services_known.clear()
        found = floor.services_known[day] = tuple(_service(floor, period, day) for period in periods_on(floor, day))
    return found


def _service(floor: Floor, period: ServicePeriod, day: date) -> Service:
    last_day = day if period.ends > period.starts else day + timedelta(days=1)
    return Service(
        period=period,
        day=day,
        starts_at=_wall_clock(day, period.starts, floor.zone),
        ends_at=_wall_clock(last_day, period.ends, floor.zone),
    )


def _wall_clock(day: date, clock: time, zone: ZoneInfo) -> datetime:
    # A time that the spring change skips uses the offset before the change, as in zoneinfo.
    return datetime.combine(day, clock, tzinfo=zone).astimezone(UTC)
