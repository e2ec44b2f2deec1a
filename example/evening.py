"""Loads evenings into the database: a restaurant's floor, services and bookings (JSON), or bookings alone (CSV).

``parse_json`` and ``parse_csv`` parse text and report the problems of each row; ``store`` writes the values in one
transaction, and changes nothing the second time.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Model
from django.utils.text import slugify

from assignments.concurrency import clock, locks
from assignments.integration import evening_file
from assignments.integration.evening_file import BadRow, BookingRow, EveningFile, UnusableFileError, as_aware
from assignments.models import CalendarEntry
from assignments.planning.floor import TurnTime
from assignments.planning.timezone import time_zone
from example import models
from example.booking import save_booking

CSV_COLUMNS = ("ref", "restaurant", "start", "party", "zone", "status")


def _longest(model: type[Model], field: str) -> int:
    return int(model._meta.get_field(field).max_length or 0)  # type: ignore[union-attr]


LONGEST = {
    "name": _longest(models.Restaurant, "name"),
    "slug": _longest(models.Restaurant, "slug"),
    "code": _longest(models.Table, "code"),
    "zone": _longest(models.Zone, "name"),
    "key": _longest(models.ServicePeriod, "key"),
    "ref": _longest(models.Booking, "reference"),
}
"""Maximum characters in the database."""


@dataclass(kw_only=True)
class Loaded:
    """Rows created, updated and unchanged, by kind; and rows not loaded."""

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


def parse_json(text: str, *, on: date | None = None) -> EveningFile:
    """The evening in a JSON file, moved to the day ``on`` if given. Raises UnusableFileError; bad bookings are listed."""
    return evening_file.parse(text, on=on, longest=LONGEST)


def parse_csv(text: str, *, on: date | None = None) -> EveningFile:
    """Bookings with the columns of CSV_COLUMNS (zone and status may be missing or empty). Raises UnusableFileError."""
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        return _read_csv(reader, on)
    except csv.Error as error:
        raise UnusableFileError(f"It is not CSV: line {reader.line_num}: {error}.") from error


def _read_csv(reader: "csv.DictReader[str]", on: date | None) -> EveningFile:
    columns = reader.fieldnames or []
    evening_file.refuse_repeated("columns", columns)
    if unknown := [column for column in columns if column not in CSV_COLUMNS]:
        raise UnusableFileError(f"Unknown columns {', '.join(map(repr, unknown))}; known are {', '.join(CSV_COLUMNS)}.")
    if missing := [column for column in ("ref", "restaurant", "start", "party") if column not in columns]:
        raise UnusableFileError(f"The columns {', '.join(missing)} are missing from the first line.")
    bookings, bad_rows = evening_file.split(_csv_booking(row, f"line {reader.line_num}", on) for row in reader)
    return EveningFile(bookings=bookings, bad_rows=bad_rows)


def store(evening: EveningFile, *, restaurant_name: str = "", strict: bool = False) -> Loaded:
    """Store an evening in one transaction; the next ``run_coordinator`` picks up its bookings.

    Rows are recognised by the restaurant's slug, the table's code, the booking's reference: existing rows are
    updated if they differ. With ``strict`` any bad row refuses the whole file (raises UnusableFileError).
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


def _csv_booking(row: Mapping[str, Any], place: str, on: date | None) -> BookingRow | BadRow:
    if None in row:
        return BadRow(place=place, reason=f"has more values than columns: {row[None]!r}")  # type: ignore[index]
    party = (row.get("party") or "").strip()
    values = {key: (value or "").strip() for key, value in row.items()}
    if not values.get("restaurant"):
        return BadRow(place=place, reason="restaurant is missing")
    if not re.fullmatch("-?[0-9]{1,9}", party):
        return BadRow(place=place, reason=f"party must be a whole number, not {party[:40]!r}")
    return evening_file.booking_row({**values, "party": int(party)}, place, on, on, LONGEST)


