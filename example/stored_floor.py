"""Storing the floor of an evening file. What the file no longer has is removed and reported."""

import unicodedata
from bisect import insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model

from assignments.concurrency import locks
from assignments.integration import evening_file
from assignments.integration.evening_file import BadRow, EveningFile, UnusableFileError
from assignments.models import Allocation, Assignment, CalendarEntry, PacingLimit
from assignments.planning.floor import EVERY_WEEKDAY, Pacing, TurnTime
from assignments.planning.floor import CalendarEntry as Dates
from assignments.planning.natural_order import natural_key
from example import models


def _longest(model: type[Model], field: str) -> int:
    return int(model._meta.get_field(field).max_length or 0)  # type: ignore[union-attr]


LONGEST = {
    "name": _longest(models.Restaurant, "name"),
    "restaurant_ref": _longest(models.Restaurant, "reference"),
    "code": _longest(models.Table, "code"),
    "zone": _longest(models.Zone, "name"),
    "key": _longest(models.ServicePeriod, "key"),
    "ref": _longest(models.Booking, "reference"),
}
"""Maximum characters in the database."""


@dataclass(kw_only=True)
class Loaded:
    """Rows created, updated, unchanged and removed, by kind; and rows not loaded.

    ``removed``: the names of removed rows in natural order, by kind. ``notes``: further remarks, in sentences.
    ``lessened``: tables that are now out of service, or have fewer seats.
    """

    restaurants: list[models.Restaurant] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    removed: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    bad_rows: list[BadRow] = field(default_factory=list)
    lessened: set[int] = field(default_factory=set)

    def count(self, kind: str, what: str) -> None:
        self.counts.setdefault(kind, Counter(created=0, updated=0, unchanged=0))[what] += 1

    def remove(self, kind: str, name: str) -> None:
        self.count(kind, "removed")
        insort(self.removed.setdefault(kind, []), name, key=natural_key)

    def as_dict(self) -> dict[str, Any]:
        return {
            **{kind: dict(counts) for kind, counts in self.counts.items()},
            "removed": self.removed,
            "notes": self.notes,
            "rejected": [{"place": row.place, "reason": row.reason} for row in self.bad_rows],
        }


def store_floor(evening: EveningFile, name: str, loaded: Loaded) -> models.Restaurant:
    """Store the file's floor as the restaurant's."""
    name = unicodedata.normalize("NFC", name)
    if problem := evening_file.text_problem(name, LONGEST["name"]):
        raise UnusableFileError(f"The restaurant's name {problem}.")
    restaurant = _restaurant(evening, name, loaded)
    # No tables are assigned while this looks for the bookings that have one.
    locks.lock_restaurant(str(restaurant.pk))
    tables = _store_tables(restaurant, evening, loaded)
    _store_pairs(restaurant, {frozenset(tables[code].pk for code in pair) for pair in evening.adjacent}, loaded)
    _store_joins(restaurant, evening, tables, loaded)
    _store_services(restaurant, evening, loaded)
    _remove_tables(restaurant, tables, loaded)
    _store_calendar(restaurant, evening, loaded)
    _store_pacing(restaurant, evening, loaded)
    return restaurant


def _restaurant(evening: EveningFile, name: str, loaded: Loaded) -> models.Restaurant:
    """Return the restaurant with the file's ref; for a file without a ref, the one with its name and no other ref.

    The name in one file and an equal ref in another mean two restaurants.
    """
    known = models.Restaurant.objects.select_for_update()
    called = known.filter(name=name)
    if evening.ref:
        # A restaurant without a ref may be given one, its own name: nobody else can be meant.
        found = known.filter(reference=evening.ref).first() or (
            called.filter(reference=None).first() if evening.ref == name else None
        )
    else:
        found = called.filter(reference=None).first() or called.filter(reference=name).first()
    values = {"name": name, "timezone": evening.timezone, **({"reference": evening.ref} if evening.ref else {})}
    if found is not None:
        if differs(found, values):
            found.save()
            loaded.count("restaurants", "updated")
        else:
            loaded.count("restaurants", "unchanged")
        return found
    restaurant = models.Restaurant.objects.create(**values)
    loaded.count("restaurants", "created")
    others = list(called.exclude(pk=restaurant.pk).order_by("reference"))
    if references := ", ".join(repr(each.reference) for each in others if each.reference):
        loaded.notes.append(f"It is a new restaurant. Others are called {name!r} too, by the reference {references}.")
    elif others:
        loaded.notes.append(f"It is a new restaurant. Another is called {name!r} too, and has no reference.")
    alike = known.filter(name=evening.ref, reference=None) if evening.ref else known.filter(reference=name)
    for other in alike.exclude(name=name):
        whose = f"the reference of {other.name!r}" if other.reference else "the name of another, which has no reference"
        loaded.notes.append(f"It is a new restaurant. {evening.ref or name!r} is {whose}, too.")
    return restaurant


