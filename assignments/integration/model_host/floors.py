"""Floors from the project's tables, completed by what is kept in this app."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import time
from functools import partial
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from assignments.integration.model_host.attributes import Attributes
from assignments.models import (
    AdjacentTables,
    CalendarEntry,
    CalendarService,
    ListedJoin,
    ServiceHours,
    TableDetails,
    TurnMinutes,
    VenueSettings,
)
from assignments.planning import floor as planning_floor
from assignments.planning.calendar import special_period
from assignments.planning.floor import EVERY_WEEKDAY, Floor, Join, ServicePeriod, Table, TurnTime, adjacency

ALL_DAY = ServicePeriod(
    key="all_day",
    starts=time(0),
    ends=time(0),
    allow_overrun=True,
    turn_times=(
        TurnTime(max_party=2, minutes=90),
        TurnTime(max_party=4, minutes=105),
        TurnTime(max_party=6, minutes=120),
        TurnTime(max_party=8, minutes=150),
    ),
)
"""Default service period of a venue: no closing time, and generous turn times.

Configured service periods without turn times use these, too.
"""


class Floors(Attributes):
    """The floor, the calendar, and by what their changes are noticed."""

    def floor(self, restaurant_ref: str) -> Floor:
        """Build the floor from the host's tables and this app's floor data. At most nine queries.

        Adjacencies and joins of deleted tables are ignored. Raises LookupError for an unknown restaurant. If
        restaurants are plain text, one without tables has an empty floor.
        """
        details = {row.table_ref: row for row in TableDetails.objects.filter(restaurant_ref=restaurant_ref)}
        venue = VenueSettings.objects.filter(restaurant_ref=restaurant_ref).first()
        tables = tuple(self._table(row, details) for row in self._tables(restaurant_ref))
        if not tables:
            self._check_exists(restaurant_ref)
        known = {table.ref for table in tables}
        services = tuple(self._services(restaurant_ref)) or (ALL_DAY,)
        pairs = AdjacentTables.objects.filter(restaurant_ref=restaurant_ref)
        return Floor(
            restaurant_ref=restaurant_ref,
            timezone=venue.timezone if venue else self._default_timezone,
            tables=tables,
            services=services,
            adjacent=adjacency(
                pair for pair in pairs.values_list("first_table_ref", "second_table_ref") if known.issuperset(pair)
            ),
            joins=tuple(
                Join(
                    table_refs=frozenset(row.table_refs),
                    seats=row.seats,
                    min_party=_at_most(row.seats, row.min_party),
                    max_party=_at_most(row.seats, row.max_party),
                )
                for row in ListedJoin.objects.filter(restaurant_ref=restaurant_ref)
                if known.issuperset(row.table_refs)
            ),
            calendar=self.calendar(restaurant_ref, services),
        )

    def calendar(
        self, restaurant_ref: str, services: Sequence[ServicePeriod]
    ) -> tuple[planning_floor.CalendarEntry, ...]:
        """Return the entries of this app's calendar. Two queries.

        One that neither closes its dates nor gives hours changes nothing, and is left out.
        """
        usual = {service.key: service for service in services}
        found = []
        for row in CalendarEntry.objects.filter(restaurant_ref=restaurant_ref).prefetch_related("services"):
            special = tuple(
                special_period(
                    usual.get(each.key) or replace(ALL_DAY, key=each.key, allow_overrun=False),
                    starts=each.starts,
                    ends=each.ends,
                    turn_minutes=each.turn_minutes,
                )
                for each in row.services.all()
            )
            if special or row.closed:
                entry = planning_floor.CalendarEntry(
                    first_date=row.first_date,
                    last_date=row.last_date,
                    services=() if row.closed else special,
                    weekdays=frozenset(row.weekdays) or EVERY_WEEKDAY,
                )
                found.append(entry)
        return tuple(found)

    def calendar_querysets(self, restaurant_ref: str) -> Sequence[QuerySet[Any]]:
        """Return the querysets that ``calendar`` reads."""
        return [
            CalendarEntry.objects.filter(restaurant_ref=restaurant_ref),
            CalendarService.objects.filter(entry__restaurant_ref=restaurant_ref),
        ]

    def floor_querysets(self, restaurant_ref: str) -> Sequence[QuerySet[Any]]:
        """Return the querysets that ``floor`` reads. A subclass that reads more must add to them."""
        return [
            self._tables(restaurant_ref),
            *(
                model._default_manager.filter(restaurant_ref=restaurant_ref)
                for model in (VenueSettings, TableDetails, AdjacentTables, ListedJoin, ServiceHours)
            ),
            TurnMinutes.objects.filter(service__restaurant_ref=restaurant_ref),
            *self.calendar_querysets(restaurant_ref),
        ]

    def floor_fingerprint(self, restaurant_ref: str) -> str:
        """Return a digest of the rows, in one query, so that no version number is needed."""
        return self._digests([restaurant_ref])[restaurant_ref]

    def floor_fingerprints(self, restaurant_refs: Collection[str]) -> Mapping[str, str]:
        """Return several fingerprints in one query, or one query each if a subclass overrides ``floor_fingerprint``."""
        if type(self).floor_fingerprint is not Floors.floor_fingerprint:
            return {ref: self.floor_fingerprint(ref) for ref in restaurant_refs}
        return self._digests(restaurant_refs) if restaurant_refs else {}

    def _digests(self, restaurant_refs: Collection[str]) -> dict[str, str]:
        digests: list[str] = []
        parameters: list[Any] = []
        for ref in restaurant_refs:
            parts: list[str] = []
            for queryset in self.floor_querysets(ref):
                sql, given = queryset.order_by().query.sql_with_params()
                parts.append(f"(SELECT string_agg(md5(part::text), '' ORDER BY part::text) FROM ({sql}) AS part)")  # noqa: S608
                parameters += given
            digests.append(f"md5(concat_ws('|', {', '.join(parts)}))")
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(digests)}", parameters)
            return dict(zip(restaurant_refs, cursor.fetchone(), strict=True))

    def _check_exists(self, restaurant_ref: str) -> None:
        field: Any = self.restaurant_field and self.bookings_table._meta.get_field(self.restaurant_field)
        if field and field.related_model:
            key = field.target_field
            if not field.related_model._default_manager.filter(**{key.attname: key.to_python(restaurant_ref)}).exists():
                raise LookupError(f"Restaurant {restaurant_ref!r} does not exist.")

    def _tables(self, restaurant_ref: str) -> QuerySet[Any]:
        here = self._is_at(self.tables_table, self.table_restaurant_field, restaurant_ref)
        return self.tables_table._default_manager.filter(here).order_by("pk")

    def passed_over(self, restaurant_ref: str) -> Iterator[str]:
        """Yield which of this app's floor data ``floor`` does not use as it was entered, and why. For checks."""
        details = {row.table_ref: row for row in TableDetails.objects.filter(restaurant_ref=restaurant_ref)}
        tables = {}
        for row in self._tables(restaurant_ref):
            table = tables[str(row.pk)] = self._table(row, details)
            least, most = self._party_limits(row, details)
            for limit in {least, most} - {table.min_party, table.max_party}:
                yield f"table {table.name}: parties of {limit} at {table.seats} seats"
        for join in ListedJoin.objects.filter(restaurant_ref=restaurant_ref):
            unusable = [ref for ref in join.table_refs if ref not in tables or not tables[ref].active]
            if unusable:
                yield f"join {join}: {', '.join(unusable)} is unknown or out of service"
            if max(join.min_party or 0, join.max_party or 0) > join.seats:
                yield f"join {join}: parties of {max(join.min_party or 0, join.max_party or 0)} at {join.seats} seats"
        for service in ServiceHours.objects.filter(
            restaurant_ref=restaurant_ref, late_minutes__gt=0, allow_overrun=False
        ):
            yield f"service {service.key}: {service.late_minutes} late minutes without overruns"

    def _value(self, row: Any, field: str | None, fallback: Any) -> Any:
        given = getattr(row, self.tables_table._meta.get_field(field).attname) if field else None  # type: ignore[union-attr]
        return fallback if given is None else given

    def _party_limits(self, row: Any, details: Mapping[str, TableDetails]) -> tuple[int | None, int | None]:
        known = details.get(str(row.pk))
        return (
            self._value(row, self.table_min_party_field, known.min_party if known else None),
            self._value(row, self.table_max_party_field, known.max_party if known else None),
        )

    def _table(self, row: Any, details: Mapping[str, TableDetails]) -> Table:
        known = details.get(str(row.pk))
        value = partial(self._value, row)
        least, most = self._party_limits(row, details)
        zone = value(self.table_zone_field, "")
        if zone == "" and known:
            zone = known.zone
        seats = value(self.table_seats_field, 0)
        return Table(
            ref=str(row.pk),
            name=str(value(self.table_name_field, row.pk)),
            seats=seats,
            zone_ref=str(zone) if zone != "" else None,
            min_party=_at_most(seats, least),
            max_party=_at_most(seats, most),
            active=value(self.table_active_field, True),
        )

    def _services(self, restaurant_ref: str) -> Iterable[ServicePeriod]:
        for row in ServiceHours.objects.filter(restaurant_ref=restaurant_ref).prefetch_related("turns"):
            yield ServicePeriod(
                key=row.key,
                starts=row.starts,
                ends=row.ends,
                turn_times=tuple(TurnTime(max_party=turn.max_party, minutes=turn.minutes) for turn in row.turns.all())
                or ALL_DAY.turn_times,
                allow_overrun=row.allow_overrun,
                buffer_before_minutes=row.buffer_before_minutes,
                buffer_after_minutes=row.buffer_after_minutes,
                weekdays=frozenset(row.weekdays) or EVERY_WEEKDAY,
                early_minutes=row.early_minutes,
                # Who comes late stays past the end. The form says so; a row may have been written past it.
                late_minutes=row.late_minutes if row.allow_overrun else 0,
            )


def _at_most(seats: int, party: int | None) -> int | None:
    """Return a limit of parties, no larger than the seats: one row's mistake must not stop the whole restaurant."""
    return party if party is None else min(party, seats)
