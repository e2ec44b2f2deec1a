"""The layout of a restaurant's tables over one day: rows, lanes and gaps, in minutes and pixels from the left edge.

Minutes are elapsed minutes, even when the clocks change. Labels show local time. Does no I/O.

Long because one layout has many parts: lanes, bars, joins, buffers, axis.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from assignments.planning.floor import Floor, Table
from assignments.planning.natural_order import natural_key
from assignments.planning.seating_window import SeatingWindow, Service, seating_window, services_on
from assignments.planning.service_day import NIGHT, service_date
from assignments.planning.units import unit_of

CLOSURE = "closure"
"""Kind of what is taken because it is closed."""

A_MINUTE = timedelta(minutes=1)
AN_HOUR = timedelta(hours=1)
A_DAY = timedelta(days=1)
MARGIN = timedelta(minutes=30)
"""Margin before the first service period and the first occupied time."""
LOOK_AHEAD = timedelta(hours=12)
"""Time after the end of a day by which all its guests have left."""
STEP = timedelta(minutes=15)
"""Step that meets the full hours of every time zone: all UTC offsets in use are multiples of it."""

PIXELS_A_MINUTE = 2
LANE = 42
"""Height of a lane, in pixels."""

_Interval = tuple[datetime, datetime]
_Party = tuple[str, str, datetime]


def pixels(minutes: float) -> int:
    """Return minutes as pixels of the page."""
    return round(minutes * PIXELS_A_MINUTE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A table occupied for ``[blocked_from, blocked_until)``. The seating is ``[starts_at, ends_at)``.

    ``kind`` selects how it is drawn. ``expires_at``: only for holds. ``reason``, ``is_open_ended``, ``closure_id`` and
    ``closure_version``: only for closures. ``has_ended``: its guests have left. ``overstays``: its guests stay longer
    than the table is theirs. Datetimes are aware.
    """

    table_ref: str
    kind: str
    starts_at: datetime
    ends_at: datetime
    blocked_from: datetime
    blocked_until: datetime
    booking_ref: str = ""
    planner: str = ""
    expires_at: datetime | None = None
    reason: str = ""
    is_open_ended: bool = False
    closure_id: int | None = None
    closure_version: int | None = None
    has_ended: bool = False
    overstays: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A span from minute ``start`` to minute ``until``, from the left edge."""

    start: float
    until: float

    @property
    def minutes(self) -> float:
        return self.until - self.start

    @property
    def x(self) -> int:
        return pixels(self.start)

    @property
    def width(self) -> int:
        return max(1, pixels(self.minutes))


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """The visible part of an occupied time. ``blocked`` includes buffers. ``sat`` is None if only buffers are visible.

    ``lane``: 0 unless it overlaps others at its table. ``joined``: all tables of the booking, if there are several.
    """

    taken: Taken
    blocked: Span
    sat: Span | None
    lane: int = 0
    joined: tuple[str, ...] = ()

    @property
    def y(self) -> int:
        return self.lane * LANE


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A free time of a table during a service period. If it has begun, it starts now.

    ``largest_party``: the largest party that fits at this table alone by the turn times. None if none fits, or if the
    gap is over.
    """

    starts_at: datetime
    ends_at: datetime
    span: Span
    largest_party: int | None = None

    @property
    def minutes(self) -> int:
        return round((self.ends_at - self.starts_at) / A_MINUTE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tie:
    """The part of the line between joined tables within a row: at ``minute``, from above, to below, or both.

    ``is_end``: the booking has this row's table; otherwise the line only passes.
    """

    minute: float
    from_above: bool
    to_below: bool
    is_end: bool
    lane: int = 0

    @property
    def x(self) -> int:
        return pixels(self.minute)

    @property
    def y(self) -> int:
        return self.lane * LANE


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A table's row. ``table`` is None if it is not on the floor (any more)."""

    table_ref: str
    table: Table | None
    bars: tuple[Bar, ...] = ()
    lanes: int = 1
    gaps: tuple[Gap, ...] = ()
    ties: tuple[Tie, ...] = ()

    @property
    def height(self) -> int:
        return self.lanes * LANE


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The tables of a zone. ``zone_ref`` None: no zone. ``is_known`` False: tables not on the floor."""

    zone_ref: str | None
    rows: tuple[Row, ...]
    is_known: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """The visible part of a service period."""

    key: str
    starts_at: datetime
    ends_at: datetime
    span: Span


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A full hour. ``moment`` is local; ``is_repeated``: the clock shows this hour twice."""

    minute: float
    moment: datetime
    is_repeated: bool = False

    @property
    def text(self) -> str:
        return f"{self.moment:%H:%M}" + (f" ({self.moment:%Z})" if self.is_repeated else "")

    @property
    def x(self) -> int:
        return pixels(self.minute)


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """A timeline from ``starts_at`` until ``ends_at``. ``now``: the current minute, if visible."""

    starts_at: datetime
    ends_at: datetime
    groups: tuple[Group, ...]
    bands: tuple[Band, ...]
    ticks: tuple[Tick, ...]
    now: float | None = None

    @property
    def minutes(self) -> float:
        return (self.ends_at - self.starts_at) / A_MINUTE

    @property
    def width(self) -> int:
        return pixels(self.minutes)

    @property
    def now_x(self) -> int | None:
        return None if self.now is None else pixels(self.now)

    @property
    def rows(self) -> Iterator[Row]:
        for group in self.groups:
            yield from group.rows


def day_span(floor: Floor | None, day: date) -> _Interval:
    """Return the restaurant's service day in UTC.

    Days follow ``planning.service_day``: a night belongs to the evening of its service, and without a service a day
    begins at five. Days are adjacent and do not overlap. Without a floor they are in UTC.
    """
    return _day_starts(floor, day), _day_starts(floor, day + A_DAY)


def day_at(floor: Floor | None, moment: datetime) -> date:
    """Return the restaurant's service day at ``moment``. At 01:00, during last night's service, it is still yesterday."""
    return service_date(floor, moment)


def service_keys(floor: Floor | None, day: date) -> tuple[str, ...]:
    """Return the keys of the day's service periods, in the order in which they begin."""
    return tuple(dict.fromkeys(each.period.key for each in services_on(floor, day))) if floor else ()


def hours_of(floor: Floor | None, day: date, key: str) -> _Interval | None:
    """Return the hours of the service period with this key, with a margin; None if the day has none."""
    found = [each for each in services_on(floor, day) if each.period.key == key] if floor and key else []
    if not found:
        return None
    return min(each.starts_at for each in found) - MARGIN, max(each.ends_at for each in found) + AN_HOUR


def lay_out(
    floor: Floor | None,
    taken: Iterable[Taken],
    *,
    day: date,
    now: datetime | None = None,
    with_gaps: bool = True,
    within: tuple[datetime, datetime] | None = None,
) -> Timeline:
    """Lay out ``day``, or only the full hours around ``within``: all tables of the floor, and any others occupied then.

    ``taken`` must extend to ``LOOK_AHEAD`` after the day and may contain more. Without a floor, for example an invalid
    one, the tables are the occupied ones and times are UTC.
    """
    everything = list(taken)
    span = day_span(floor, day)
    services = services_on(floor, day) if floor else ()
    zone = floor.zone if floor else UTC
    starts_at, ends_at = _rounded(*within, zone) if within else _edges(span, services, everything, zone)
    there: defaultdict[str, list[Taken]] = defaultdict(list)
    for each in everything:
        if each.blocked_from < ends_at and starts_at < each.blocked_until:
            there[each.table_ref].append(each)
    joins = _joins(floor, (each for of_table in there.values() for each in of_table))
    free_within = (min(span[0], starts_at), span[1] + LOOK_AHEAD)

    def row(ref: str, table: Table | None) -> Row:
        bars, lanes = _bars(there.get(ref, ()), joins, starts_at, ends_at)
        gaps: tuple[Gap, ...] = ()
        if with_gaps and floor is not None and table is not None and table.active:
            free = _without([free_within], [(each.blocked_from, each.blocked_until) for each in there.get(ref, ())])
            gaps = tuple(_gaps(floor, table, free, services, now=now, edge=starts_at))
        return Row(table_ref=ref, table=table, bars=bars, lanes=lanes, gaps=gaps)

    groups = [
        Group(zone_ref=zone_ref, rows=tuple(row(table.ref, table) for table in tables))
        for zone_ref, tables in by_zone(floor)
    ]
    strays = sorted(there.keys() - (floor.table_by_ref.keys() if floor else set()), key=natural_key)
    if strays:
        groups.append(Group(zone_ref=None, rows=tuple(row(ref, None) for ref in strays), is_known=False))
    return Timeline(
        starts_at=starts_at,
        ends_at=ends_at,
        groups=tuple(_tied(groups)),
        bands=tuple(
            Band(
                key=service.period.key,
                starts_at=service.starts_at,
                ends_at=service.ends_at,
                span=_span(service.starts_at, service.ends_at, starts_at, ends_at),
            )
            for service in services
            if service.starts_at < ends_at and starts_at < service.ends_at
        ),
        ticks=tuple(_ticks(starts_at, ends_at, zone)),
        now=(now - starts_at) / A_MINUTE if now is not None and starts_at <= now < ends_at else None,
    )


def by_zone(floor: Floor | None) -> list[tuple[str | None, list[Table]]]:
    """Return the tables of each zone by name, and zones by name. Tables without a zone are last."""
    zones: defaultdict[str | None, list[Table]] = defaultdict(list)
    for table in floor.tables if floor else ():
        zones[table.zone_ref].append(table)
    names = floor.zone_names if floor else {}
    order = sorted(zones, key=lambda ref: (ref is None, natural_key(names.get(ref or "", ref or ""))))
    return [(ref, zones[ref]) for ref in order]


# The day


def _day_starts(floor: Floor | None, day: date) -> datetime:
    morning = datetime.combine(day, time(), tzinfo=floor.zone if floor else UTC) + NIGHT
    if floor is None:
        return morning
    begins = ended = morning.astimezone(UTC)
    if last_night := services_on(floor, day - A_DAY):
        ended = max(service.ends_at for service in last_night)
        begins = max([begins, *(service.closes_at for service in last_night)])
    # A service begins the day with its early minutes, or with its start while last night's is still on.
    for service in services_on(floor, day):
        early = max(service.opens_at, ended) if last_night else service.opens_at
        begins = min(begins, service.starts_at, early)
    return begins


def _edges(span: _Interval, services: Sequence[Service], taken: Sequence[Taken], zone: tzinfo) -> _Interval:
    """Return the full hours around the service periods and the day's seatings.

    Entries that last for days or began yesterday do not extend it.
    """
    coming = [each for each in taken if span[0] <= each.starts_at < span[1] and each.ends_at - each.starts_at < A_DAY]
    starts = [service.starts_at for service in services] + [each.blocked_from for each in coming]
    ends = [service.ends_at for service in services] + [each.blocked_until for each in coming]
    if not starts:
        return span
    return _rounded(min(starts) - MARGIN, max(ends), zone)


def _rounded(start: datetime, until: datetime, zone: tzinfo) -> _Interval:
    """Extend an interval to full hours in ``zone``."""
    hours = list(_full_hours(start - AN_HOUR, until + AN_HOUR, zone))
    first = max((hour for hour in hours if hour <= start), default=start)
    return first, min((hour for hour in hours if hour >= until), default=until)


def _full_hours(start: datetime, until: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Yield the full hours of ``zone`` from ``start`` to ``until`` inclusive, in UTC."""
    # A whole number of steps since the epoch is one in any time zone.
    moment = datetime.fromtimestamp(start.timestamp() // STEP.total_seconds() * STEP.total_seconds(), tz=UTC)
    while moment <= until:
        if moment >= start and moment.astimezone(zone).minute == 0:
            yield moment
        moment += STEP


def _ticks(start: datetime, until: datetime, zone: tzinfo) -> Iterator[Tick]:
    hours = [hour.astimezone(zone) for hour in _full_hours(start, until, zone)]
    shown = Counter((hour.date(), hour.hour) for hour in hours)
    for hour in hours:
        yield Tick(minute=(hour - start) / A_MINUTE, moment=hour, is_repeated=shown[hour.date(), hour.hour] > 1)


def _span(start: datetime, until: datetime, first: datetime, last: datetime) -> Span:
    """Return a span in minutes since ``first``, cut at ``first`` and ``last``."""
    return Span(start=(max(start, first) - first) / A_MINUTE, until=(min(until, last) - first) / A_MINUTE)


# Rows


def _joins(floor: Floor | None, taken: Iterable[Taken]) -> dict[_Party, tuple[str, ...]]:
    """Return joined tables by booking."""
    tables: defaultdict[_Party, set[str]] = defaultdict(set)
    for each in taken:
        if each.booking_ref:
            tables[_party(each)].add(each.table_ref)
    return {
        party: floor.in_order(refs) if floor else tuple(sorted(refs, key=natural_key))
        for party, refs in tables.items()
        if len(refs) > 1
    }


def _party(taken: Taken) -> _Party:
    return taken.booking_ref, taken.kind, taken.starts_at


def _bars(
    taken: Iterable[Taken], joins: Mapping[_Party, tuple[str, ...]], first: datetime, last: datetime
) -> tuple[tuple[Bar, ...], int]:
    """Return the bars of a table by start, and the number of lanes."""
    bars: list[Bar] = []
    busy_until: list[datetime] = []
    for each in sorted(taken, key=lambda each: (each.blocked_from, each.blocked_until, each.kind, each.booking_ref)):
        free = (number for number, until in enumerate(busy_until) if until <= each.blocked_from)
        lane = next(free, len(busy_until))
        busy_until[lane : lane + 1] = [each.blocked_until]
        sits = each.starts_at < each.ends_at and each.starts_at < last and first < each.ends_at
        blocked = _span(each.blocked_from, each.blocked_until, first, last)
        sat = _span(each.starts_at, each.ends_at, first, last) if sits else None
        bars.append(Bar(taken=each, blocked=blocked, sat=sat, lane=lane, joined=joins.get(_party(each), ())))
    return tuple(bars), max(1, len(busy_until))


def _tied(groups: Sequence[Group]) -> Iterator[Group]:
    """Add to each row its part of the lines between joined tables."""
    rows = [row for group in groups for row in group.rows]
    ends: defaultdict[_Party, dict[int, Bar]] = defaultdict(dict)
    for number, row in enumerate(rows):
        for bar in row.bars:
            if bar.joined:
                ends[_party(bar.taken)][number] = bar
    ties: defaultdict[int, list[Tie]] = defaultdict(list)
    for at in ends.values():
        first, last = min(at), max(at)
        minute = min((bar.sat or bar.blocked).start for bar in at.values())
        for number in range(first, last + 1) if first < last else ():
            is_end, lane = number in at, at[number].lane if number in at else 0
            tie = Tie(minute=minute, from_above=number > first, to_below=number < last, is_end=is_end, lane=lane)
            ties[number].append(tie)
    numbers = iter(range(len(rows)))
    for group in groups:
        yield replace(group, rows=tuple(replace(row, ties=tuple(ties[next(numbers)])) for row in group.rows))


# Gaps


def _gaps(
    floor: Floor,
    table: Table,
    free: Sequence[_Interval],
    services: Sequence[Service],
    *,
    now: datetime | None,
    edge: datetime,
) -> Iterator[Gap]:
    for start, until in free:
        served = _union(
            (max(start, service.starts_at), min(until, service.ends_at))
            for service in services
            if start < service.ends_at and service.starts_at < until
        )
        for first, last in served:
            if now is not None and first < now < last:
                first = now  # noqa: PLW2901  (the past part is of no use)
            if last - first < A_MINUTE:
                continue
            yield Gap(
                starts_at=first,
                ends_at=last,
                span=Span(start=(first - edge) / A_MINUTE, until=(last - edge) / A_MINUTE),
                largest_party=_largest_party(floor, table, (start, until), (first, last), services, now),
            )


def _largest_party(
    floor: Floor, table: Table, free: _Interval, served: _Interval, services: Sequence[Service], now: datetime | None
) -> int | None:
    """Return the largest party whose turn time fits the gap from its start."""
    unit = unit_of(floor, [table.ref])
    best: int | None = None
    for service in services:
        buffer = timedelta(minutes=service.period.buffer_before_minutes)
        earliest = max(free[0] + buffer, service.starts_at, served[0], now or free[0])
        if not earliest < min(service.ends_at, served[1]):
            continue
        sizes = {unit.max_party, *(turn.max_party for turn in service.period.turn_times)}
        for party in sorted((size for size in sizes if unit.min_party <= size <= unit.max_party), reverse=True):
            if best is not None and party <= best:
                break
            window = seating_window(floor, starts_at=earliest, party=party)
            fits = isinstance(window, SeatingWindow) and (
                free[0] <= window.blocked_from and window.blocked_until <= free[1]
            )
            if fits:
                best = party
                break
    return best


def _without(whole: Sequence[_Interval], taken: Iterable[_Interval]) -> list[_Interval]:
    """Return ``whole`` without the occupied intervals."""
    remaining = list(whole)
    for start, until in taken:
        pieces = []
        for first, last in remaining:
            pieces += (
                [(first, min(last, start)), (max(first, until), last)]
                if start < last and first < until
                else [(first, last)]
            )
        remaining = [(first, last) for first, last in pieces if first < last]
    return remaining


def _union(intervals: Iterable[_Interval]) -> list[_Interval]:
    """Merge intervals that overlap or touch."""
    merged: list[_Interval] = []
    for start, until in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], until))
        else:
            merged.append((start, until))
    return merged
