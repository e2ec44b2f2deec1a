"""An evening as JSON: a restaurant's floor and services, and its bookings. Only ``read`` does I/O.

    {"restaurant": {"name": "Anchor", "ref": "17", "timezone": "Europe/London", "date": "2025-11-06"},
     "zones": [{"name": "Bar", "priority": 5}],
     "tables": [{"code": "T1", "zone": "Bar", "capacity": 4, "min_party": 2, "max_party": 4, "active": true,
                 "priority": 10, "features": ["window", "step-free"]}],
     "adjacent": [["T1", "T2"]],
     "joins": [{"tables": ["T1", "T2"], "seats": 6, "min_party": 5, "max_party": 6}],
     "services": [{"key": "dinner", "start": "17:00", "end": "22:00", "weekdays": [4, 5, 6], "allow_overrun": false,
                   "early_minutes": 15, "late_minutes": 0,
                   "buffer_minutes": {"before": 0, "after": 5}, "turn_minutes": [[2, 60], [4, 75]],
                   "pacing": {"interval_minutes": 15, "most_covers": 20, "most_parties": 6, "most_present": 80}}],
     "calendar": [{"first_date": "2025-12-24", "last_date": "2025-12-26", "weekdays": []},
                  {"first_date": "2025-12-31",
                   "services": [{"key": "dinner", "start": "18:00", "end": "02:00", "turn_minutes": 150,
                                 "pacing": {"most_covers": 12}}]}],
     "bookings": [{"ref": "B1", "start": "19:30", "party": 4, "zone": "Bar", "status": "confirmed",
                   "end": "21:00", "requested_at": "2025-11-01T10:15:00+00:00",
                   "needs": ["step-free"], "wishes": ["window"]}]}

``start``, ``end`` and ``requested_at`` of a booking are times of the evening of the restaurant's ``date``, or whole ISO
8601 moments: its wall clock unless they have an offset. A time after midnight means the night that follows, as in
``service_date``. May be left out: ``ref`` (of the restaurant: the name), ``min_party``, ``max_party``, ``active`` (true),
``adjacent``, ``joins``, ``weekdays`` (0 is Monday; every day), ``allow_overrun`` (false), ``early_minutes``,
``late_minutes`` and ``buffer_minutes`` (0), ``calendar``, ``zones``, ``priority`` (of a table: its zone's; of a zone: 0),
``features`` (none), ``pacing`` (no limit; its ``interval_minutes``: 15), and of bookings ``zone`` (any), ``status``
(pending), ``end`` (turn times decide), ``requested_at`` (unknown), ``needs`` and ``wishes`` (none). The pacing of a service
in the calendar holds on the dates of its entry, instead of the usual one.

``about`` and ``notes`` may stand anywhere, ``known_results`` and ``reference`` at the top level, with any content; they
are ignored. Any other key is an error, so that nothing in a file is ignored silently.

Long because it is the one description of the format, and each part of it is read and refused by name.
"""

import codecs
import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from assignments.integration.written_time import YEARS, read_clock, read_date, read_moment
from assignments.planning.calendar import special_period
from assignments.planning.features import LONGEST_FEATURE, MOST_FEATURES, words
from assignments.planning.floor import (
    A_DAY_OF_MINUTES,
    EVERY_WEEKDAY,
    MOST_INTERVAL,
    MOST_PRIORITY,
    CalendarEntry,
    Floor,
    InvalidFloorError,
    Join,
    Pacing,
    ServicePeriod,
    Table,
    TurnTime,
    adjacency,
)
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import local_to_aware
from assignments.planning.service_day import A_DAY, service_date
from assignments.planning.timezone import time_zone