def _store_tables(restaurant: models.Restaurant, evening: EveningFile, loaded: Loaded) -> Mapping[str, models.Table]:
    was = {table.code: table for table in restaurant.tables.all()}
    tables = {}
    for row in evening.tables:
        zone, _created = models.Zone.objects.get_or_create(restaurant=restaurant, name=row.zone_ref)
        tables[row.ref], what = _upsert(
            models.Table,
            {"restaurant": restaurant, "code": row.ref},
            {
                "zone": zone,
                "seats": row.seats,
                "min_party": row.min_party,
                "max_party": row.max_party,
                "active": row.active,
                "priority": row.priority,
                "features": sorted(row.features),
            },
        )
        loaded.count("tables", what)
        if row.ref not in was:
            continue
        before = was[row.ref]
        if before.active != row.active:
            loaded.notes.append(f"Table {row.ref} is {'in' if row.active else 'out of'} service now, as in the file.")
        if before.seats > row.seats or (before.active and not row.active):
            loaded.lessened.add(before.pk)
    return tables


def _remove_tables(restaurant: models.Restaurant, kept: Mapping[str, models.Table], loaded: Loaded) -> None:
    """Remove tables and zones that the file does not have; only put tables of any booking out of service.

    Past bookings count, too. Such a table stays out of service even once no booking has it, because loading the same
    file again must change nothing.
    """
    kept_before = set(restaurant.tables_kept)
    still = []
    gone = [table for table in restaurant.tables.select_related("zone") if table.code not in kept]
    for table in sorted(gone, key=lambda table: natural_key(table.code)):
        if table.pk not in kept_before and not _is_named(table):
            loaded.remove("tables", table.code)
            table.delete()
            continue
        still.append(table.pk)
        if table.active:
            table.active = False
            table.save()
            loaded.count("tables", "put out of service")
            loaded.lessened.add(table.pk)
            loaded.notes.append(
                f"Table {table.code} is not in the file any more. Bookings have it or had it, so it is out of service."
            )
    if set(still) != kept_before:
        restaurant.tables_kept = still
        restaurant.save(update_fields=["tables_kept"])
    for zone in restaurant.zones.filter(tables=None, booking=None).order_by("name"):
        loaded.remove("zones", zone.name)
        zone.delete()


def _is_named(table: models.Table) -> bool:
    ref, restaurant_ref = str(table.pk), str(table.restaurant_id)
    return (
        table.bookings.exists()
        or Allocation.objects.filter(restaurant_ref=restaurant_ref, table_ref=ref).exists()
        or Assignment.objects.filter(restaurant_ref=restaurant_ref, pinned_table_refs__contains=[ref]).exists()
    )


def _store_pairs(restaurant: models.Restaurant, wanted: set[frozenset[int]], loaded: Loaded) -> None:
    there = set()
    for pair in models.TableAdjacency.objects.filter(first__restaurant=restaurant).select_related("first", "second"):
        key = frozenset({pair.first_id, pair.second_id})
        if key in wanted:
            there.add(key)
            loaded.count("pairs", "unchanged")
        else:
            loaded.remove("pairs", str(pair))
            pair.delete()
    new = sorted(tuple(sorted(pair)) for pair in wanted - there)
    models.TableAdjacency.objects.bulk_create(
        [models.TableAdjacency(first_id=first, second_id=second) for first, second in new]
    )
    for _pair in new:
        loaded.count("pairs", "created")


