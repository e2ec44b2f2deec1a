"""An evening as JSON: a restaurant's floor and services, and the bookings that were made for it. Pure: text in, values out.

    {"restaurant": {"name": "Anchor", "ref": "17", "timezone": "Europe/London", "date": "2025-11-06"},
     "tables": [{"code": "T1", "zone": "Bar", "capacity": 4, "min_party": 2, "max_party": 4}],
     "adjacent": [["T1", "T2"]],
     "services": [{"key": "dinner", "start": "17:00", "end": "22:00", "allow_overrun": false,
                   "early_minutes": 15, "late_minutes": 0,
                   "buffer_minutes": {"before": 0, "after": 5}, "turn_minutes": [[2, 60], [4, 75]]}],
     "bookings": [{"ref": "B1", "start": "19:30", "party": 4, "zone": "Bar", "status": "confirmed",
                   "end": "21:00", "requested_at": "2025-11-01T10:15:00+00:00"}]}

``start``, ``end`` and ``requested_at`` are times on the restaurant's ``date``, or whole ISO 8601 moments: its wall clock
unless they have an offset. May be left out: ``ref`` (of the restaurant: the name), ``min_party``, ``max_party``,
``adjacent``, ``allow_overrun`` (false), ``early_minutes``, ``late_minutes`` and ``buffer_minutes`` (0), and of bookings
``zone`` (any), ``status`` (pending), ``end`` (turn times decide), ``requested_at`` (unknown). Other keys of the file and of
the restaurant are passed over; of a table, a service or a booking, they are a mistake.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from assignments.planning.calendar import special_period
from assignments.planning.floor import (
    A_DAY_OF_MINUTES,
    EVERY_WEEKDAY,
    CalendarEntry,
    Floor,
    InvalidFloorError,
    ServicePeriod,
    Table,
    TurnTime,
    adjacency,
)
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import local_to_aware
from assignments.planning.timezone import time_zone

TABLE_KEYS = ("code", "zone", "capacity", "min_party", "max_party")
SERVICE_KEYS = (
    "key",
    "start",
    "end",
    "allow_overrun",
    "early_minutes",
    "late_minutes",
    "buffer_minutes",
    "turn_minutes",
)
CALENDAR_KEYS = ("first_date", "last_date", "weekdays", "services")
CALENDAR_SERVICE_KEYS = ("key", "start", "end", "turn_minutes")
BOOKING_KEYS = ("ref", "start", "end", "party", "zone", "status", "requested_at")
PENDING, CANCELLED = "pending", "cancelled"
STATUSES = (PENDING, "confirmed", CANCELLED, "no_show", "completed")
LARGEST_PARTY = 1000
LARGEST_NUMBER = 10_000
"""Of seats, covers and minutes, in a floor."""
YEARS = range(1970, 2200)


class UnusableFileError(ValueError):
    """The file as a whole cannot be used; nothing of it was taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BookingRow:
    """Moments are the restaurant's wall clock, or aware if the file said so. ``place``: where in the file."""

    place: str
    ref: str
    start: datetime
    party: int
    end: datetime | None = None
    zone: str = ""
    status: str = PENDING
    requested_at: datetime | None = None
    restaurant: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BadRow:
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True, kw_only=True, slots=True)
class EveningFile:
    """A whole file. ``name`` is empty for bookings alone, whose rows name their restaurant. A table's ref is its code."""

    bookings: tuple[BookingRow, ...]
    bad_rows: tuple[BadRow, ...] = ()
    name: str = ""
    ref: str = ""
    timezone: str = ""
    tables: tuple[Table, ...] = ()
    adjacent: tuple[tuple[str, str], ...] = ()
    services: tuple[ServicePeriod, ...] = ()
    calendar: tuple[CalendarEntry, ...] = ()

    def floor(self) -> Floor:
        """The floor, with codes and zone names as refs. Raises UnusableFileError for one that contradicts itself."""
        try:
            return Floor(
                restaurant_ref=self.ref or self.name,
                timezone=self.timezone,
                tables=self.tables,
                services=self.services,
                adjacent=adjacency(self.adjacent),
                calendar=self.calendar,
            )
        except InvalidFloorError as error:
            raise UnusableFileError(str(error)) from error

    def requests(self) -> tuple[SeatingRequest, ...]:
        """What was asked for, cancelled bookings left out. Raises UnusableFileError that names every bad booking."""
        bad = list(self.bad_rows)
        requests = []
        zones = {table.zone_ref for table in self.tables}
        for row in self.bookings:
            if row.status == CANCELLED:
                continue
            if row.zone and row.zone not in zones:
                bad.append(BadRow(place=row.place, reason=f"there is no zone {row.zone!r}"))
                continue
            try:
                requests.append(
                    SeatingRequest(
                        booking_ref=row.ref,
                        starts_at=as_aware(row.start, self.timezone),
                        party=row.party,
                        ends_at=row.end and as_aware(row.end, self.timezone),
                        zone_ref=row.zone or None,
                        requested_at=row.requested_at and as_aware(row.requested_at, self.timezone),
                    )
                )
            except ValueError as error:
                bad.append(BadRow(place=row.place, reason=str(error)))
        if bad:
            rows = "\n  ".join(map(str, bad))
            raise UnusableFileError(f"{len(bad)} of its bookings are bad:\n  {rows}")
        return tuple(requests)