LARGEST_BYTES = 64 * 1024**2
"""Size of the largest file that is read, far above years of one restaurant."""
FREE_TEXT = ("about", "notes")
"""Keys that may stand anywhere, and that nobody reads."""
FILE_FREE_TEXT = ("known_results", "reference")
"""Keys of the file itself that nobody reads. Elsewhere ``reference`` may be meant as ``ref``, and would be lost."""
FILE_KEYS = ("restaurant", "zones", "tables", "adjacent", "joins", "services", "calendar", "bookings")
RESTAURANT_KEYS = ("name", "ref", "timezone", "date")
ZONE_KEYS = ("name", "priority")
TABLE_KEYS = ("code", "zone", "capacity", "min_party", "max_party", "active", "priority", "features")
JOIN_KEYS = ("tables", "seats", "min_party", "max_party")
SERVICE_KEYS = (
    "key",
    "start",
    "end",
    "weekdays",
    "allow_overrun",
    "early_minutes",
    "late_minutes",
    "buffer_minutes",
    "turn_minutes",
    "pacing",
)
PACING_LIMITS = ("most_covers", "most_parties", "most_present")
PACING_KEYS = ("interval_minutes", *PACING_LIMITS)
CALENDAR_KEYS = ("first_date", "last_date", "weekdays", "services")
CALENDAR_SERVICE_KEYS = ("key", "start", "end", "turn_minutes", "pacing")
BOOKING_KEYS = ("ref", "start", "end", "party", "zone", "status", "requested_at", "needs", "wishes")
ALSO_CALLED = {
    "party": ("covers", "guests", "people", "pax", "persons", "size", "party_size"),
    "capacity": ("seats", "covers", "size"),
    "code": ("name", "ref", "id", "number", "table"),
    "key": ("name", "ref", "id", "service"),
    "ref": ("id", "reference", "number", "booking", "name"),
    "zone": ("area", "room", "section"),
    "start": ("time", "starts", "starts_at", "from", "opens", "begin"),
    "end": ("ends", "ends_at", "until", "to", "closes"),
    "turn_minutes": ("turn_times", "turns", "duration", "minutes"),
    "buffer_minutes": ("buffer", "buffers"),
    "requested_at": ("created_at", "created", "made_at", "booked_at", "asked_at"),
    "first_date": ("date", "from", "day"),
    "last_date": ("until", "to"),
    "timezone": ("tz", "time_zone", "zone"),
    "date": ("day",),
    "features": ("tags", "attributes"),
    "allow_overrun": ("overrun",),
    "seats": ("capacity", "covers", "size"),
    "tables": ("codes", "refs"),
    "wishes": ("preferences", "requests"),
    "needs": ("requirements",),
}
"""What others call our keys: no spelling mistakes, so that they resemble the right key too little to be suggested."""
PENDING, CANCELLED = "pending", "cancelled"
STATUSES = (PENDING, "confirmed", CANCELLED, "no_show", "completed")
LARGEST_PARTY = 1000
LARGEST_NUMBER = 10_000
"""Of seats, covers and minutes, in a floor."""
LONGEST_STAY = timedelta(hours=12)
"""How long guests sit whose end is but a time. What would be longer is a mistake: the end is before the start."""


