"""A restaurant's floor: tables, joins and service periods."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import date, time, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from assignments.planning.natural_order import natural_key
from assignments.planning.timezone import time_zone

EVERY_WEEKDAY = frozenset(range(7))
A_DAY_OF_MINUTES = 24 * 60
"""The longest turn time, buffer, and early or late minutes."""
MOST_PRIORITY = 1_000
"""The highest priority of a table; the lowest is as far below 0."""
MOST_INTERVAL = 240
"""The longest pacing interval, in minutes."""
MOST_SEATS = 10_000
"""The most seats of a table or a join."""
MOST_TABLES = 2_000
"""The most tables of a floor."""
MOST_JOINS = 5_000
"""The most joins that a floor lists: planning looks at each of them for every booking."""


class InvalidFloorError(ValueError):
    """The host's floor is inconsistent. The message names the table, join or service period."""

    @property
    def said(self) -> str:
        """Return the message; a ``Text`` if it is one of ours."""
        return self.args[0] if len(self.args) == 1 and isinstance(self.args[0], str) else str(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table. ``min_party`` and ``max_party``: covers of parties that may have it alone; None if not set.

    If set, they are the restaurant's explicit limits and override the general limit of spare seats, see ``units.Unit``
    (docs/living-evening.md rule 10). ``features``: what guests may need or wish, as ``features.words`` returns them.
    ``priority``: a table with a higher one is preferred; 0 by default.
    """

    ref: str
    name: str
    seats: int
    zone_ref: str | None = None
    min_party: int | None = None
    max_party: int | None = None
    active: bool = True
    # Not in its text, which is part of the digests of stored floors.
    features: frozenset[str] = field(default=frozenset(), repr=False)
    priority: int = field(default=0, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Join:
    """Tables that the host lists as a join: any number, of any zones.

    It cannot be used while one of them is out of service. Its seats need not be the sum (two round 4-tops may seat 6),
    and they also count in larger joins that contain these tables.
    """

    table_refs: frozenset[str]
    seats: int
    min_party: int | None = None
    max_party: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnTime:
    """Parties of up to ``max_party`` covers keep a table for ``minutes``."""

    max_party: int
    minutes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ServicePeriod:
    """A service period such as dinner, in local time. ``ends <= starts`` means that it ends after midnight.

    ``turn_times`` ascend by ``max_party``. The last one also applies to larger parties. ``weekdays``: those on which it
    starts (Monday is 0). ``early_minutes`` and ``late_minutes``: how long before its start and after its end guests may
    still come. Guests who come late overrun it, so late minutes need ``allow_overrun``.
    """

    key: str
    starts: time
    ends: time
    turn_times: tuple[TurnTime, ...]
    allow_overrun: bool = False
    buffer_before_minutes: int = 0
    buffer_after_minutes: int = 0
    weekdays: frozenset[int] = EVERY_WEEKDAY
    # Not in its text, which is part of the digests of stored floors.
    early_minutes: int = field(default=0, repr=False)
    late_minutes: int = field(default=0, repr=False)

    def turn_minutes(self, party: int) -> int:
        """Return the turn time of a party in minutes, without buffers."""
        for turn in self.turn_times:
            if party <= turn.max_party:
                return turn.minutes
        return self.turn_times[-1].minutes


@dataclass(frozen=True, kw_only=True, slots=True)
class CalendarEntry:
    """The dates ``first_date``..``last_date`` that are on ``weekdays``: closed, or with these services.

    A service replaces the usual one with the same key on these dates; the others stay. Without services the dates are
    closed.
    """

    first_date: date
    last_date: date
    services: tuple[ServicePeriod, ...] = ()
    weekdays: frozenset[int] = EVERY_WEEKDAY

    @property
    def closes(self) -> bool:
        """Return whether nothing is served on its dates."""
        return not self.services

    def covers(self, day: date) -> bool:
        """Return whether ``day`` is one of its dates."""
        return self.first_date <= day <= self.last_date and day.weekday() in self.weekdays


@dataclass(frozen=True, kw_only=True, slots=True)
class Pacing:
    """How many guests may come within an interval, and be there at once. None: no limit besides the tables.

    ``most_covers`` and ``most_parties`` may come within an interval of ``interval_minutes``, counted from the start of
    the service. ``most_present``: covers that may sit at the same time, without buffers. The limits hold for the
    service ``service_key`` (None: for each) on the dates ``first_date``..``last_date`` (None: without end) that are on
    ``weekdays``.
    """

    interval_minutes: int = 15
    most_covers: int | None = None
    most_parties: int | None = None
    most_present: int | None = None
    service_key: str | None = None
    first_date: date | None = None
    last_date: date | None = None
    weekdays: frozenset[int] = EVERY_WEEKDAY

    def covers(self, day: date) -> bool:
        """Return whether ``day`` is one of its dates."""
        begun = self.first_date is None or self.first_date <= day
        return begun and (self.last_date is None or day <= self.last_date) and day.weekday() in self.weekdays


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The data of a restaurant that planning needs, without bookings.

    ``tables`` are kept in the natural order of their names (T2 before T10), then of their refs. The place of a table in
    this order (``places``) orders every list and decides between equals, because refs are the host's keys and may
    differ between databases. ``adjacent``: unordered pairs of table refs. Joins of 2..k tables are the connected sets
    within a zone. ``zone_names``: display names of zones by ref, if different. Planners do not use them, and they do
    not affect equality. ``calendar``: dates that are closed or have other hours, kept from the longest entry to the
    shortest, which rules (see ``calendar.periods_on``). ``pacing``: how many guests may come and be there at once (see
    ``pacing.limits_on``).

    ``stored_outside_minutes`` is set only for floors that an earlier release stored. They are judged by the rules of that
    release: every service took guests for so many minutes before its start and after its end, no limit of a table beat
    the limit of spare seats, and no listed join the limits of joins.

    Raises InvalidFloorError if it is inconsistent (unknown or repeated tables, no turn times, unknown timezone).
    """

    restaurant_ref: str
    timezone: str
    tables: tuple[Table, ...]
    services: tuple[ServicePeriod, ...]
    adjacent: frozenset[frozenset[str]] = frozenset()
    joins: tuple[Join, ...] = ()
    zone_names: Mapping[str, str] = field(default_factory=dict, compare=False)
    calendar: tuple[CalendarEntry, ...] = ()
    pacing: tuple[Pacing, ...] = ()
    stored_outside_minutes: int | None = None

    def __post_init__(self) -> None:
        if (minutes := self.stored_outside_minutes) is not None:
            served = (replace(each, early_minutes=minutes, late_minutes=minutes) for each in self.services)
            object.__setattr__(self, "services", tuple(served))
        ordered = sorted(self.tables, key=lambda table: (natural_key(table.name), natural_key(table.ref)))
        object.__setattr__(self, "tables", tuple(ordered))
        object.__setattr__(self, "calendar", tuple(sorted(self.calendar, key=_reach)))
        problems = list(_problems(self))
        if problems:
            problem = f"The floor of restaurant {self.restaurant_ref!r} is invalid: {'; '.join(problems)}."
            raise InvalidFloorError(problem)

    def __hash__(self) -> int:
        """Hash the digest. Floors are cache keys, so hashing must not visit every table and pair."""
        return hash(self.version)

    @property
    def is_of_earlier_release(self) -> bool:
        """Return whether an earlier release stored it: see ``stored_outside_minutes``."""
        return self.stored_outside_minutes is not None

    @cached_property
    def zone(self) -> ZoneInfo:
        """Return the restaurant's time zone."""
        return time_zone(self.timezone)

    @cached_property
    def services_known(self) -> dict[date, Any]:
        """Return the cache of ``seating_window.services_on``, by date: all decisions ask for the same few dates."""
        return {}

    @property
    def is_paced(self) -> bool:
        """Return whether the floor limits how many guests come or are there."""
        return bool(self.pacing)

    @cached_property
    def table_by_ref(self) -> dict[str, Table]:
        return {table.ref: table for table in self.tables}

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Return each table's place in the floor's order, from 0, by ref."""
        return {table.ref: place for place, table in enumerate(self.tables)}

    @cached_property
    def join_by_tables(self) -> Mapping[frozenset[str], Join]:
        """Return the listed joins by their tables."""
        return {join.table_refs: join for join in self.joins}

    def in_order(self, table_refs: Iterable[str]) -> tuple[str, ...]:
        """Return these tables in the floor's order; unknown ones come last, in the natural order of their refs."""
        last = len(self.tables)
        return tuple(sorted(table_refs, key=lambda ref: (self.places.get(ref, last), natural_key(ref))))

    @cached_property
    def version(self) -> str:
        """Return a digest of the content. Floors with the same version give the same plans."""
        services = [(replace(service, weekdays=frozenset()), sorted(service.weekdays)) for service in self.services]
        hours = [(service.early_minutes, service.late_minutes) for service in self.services]
        content: tuple[object, ...] = (
            self.restaurant_ref,
            self.timezone,
            sorted(self.tables, key=lambda table: table.ref),  # By ref, as in stored versions.
            services,
            sorted(sorted(pair) for pair in self.adjacent),
            sorted(
                (sorted(join.table_refs), join.seats, join.min_party or 0, join.max_party or 0) for join in self.joins
            ),
            # As it was stored, when the fields after it did not exist.
            hours if self.stored_outside_minutes is None else self.stored_outside_minutes,
        )
        if self.calendar:  # Stored versions have none.
            content = (*content, [_calendar_content(entry) for entry in self.calendar])
        if any(table.features or table.priority for table in self.tables):
            about = [(table.ref, sorted(table.features), table.priority) for table in self.tables]
            content = (*content, "features", sorted(about))
        if self.pacing:
            content = (*content, "pacing", sorted(map(_pacing_content, self.pacing)))
        return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def _reach(entry: CalendarEntry) -> tuple[int, date, bool]:
    return -(entry.last_date - entry.first_date).days, entry.first_date, entry.closes


def _calendar_content(entry: CalendarEntry) -> tuple[object, ...]:
    services = [(replace(service, weekdays=frozenset()), sorted(service.weekdays)) for service in entry.services]
    return entry.first_date.isoformat(), entry.last_date.isoformat(), services, sorted(entry.weekdays)


def _pacing_content(pacing: Pacing) -> str:
    return repr((replace(pacing, weekdays=frozenset()), sorted(pacing.weekdays)))


def adjacency(pairs: Iterable[tuple[str, str]]) -> frozenset[frozenset[str]]:
    """Return unordered pairs for Floor.adjacent."""
    return frozenset(frozenset(pair) for pair in pairs)


def _problems(floor: Floor) -> Iterator[str]:
    try:
        time_zone(floor.timezone)
    except ValueError:
        yield f"unknown timezone {floor.timezone!r}"
    if not floor.is_of_earlier_release and (too_many := list(_size_problems(floor))):
        yield from too_many
        return  # To look for further problems would take as long as planning.
    yield from _table_problems(floor.tables)
    if not floor.is_of_earlier_release:
        yield from _limit_problems(floor)
        yield from _number_problems(floor)
    refs = {table.ref for table in floor.tables}
    yield from _adjacency_problems(floor.adjacent, refs)
    yield from _join_problems(floor.joins, refs)
    for entry in floor.calendar:
        if entry.last_date < entry.first_date:
            yield f"a calendar entry ends on {entry.last_date} before it begins on {entry.first_date}"
    for service in (*floor.services, *(each for entry in floor.calendar for each in entry.services)):
        yield from _service_problems(service)
        if not floor.is_of_earlier_release:
            yield from _hours_problems(service)
    for pacing in floor.pacing:
        yield from _pacing_problems(pacing)


def _size_problems(floor: Floor) -> Iterator[str]:
    if len(floor.tables) > MOST_TABLES:
        yield f"it has {len(floor.tables)} tables, and at most {MOST_TABLES} can be planned"
    if len(floor.joins) > MOST_JOINS:
        yield f"it lists {len(floor.joins)} joins, and at most {MOST_JOINS} can be planned"


def _number_problems(floor: Floor) -> Iterator[str]:
    """Yield the numbers beyond which a time or a column would overflow."""
    for table in floor.tables:
        if abs(table.priority) > MOST_PRIORITY:
            yield f"table {table.ref!r} has priority {table.priority}, beyond {MOST_PRIORITY}"
        if table.seats > MOST_SEATS:
            yield f"table {table.ref!r} has {table.seats} seats, and at most {MOST_SEATS} are possible"
    for join in floor.joins:
        if join.seats > MOST_SEATS:
            tables = sorted(join.table_refs, key=natural_key)
            yield f"join {tables} has {join.seats} seats, and at most {MOST_SEATS} are possible"
    for service in (*floor.services, *(each for entry in floor.calendar for each in entry.services)):
        longest = max((turn.minutes for turn in service.turn_times), default=0)
        for name, minutes in (
            ("a turn time", longest),
            ("a buffer before", service.buffer_before_minutes),
            ("a buffer after", service.buffer_after_minutes),
        ):
            if minutes > A_DAY_OF_MINUTES:
                yield f"service {service.key!r} has {name} of {minutes} minutes, and at most {A_DAY_OF_MINUTES} are possible"


def _table_problems(tables: Iterable[Table]) -> Iterator[str]:
    refs = Counter(table.ref for table in tables)
    yield from (f"table {ref!r} is listed {count} times" for ref, count in refs.items() if count > 1)
    for table in tables:
        if table.seats < 1:
            yield f"table {table.ref!r} has {table.seats} seats"
        if _is_empty(table.min_party, table.max_party):
            yield f"table {table.ref!r} takes parties of {table.min_party} to {table.max_party}"


def _limit_problems(floor: Floor) -> Iterator[str]:
    for table in floor.tables:
        yield from beyond_seats(f"table {table.ref!r}", table)
    for join in floor.joins:
        yield from beyond_seats(f"join {sorted(join.table_refs, key=natural_key)}", join)


def beyond_seats(name: str, place: Table | Join) -> Iterator[str]:
    """Yield what is wrong with limits above the seats. ``name`` begins the sentence."""
    if place.max_party is not None and place.max_party > place.seats:
        yield f"{name} has {place.seats} seats and takes parties of up to {place.max_party}"
    if place.min_party is not None and place.min_party > place.seats:
        yield f"{name} has {place.seats} seats and takes parties from {place.min_party}"


def _adjacency_problems(pairs: frozenset[frozenset[str]], refs: Set[str]) -> Iterator[str]:
    unknown = sorted({ref for pair in pairs for ref in pair if ref not in refs}, key=natural_key)
    if unknown:
        yield f"adjacency names unknown tables {', '.join(map(repr, unknown))}"
    for pair in sorted(map(sorted, pairs)):
        if len(pair) != 2:
            yield f"adjacency must pair two different tables, not {pair}"


def _join_problems(joins: Iterable[Join], refs: Set[str]) -> Iterator[str]:
    listed = Counter(join.table_refs for join in joins)
    for join in joins:
        tables = sorted(join.table_refs, key=natural_key)
        missing = [ref for ref in tables if ref not in refs]
        if missing:
            yield f"a join names unknown tables {', '.join(map(repr, missing))}"
        if len(tables) < 2 or join.seats < 1:
            yield f"join {tables} needs two tables and a seat"
        if _is_empty(join.min_party, join.max_party):
            yield f"join {tables} takes parties of {join.min_party} to {join.max_party}"
    for joined, count in listed.items():
        if count > 1:
            yield f"join {sorted(joined, key=natural_key)} is listed {count} times"


def _is_empty(min_party: int | None, max_party: int | None) -> bool:
    return min_party is not None and max_party is not None and max_party < min_party


def _service_problems(service: ServicePeriod) -> Iterator[str]:
    if not service.turn_times:
        yield f"service {service.key!r} has no turn times"
    if any(turn.minutes < 1 for turn in service.turn_times):
        yield f"service {service.key!r} has a turn time of less than a minute"
    if list(service.turn_times) != sorted(service.turn_times, key=lambda turn: turn.max_party):
        yield f"service {service.key!r} lists its turn times out of order"
    if service.buffer_before_minutes < 0 or service.buffer_after_minutes < 0:
        yield f"service {service.key!r} has a negative buffer"


def _pacing_problems(pacing: Pacing) -> Iterator[str]:
    if not 1 <= pacing.interval_minutes <= MOST_INTERVAL:
        yield f"pacing has an interval of {pacing.interval_minutes} minutes, and not 1 to {MOST_INTERVAL}"
    if any(most is not None and most < 0 for most in (pacing.most_covers, pacing.most_parties, pacing.most_present)):
        yield "pacing has a negative limit"
    if pacing.first_date and pacing.last_date and pacing.last_date < pacing.first_date:
        yield f"pacing ends on {pacing.last_date} before it begins on {pacing.first_date}"


def takes_guests_too_long(starts: time, ends: time, late_minutes: int) -> bool:
    """Return whether a service still takes guests two days after the one on which it starts.

    By then nobody could tell to which of its evenings they belong.
    """
    nights = 0 if ends > starts else 1
    last = timedelta(days=nights, hours=ends.hour, minutes=ends.minute + late_minutes)
    return last >= timedelta(days=2)


def _hours_problems(service: ServicePeriod) -> Iterator[str]:
    for name, minutes in (("early", service.early_minutes), ("late", service.late_minutes)):
        if not 0 <= minutes <= A_DAY_OF_MINUTES:
            yield f"service {service.key!r} has {minutes} {name} minutes, and not 0 to {A_DAY_OF_MINUTES}"
    if service.late_minutes > 0 and not service.allow_overrun:
        yield (
            f"service {service.key!r} takes guests up to {service.late_minutes} minutes after its end, but allows no overrun"
        )
    if takes_guests_too_long(service.starts, service.ends, service.late_minutes):
        late = service.late_minutes
        yield f"service {service.key!r} takes guests for {late} minutes after its end, into the day after next"
