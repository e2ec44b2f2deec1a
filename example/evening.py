"""An evening as a file: a restaurant's floor, services and bookings (JSON), or bookings alone (CSV).

``parse_json`` and ``parse_csv`` turn text into frozen values and say what is wrong with each row; ``store`` puts them
into the database, all or nothing, and changes nothing the second time.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Model
from django.utils import timezone
from django.utils.text import slugify

from assignments.planning.window import local_to_aware
from example import models
from example.booking import save_booking

CSV_COLUMNS = ("ref", "restaurant", "start", "party", "zone", "status")
JSON_KEYS = ("ref", "start", "party", "zone", "status")
LARGEST_PARTY = 1000
LARGEST_NUMBER = 10_000
"""Of seats, covers and minutes, in a floor."""
YEARS = range(1970, 2200)


class UnusableFileError(ValueError):
    """The file as a whole cannot be used; nothing of it was loaded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BookingRow:
    """``start`` is the restaurant's wall clock, or aware if the file said so. ``place``: where in the file."""

    place: str
    ref: str
    start: datetime
    party: int
    zone: str = ""
    status: str = models.Booking.Status.PENDING
    restaurant: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BadRow:
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    code: str
    zone: str
    seats: int
    min_party: int
    max_party: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceRow:
    key: str
    start: time
    end: time
    allow_overrun: bool
    buffer_before: int
    buffer_after: int
    turn_minutes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evening:
    """A whole file. ``name`` is empty for a CSV, whose rows name their restaurant."""

    bookings: tuple[BookingRow, ...]
    bad_rows: tuple[BadRow, ...] = ()
    name: str = ""
    timezone: str = ""
    tables: tuple[TableRow, ...] = ()
    adjacent: tuple[tuple[str, str], ...] = ()
    services: tuple[ServiceRow, ...] = ()


@dataclass(kw_only=True)
class Loaded:
    """How many rows were created, updated and unchanged, by kind; and those that were not loaded."""

    restaurants: list[models.Restaurant] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    bad_rows: list[BadRow] = field(default_factory=list)

    def count(self, kind: str, what: str) -> None:
        self.counts.setdefault(kind, Counter(created=0, updated=0, unchanged=0))[what] += 1

    def as_dict(self) -> dict[str, Any]:
        return {
            **{kind: dict(counts) for kind, counts in self.counts.items()},
            "rejected": [{"place": row.place, "reason": row.reason} for row in self.bad_rows],
        }


def decode(raw: bytes) -> str:
    """The file's text. Raises UnusableFileError when it is not UTF-8 (a byte order mark is fine) or empty."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnusableFileError(f"It is not UTF-8 text (byte {error.start}).") from error
    if not text.strip():
        raise UnusableFileError("It is empty.")
    return text


def parse_json(text: str, *, on: date | None = None) -> Evening:
    """The evening in a JSON file, moved to the day ``on`` if given. Raises UnusableFileError; bad bookings are listed."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnusableFileError(f"It is not JSON: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise UnusableFileError("It is not JSON that can be read: a number too long, or nested too deeply.") from error
    if not isinstance(data, dict):
        raise UnusableFileError(f"It must hold one object, not a {type(data).__name__}.")
    restaurant = _get(data, "restaurant", dict)
    day = on or _parsed(date.fromisoformat, _get(restaurant, "date", str, "restaurant."), "restaurant.date", "a date")
    zone = _get(restaurant, "timezone", str, "restaurant.")
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError) as error:
        raise UnusableFileError(f"restaurant.timezone: {zone!r} is no time zone.") from error
    tables = tuple(_table(row, f"tables[{index}]") for index, row in enumerate(_get(data, "tables", list)))
    services = tuple(_service(row, f"services[{index}]") for index, row in enumerate(_get(data, "services", list)))
    _refuse_repeated("tables", (table.code for table in tables))
    _refuse_repeated("services", (service.key for service in services))
    zones = {table.code: table.zone for table in tables}
    bookings, bad_rows = _split(
        _json_booking(row, f"bookings[{index}]", day, on) for index, row in enumerate(_get(data, "bookings", list))
    )
    return Evening(
        name=_text(restaurant, "name", models.Restaurant, "name", "restaurant."),
        timezone=zone,
        tables=tables,
        adjacent=tuple(
            _pair(pair, f"adjacent[{index}]", zones)
            for index, pair in enumerate(_get(data, "adjacent", list, default=[]))
        ),
        services=services,
        bookings=bookings,
        bad_rows=bad_rows,
    )