class UnusableFileError(ValueError):
    """The file as a whole cannot be used; nothing was read from it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BookingRow:
    """A booking in a file. Moments are local times of the restaurant, or aware if the file has an offset.

    ``place``: where it is in the file. ``clocks``: the names of moments without a date; until ``placed``, these are on
    the evening's date.
    """

    place: str
    ref: str
    start: datetime
    party: int
    end: datetime | None = None
    zone: str = ""
    status: str = PENDING
    requested_at: datetime | None = None
    restaurant: str = ""
    clocks: frozenset[str] = frozenset()
    needs: tuple[str, ...] = ()
    wishes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class BadRow:
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True, kw_only=True, slots=True)
class EveningFile:
    """A whole file. A table's ref is its code.

    ``name`` is empty for a file with only bookings. Their rows name their restaurant, and still have to be ``placed``
    on their evening, or on the day ``on`` if given. ``day``: the date of the evening.
    """

    bookings: tuple[BookingRow, ...]
    bad_rows: tuple[BadRow, ...] = ()
    name: str = ""
    ref: str = ""
    timezone: str = ""
    tables: tuple[Table, ...] = ()
    adjacent: tuple[tuple[str, str], ...] = ()
    services: tuple[ServicePeriod, ...] = ()
    calendar: tuple[CalendarEntry, ...] = ()
    joins: tuple[Join, ...] = ()
    pacing: tuple[Pacing, ...] = ()
    on: date | None = None
    day: date | None = None

    def called(self, name: str) -> "EveningFile":
        """Return the same evening for a separate restaurant with this name."""
        return replace(self, name=name, ref="")

    def floor(self) -> Floor:
        """Return the floor, with codes and zone names as refs. Raises UnusableFileError for an inconsistent one."""
        try:
            return Floor(
                restaurant_ref=self.ref or self.name,
                timezone=self.timezone,
                tables=self.tables,
                services=self.services,
                adjacent=adjacency(self.adjacent),
                joins=self.joins,
                calendar=self.calendar,
                pacing=self.pacing,
            )
        except InvalidFloorError as error:
            raise UnusableFileError(str(error)) from error

    def requests(self) -> tuple[SeatingRequest, ...]:
        """Return the requests, without cancelled bookings. Raises UnusableFileError, which names every bad booking."""
        bad = list(self.bad_rows)
        requests = []
        zones = {table.zone_ref for table in self.tables}
        for row in self.bookings:
            if row.status == CANCELLED:
                continue
            if row.zone and row.zone not in zones:
                reason = f"there is no zone {row.zone!r}{did_you_mean(row.zone, filter(None, zones))}"
                bad.append(BadRow(place=row.place, reason=reason))
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
                        needs=frozenset(row.needs),
                        wishes=frozenset(row.wishes),
                    )
                )
            except ValueError as error:
                bad.append(BadRow(place=row.place, reason=str(error)))
        if bad:
            rows = "\n  ".join(map(str, bad))
            raise UnusableFileError(f"{len(bad)} of its bookings are bad:\n  {rows}")
        return tuple(requests)


def as_aware(moment: datetime, timezone: str) -> datetime:
    """Return the moment as an aware one; a naive one is local time. Raises ValueError for a time that the clocks skip."""
    return moment if moment.tzinfo else local_to_aware(moment, time_zone(timezone))


def placed(row: BookingRow, floor: Floor, on: date | None = None) -> BookingRow:
    """Return the booking on the evening that its times mean, or at the same times on the evening of ``on`` if given.

    A start without a date belongs to the service day of the evening: half past midnight is in the following night. An
    end without a date is the first such time after the start. Raises ValueError for an end that is not after the start.
    """

    def aware(moment: datetime) -> datetime:
        return moment if moment.tzinfo else moment.replace(tzinfo=floor.zone)

    start = _on_evening(row.start, floor) if "start" in row.clocks else row.start
    end, requested = row.end, row.requested_at
    if end is not None and "end" in row.clocks:
        end = datetime.combine(aware(start).astimezone(end.tzinfo or floor.zone).date(), end.timetz())
        end += A_DAY if aware(end) <= aware(start) else timedelta()
        if aware(end) - aware(start) > LONGEST_STAY:
            raise ValueError(f"end {end:%H:%M} is before its start at {start:%H:%M}")
    if end is not None and aware(end) <= aware(start):
        raise ValueError(f"end {end.isoformat()} is not after its start at {start.isoformat()}")
    if requested is not None and "requested_at" in row.clocks:
        in_the_night = _on_evening(requested, floor)
        requested = in_the_night if aware(in_the_night) <= aware(start) else requested
    if on is not None:
        moved = on - service_date(floor, aware(start))
        start, end = _moved(start, moved, floor), end and _moved(end, moved, floor)
    return replace(row, start=start, end=end, requested_at=requested, clocks=frozenset())


def _on_evening(moment: datetime, floor: Floor) -> datetime:
    """Return the time of ``moment`` within the service day of its date; on the date itself if nothing is served."""
    day = moment.date()
    for other in (moment, moment + A_DAY, moment - A_DAY):
        if service_date(floor, other if other.tzinfo else other.replace(tzinfo=floor.zone)) == day:
            return other
    return moment


def _moved(moment: datetime, by: timedelta, floor: Floor) -> datetime:
    """Return the moment moved by whole days of local time, even if the clocks change in between."""
    if not by:
        return moment
    return (moment.astimezone(floor.zone).replace(tzinfo=None) if moment.tzinfo else moment) + by


def read(path: Path) -> str:
    """Return the text of the file at ``path``, of at most ``LARGEST_BYTES``. Raises OSError, UnusableFileError."""
    with path.open("rb") as file:
        raw = file.read(LARGEST_BYTES + 1)  # A pipe or a device has no known size.
    if len(raw) > LARGEST_BYTES:
        raise UnusableFileError(f"It is larger than {LARGEST_BYTES // 1024**2} MiB.")
    return decode(raw)


def decode(raw: bytes) -> str:
    """Return the text of UTF-8 or UTF-16 bytes, with or without a byte order mark. Raises UnusableFileError."""
    name = "utf-8-sig"
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = "utf-16"
    elif raw[:2].count(0) == 1:  # UTF-16: every file begins with an ASCII character.
        name = "utf-16-be" if raw[0] == 0 else "utf-16-le"
    try:
        text = raw.decode(name)
    except UnicodeDecodeError as error:
        kind = "UTF-8" if name == "utf-8-sig" else "UTF-16"
        advice = "" if kind == "UTF-16" else '; in a spreadsheet, save it as "CSV UTF-8"'
        raise UnusableFileError(f"It is not {kind} text (byte {error.start}){advice}.") from error
    if not text.strip():
        raise UnusableFileError("It is empty.")
    return text


def parse(text: str, *, on: date | None = None, longest: Mapping[str, int] | None = None) -> EveningFile:
    """Return the evening, moved to the day ``on`` if given. Raises UnusableFileError; bad bookings are only listed.

    ``longest``: the maximum number of characters of ``name``, ``code``, ``zone``, ``key``, ``ref`` and
    ``restaurant_ref``, for callers that store them.
    """
    try:
        data = json.loads(text, object_pairs_hook=_without_repeated_keys)
    except json.JSONDecodeError as error:
        raise UnusableFileError(f"It is not JSON: {error}.") from error
    except UnusableFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnusableFileError("It is not JSON that can be read: a number too long, or nested too deeply.") from error
    if not isinstance(data, dict):
        raise UnusableFileError(f"It must hold one object, not a {type(data).__name__}.")
    if problem := _unknown_keys(data, FILE_KEYS, FILE_FREE_TEXT):
        raise UnusableFileError(f"The file has {problem}.")
    refuse_distant(on)
    lengths = longest or {}
    restaurant = _row(_get(data, "restaurant", dict), "restaurant", RESTAURANT_KEYS)
    # With a day to move to, the file need not say its own.
    written = _get(restaurant, "date", str, "restaurant.", default=on and on.isoformat())
    day = _parsed(read_date, written, "restaurant.date")
    zone = _get(restaurant, "timezone", str, "restaurant.")
    try:
        time_zone(zone)
    except ValueError as error:
        raise UnusableFileError(f"restaurant.timezone: {error}.") from error
    rows = _get(data, "tables", list)
    tables = tuple(_table(row, f"tables[{index}]", lengths) for index, row in enumerate(rows))
    tables = _by_zone(tables, rows, _zones(_get(data, "zones", list, default=[]), tables))
    services = tuple(
        _service(row, f"services[{index}]", lengths) for index, row in enumerate(_get(data, "services", list))
    )
    refuse_repeated("tables", (table.ref for table in tables))
    refuse_repeated("services", (service.key for service in services))
    by_code = {table.ref: table for table in tables}
    evening = EveningFile(
        name=_text(restaurant, "name", "restaurant.", lengths),
        ref=_text(restaurant, "ref", "restaurant.", lengths, "restaurant_ref") if "ref" in restaurant else "",
        timezone=zone,
        tables=tables,
        adjacent=tuple(
            _pair(pair, f"adjacent[{index}]", by_code)
            for index, pair in enumerate(_get(data, "adjacent", list, default=[]))
        ),
        joins=_joins(_get(data, "joins", list, default=[]), by_code),
        services=services,
        calendar=tuple(
            _calendar_entry(row, f"calendar[{index}]", services)
            for index, row in enumerate(_get(data, "calendar", list, default=[]))
        ),
        pacing=_all_pacing(data),
        bookings=(),
        day=day if on is None else on,
    )
    floor = evening.floor()
    found, bad_rows = split(
        _booking(row, f"bookings[{index}]", day, lengths) for index, row in enumerate(_get(data, "bookings", list))
    )
    bookings, bad = split(placed_or_bad(row, floor, on) for row in found)
    moved = timedelta() if on is None else on - day
    calendar = tuple(
        replace(entry, first_date=entry.first_date + moved, last_date=entry.last_date + moved)
        for entry in evening.calendar
    )
    pacing = tuple(
        replace(each, first_date=each.first_date + moved, last_date=each.last_date + moved)
        if each.first_date and each.last_date
        else each
        for each in evening.pacing
    )
    return replace(evening, calendar=calendar, pacing=pacing, bookings=bookings, bad_rows=(*bad_rows, *bad))


def placed_or_bad(row: BookingRow, floor: Floor, on: date | None) -> BookingRow | BadRow:
    """Return the booking as ``placed`` does, or a bad row that says why that is impossible."""
    try:
        return placed(row, floor, on)
    except ValueError as error:
        return BadRow(place=row.place, reason=str(error))


def booking_row(
    row: Mapping[str, Any], place: str, day: date | None, longest: Mapping[str, int]
) -> BookingRow | BadRow:
    """Read a booking. ``day``: the evening's date, for times without a date."""
    try:
        return _read_booking(row, place, day, longest)
    except ValueError as error:
        return BadRow(place=place, reason=str(error))


