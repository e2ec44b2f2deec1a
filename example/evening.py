"""Loading evenings into the database: a restaurant's floor, services and bookings (JSON), or only bookings (CSV).

``parse_json`` and ``parse_csv`` parse text and report the problems of each row; ``store`` writes the values in one
transaction, and changes nothing the second time.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import transaction

from assignments import api
from assignments.concurrency import clock
from assignments.integration import evening_file
from assignments.integration.evening_file import BadRow, BookingRow, EveningFile, UnusableFileError, as_aware
from assignments.outcome import Change
from assignments.planning.calendar import periods_on
from assignments.planning.floor import Floor
from assignments.planning.seating_window import SeatingWindow, seating_window
from assignments.planning.timezone import time_zone
from example import models
from example.booking import save_booking
from example.host import ExampleHost
from example.stored_floor import LONGEST, Loaded, differs, store_floor

CSV_COLUMNS = ("ref", "restaurant", "start", "party", "zone", "status")
SEPARATORS = ",;\t"


def parse_json(text: str, *, on: date | None = None) -> EveningFile:
    """Return the evening in a JSON file, moved to the day ``on`` if given.

    Raises UnusableFileError; bad bookings are only listed.
    """
    return evening_file.parse(text, on=on, longest=LONGEST)


def parse_csv(text: str, *, on: date | None = None) -> EveningFile:
    """Return bookings with the columns of CSV_COLUMNS, of which zone and status may be missing or empty.

    Values are separated by commas, semicolons or tabs, as the columns of the first line are, or as a first line such as
    ``sep=;``, written by spreadsheets, says. Raises UnusableFileError.
    """
    said = re.match(r"sep=([^\r\n])(\r\n|\n|\r)", text)
    if said:
        if said[1] not in SEPARATORS:
            raise UnusableFileError(f"Its values are separated by {said[1]!r}; use a comma, a semicolon or a tab.")
        text = text[said.end() :]
    first_line = re.split(r"[\r\n]", text, maxsplit=1)[0]
    separator = said[1] if said else max(SEPARATORS, key=lambda each: _columns_known(first_line, each))
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    lines_before = 1 if said else 0
    try:
        return _read_csv(reader, on, lines_before)
    except csv.Error as error:
        raise UnusableFileError(f"It is not CSV: line {reader.line_num + lines_before}: {error}.") from error


def _columns_known(line: str, separator: str) -> int:
    """Count the known columns in any case, so that a column in capitals is refused by its name."""
    return sum(each.strip(' "').casefold() in CSV_COLUMNS for each in line.split(separator))


def _read_csv(reader: "csv.DictReader[str]", on: date | None, lines_before: int) -> EveningFile:
    columns = reader.fieldnames = [column.strip() for column in reader.fieldnames or []]
    evening_file.refuse_repeated("columns", columns)
    if unknown := [column for column in columns if column not in CSV_COLUMNS]:
        named = ", ".join(f"{column!r}{evening_file.did_you_mean_key(column, CSV_COLUMNS)}" for column in unknown)
        raise UnusableFileError(f"Unknown columns {named}; known are {', '.join(CSV_COLUMNS)}.")
    if missing := [column for column in ("ref", "restaurant", "start", "party") if column not in columns]:
        raise UnusableFileError(f"The columns {', '.join(missing)} are missing from the first line.")
    evening_file.refuse_distant(on)
    bookings, bad_rows = evening_file.split(
        _csv_booking(row, f"line {reader.line_num + lines_before}", on) for row in reader if not _is_blank(row)
    )
    return EveningFile(bookings=bookings, bad_rows=bad_rows, on=on)


def _is_blank(row: Mapping[Any, Any]) -> bool:
    """Return whether a row is empty, as spreadsheets write them below the last one."""
    return not any("".join(value).strip() if value else "" for value in row.values())


def store(evening: EveningFile, *, restaurant_name: str = "", strict: bool = False) -> Loaded:
    """Store an evening in one transaction; the next ``run_coordinator`` picks up its bookings.

    Rows are recognised by the restaurant's ref (or its name, if it has none), the table's code and the booking's ref:
    existing rows are updated if they differ. What the file's floor no longer has is removed. ``restaurant_name``: the
    name of a copy, which is a separate restaurant. With ``strict`` any bad row refuses the whole file (raises
    UnusableFileError).
    """
    if restaurant_name and not evening.name:
        raise UnusableFileError("Its rows name their restaurants; another name can be given to JSON files only.")
    loaded = Loaded(bad_rows=list(evening.bad_rows))
    if restaurant_name:
        evening = evening.called(restaurant_name)
    with transaction.atomic():
        restaurants: dict[str, models.Restaurant] = {}
        if evening.name:
            restaurant = store_floor(evening, evening.name, loaded)
            restaurants[""] = restaurant
            loaded.restaurants.append(restaurant)
        _store_bookings(evening, restaurants, loaded)
        _move_from_lessened(loaded)
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
    return evening_file.booking_row({**values, "party": int(party)}, place, on, LONGEST)


class _Known:
    """The restaurants that rows name, with what is needed to read their rows. All of its methods raise ValueError."""

    def __init__(self, restaurants: dict[str, models.Restaurant], on: date | None, *, is_whole: bool) -> None:
        """``is_whole``: whether values missing from a row are missing from the booking; CSV has no columns for some."""
        self._restaurants = restaurants
        self._on = on
        self._is_whole = is_whole
        self._bookings: dict[int, dict[str, models.Booking]] = {}
        self._zones: dict[int, dict[str, models.Zone]] = {}
        self._floors: dict[int, Floor] = {}
        self._places: dict[tuple[int, str], str] = {}

    def restaurant(self, row: BookingRow) -> models.Restaurant:
        """The restaurant of that reference, or the only one of that name."""
        if row.restaurant not in self._restaurants:
            self._restaurants[row.restaurant] = _restaurant(row.restaurant)
        restaurant = self._restaurants[row.restaurant]
        # The same restaurant may be called by name and by reference.
        if (elsewhere := self._places.setdefault((restaurant.pk, row.ref), row.place)) != row.place:
            raise ValueError(f"ref {row.ref!r} is there already, {elsewhere}")
        return restaurant

    def booking(self, restaurant: models.Restaurant, ref: str) -> models.Booking | None:
        if restaurant.pk not in self._bookings:
            self._bookings[restaurant.pk] = {
                unicodedata.normalize("NFC", booking.reference): booking for booking in restaurant.bookings.all()
            }
        return self._bookings[restaurant.pk].get(ref)

    def values(self, restaurant: models.Restaurant, row: BookingRow) -> dict[str, Any]:
        """Return the row as values of a booking."""
        zone = self._zone(restaurant, row.zone)
        if row.clocks or self._on:
            row = evening_file.placed(row, self.floor(restaurant), self._on)
        start = as_aware(row.start, restaurant.timezone)
        end = row.end and as_aware(row.end, restaurant.timezone)
        made = row.requested_at and as_aware(row.requested_at, restaurant.timezone)
        return {
            "start": start,
            "party": row.party,
            "zone": zone,
            "status": row.status,
            **({"end": end} if end or self._is_whole else {}),
            **({"needs": list(row.needs), "wishes": list(row.wishes)} if self._is_whole else {}),
            **({"of_file": _of_file(end, row)} if self._is_whole else {}),
            **({"created_at": made} if made else {}),
        }

    def _zone(self, restaurant: models.Restaurant, name: str) -> models.Zone | None:
        if not name:
            return None
        if restaurant.pk not in self._zones:
            self._zones[restaurant.pk] = {zone.name: zone for zone in restaurant.zones.all()}
        zones = self._zones[restaurant.pk]
        if name not in zones:
            raise ValueError(f"there is no zone {name!r} in {restaurant}{evening_file.did_you_mean(name, zones)}")
        return zones[name]

    def floor(self, restaurant: models.Restaurant) -> Floor:
        """Return the floor, which determines the evening of a time. InvalidFloorError is a ValueError, too."""
        if restaurant.pk not in self._floors:
            self._floors[restaurant.pk] = ExampleHost().floor(str(restaurant.pk))
        return self._floors[restaurant.pk]


def _store_bookings(evening: EveningFile, restaurants: dict[str, models.Restaurant], loaded: Loaded) -> None:
    known = _Known(restaurants, evening.on, is_whole=bool(evening.name))
    changed: list[models.Booking] = []
    new: list[models.Booking] = []
    kept: list[str] = []
    endless: set[int] = set()
    # Without booking times in the file, all bookings count as made at the same time.
    loaded_at = clock.now()
    for row in evening.bookings:
        try:
            restaurant = known.restaurant(row)
            values = known.values(restaurant, row)
        except ValueError as error:
            loaded.bad_rows.append(BadRow(place=row.place, reason=str(error)))
            continue
        made_at = values.pop("created_at", loaded_at)
        booking = known.booking(restaurant, row.ref)
        if booking is None:
            new.append(models.Booking(restaurant=restaurant, reference=row.ref, created_at=made_at, **values))
            loaded.count("bookings", "created")
            continue
        told = _told_by_the_file(values, booking)
        if gone := [name for name in _TAKEN_BACK if getattr(booking, name) and name in told and not told[name]]:
            loaded.notes.append(f"{row.ref} has no {' and '.join(gone)} in the file any more, nor here.")
            endless.update([booking.pk] if "end" in gone else [])
        if values["status"] not in {told["status"], models.Booking.Status.PENDING}:
            kept.append(f"{row.ref} ({booking.status}, in the file {values['status']})")
        if differs(booking, told):
            changed.append(booking)
        loaded.count("bookings", "updated" if booking in changed[-1:] else "unchanged")
    models.Booking.objects.bulk_create(new)
    for booking in changed:
        if booking.pk in endless:
            _end_by_turn_times(booking, known.floor(booking.restaurant))
        else:
            save_booking(booking)
    if kept:
        loaded.notes.append(f"Kept the status of bookings that are there already: {', '.join(kept)}.")


def _end_by_turn_times(booking: models.Booking, floor: Floor) -> None:
    """Store a booking without an end. The app is told of the usual end first, because no end would change no promise."""
    window = seating_window(floor, starts_at=booking.start, party=booking.party)
    if not isinstance(window, SeatingWindow):
        save_booking(booking)
        return
    booking.end = window.ends_at
    if save_booking(booking) is not Change.TO_STAFF:
        booking.end = None
        booking.save(update_fields=["end"])


def _move_from_lessened(loaded: Loaded) -> None:
    """Move upcoming bookings from tables that are out of service or now too small, or tell staff."""
    coming = models.Booking.objects.filter(tables__in=loaded.lessened, start__gte=clock.now()).distinct()
    for booking in coming:
        change = api.booking_changed(booking_ref=str(booking.pk))
        if change is not Change.NOTHING:
            loaded.notes.append(f"{booking.reference} cannot stay at its table: {_BECAME.get(change, change.value)}.")


_BECAME = {
    Change.MOVED: "it has another",
    Change.REQUESTED: "it waits for another",
    Change.TO_STAFF: "it is in review",
}


def _told_by_the_file(values: Mapping[str, Any], booking: models.Booking) -> Mapping[str, Any]:
    """Return the values that an existing booking takes over. Of statuses only a cancellation: others may have changed."""
    told = dict(values)
    if values["status"] != models.Booking.Status.CANCELLED:
        told["status"] = booking.status
    for name in _TAKEN_BACK:
        if name in told and not told[name] and _as_json(getattr(booking, name)) != booking.of_file.get(name):
            del told[name]  # Staff gave it, not a file, so it is kept.
    return told


_TAKEN_BACK = ("end", "needs", "wishes")
"""What a booking has no longer if a file gave it, and gives it no longer."""


def _of_file(end: datetime | None, row: BookingRow) -> dict[str, Any]:
    given = {"end": end, "needs": list(row.needs), "wishes": list(row.wishes)}
    return {name: _as_json(value) for name, value in given.items() if value}


def _as_json(value: datetime | list[str] | None) -> str | list[str] | None:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _restaurant(name: str) -> models.Restaurant:
    """The restaurant of that reference, or the only one of that name. Raises ValueError where two may be meant."""
    found = models.Restaurant.objects.filter(reference=name).first()
    called = list(models.Restaurant.objects.filter(name=name).order_by("reference"))
    unnamed = [each for each in called if each.reference is None]
    if found is not None and unnamed:
        raise ValueError(
            f"{name!r} may be {found.name!r}, of which it is the reference, or the restaurant of that name, which has "
            "no reference; give it one"
        )
    if found is not None:
        return found
    if len(called) > 1:
        references = ", ".join(repr(each.reference) for each in called if each.reference is not None)
        raise ValueError(f"there are {len(called)} restaurants {name!r}; write the reference of one: {references}")
    if not called:
        words = {word for pair in models.Restaurant.objects.values_list("reference", "name") for word in pair if word}
        raise ValueError(f"there is no restaurant {name!r}{evening_file.did_you_mean(name, words)}")
    return called[0]


def parse_json_ahead(text: str, now: datetime) -> EveningFile:
    """Return the evening in a JSON file, moved to the first date on which all of its bookings are hours ahead.

    That is today or tomorrow by the restaurant's clock, or later if the clocks skip a booking's time or the day has
    other services. Raises UnusableFileError.
    """
    as_it_was = parse_json(text)
    if not as_it_was.bookings:
        return as_it_was
    served = _services(as_it_was)
    today = now.astimezone(time_zone(as_it_was.timezone)).date()
    for days in range(_DAYS_TRIED):
        moved = parse_json(text, on=today + timedelta(days=days))
        if _services(moved) != served:
            continue
        with suppress(ValueError):  # A time that the clocks skip on that day.
            first = min(as_aware(row.start, moved.timezone) for row in moved.bookings)
            if first >= now + _NOBODY_IS_NEAR:
                break
    return moved


def parse_json_today(text: str, now: datetime) -> EveningFile:
    """Return the evening in a JSON file, moved to today's date by the restaurant's clock. Raises UnusableFileError."""
    zone = time_zone(parse_json(text).timezone)
    return parse_json(text, on=now.astimezone(zone).date())


def _services(evening: EveningFile) -> set[str]:
    assert evening.day is not None, "a file with a floor has a date"
    return {period.key for period in periods_on(evening.floor(), evening.day)}


_NOBODY_IS_NEAR = timedelta(hours=3)
"""Then the evening is decided alike at any hour: who comes within FIXED_MINUTES (two hours) is moved no more, and who comes
within minutes is past before it is planned."""
_DAYS_TRIED = 11
"""A week, for weekdays that have other services, and the days that the clocks may skip."""