def as_aware(moment: datetime, timezone: str) -> datetime:
    """The moment as it is if aware, else read off the wall clock. Raises ValueError for a time that the clocks skip."""
    return moment if moment.tzinfo else local_to_aware(moment, time_zone(timezone))


def decode(raw: bytes) -> str:
    """The file's text. Raises UnusableFileError when it is not UTF-8 (a byte order mark is fine) or empty."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnusableFileError(f"It is not UTF-8 text (byte {error.start}).") from error
    if not text.strip():
        raise UnusableFileError("It is empty.")
    return text


def parse(text: str, *, on: date | None = None, longest: Mapping[str, int] | None = None) -> EveningFile:
    """The evening, moved to the day ``on`` if given. Raises UnusableFileError; bad bookings are listed.

    ``longest``: how many characters the texts ``name``, ``code``, ``zone``, ``key`` and ``ref`` may have, for whoever stores
    them.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnusableFileError(f"It is not JSON: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise UnusableFileError("It is not JSON that can be read: a number too long, or nested too deeply.") from error
    if not isinstance(data, dict):
        raise UnusableFileError(f"It must hold one object, not a {type(data).__name__}.")
    lengths = longest or {}
    restaurant = _get(data, "restaurant", dict)
    # With a day to move to, the file need not say its own.
    written = _get(restaurant, "date", str, "restaurant.", default=on and on.isoformat())
    day = _parsed(date.fromisoformat, written, "restaurant.date", "a date")
    zone = _get(restaurant, "timezone", str, "restaurant.")
    try:
        time_zone(zone)
    except ValueError as error:
        raise UnusableFileError(f"restaurant.timezone: {error}.") from error
    tables = tuple(_table(row, f"tables[{index}]", lengths) for index, row in enumerate(_get(data, "tables", list)))
    services = tuple(
        _service(row, f"services[{index}]", lengths) for index, row in enumerate(_get(data, "services", list))
    )
    refuse_repeated("tables", (table.ref for table in tables))
    refuse_repeated("services", (service.key for service in services))
    moved = timedelta() if on is None else on - day
    calendar = tuple(
        _calendar_entry(row, f"calendar[{index}]", services, moved)
        for index, row in enumerate(_get(data, "calendar", list, default=[]))
    )
    zones = {table.ref: table.zone_ref for table in tables}
    bookings, bad_rows = split(
        _booking(row, f"bookings[{index}]", day, on, lengths) for index, row in enumerate(_get(data, "bookings", list))
    )
    return EveningFile(
        name=_text(restaurant, "name", "restaurant.", lengths),
        ref=_get(restaurant, "ref", str, "restaurant.", default=""),
        timezone=zone,
        tables=tables,
        adjacent=tuple(
            _pair(pair, f"adjacent[{index}]", zones)
            for index, pair in enumerate(_get(data, "adjacent", list, default=[]))
        ),
        services=services,
        calendar=calendar,
        bookings=bookings,
        bad_rows=bad_rows,
    )


def booking_row(
    row: Mapping[str, Any], place: str, day: date | None, on: date | None, longest: Mapping[str, int]
) -> BookingRow | BadRow:
    """``day`` is that of moments which are but a time; starts and ends move to the day ``on``, if given."""
    ref, party = row.get("ref"), row.get("party")
    if not isinstance(ref, str) or not ref:
        return BadRow(place=place, reason=f"ref must be a text, not {ref!r}")
    if problem := text_problem(ref, longest.get("ref")):
        return BadRow(place=place, reason=f"ref {problem}")
    zone = row.get("zone") or ""
    if not isinstance(zone, str):
        return BadRow(place=place, reason=f"zone must be a text, not {zone!r}")
    if not isinstance(party, int) or isinstance(party, bool):
        return BadRow(place=place, reason=f"party must be a whole number, not {party!r}")
    if not 1 <= party <= LARGEST_PARTY:
        return BadRow(place=place, reason=f"party must be between 1 and {LARGEST_PARTY}, not {party}")
    status = row.get("status") or PENDING
    if status not in STATUSES:
        return BadRow(place=place, reason=f"status must be one of {', '.join(STATUSES)}, not {status!r}")
    try:
        start = _moment("start", str(row.get("start") or ""), day)
        end = _moment("end", str(row["end"]), day) if row.get("end") else None
        requested = _moment("requested_at", str(row["requested_at"]), day) if row.get("requested_at") else None
    except ValueError as error:
        return BadRow(place=place, reason=str(error))
    moved = timedelta() if on is None else on - start.date()
    return BookingRow(
        place=place,
        ref=ref,
        start=start + moved,
        end=end and end + moved,
        party=party,
        zone=zone,
        status=status,
        requested_at=requested,
        restaurant=row.get("restaurant") or "",
    )


def split(rows: Iterable[BookingRow | BadRow]) -> tuple[tuple[BookingRow, ...], tuple[BadRow, ...]]:
    """Good and bad rows; of two with the same reference in one restaurant, the second is bad."""
    good: dict[tuple[str, str], BookingRow] = {}
    bad = []
    for row in rows:
        if isinstance(row, BadRow):
            bad.append(row)
        elif (row.restaurant, row.ref) in good:
            bad.append(
                BadRow(
                    place=row.place, reason=f"ref {row.ref!r} is there already, {good[row.restaurant, row.ref].place}"
                )
            )
        else:
            good[row.restaurant, row.ref] = row
    return tuple(good.values()), tuple(bad)


def text_problem(text: str, longest: int | None = None) -> str:
    """Why a text that names something cannot be taken, as the end of a sentence; empty when it can."""
    if not text.strip():
        return "must not be empty"
    if "\0" in text:
        return f"must hold no NUL character: {text!r}"
    if longest is not None and len(text) > longest:
        return f"must be of at most {longest} characters, not {len(text)}"
    return ""


def refuse_repeated(what: str, names: Iterable[str]) -> None:
    """Raises UnusableFileError where a name occurs more than once."""
    if repeated := sorted(name for name, count in Counter(names).items() if count > 1):
        raise UnusableFileError(f"{what}: {', '.join(repeated)} is listed more than once.")


def _get(data: Mapping[str, Any], key: str, kind: type, path: str = "", default: Any = None) -> Any:
    value = data.get(key, default)
    if value is None:
        raise UnusableFileError(f"{path}{key} is missing.")
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UnusableFileError(f"{path}{key} must be of type {kind.__name__}, not {value!r}.")
    return value


def _text(data: Mapping[str, Any], key: str, path: str, longest: Mapping[str, int]) -> str:
    text: str = _get(data, key, str, path)
    if problem := text_problem(text, longest.get(key)):
        raise UnusableFileError(f"{path}{key} {problem}.")
    return text


def _number(data: Mapping[str, Any], key: str, path: str, *, least: int, default: int | None = None) -> int:
    number: int = _get(data, key, int, path, default=default)
    if not least <= number <= LARGEST_NUMBER:
        raise UnusableFileError(f"{path}{key} must be between {least} and {LARGEST_NUMBER}, not {number}.")
    return number


def _parsed(parse_text: Any, text: str, path: str, what: str) -> Any:
    try:
        return parse_text(text)
    except ValueError as error:
        raise UnusableFileError(f"{path}: {text!r} is not {what}.") from error


def _row(row: Any, path: str, known: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise UnusableFileError(f"{path} must be an object, not {row!r}.")
    if problem := _unknown_keys(row, known):
        raise UnusableFileError(f"{path}: {problem}.")
    return row


def _unknown_keys(row: Mapping[str, Any], known: Sequence[str]) -> str:
    unknown = sorted(set(row) - set(known))
    return f"unknown keys {', '.join(map(repr, unknown))}; known are {', '.join(known)}" if unknown else ""


def _table(row: Any, path: str, longest: Mapping[str, int]) -> Table:
    row = _row(row, path, TABLE_KEYS)
    seats = _number(row, "capacity", f"{path}.", least=1)
    min_party = None if row.get("min_party") is None else _number(row, "min_party", f"{path}.", least=1)
    max_party = None if row.get("max_party") is None else _number(row, "max_party", f"{path}.", least=1)
    if not (min_party or 1) <= (max_party or seats) <= seats:
        limits = f"{min_party or 1} to {max_party or seats}"
        raise UnusableFileError(f"{path}: {seats} seats for parties of {limits} make no sense.")
    code = _text(row, "code", f"{path}.", longest)
    return Table(
        ref=code,
        name=code,
        zone_ref=_text(row, "zone", f"{path}.", longest),
        seats=seats,
        min_party=min_party,
        max_party=max_party,
    )


def _pair(pair: Any, path: str, zones: Mapping[str, str | None]) -> tuple[str, str]:
    if not isinstance(pair, list) or len(pair) != 2 or pair[0] == pair[1]:
        raise UnusableFileError(f"{path} must name two different tables, not {pair!r}.")
    for code in pair:
        if not isinstance(code, str) or code not in zones:
            raise UnusableFileError(f"{path} names the unknown table {code!r}.")
    first, second = pair
    if zones[first] != zones[second]:
        problem = f"{path}: {first} is in {zones[first]} and {second} in {zones[second]}; adjacent tables share a zone."
        raise UnusableFileError(problem)
    return first, second


def _service(row: Any, path: str, longest: Mapping[str, int]) -> ServicePeriod:
    row = _row(row, path, SERVICE_KEYS)
    buffers = _row(row.get("buffer_minutes", {}), f"{path}.buffer_minutes", ("before", "after"))
    turns = _get(row, "turn_minutes", list, f"{path}.")
    if not turns or not all(isinstance(turn, list) and len(turn) == 2 and all(map(_is_amount, turn)) for turn in turns):
        raise UnusableFileError(f"{path}.turn_minutes must list [largest party, minutes], not {turns!r}.")
    refuse_repeated(f"{path}.turn_minutes", (f"a party of {party}" for party, _minutes in turns))
    allow_overrun = _get(row, "allow_overrun", bool, f"{path}.", default=False)
    early, late = (_number(row, each, f"{path}.", least=0, default=0) for each in ("early_minutes", "late_minutes"))
    for name, minutes in (("early_minutes", early), ("late_minutes", late)):
        if minutes > A_DAY_OF_MINUTES:
            raise UnusableFileError(f"{path}.{name} must be at most {A_DAY_OF_MINUTES}, not {minutes}.")
    if late and not allow_overrun:
        raise UnusableFileError(
            f"{path}: late_minutes {late} need allow_overrun: whoever comes late stays past the end."
        )
    return ServicePeriod(
        key=_text(row, "key", f"{path}.", longest),
        starts=_parsed(time.fromisoformat, _get(row, "start", str, f"{path}."), f"{path}.start", "a time"),
        ends=_parsed(time.fromisoformat, _get(row, "end", str, f"{path}."), f"{path}.end", "a time"),
        allow_overrun=allow_overrun,
        early_minutes=early,
        late_minutes=late,
        buffer_before_minutes=_number(buffers, "before", f"{path}.buffer_minutes.", least=0, default=0),
        buffer_after_minutes=_number(buffers, "after", f"{path}.buffer_minutes.", least=0, default=0),
        turn_times=tuple(TurnTime(max_party=party, minutes=minutes) for party, minutes in sorted(turns)),
    )


def _calendar_entry(row: Any, path: str, services: Sequence[ServicePeriod], moved: timedelta) -> CalendarEntry:
    """Dates that have other hours; closed if the entry has no services. They move with the evening."""
    row = _row(row, path, CALENDAR_KEYS)
    first = _parsed(date.fromisoformat, _get(row, "first_date", str, f"{path}."), f"{path}.first_date", "a date")
    last = first
    if row.get("last_date") is not None:
        last = _parsed(date.fromisoformat, _get(row, "last_date", str, f"{path}."), f"{path}.last_date", "a date")
    weekdays = _get(row, "weekdays", list, f"{path}.", default=[])
    if not all(isinstance(each, int) and not isinstance(each, bool) and each in EVERY_WEEKDAY for each in weekdays):
        raise UnusableFileError(f"{path}.weekdays must list numbers from 0 (Monday) to 6, not {weekdays!r}.")
    if last < first:
        raise UnusableFileError(f"{path}: it ends on {last}, before it begins on {first}.")
    usual = {service.key: service for service in services}
    special = []
    for index, given in enumerate(_get(row, "services", list, f"{path}.", default=[])):
        place = f"{path}.services[{index}]"
        each = _row(given, place, CALENDAR_SERVICE_KEYS)
        key = _get(each, "key", str, f"{place}.")
        if key not in usual:
            raise UnusableFileError(f"{place}.key: there is no service {key!r}; there are {', '.join(sorted(usual))}.")
        minutes = each.get("turn_minutes")
        special.append(
            special_period(
                usual[key],
                starts=_parsed(time.fromisoformat, _get(each, "start", str, f"{place}."), f"{place}.start", "a time"),
                ends=_parsed(time.fromisoformat, _get(each, "end", str, f"{place}."), f"{place}.end", "a time"),
                turn_minutes=None if minutes is None else _number(each, "turn_minutes", f"{place}.", least=1),
            )
        )
    return CalendarEntry(
        first_date=first + moved,
        last_date=last + moved,
        services=tuple(special),
        weekdays=frozenset(weekdays) or EVERY_WEEKDAY,
    )


def _is_amount(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_NUMBER


def _booking(row: Any, path: str, day: date, on: date | None, longest: Mapping[str, int]) -> BookingRow | BadRow:
    if not isinstance(row, dict):
        return BadRow(place=path, reason=f"must be an object, not {row!r}")
    place = f"{path} ({row['ref']})" if isinstance(row.get("ref"), str) else path
    if problem := _unknown_keys(row, BOOKING_KEYS):
        return BadRow(place=place, reason=problem)
    return booking_row(row, place, day, on, longest)


def _moment(name: str, text: str, day: date | None) -> datetime:
    """``HH:MM`` on the day, or a whole ISO date and time. Raises ValueError that names the value."""
    try:
        is_clock = len(text) <= 8
        clock, moment = (time.fromisoformat(text), None) if is_clock else (time(), datetime.fromisoformat(text))
    except ValueError:
        raise ValueError(f"{name} must be a time or an ISO date and time, not {text!r}") from None
    if moment is None:
        if day is None:
            raise ValueError(f"{name} {text!r} has no date; give --date")
        moment = datetime.combine(day, clock)
    if moment.year not in YEARS:
        raise ValueError(f"{name} must be in the years {YEARS[0]} to {YEARS[-1]}, not {text!r} in {moment.year}")
    return moment
