"""Floors from the project's tables, completed by this app's floor data.

Long because a floor is read in one piece: each method is one kind of its rows.
"""

import time as time_module
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import time, timedelta
from functools import cached_property, partial
from typing import Any

from django.apps import apps
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet
from django.db.models.constants import LOOKUP_SEP

from assignments.integration.model_host import values
from assignments.integration.model_host.attributes import Attributes, field_at
from assignments.models import (
    AdjacentTables,
    CalendarEntry,
    CalendarService,
    ListedJoin,
    PacingLimit,
    ServiceHours,
    TableDetails,
    TurnMinutes,
    VenueSettings,
    ZonePriority,
)
from assignments.models.prepared import prepared_cursor
from assignments.planning import floor as planning_floor
from assignments.planning.calendar import special_period
from assignments.planning.features import words
from assignments.planning.floor import (
    EVERY_WEEKDAY,
    MOST_PRIORITY,
    Floor,
    InvalidFloorError,
    Join,
    Pacing,
    ServicePeriod,
    Table,
    TurnTime,
    adjacency,
)
from assignments.planning.timezone import time_zone

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


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
A_MINUTE = timedelta(minutes=1)
COMPILED_SECONDS = 15 * 60
"""How long the SQL of a digest is kept. In every time zone a day begins with a quarter of an hour."""
MOST_COMPILED = 1000
"""Of how many restaurants the SQL is kept."""