def parse_csv(text: str, *, on: date | None = None) -> Evening:
    """Bookings with the columns of CSV_COLUMNS (zone and status may be missing or empty). Raises UnusableFileError."""
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        return _read_csv(reader, on)
    except csv.Error as error:
        raise UnusableFileError(f"It is not CSV: line {reader.line_num}: {error}.") from error


def _read_csv(reader: "csv.DictReader[str]", on: date | None) -> Evening:
    columns = reader.fieldnames or []
    _refuse_repeated("columns", columns)
    if unknown := [column for column in columns if column not in CSV_COLUMNS]:
        raise UnusableFileError(f"Unknown columns {', '.join(map(repr, unknown))}; known are {', '.join(CSV_COLUMNS)}.")
    if missing := [column for column in ("ref", "restaurant", "start", "party") if column not in columns]:
        raise UnusableFileError(f"The columns {', '.join(missing)} are missing from the first line.")
    bookings, bad_rows = _split(_csv_booking(row, f"line {reader.line_num}", on) for row in reader)
    return Evening(bookings=bookings, bad_rows=bad_rows)


def store(evening: Evening, *, restaurant_name: str = "", strict: bool = False) -> Loaded:
    """Put an evening into the database, in one transaction; the next ``run_coordinator`` takes its bookings in.

    Rows are recognised by the restaurant's slug, the table's code, the booking's reference: what is there already is
    updated where it differs. With ``strict`` any bad row refuses the whole (raises UnusableFileError).
    """
    if restaurant_name and not evening.name:
        raise UnusableFileError("Its rows name their restaurants; another name can be given to JSON files only.")
    loaded = Loaded(bad_rows=list(evening.bad_rows))
    with transaction.atomic():
        restaurants: dict[str, models.Restaurant] = {}
        if evening.name:
            restaurant = _store_restaurant(evening, restaurant_name or evening.name, loaded)
            restaurants[""] = restaurant
            loaded.restaurants.append(restaurant)
        _store_bookings(evening.bookings, restaurants, loaded)
        if strict and loaded.bad_rows:
            rows = "\n  ".join(map(str, loaded.bad_rows))
            raise UnusableFileError(f"{len(loaded.bad_rows)} rows are bad, so nothing was loaded:\n  {rows}")
    return loaded


def _get(data: Mapping[str, Any], key: str, kind: type, path: str = "", default: Any = None) -> Any:
    value = data.get(key, default)
    if value is None:
        raise UnusableFileError(f"{path}{key} is missing.")
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UnusableFileError(f"{path}{key} must be of type {kind.__name__}, not {value!r}.")
    return value


def _problem(text: str, model: type[Model], field: str) -> str:
    """Why the database cannot take this text, as the end of a sentence; empty when it can."""
    longest = int(model._meta.get_field(field).max_length or 0)  # type: ignore[union-attr]
    if not text.strip():
        return "must not be empty"
    if "\0" in text:
        return f"must hold no NUL character: {text!r}"
    return f"must be of at most {longest} characters, not {len(text)}" if len(text) > longest else ""


def _text(data: Mapping[str, Any], key: str, model: type[Model], field: str, path: str) -> str:
    text: str = _get(data, key, str, path)
    if problem := _problem(text, model, field):
        raise UnusableFileError(f"{path}{key} {problem}.")
    return text


def _number(data: Mapping[str, Any], key: str, path: str, *, least: int, default: int | None = None) -> int:
    number: int = _get(data, key, int, path, default=default)
    if not least <= number <= LARGEST_NUMBER:
        raise UnusableFileError(f"{path}{key} must be between {least} and {LARGEST_NUMBER}, not {number}.")
    return number


def _refuse_repeated(what: str, names: Iterable[str]) -> None:
    if repeated := sorted(name for name, count in Counter(names).items() if count > 1):
        raise UnusableFileError(f"{what}: {', '.join(repeated)} is listed more than once.")