def _store_joins(
    restaurant: models.Restaurant, evening: EveningFile, tables: Mapping[str, models.Table], loaded: Loaded
) -> None:
    wanted = {
        frozenset(tables[ref].pk for ref in join.table_refs): {
            "seats": join.seats,
            "min_party": join.min_party,
            "max_party": join.max_party,
        }
        for join in evening.joins
    }
    for join in models.TableJoin.objects.filter(tables__restaurant=restaurant).distinct().prefetch_related("tables"):
        joined = list(join.tables.all())
        values = wanted.pop(frozenset(table.pk for table in joined), None)
        if values is None:
            loaded.remove("joins", " + ".join(sorted((table.code for table in joined), key=natural_key)))
            join.delete()
        elif differs(join, values):
            join.save()
            loaded.count("joins", "updated")
        else:
            loaded.count("joins", "unchanged")
    for keys, values in wanted.items():
        models.TableJoin.objects.create(**values).tables.set(sorted(keys))
        loaded.count("joins", "created")


def _store_services(restaurant: models.Restaurant, evening: EveningFile, loaded: Loaded) -> None:
    for row in evening.services:
        service, what = _upsert(
            models.ServicePeriod,
            {"restaurant": restaurant, "key": row.key},
            {
                "start": row.starts,
                "end": row.ends,
                "weekdays": sorted(row.weekdays) if len(row.weekdays) < 7 else [],
                "allow_overrun": row.allow_overrun,
                "buffer_before_minutes": row.buffer_before_minutes,
                "buffer_after_minutes": row.buffer_after_minutes,
                "early_minutes": row.early_minutes,
                "late_minutes": row.late_minutes,
            },
        )
        if _replace_turn_times(service, row.turn_times) and what == "unchanged":
            what = "updated"
        loaded.count("services", what)
    for service in restaurant.services.exclude(key__in=[row.key for row in evening.services]):
        loaded.remove("services", service.key)
        service.delete()


def _replace_turn_times(service: models.ServicePeriod, wanted: Iterable[TurnTime]) -> bool:
    """Give the service exactly these turn times. Return whether that changed anything."""
    rows = [(turn.max_party, turn.minutes) for turn in wanted]
    if list(service.turn_times.order_by("max_party").values_list("max_party", "minutes")) == rows:
        return False
    service.turn_times.all().delete()
    models.TurnTime.objects.bulk_create(
        [models.TurnTime(service=service, max_party=max_party, minutes=minutes) for max_party, minutes in rows]
    )
    return True


def _store_calendar(restaurant: models.Restaurant, evening: EveningFile, loaded: Loaded) -> None:
    """Store the file's entries in the app's calendar, and keep those that were made in the admin."""
    wanted = Counter(_content(entry, evening) for entry in evening.calendar)
    of_file, by_hand = [], []
    for entry in CalendarEntry.objects.filter(restaurant_ref=str(restaurant.pk)).prefetch_related("services"):
        is_of_file = entry.pk in restaurant.calendar_of_file
        if wanted[key := _stored_content(entry)]:
            wanted[key] -= 1
            loaded.count("calendar", "unchanged")
            of_file.extend([entry.pk] if is_of_file else [])
        elif is_of_file:
            loaded.remove("calendar", _dates(entry))
            entry.delete()
        else:
            by_hand.append(_dates(entry))
    for key in wanted.elements():
        of_file.append(_create_entry(str(restaurant.pk), key))
        loaded.count("calendar", "created")
    if of_file != restaurant.calendar_of_file:
        restaurant.calendar_of_file = of_file
        restaurant.save(update_fields=["calendar_of_file"])
    if by_hand:
        loaded.notes.append(f"Kept in the calendar, though not in the file: {', '.join(by_hand)}.")