def _read_booking(row: Mapping[str, Any], place: str, day: date | None, longest: Mapping[str, int]) -> BookingRow:
    ref = _words(row, "ref")
    if not ref:
        raise ValueError(f"ref must be a text, not {row.get('ref')!r}")
    if problem := text_problem(ref, longest.get("ref")):
        raise ValueError(f"ref {problem}")
    party = row.get("party")
    if not isinstance(party, int) or isinstance(party, bool):
        raise ValueError(f"party must be a whole number, not {party!r}")
    if not 1 <= party <= LARGEST_PARTY:
        raise ValueError(f"party must be between 1 and {LARGEST_PARTY}, not {party}")
    status = _words(row, "status") or PENDING
    if status not in STATUSES:
        near = did_you_mean(status, STATUSES)
        raise ValueError(f"status must be one of {', '.join(STATUSES)}, not {status!r}{near}")
    start, is_clock = _moment("start", _words(row, "start"), day)
    clocks = {"start"} if is_clock else set()
    others: dict[str, datetime] = {}
    for name in ("end", "requested_at"):
        if text := _words(row, name):
            others[name], is_clock = _moment(name, text, day)
            clocks.update([name] if is_clock else [])
    return BookingRow(
        place=place,
        ref=ref,
        start=start,
        end=others.get("end"),
        party=party,
        zone=_words(row, "zone"),
        status=status,
        requested_at=others.get("requested_at"),
        restaurant=_words(row, "restaurant"),
        clocks=frozenset(clocks),
        needs=_features(row, "needs"),
        wishes=_features(row, "wishes"),
    )