def _store_restaurant(evening: EveningFile, name: str, loaded: Loaded) -> models.Restaurant:
    slug = slugify(name)
    if not slug:
        raise UnusableFileError(f"The restaurant's name {name!r} has no letter or digit that a slug can be made of.")
    if problem := evening_file.text_problem(name, LONGEST["name"]) or evening_file.text_problem(slug, LONGEST["slug"]):
        raise UnusableFileError(f"The restaurant's name {problem}.")
    restaurant: models.Restaurant
    restaurant, what = _upsert(models.Restaurant, {"slug": slug}, {"name": name, "timezone": evening.timezone})
    loaded.count("restaurants", what)
    tables = {}
    for row in evening.tables:
        zone, _created = models.Zone.objects.get_or_create(restaurant=restaurant, name=row.zone_ref)
        tables[row.ref], what = _upsert(
            models.Table,
            {"restaurant": restaurant, "code": row.ref},
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
                "start": service_row.starts,
                "end": service_row.ends,
                "allow_overrun": service_row.allow_overrun,
                "buffer_before_minutes": service_row.buffer_before_minutes,
                "buffer_after_minutes": service_row.buffer_after_minutes,
                "early_minutes": service_row.early_minutes,
                "late_minutes": service_row.late_minutes,
            },
        )
        if _replace_turn_times(service, service_row.turn_times) and what == "unchanged":
            what = "updated"
        loaded.count("services", what)
    _store_calendar(str(restaurant.pk), evening)
    return restaurant


def _store_calendar(restaurant_ref: str, evening: EveningFile) -> None:
    """Store the file's calendar in the app's, in place of what was there."""
    locks.lock_restaurant(restaurant_ref)
    CalendarEntry.objects.filter(restaurant_ref=restaurant_ref).delete()
    usual = {service.key: service for service in evening.services}
    for entry in evening.calendar:
        row = CalendarEntry.objects.create(
            restaurant_ref=restaurant_ref,
            first_date=entry.first_date,
            last_date=entry.last_date,
            weekdays=sorted(entry.weekdays) if len(entry.weekdays) < 7 else [],
            closed=entry.closes,
        )
        for each in entry.services:
            is_as_usual = each.turn_times == usual[each.key].turn_times
            row.services.create(
                key=each.key,
                starts=each.starts,
                ends=each.ends,
                turn_minutes=None if is_as_usual else each.turn_times[0].minutes,
            )


def _replace_turn_times(service: models.ServicePeriod, wanted: Iterable[TurnTime]) -> bool:
    """The service has these turn times and no others; whether it had not."""
    rows = [(turn.max_party, turn.minutes) for turn in wanted]
    if list(service.turn_times.order_by("max_party").values_list("max_party", "minutes")) == rows:
        return False
    service.turn_times.all().delete()
    models.TurnTime.objects.bulk_create(
        [models.TurnTime(service=service, max_party=max_party, minutes=minutes) for max_party, minutes in rows]
    )
    return True


def _store_bookings(rows: Iterable[BookingRow], restaurants: dict[str, models.Restaurant], loaded: Loaded) -> None:
    changed: list[models.Booking] = []
    known: dict[int, dict[str, models.Booking]] = {}
    zones: dict[int, dict[str, models.Zone]] = {}
    new: list[models.Booking] = []
    places: dict[tuple[int, str], str] = {}
    # Without booking times in the file, all bookings count as made at the same time.
    loaded_at = clock.now()
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
            start = as_aware(row.start, restaurant.timezone)
            end = row.end and as_aware(row.end, restaurant.timezone)
            requested_at = row.requested_at and as_aware(row.requested_at, restaurant.timezone)
        except ValueError as error:
            loaded.bad_rows.append(BadRow(place=row.place, reason=str(error)))
            continue
        values = {
            "start": start,
            "party": row.party,
            "zone": zone,
            "status": row.status,
            **({"end": end} if end else {}),
        }
        booking = known[restaurant.pk].get(row.ref)
        if booking is None:
            made_at = requested_at or loaded_at
            new.append(models.Booking(restaurant=restaurant, reference=row.ref, created_at=made_at, **values))
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


def parse_json_ahead(text: str, now: datetime) -> EveningFile:
    """The evening in a JSON file, moved to the first date on which all of its bookings lie ahead by the restaurant's clock.

    That is today or tomorrow, or later where the clocks skip a booking's time. Raises UnusableFileError.
    """
    as_it_was = parse_json(text)
    if not as_it_was.bookings:
        return as_it_was
    today = now.astimezone(time_zone(as_it_was.timezone)).date()
    for days in range(_DAYS_TRIED):
        moved = parse_json(text, on=today + timedelta(days=days))
        with suppress(ValueError):  # A time that the clocks skip on that day.
            first = min(as_aware(row.start, moved.timezone) for row in moved.bookings)
            if first >= now + _TIME_TO_LOAD:
                break
    return moved


def parse_json_today(text: str, now: datetime) -> EveningFile:
    """The evening in a JSON file, moved to today's date by the restaurant's clock. Raises UnusableFileError."""
    zone = time_zone(parse_json(text).timezone)
    return parse_json(text, on=now.astimezone(zone).date())


_TIME_TO_LOAD = timedelta(minutes=5)
"""A booking that is closer than this would be past before it is planned."""
_DAYS_TRIED = 4