class Floors(Attributes):
    """The floor, the calendar, and the fingerprints by which changes are noticed."""

    def floor(self, restaurant_ref: str) -> Floor:
        """Build the floor from the host's tables and this app's floor data. At most twelve queries.

        Adjacencies and joins of deleted tables are ignored. Raises LookupError for an unknown restaurant. If
        restaurants are plain text, one without tables has an empty floor.
        """
        details = {row.table_ref: row for row in TableDetails.objects.filter(restaurant_ref=restaurant_ref)}
        venue = VenueSettings.objects.filter(restaurant_ref=restaurant_ref).first()
        tables = self._by_zone(
            restaurant_ref, [self._table(row, details) for row in self._tables(restaurant_ref)], details
        )
        if not tables:
            self._check_exists(restaurant_ref)
        known = {table.ref for table in tables}
        hours = list(self._rows_of("hours", restaurant_ref)) if self.hours_model else []
        # Where every weekday is closed, there is no service at all.
        services = tuple(self._host_services(hours) if hours else self._services(restaurant_ref))
        if not services and not hours:
            services = (ALL_DAY,)
        turns = self._host_turns(restaurant_ref)
        if turns:
            services = tuple(replace(service, turn_times=turns) for service in services)
        pairs = AdjacentTables.objects.filter(restaurant_ref=restaurant_ref)
        neighbours = [
            *pairs.values_list("first_table_ref", "second_table_ref"),
            *self._host_neighbours(restaurant_ref),
        ]
        return Floor(
            restaurant_ref=restaurant_ref,
            timezone=venue.timezone if venue else self._zone_of(restaurant_ref),
            tables=tables,
            services=services,
            adjacent=adjacency(pair for pair in neighbours if known.issuperset(pair)),
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
            pacing=self.pacing(restaurant_ref),
        )

    def _zone_of(self, restaurant_ref: str) -> str:
        """Return the time zone of a restaurant for which this app has none. One query, if the project stores it."""
        told = self._zones_of(restaurant_ref).first() if self.restaurant_timezone_field else None
        return str(told or self._default_timezone)

    def unknown_time_zones(self, *, limit: int) -> Iterator[tuple[str, str]]:
        """Yield restaurants, out of the first ``limit``, whose time zone does not exist, with its name. For checks."""
        if not self.restaurant_timezone_field:
            return
        key, ours = self._restaurant_key, self._venue_zones()
        rows = self._known(key.model).order_by("pk").values_list(key.attname, self.restaurant_timezone_field)
        for ref, zone in rows[:limit]:
            if str(ref) in ours:
                continue
            try:
                time_zone(str(zone or self._default_timezone))
            except ValueError:
                yield str(ref), str(zone)

    def calendar(
        self, restaurant_ref: str, services: Sequence[ServicePeriod]
    ) -> tuple[planning_floor.CalendarEntry, ...]:
        """Return the entries of this app's calendar. Two queries.

        An entry that neither closes its dates nor has hours changes nothing, and is left out.
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

    def _by_zone(
        self, restaurant_ref: str, tables: Sequence[Table], details: Mapping[str, TableDetails]
    ) -> tuple[Table, ...]:
        """Return the tables; those without a priority get that of their zone. One query."""
        zones = dict(ZonePriority.objects.filter(restaurant_ref=restaurant_ref).values_list("zone", "priority"))
        own = {ref for ref, row in details.items() if row.priority is not None}
        if not zones or self.table_priority_field:
            return tuple(tables)
        return tuple(
            each if each.ref in own else replace(each, priority=zones.get(each.zone_ref or "", 0)) for each in tables
        )

    def pacing(self, restaurant_ref: str) -> tuple[Pacing, ...]:
        """Return the pacing that this app stores. One query."""
        return tuple(
            Pacing(
                interval_minutes=row.interval_minutes,
                most_covers=row.most_covers,
                most_parties=row.most_parties,
                most_present=row.most_present,
                service_key=row.service_key or None,
                first_date=row.first_date,
                last_date=row.last_date,
                weekdays=frozenset(row.weekdays) or EVERY_WEEKDAY,
            )
            for row in PacingLimit.objects.filter(restaurant_ref=restaurant_ref)
        )

    def calendar_querysets(self, restaurant_ref: str) -> Sequence[QuerySet[Any]]:
        """Return the querysets that ``calendar`` and ``pacing`` read."""
        return [
            PacingLimit.objects.filter(restaurant_ref=restaurant_ref),
            CalendarEntry.objects.filter(restaurant_ref=restaurant_ref),
            CalendarService.objects.filter(entry__restaurant_ref=restaurant_ref),
        ]

    def floor_querysets(self, restaurant_ref: str) -> Sequence[QuerySet[Any]]:
        """Return the querysets that ``floor`` reads. A subclass that reads more must add to them.

        Their SQL is cached for up to a quarter of an hour, so they may depend only on the restaurant and the date.
        """
        return [
            *([self._tables(restaurant_ref)] if self.table_model else []),
            *([self._zones_of(restaurant_ref)] if self.restaurant_timezone_field else []),
            *(
                model._default_manager.filter(restaurant_ref=restaurant_ref)
                for model in (VenueSettings, TableDetails, ZonePriority, AdjacentTables, ListedJoin, ServiceHours)
            ),
            TurnMinutes.objects.filter(service__restaurant_ref=restaurant_ref),
            *self.calendar_querysets(restaurant_ref),
            *([self._links_of_neighbours(restaurant_ref)] if self.table_adjacent_field else []),
            *([self._rows_of("hours", restaurant_ref)] if self.hours_model else []),
            *([self._rows_of("turn", restaurant_ref)] if self.turn_model else []),
        ]

    def floor_fingerprint(self, restaurant_ref: str) -> str:
        """Return a digest of the rows, in one query, so that no version number is needed."""
        with prepared_cursor() as cursor:
            cursor.execute(f"SELECT {self._digest(restaurant_ref)}")
            return str(cursor.fetchone()[0])

    def floor_fingerprints(self, restaurant_refs: Collection[str]) -> Mapping[str, str]:
        """Return several fingerprints in one query, or one query each if a subclass overrides ``floor_fingerprint``."""
        if type(self).floor_fingerprint is not Floors.floor_fingerprint:
            return {ref: self.floor_fingerprint(ref) for ref in restaurant_refs}
        if not restaurant_refs:
            return {}
        # Not prepared: PostgreSQL would keep a plan of a third of a megabyte for each of them, and another one whenever
        # they are others.
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(map(self._digest, restaurant_refs))}")
            return dict(zip(restaurant_refs, cursor.fetchone(), strict=True))

    def _digest(self, restaurant_ref: str) -> str:
        """Return the SQL of a restaurant's digest. Compiling it takes longer than running it.

        Its values are written into it, as Django does. As parameters of a prepared statement they would need types, which
        an expression of the project's manager may not have.
        """
        quarter = time_module.time() // COMPILED_SECONDS
        known = self._compiled.get(restaurant_ref)
        if known is not None and known[0] == quarter:
            return known[1]
        parts = ["'|'"]
        parameters: list[Any] = []
        for queryset in self.floor_querysets(restaurant_ref):
            try:
                sql, given = queryset.order_by().query.sql_with_params()
            except EmptyResultSet:
                continue  # Nothing can be found, so nothing can change.
            parts.append(f"(SELECT string_agg(md5(part::text), '' ORDER BY part::text) FROM ({sql}) AS part)")  # noqa: S608
            parameters += given
        operations: Any = connection.ops  # The stubs know what all databases have.
        with connection.wrap_database_errors:
            digest: str = operations.compose_sql(f"md5(concat_ws({', '.join(parts)}))", parameters)
        if len(self._compiled) >= MOST_COMPILED:
            self._compiled.clear()
        self._compiled[restaurant_ref] = quarter, digest
        return digest

    @cached_property
    def _compiled(self) -> dict[str, tuple[float, str]]:
        """Return the time at which each restaurant's digest was compiled, and its SQL."""
        return {}

    def _check_exists(self, restaurant_ref: str) -> None:
        field: Any = self.restaurant_field and field_at(self.bookings_table, self.restaurant_field)
        if field and field.related_model:
            key = field.target_field
            if not self._known(field.related_model).filter(**{key.attname: key.to_python(restaurant_ref)}).exists():
                raise LookupError(f"Restaurant {restaurant_ref!r} does not exist.")

    def _tables(self, restaurant_ref: str) -> QuerySet[Any]:
        here = self._is_at(self.tables_table, self.table_restaurant_field, restaurant_ref)
        read = (
            self.table_name_field,
            self.table_seats_field,
            self.table_zone_field,
            self.table_active_field,
            self.table_min_party_field,
            self.table_max_party_field,
            self.table_features_field,
            self.table_priority_field,
        )
        return with_steps(self.known_tables().filter(here), read).order_by("pk")

    def passed_over(self, restaurant_ref: str) -> Iterator[str]:
        """Yield sentences about floor data of this app that ``floor`` ignores or changes. For checks."""
        details = {row.table_ref: row for row in TableDetails.objects.filter(restaurant_ref=restaurant_ref)}
        tables = {}
        for row in self._tables(restaurant_ref):
            table = self._table(row, details)
            tables[table.ref] = table
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
        given = value_at(row, field) if field else None
        return fallback if given is None else given

    def _number(self, row: Any, field: str | None, fallback: int | None) -> int | None:
        """Return a table's whole number, also from digits; ``fallback`` for anything else."""
        given = values.number(self._value(row, field, None))
        return fallback if given is None else given

    def _table_ref(self, row: Any) -> str:
        return str(getattr(row, self._table_key.attname))

    def _party_limits(self, row: Any, details: Mapping[str, TableDetails]) -> tuple[int | None, int | None]:
        known = details.get(self._table_ref(row))
        return (
            self._number(row, self.table_min_party_field, known.min_party if known else None),
            self._number(row, self.table_max_party_field, known.max_party if known else None),
        )

    def _table(self, row: Any, details: Mapping[str, TableDetails]) -> Table:
        ref = self._table_ref(row)
        known = details.get(ref)
        value = partial(self._value, row)
        least, most = self._party_limits(row, details)
        zone = value(self.table_zone_field, "")
        if zone == "" and known:
            zone = known.zone
        seats = self._number(row, self.table_seats_field, 0) or 0
        return Table(
            ref=ref,
            name=str(value(self.table_name_field, ref)),
            seats=seats,
            zone_ref=str(zone) if zone != "" else None,
            min_party=_at_most(seats, least),
            max_party=_at_most(seats, most),
            active=bool(value(self.table_active_field, True)),
            features=values.features(value(self.table_features_field, None)) | words(known.features if known else None),
            priority=_priority(self._number(row, self.table_priority_field, known.priority if known else None)),
        )

    def _links_of_neighbours(self, restaurant_ref: str) -> QuerySet[Any]:
        """Return the rows of the tables' many-to-many to themselves."""
        field: Any = self.tables_table._meta.get_field(self.table_adjacent_field or "")
        return field.remote_field.through._default_manager.filter(  # type: ignore[no-any-return]
            **{f"{field.m2m_field_name()}__in": self._tables(restaurant_ref).order_by().values("pk")}
        )

    def _host_neighbours(self, restaurant_ref: str) -> Iterable[tuple[str, str]]:
        if not self.table_adjacent_field:
            return
        field: Any = self.tables_table._meta.get_field(self.table_adjacent_field)
        key = self._table_key.attname
        ends = [f"{name}__{key}" for name in (field.m2m_field_name(), field.m2m_reverse_field_name())]
        for one, other in self._links_of_neighbours(restaurant_ref).values_list(*ends):
            if one != other:
                yield str(one), str(other)

    def _rows_of(self, kind: str, restaurant_ref: str) -> QuerySet[Any]:
        """Return a restaurant's rows of ``hours_model`` or ``turn_model``."""
        model = apps.get_model(getattr(self, f"{kind}_model"))
        here = self._is_at(model, getattr(self, f"{kind}_restaurant_field"), restaurant_ref)
        names = [
            getattr(self, name) for name in vars(Attributes) if name.startswith(f"{kind}_") and name.endswith("_field")
        ]
        return with_steps(self._known(model).filter(here), names).order_by("pk")

    def _host_services(self, rows: Sequence[Any]) -> Iterable[ServicePeriod]:
        """Yield a service for each combination of name and hours, on the weekdays that have them."""
        weekdays: dict[tuple[str, time, time, int, int], set[int]] = {}
        for row in rows:
            opens, closes = (value_at(row, name) for name in (self.hours_opens_field, self.hours_closes_field))
            is_closed = bool(self.hours_closed_field and value_at(row, self.hours_closed_field))
            if is_closed or opens in (None, "") or closes in (None, ""):
                continue
            name = value_at(row, self.hours_name_field) if self.hours_name_field else None
            try:
                early, late = (self._minutes(row, field) for field in (self.hours_early_field, self.hours_late_field))
                hours = (str(name or "service"), values.clock(opens), values.clock(closes), early, late)
                days = self._weekdays(value_at(row, self.hours_weekday_field) if self.hours_weekday_field else None)
            except ValueError as error:
                raise InvalidFloorError(f"{row._meta.label} {row.pk}: {error}") from None
            weekdays.setdefault(hours, set()).update(days)
        for (name, starts, ends, early, late), days in weekdays.items():
            yield ServicePeriod(
                key=name,
                starts=starts,
                ends=ends,
                weekdays=frozenset(days),
                turn_times=ALL_DAY.turn_times,
                early_minutes=early,
                late_minutes=late,
                allow_overrun=late > 0,  # Who comes late stays past the end.
            )

    @staticmethod
    def _minutes(row: Any, field: str | None) -> int:
        """Return a row's minutes; 0 if it has none. Raises ValueError."""
        given = value_at(row, field) if field else None
        return 0 if given in (None, "") else values.stay(given) // A_MINUTE

    def _weekdays(self, given: Any) -> Iterable[int]:
        if given is None:
            return EVERY_WEEKDAY
        number = values.number(given)
        if number is not None:
            return [(number - self.hours_monday) % 7]
        day = str(given).strip().lower()[:3]
        if day not in WEEKDAYS:
            raise ValueError("The weekday is neither a number nor an English name.")
        return [WEEKDAYS.index(day)]

    def _host_turns(self, restaurant_ref: str) -> tuple[TurnTime, ...]:
        if not self.turn_model:
            return ()
        found = {}
        for row in self._rows_of("turn", restaurant_ref):
            party = values.number(value_at(row, self.turn_party_field))
            try:
                minutes = values.stay(value_at(row, self.turn_minutes_field)) // A_MINUTE
            except ValueError as error:
                raise InvalidFloorError(f"{row._meta.label} {row.pk}: {error}") from None
            if party is None:
                raise InvalidFloorError(f"{row._meta.label} {row.pk}: the party is not a number of covers.")
            found[party] = minutes
        return tuple(TurnTime(max_party=party, minutes=minutes) for party, minutes in sorted(found.items()))

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
    """Return a limit of parties, reduced to the seats, so that a mistake in one row does not stop the whole restaurant."""
    return party if party is None else min(party, seats)


def _priority(given: int | None) -> int:
    return max(-MOST_PRIORITY, min(given or 0, MOST_PRIORITY))


def value_at(row: Any, path: str) -> Any:
    """Return the plain value at a path over foreign keys from a row: the key of a foreign key."""
    *steps, last = path.split(LOOKUP_SEP)
    for step in steps:
        row = getattr(row, step)
        if row is None:
            return None
    return getattr(row, row._meta.get_field(last).attname)


def with_steps(rows: QuerySet[Any], paths: Iterable[str | None]) -> QuerySet[Any]:
    """Select the rows behind these foreign keys in the same query."""
    steps = sorted({path.rpartition(LOOKUP_SEP)[0] for path in paths if path and LOOKUP_SEP in path})
    return rows.select_related(*steps) if steps else rows