def _words(row: Mapping[str, Any], name: str) -> str:
    """Return a text in Unicode's composed form; "" if the row has none."""
    text = row.get(name)
    if text is not None and not isinstance(text, str):
        raise ValueError(f"{name} must be a text, not {text!r}")
    return unicodedata.normalize("NFC", text or "")


def _features(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return features as planning compares them, in alphabetical order; empty if the row has none. Raises ValueError."""
    given = row.get(name)
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(each, str) and each.strip() for each in given):
        raise ValueError(f'{name} must list texts, such as ["window"], not {given!r}')
    for each in given:
        if problem := text_problem(each.strip(), LONGEST_FEATURE):
            raise ValueError(f"{name} has {each!r}, which {problem}")
        if "," in each or ";" in each:
            raise ValueError(f"{name} has {each!r}: write each of them as a text of its own")
    found = tuple(sorted(words(unicodedata.normalize("NFC", each) for each in given)))
    if len(given) > MOST_FEATURES:
        raise ValueError(f"{name} must list at most {MOST_FEATURES}, not {len(given)}")
    return found


def split(rows: Iterable[BookingRow | BadRow]) -> tuple[tuple[BookingRow, ...], tuple[BadRow, ...]]:
    """Return good and bad rows; of two with the same reference in one restaurant, the second is bad."""
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
    """Say why a name cannot be used, as the end of a sentence; empty if it can."""
    if not text.strip():
        return "must not be empty"
    if "\0" in text:
        return f"must hold no NUL character: {text!r}"
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        return f"must hold no line breaks, tabs or broken characters: {text!r}"
    if text != text.strip():
        return f"must not begin or end with a space: {text!r}"
    if longest is not None and len(text) > longest:
        return f"must be of at most {longest} characters, not {len(text)}"
    return ""


def refuse_distant(on: date | None) -> None:
    """Raise UnusableFileError if the day to move to is in a year that a file cannot have."""
    if on is not None and on.year not in YEARS:
        raise UnusableFileError(f"It cannot be moved to {on}: that is not in the years {YEARS[0]} to {YEARS[-1]}.")


def refuse_repeated(what: str, names: Iterable[str]) -> None:
    """Raise UnusableFileError if a name occurs more than once."""
    if repeated := sorted(name for name, count in Counter(names).items() if count > 1):
        raise UnusableFileError(f"{what}: {', '.join(repeated)} is listed more than once.")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the nearest known word, as the end of a sentence; "" if none is near."""
    by_fold, word = {each.casefold(): each for each in known if each}, word.casefold()
    near = get_close_matches(word, by_fold, n=1)
    if word and not near:
        near = [each for each in by_fold if each.startswith(word) or word.startswith(each)]
    return f" (did you mean {by_fold[near[0]]!r}?)" if near else ""


def did_you_mean_key(key: str, known: Sequence[str], free_text: Sequence[str] = ()) -> str:
    """Return the known key that is meant, as the end of a sentence: by a common synonym, or else the nearest."""
    called = [each for each in known if key.casefold() in ALSO_CALLED.get(each, ())]
    if called:
        return f" (did you mean {called[0]!r}?)"
    return did_you_mean(key, [each for each in free_text if each == key.casefold()] or known) or did_you_mean(
        key, free_text
    )


def _get(data: Mapping[str, Any], key: str, kind: type, path: str = "", default: Any = None) -> Any:
    value = data.get(key, default)
    if value is None and key in data:
        advice = "" if default is None else ", or leave it out"
        raise UnusableFileError(f"{path}{key} must be of type {kind.__name__}, not null{advice}.")
    if value is None:
        raise UnusableFileError(f"{path}{key} is missing.")
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UnusableFileError(f"{path}{key} must be of type {kind.__name__}, not {value!r}.")
    return value


def _text(data: Mapping[str, Any], key: str, path: str, longest: Mapping[str, int], kind: str = "") -> str:
    """Read a name, in Unicode's composed form. ``kind``: its key in ``longest``."""
    text: str = unicodedata.normalize("NFC", _get(data, key, str, path))
    if problem := text_problem(text, longest.get(kind or key)):
        raise UnusableFileError(f"{path}{key} {problem}.")
    return text


def _limits(row: Mapping[str, Any], path: str, seats: int) -> tuple[int | None, int | None]:
    """Return the smallest and the largest party; None where there is no limit."""
    low, high = (
        None if row.get(name) is None else _number(row, name, f"{path}.", least=1)
        for name in ("min_party", "max_party")
    )
    if not (low or 1) <= (high or seats) <= seats:
        raise UnusableFileError(f"{path}: {seats} seats for parties of {low or 1} to {high or seats} make no sense.")
    return low, high


def _weekdays(row: Mapping[str, Any], path: str) -> frozenset[int]:
    """Return the weekdays; all if the row has none."""
    weekdays = _get(row, "weekdays", list, f"{path}.", default=[])
    if not all(isinstance(each, int) and not isinstance(each, bool) and each in EVERY_WEEKDAY for each in weekdays):
        raise UnusableFileError(f"{path}.weekdays must list numbers from 0 (Monday) to 6, not {weekdays!r}.")
    return frozenset(weekdays) or EVERY_WEEKDAY


def _number(data: Mapping[str, Any], key: str, path: str, *, least: int, default: int | None = None) -> int:
    number: int = _get(data, key, int, path, default=default)
    if not least <= number <= LARGEST_NUMBER:
        raise UnusableFileError(f"{path}{key} must be between {least} and {LARGEST_NUMBER}, not {number}.")
    return number


def _parsed(read: Callable[[str], Any], text: str, path: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise UnusableFileError(f"{path}: {error}.") from error


def _row(row: Any, path: str, known: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise UnusableFileError(f"{path} must be an object, not {row!r}.")
    if problem := _unknown_keys(row, known):
        raise UnusableFileError(f"{path}: {problem}.")
    return row


def _without_repeated_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that repeats a key: JSON allows it, but the first value would be lost."""
    if repeated := [key for key, count in Counter(key for key, _value in pairs).items() if count > 1]:
        raise UnusableFileError(f"The key {repeated[0]!r} is there twice in {dict(pairs)!r:.200}.")
    return dict(pairs)


def _unknown_keys(row: Mapping[str, Any], known: Sequence[str], free_text: Sequence[str] = ()) -> str:
    unknown = sorted(set(row) - {*known, *FREE_TEXT, *free_text})
    if not unknown:
        return ""
    named = ", ".join(f"{key!r}{did_you_mean_key(key, known, (*FREE_TEXT, *free_text))}" for key in unknown)
    elsewhere = [key for key in unknown if key in FILE_FREE_TEXT]
    where = f" ({' and '.join(elsewhere)} may stand in the file itself, outside of all objects)" if elsewhere else ""
    return f"unknown keys {named}; known are {', '.join(known)}{where}"


def _table(row: Any, path: str, longest: Mapping[str, int]) -> Table:
    row = _row(row, path, TABLE_KEYS)
    seats = _number(row, "capacity", f"{path}.", least=1)
    min_party, max_party = _limits(row, path, seats)
    code = _text(row, "code", f"{path}.", longest)
    try:
        features = _features(row, "features")
    except ValueError as error:
        raise UnusableFileError(f"{path}.{error}.") from error
    return Table(
        ref=code,
        name=code,
        zone_ref=_text(row, "zone", f"{path}.", longest),
        seats=seats,
        min_party=min_party,
        max_party=max_party,
        active=_get(row, "active", bool, f"{path}.", default=True),
        features=frozenset(features),
        priority=_priority(row, path, default=0),
    )


def _priority(row: Mapping[str, Any], path: str, *, default: int | None = None) -> int:
    priority: int = _get(row, "priority", int, f"{path}.", default=default)
    if abs(priority) > MOST_PRIORITY:
        raise UnusableFileError(
            f"{path}.priority must be between {-MOST_PRIORITY} and {MOST_PRIORITY}, not {priority}."
        )
    return priority


def _zones(rows: Sequence[Any], tables: Sequence[Table]) -> Mapping[str, int]:
    """Return the priorities of zones that have one, by name."""
    known = sorted({table.zone_ref for table in tables if table.zone_ref})
    found = []
    for index, given in enumerate(rows):
        path = f"zones[{index}]"
        row = _row(given, path, ZONE_KEYS)
        name = unicodedata.normalize("NFC", _get(row, "name", str, f"{path}."))
        if name not in known:
            raise UnusableFileError(f"{path}.name: no table is in a zone {name!r}{did_you_mean(name, known)}.")
        found.append((name, _priority(row, path, default=0)))
    refuse_repeated("zones", (name for name, _priority in found))
    return dict(found)


def _by_zone(tables: Sequence[Table], rows: Sequence[Mapping[str, Any]], zones: Mapping[str, int]) -> tuple[Table, ...]:
    """Return the tables; those without a priority get that of their zone."""
    return tuple(
        table if "priority" in row else replace(table, priority=zones.get(table.zone_ref or "", 0))
        for table, row in zip(tables, rows, strict=True)
    )


def _all_pacing(data: Mapping[str, Any]) -> tuple[Pacing, ...]:
    """Return the pacing of the usual services, and of those in the calendar on their dates. It was all checked before."""
    found = [
        _pacing(row["pacing"], f"services[{index}].pacing", service_key=unicodedata.normalize("NFC", row["key"]))
        for index, row in enumerate(data["services"])
        if row.get("pacing") is not None
    ]
    for index, entry in enumerate(data.get("calendar", ())):
        for number, row in enumerate(entry.get("services", ())):
            if row.get("pacing") is not None:
                first = read_date(entry["first_date"])
                pacing = _pacing(
                    row["pacing"],
                    f"calendar[{index}].services[{number}].pacing",
                    service_key=unicodedata.normalize("NFC", row["key"]),
                    first_date=first,
                    last_date=read_date(entry["last_date"]) if entry.get("last_date") is not None else first,
                    weekdays=_weekdays(entry, f"calendar[{index}]"),
                )
                found.append(pacing)
    return tuple(found)


def _pacing(given: Any, path: str, **where: Any) -> Pacing:
    row = _row(given, path, PACING_KEYS)
    limits: dict[str, Any] = {
        name: None if row.get(name) is None else _number(row, name, f"{path}.", least=0) for name in PACING_LIMITS
    }
    if all(most is None for most in limits.values()):
        raise UnusableFileError(f"{path} has none of {', '.join(PACING_LIMITS)}, so it limits nothing.")
    interval = _number(row, "interval_minutes", f"{path}.", least=1, default=15)
    if interval > MOST_INTERVAL:
        raise UnusableFileError(f"{path}.interval_minutes must be at most {MOST_INTERVAL}, not {interval}.")
    return Pacing(interval_minutes=interval, **limits, **where)


def _known_table(code: Any, path: str, tables: Mapping[str, Table]) -> Table:
    name = unicodedata.normalize("NFC", code) if isinstance(code, str) else ""
    if name not in tables:
        raise UnusableFileError(f"{path} names the unknown table {code!r}{did_you_mean(name, tables)}.")
    return tables[name]


def _pair(pair: Any, path: str, tables: Mapping[str, Table]) -> tuple[str, str]:
    if not isinstance(pair, list) or len(pair) != 2 or pair[0] == pair[1]:
        raise UnusableFileError(f"{path} must name two different tables, not {pair!r}.")
    first, second = (_known_table(code, path, tables) for code in pair)
    if first.zone_ref != second.zone_ref:
        where = f"{first.ref} is in {first.zone_ref} and {second.ref} in {second.zone_ref}"
        raise UnusableFileError(f"{path}: {where}; adjacent tables share a zone.")
    return first.ref, second.ref


def _joins(rows: Sequence[Any], tables: Mapping[str, Table]) -> tuple[Join, ...]:
    joins: dict[frozenset[str], Join] = {}
    for index, given in enumerate(rows):
        path = f"joins[{index}]"
        row = _row(given, path, JOIN_KEYS)
        joined = [_known_table(code, f"{path}.tables", tables) for code in _get(row, "tables", list, f"{path}.")]
        refs = frozenset(table.ref for table in joined)
        named = " + ".join(table.ref for table in joined)
        if len(refs) < 2 or len(refs) < len(joined):
            raise UnusableFileError(f"{path}.tables must name two different tables or more, not {row['tables']!r}.")
        if inactive := [table.ref for table in joined if not table.active]:
            raise UnusableFileError(f"{path}.tables names {', '.join(inactive)}, which the file says is not active.")
        if refs in joins:
            raise UnusableFileError(f"{path}: {named} is listed more than once.")
        seats = _number(row, "seats", f"{path}.", least=1)
        min_party, max_party = _limits(row, path, seats)
        joins[refs] = Join(table_refs=refs, seats=seats, min_party=min_party, max_party=max_party)
    return tuple(joins.values())


def _hours(row: Mapping[str, Any], path: str) -> dict[str, time]:
    return {
        "starts": _parsed(read_clock, _get(row, "start", str, f"{path}."), f"{path}.start"),
        "ends": _parsed(partial(read_clock, is_end=True), _get(row, "end", str, f"{path}."), f"{path}.end"),
    }


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
        **_hours(row, path),
        weekdays=_weekdays(row, path),
        allow_overrun=allow_overrun,
        early_minutes=early,
        late_minutes=late,
        buffer_before_minutes=_number(buffers, "before", f"{path}.buffer_minutes.", least=0, default=0),
        buffer_after_minutes=_number(buffers, "after", f"{path}.buffer_minutes.", least=0, default=0),
        turn_times=tuple(TurnTime(max_party=party, minutes=minutes) for party, minutes in sorted(turns)),
    )


def _calendar_entry(row: Any, path: str, services: Sequence[ServicePeriod]) -> CalendarEntry:
    """Read dates with other hours; they are closed if the entry has no services."""
    row = _row(row, path, CALENDAR_KEYS)
    first = last = _parsed(read_date, _get(row, "first_date", str, f"{path}."), f"{path}.first_date")
    if row.get("last_date") is not None:
        last = _parsed(read_date, _get(row, "last_date", str, f"{path}."), f"{path}.last_date")
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
                **_hours(each, place),
                turn_minutes=None if minutes is None else _number(each, "turn_minutes", f"{place}.", least=1),
            )
        )
    refuse_repeated(f"{path}.services", (period.key for period in special))
    return CalendarEntry(first_date=first, last_date=last, services=tuple(special), weekdays=_weekdays(row, path))


def _is_amount(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_NUMBER


def _booking(row: Any, path: str, day: date, longest: Mapping[str, int]) -> BookingRow | BadRow:
    if not isinstance(row, dict):
        return BadRow(place=path, reason=f"must be an object, not {row!r}")
    ref = row.get("ref")
    place = f"{path} ({ref if ref.isprintable() else ascii(ref)})" if isinstance(ref, str) else path
    if problem := _unknown_keys(row, BOOKING_KEYS):
        return BadRow(place=place, reason=problem)
    return booking_row(row, place, day, longest)


def _moment(name: str, text: str, day: date | None) -> tuple[datetime, bool]:
    """Return a moment, and whether it is a time without a date, on ``day``. Raises ValueError, which names the field."""
    try:
        moment, is_clock = read_moment(text, day)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error
    if moment.year not in YEARS:
        raise ValueError(f"{name} must be in the years {YEARS[0]} to {YEARS[-1]}, not {text!r} in {moment.year}")
    return moment, is_clock