def _parsed(parse: Any, text: str, path: str, what: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise UnusableFileError(f"{path}: {text!r} is not {what}.") from error


def _row(row: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise UnusableFileError(f"{path} must be an object, not {row!r}.")
    return row


def _table(row: Any, path: str) -> TableRow:
    row = _row(row, path)
    seats = _number(row, "capacity", f"{path}.", least=1)
    min_party = _number(row, "min_party", f"{path}.", least=1, default=1)
    max_party = None if row.get("max_party") is None else _number(row, "max_party", f"{path}.", least=1)
    if max_party is not None and max_party < min_party:
        raise UnusableFileError(f"{path}: {seats} seats for parties of {min_party} to {max_party} make no sense.")
    return TableRow(
        code=_text(row, "code", models.Table, "code", f"{path}."),
        zone=_text(row, "zone", models.Zone, "name", f"{path}."),
        seats=seats,
        min_party=min_party,
        max_party=max_party,
    )


def _pair(pair: Any, path: str, zones: Mapping[str, str]) -> tuple[str, str]:
    if not isinstance(pair, list) or len(pair) != 2 or pair[0] == pair[1]:
        raise UnusableFileError(f"{path} must name two different tables, not {pair!r}.")
    for code in pair:
        if not isinstance(code, str) or code not in zones:
            raise UnusableFileError(f"{path} names the unknown table {code!r}.")
    first, second = pair
    if zones[first] != zones[second]:
        raise UnusableFileError(
            f"{path}: {first} is in {zones[first]} and {second} in {zones[second]}; adjacent tables share a zone."
        )
    return first, second


def _service(row: Any, path: str) -> ServiceRow:
    row = _row(row, path)
    buffers = _get(row, "buffer_minutes", dict, f"{path}.", default={})
    turns = _get(row, "turn_minutes", list, f"{path}.")
    if not turns or not all(isinstance(turn, list) and len(turn) == 2 and all(map(_is_amount, turn)) for turn in turns):
        raise UnusableFileError(f"{path}.turn_minutes must list [largest party, minutes], not {turns!r}.")
    _refuse_repeated(f"{path}.turn_minutes", (f"a party of {party}" for party, _minutes in turns))
    return ServiceRow(
        key=_text(row, "key", models.ServicePeriod, "key", f"{path}."),
        start=_parsed(time.fromisoformat, _get(row, "start", str, f"{path}."), f"{path}.start", "a time"),
        end=_parsed(time.fromisoformat, _get(row, "end", str, f"{path}."), f"{path}.end", "a time"),
        allow_overrun=_get(row, "allow_overrun", bool, f"{path}.", default=False),
        buffer_before=_number(buffers, "before", f"{path}.buffer_minutes.", least=0, default=0),
        buffer_after=_number(buffers, "after", f"{path}.buffer_minutes.", least=0, default=0),
        turn_minutes=tuple(sorted((party, minutes) for party, minutes in turns)),
    )


def _is_amount(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_NUMBER


def _json_booking(row: Any, path: str, day: date, on: date | None) -> BookingRow | BadRow:
    if not isinstance(row, dict):
        return BadRow(place=path, reason=f"must be an object, not {row!r}")
    place = f"{path} ({row['ref']})" if isinstance(row.get("ref"), str) else path
    if unknown := sorted(set(row) - set(JSON_KEYS)):
        known = ", ".join(JSON_KEYS)
        return BadRow(place=place, reason=f"unknown keys {', '.join(map(repr, unknown))}; known are {known}")
    return _booking(row, place, day, on)


def _csv_booking(row: Mapping[str, Any], place: str, on: date | None) -> BookingRow | BadRow:
    if None in row:
        return BadRow(place=place, reason=f"has more values than columns: {row[None]!r}")  # type: ignore[index]
    party = (row.get("party") or "").strip()
    values = {key: (value or "").strip() for key, value in row.items()}
    if not values.get("restaurant"):
        return BadRow(place=place, reason="restaurant is missing")
    if not re.fullmatch("-?[0-9]{1,9}", party):
        return BadRow(place=place, reason=f"party must be a whole number, not {party[:40]!r}")
    return _booking({**values, "party": int(party)}, place, on, on)


def _booking(row: Mapping[str, Any], place: str, day: date | None, on: date | None) -> BookingRow | BadRow:
    """``day`` is that of starts which are but a time; all starts move to the day ``on``, if given."""
    ref, party = row.get("ref"), row.get("party")
    if not isinstance(ref, str) or not ref:
        return BadRow(place=place, reason=f"ref must be a text, not {ref!r}")
    if problem := _problem(ref, models.Booking, "reference"):
        return BadRow(place=place, reason=f"ref {problem}")
    zone = row.get("zone") or ""
    if not isinstance(zone, str):
        return BadRow(place=place, reason=f"zone must be a text, not {zone!r}")
    if not isinstance(party, int) or isinstance(party, bool):
        return BadRow(place=place, reason=f"party must be a whole number, not {party!r}")
    if not 1 <= party <= LARGEST_PARTY:
        return BadRow(place=place, reason=f"party must be between 1 and {LARGEST_PARTY}, not {party}")
    status = row.get("status") or models.Booking.Status.PENDING
    if status not in models.Booking.Status.values:
        return BadRow(
            place=place, reason=f"status must be one of {', '.join(models.Booking.Status.values)}, not {status!r}"
        )
    try:
        start = _start(str(row.get("start") or ""), day, on)
    except ValueError as error:
        return BadRow(place=place, reason=str(error))
    return BookingRow(
        place=place,
        ref=ref,
        start=start,
        party=party,
        zone=zone,
        status=status,
        restaurant=row.get("restaurant") or "",
    )


def _start(text: str, day: date | None, on: date | None) -> datetime:
    """``HH:MM`` on the day, or a whole ISO date and time. Raises ValueError."""
    moment = _moment(text, day, on)
    if moment.year not in YEARS:
        raise ValueError(f"start must be in the years {YEARS[0]} to {YEARS[-1]}, not {text!r} in {moment.year}")
    return moment


def _moment(text: str, day: date | None, on: date | None) -> datetime:
    try:
        if len(text) <= 8:
            clock = time.fromisoformat(text)
            if day is None:
                raise ValueError(f"start {text!r} has no date; give --date")
            return datetime.combine(day, clock)
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        if "--date" in str(error):
            raise
        raise ValueError(f"start must be a time or an ISO date and time, not {text!r}") from None
    return moment if on is None else datetime.combine(on, moment.timetz())


def _split(rows: Iterable[BookingRow | BadRow]) -> tuple[tuple[BookingRow, ...], tuple[BadRow, ...]]:
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


def _store_restaurant(evening: Evening, name: str, loaded: Loaded) -> models.Restaurant:
    slug = slugify(name)
    if not slug:
        raise UnusableFileError(f"The restaurant's name {name!r} has no letter or digit that a slug can be made of.")
    if problem := _problem(name, models.Restaurant, "name") or _problem(slug, models.Restaurant, "slug"):
        raise UnusableFileError(f"The restaurant's name {problem}.")
    restaurant: models.Restaurant
    restaurant, what = _upsert(models.Restaurant, {"slug": slug}, {"name": name, "timezone": evening.timezone})
    loaded.count("restaurants", what)
    tables = {}
    for row in evening.tables:
        zone, _created = models.Zone.objects.get_or_create(restaurant=restaurant, name=row.zone)
        tables[row.code], what = _upsert(
            models.Table,
            {"restaurant": restaurant, "code": row.code},
            {"zone": zone, "seats": row.seats, "min_party": row.min_party, "max_party": row.max_party},
        )
        loaded.count("tables", what)
    known = set(models.TableAdjacency.objects.filter(first__restaurant=restaurant).values_list("first", "second"))
    pairs = {(tables[one].pk, tables[other].pk) for one, other in evening.adjacent}
    models.TableAdjacency.objects.bulk_create(
        [models.TableAdjacency(first_id=one, second_id=other) for one, other in sorted(pairs - known)]
    )
    for service_row in evening.services:
        service, what = _upsert(
            models.ServicePeriod,
            {"restaurant": restaurant, "key": service_row.key},
            {
                "start": service_row.start,
                "end": service_row.end,
                "allow_overrun": service_row.allow_overrun,
                "buffer_before_minutes": service_row.buffer_before,
                "buffer_after_minutes": service_row.buffer_after,
            },
        )
        if _replace_turn_times(service, service_row.turn_minutes) and what == "unchanged":
            what = "updated"
        loaded.count("services", what)
    return restaurant


def _replace_turn_times(service: models.ServicePeriod, wanted: tuple[tuple[int, int], ...]) -> bool:
    """The service has these turn times and no others; whether it had not."""
    if tuple(service.turn_times.order_by("max_party").values_list("max_party", "minutes")) == wanted:
        return False
    service.turn_times.all().delete()
    models.TurnTime.objects.bulk_create(
        [models.TurnTime(service=service, max_party=max_party, minutes=minutes) for max_party, minutes in wanted]
    )
    return True


def _store_bookings(rows: Iterable[BookingRow], restaurants: dict[str, models.Restaurant], loaded: Loaded) -> None:
    changed: list[models.Booking] = []
    known: dict[int, dict[str, models.Booking]] = {}
    zones: dict[int, dict[str, models.Zone]] = {}
    new: list[models.Booking] = []
    places: dict[tuple[int, str], str] = {}
    # A file does not say who asked first: all of its bookings asked at the same time.
    loaded_at = timezone.now()
    for row in rows:
        restaurant = _restaurant(row.restaurant, restaurants)
        if restaurant is None:
            loaded.bad_rows.append(BadRow(place=row.place, reason=f"there is no restaurant {row.restaurant!r}"))
            continue
        if restaurant.pk not in known:
            known[restaurant.pk] = {booking.reference: booking for booking in restaurant.bookings.all()}
            zones[restaurant.pk] = {zone.name: zone for zone in restaurant.zones.all()}
        # The same restaurant by name and by slug.
        if (elsewhere := places.setdefault((restaurant.pk, row.ref), row.place)) != row.place:
            loaded.bad_rows.append(BadRow(place=row.place, reason=f"ref {row.ref!r} is there already, {elsewhere}"))
            continue
        zone = zones[restaurant.pk].get(row.zone)
        if row.zone and zone is None:
            loaded.bad_rows.append(BadRow(place=row.place, reason=f"there is no zone {row.zone!r} in {restaurant}"))
            continue
        try:
            start = row.start if row.start.tzinfo else local_to_aware(row.start, ZoneInfo(restaurant.timezone))
        except ValueError as error:
            loaded.bad_rows.append(BadRow(place=row.place, reason=str(error)))
            continue
        values = {"start": start, "party": row.party, "zone": zone, "status": row.status}
        booking = known[restaurant.pk].get(row.ref)
        if booking is None:
            new.append(models.Booking(restaurant=restaurant, reference=row.ref, created_at=loaded_at, **values))
            loaded.count("bookings", "created")
        elif _differs(booking, _told_by_the_file(values, booking)):
            changed.append(booking)
            loaded.count("bookings", "updated")
        else:
            loaded.count("bookings", "unchanged")
    models.Booking.objects.bulk_create(new)
    for booking in changed:
        save_booking(booking)


def _told_by_the_file(values: Mapping[str, Any], booking: models.Booking) -> Mapping[str, Any]:
    """What an existing booking takes over. Its status has moved on since (it may be confirmed), but for a cancellation."""
    if values["status"] == models.Booking.Status.CANCELLED:
        return values
    return {**values, "status": booking.status}


def _restaurant(name: str, restaurants: dict[str, models.Restaurant]) -> models.Restaurant | None:
    if name not in restaurants:
        found = (
            models.Restaurant.objects.filter(slug=name).first() or models.Restaurant.objects.filter(name=name).first()
        )
        if found is None:
            return None
        restaurants[name] = found
    return restaurants[name]


def _upsert(model: Any, key: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[Any, str]:
    row, created = model.objects.get_or_create(defaults=values, **key)
    if created:
        return row, "created"
    if not _differs(row, values):
        return row, "unchanged"
    row.save()
    return row, "updated"


def _differs(row: Any, values: Mapping[str, Any]) -> bool:
    """Set the values that differ; whether there were any."""
    differing = {key: value for key, value in values.items() if getattr(row, key) != value}
    for key, value in differing.items():
        setattr(row, key, value)
    return bool(differing)


def coming_day(evening_date: date, today: date) -> date:
    """The first day after ``today`` that is the same weekday: where the demo moves a past evening to."""
    return today + timedelta(days=(evening_date.weekday() - today.weekday() - 1) % 7 + 1)