def _content(entry: Dates, evening: EveningFile) -> tuple[Any, ...]:
    usual = {service.key: service.turn_times for service in evening.services}
    services = (
        (each.key, each.starts, each.ends, None if each.turn_times == usual[each.key] else each.turn_times[0].minutes)
        for each in entry.services
    )
    weekdays = tuple(sorted(entry.weekdays)) if len(entry.weekdays) < 7 else ()
    return entry.first_date, entry.last_date, weekdays, entry.closes, tuple(sorted(services))


def _stored_content(entry: CalendarEntry) -> tuple[Any, ...]:
    services = ((each.key, each.starts, each.ends, each.turn_minutes) for each in entry.services.all())
    weekdays = tuple(sorted(entry.weekdays)) if len(entry.weekdays) < 7 else ()
    return entry.first_date, entry.last_date, weekdays, entry.closed, tuple(sorted(services))


def _create_entry(restaurant_ref: str, content: Sequence[Any]) -> int:
    first, last, weekdays, closed, services = content
    entry = CalendarEntry.objects.create(
        restaurant_ref=restaurant_ref, first_date=first, last_date=last, weekdays=list(weekdays), closed=closed
    )
    for key, starts, ends, minutes in services:
        entry.services.create(key=key, starts=starts, ends=ends, turn_minutes=minutes)
    return entry.pk


def _store_pacing(restaurant: models.Restaurant, evening: EveningFile, loaded: Loaded) -> None:
    """Store the file's pacing limits in the app, and keep those that were made in the admin."""
    wanted = Counter(evening.pacing)
    of_file, by_hand = [], []
    for limit in PacingLimit.objects.filter(restaurant_ref=str(restaurant.pk)):
        is_of_file = limit.pk in restaurant.pacing_of_file
        if wanted[pacing := _stored_pacing(limit)]:
            wanted[pacing] -= 1
            loaded.count("pacing", "unchanged")
            of_file.extend([limit.pk] if is_of_file else [])
        elif is_of_file:
            loaded.remove("pacing", _paced(limit))
            limit.delete()
        else:
            by_hand.append(_paced(limit))
    for pacing in wanted.elements():
        limit = PacingLimit.objects.create(
            restaurant_ref=str(restaurant.pk),
            service_key=pacing.service_key or "",
            first_date=pacing.first_date,
            last_date=pacing.last_date,
            weekdays=sorted(pacing.weekdays) if len(pacing.weekdays) < 7 else [],
            interval_minutes=pacing.interval_minutes,
            most_covers=pacing.most_covers,
            most_parties=pacing.most_parties,
            most_present=pacing.most_present,
        )
        of_file.append(limit.pk)
        loaded.count("pacing", "created")
    if of_file != restaurant.pacing_of_file:
        restaurant.pacing_of_file = of_file
        restaurant.save(update_fields=["pacing_of_file"])
    if by_hand:
        loaded.notes.append(f"Kept as pacing, though not in the file: {', '.join(by_hand)}.")


def _stored_pacing(limit: PacingLimit) -> Pacing:
    return Pacing(
        interval_minutes=limit.interval_minutes,
        most_covers=limit.most_covers,
        most_parties=limit.most_parties,
        most_present=limit.most_present,
        service_key=limit.service_key or None,
        first_date=limit.first_date,
        last_date=limit.last_date,
        weekdays=frozenset(limit.weekdays) or EVERY_WEEKDAY,
    )


def _paced(limit: PacingLimit) -> str:
    dates = f" {limit.first_date or ''} - {limit.last_date or ''}" if limit.first_date or limit.last_date else ""
    return f"{limit.service_key or 'every service'}{dates}"


def _dates(entry: CalendarEntry) -> str:
    return f"{entry.first_date}" if entry.first_date == entry.last_date else f"{entry.first_date} - {entry.last_date}"


def _upsert(model: Any, key: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[Any, str]:
    row, created = model.objects.get_or_create(defaults=values, **key)
    if created:
        return row, "created"
    if not differs(row, values):
        return row, "unchanged"
    row.save()
    return row, "updated"


def differs(row: Any, values: Mapping[str, Any]) -> bool:
    """Set the values that differ. Return whether there were any."""
    differing = {key: value for key, value in values.items() if getattr(row, key) != value}
    for key, value in differing.items():
        setattr(row, key, value)
    return bool(differing)
