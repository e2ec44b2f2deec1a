"""A host defined by field names. For a usual booking model a project needs about fifteen lines.

    class BookingHost(ModelHost):
        booking_model = "booking.Booking"
        start_field = "starts_at"
        restaurant_field = "restaurant"
        status_field = "status"
        tables_field = "tables"
        table_model = "booking.Table"
        table_restaurant_field = "restaurant"

Floor data that the host's tables do not have (zones, adjacency, joins, service periods, turn times, party limits) is
stored in this app and edited in its admin.

Long because one class answers the whole host protocol from field names.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, time
from functools import cached_property, partial, reduce
from operator import or_
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.postgres.expressions import ArraySubquery
from django.core import checks
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import connection, models
from django.db.models import Case, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.constants import LOOKUP_SEP
from django.urls import NoReverseMatch, reverse
from django.utils.text import capfirst

from assignments.exceptions import InvalidBookingError
from assignments.integration.host import HostBooking, Message, Move, Seating
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
from assignments.planning.seating_window import FIRST_YEAR, LAST_YEAR, local_to_aware
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

SHOWN = "assignments_shown"
"""Name under which the tables of a many-to-many are read."""

_NEVER = datetime(9000, 1, 1, tzinfo=UTC)
"""Placeholder for a missing start. The booking's ``problem`` says so, and it is not planned."""


class ModelHost:
    """An ``assignments.integration.host.Host`` over the project's models, configured by its attributes.

    A field set to None does not exist in the project's model.
    """

    booking_model: str = ""
    """``"app.Model"``, with integer, UUID or text keys."""
    start_field: str | None = None
    """An aware datetime. Alternatively ``date_field`` and ``time_field``, in the restaurant's local time."""
    date_field: str | None = None
    time_field: str | None = None
    end_field: str | None = None
    """End of the seating, a datetime; may be null. Otherwise turn times decide."""
    party_field: str = "party"
    restaurant_field: str | None = None
    """A foreign key or text; None for a single venue with the ref ``venue_ref``."""
    venue_ref: str = "venue"
    zone_field: str | None = None
    requested_field: str | None = None
    """Time of the booking's creation, a datetime."""
    status_field: str | None = None
    waiting_statuses: Sequence[Any] = ("pending",)
    confirmed_status: Any = "confirmed"
    cancelled_statuses: Sequence[Any] = ("cancelled",)
    """Statuses that free the tables. In any other (seated, completed) the tables are kept until the end of the seating.
    """
    stage_statuses: Mapping[Any, str] = {}
    """How far the guests are, by status: ``{"seated": "seated", "done": "left", "no_show": "no_show"}``. The stages are
    expected, late, arrived, seated, left and no_show."""
    confirmed_field: str | None = None
    """A boolean, for models without a status. Null waits, like false."""
    tables_field: str | None = None
    """Where chosen tables are stored: a foreign key (the first table of a join), a many-to-many, or None."""
    table_model: str = ""
    table_name_field: str | None = None
    table_seats_field: str = "seats"
    table_zone_field: str | None = None
    table_active_field: str | None = None
    table_min_party_field: str | None = None
    table_max_party_field: str | None = None
    table_restaurant_field: str | None = None
    timezone: str | None = None
    """The venue's time zone if ``VenueSettings`` has none. Default: Django's TIME_ZONE."""

    @property
    def tracks_confirmation(self) -> bool:
        """Whether the project stores confirmation."""
        return bool(self.status_field or self.confirmed_field)

    @property
    def reports_arrivals(self) -> bool:
        """Whether the project's statuses tell of guests who have arrived or sit."""
        return bool({"arrived", "seated"} & set(self.stage_statuses.values()))

    @cached_property
    def bookings_table(self) -> type[models.Model]:
        return apps.get_model(self.booking_model)

    @cached_property
    def tables_table(self) -> type[models.Model]:
        return apps.get_model(self.table_model)

    # Reading bookings

    def bookings(self, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        # The project's default order may join other tables, whose rows must not be locked.
        rows = self.bookings_table._default_manager.filter(pk__in=_keys(self.bookings_table, refs)).order_by("pk")
        if lock:
            rows = rows.select_for_update(skip_locked=True, no_key=True, of=("self", *self._parents))
        return {booking.ref: booking for booking in self._read(rows)}

    def unassigned(
        self, *, after: str | None, limit: int, now: datetime, restaurant_ref: str | None = None
    ) -> Sequence[HostBooking]:
        waiting = self.bookings_table._default_manager.filter(self._is_waiting(), self._starts_after(now))
        return self._page(waiting, after=after, limit=limit, restaurant_ref=restaurant_ref)

    def history(
        self, *, start: datetime, until: datetime, after: str | None, limit: int, restaurant_ref: str | None = None
    ) -> Sequence[HostBooking]:
        """Return bookings that were not cancelled, by key. Those without a start are left out."""
        then = self.bookings_table._default_manager.filter(~self._is_cancelled(), self._starts_within(start, until))
        return self._page(then, after=after, limit=limit, restaurant_ref=restaurant_ref)

    def tables_of(self, refs: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Return tables from the foreign key (one table) or the many-to-many; none without ``tables_field``. One query."""
        if not self.tables_field:
            return {}
        rows = (
            self.bookings_table._default_manager.filter(pk__in=_keys(self.bookings_table, refs))
            .filter(**{f"{self.tables_field}__isnull": False})
            .order_by(self.tables_field)
        )
        tables: dict[str, list[str]] = {}
        for booking, table in rows.values_list("pk", self.tables_field):
            tables.setdefault(str(booking), []).append(str(table))
        return {ref: tuple(each) for ref, each in tables.items()}

    def restaurant_names(self, restaurant_refs: Sequence[str]) -> Mapping[str, str]:
        """Return the restaurants' names in one query; none if restaurants are plain text."""
        field: Any = self.restaurant_field and self.bookings_table._meta.get_field(self.restaurant_field)
        if not field or not field.related_model:
            return {}
        key, keys = field.target_field, []
        for ref in restaurant_refs:
            with suppress(ValidationError, ValueError):
                keys.append(key.to_python(ref))
        known = field.related_model._default_manager.filter(**{f"{key.attname}__in": keys})
        return {str(getattr(restaurant, key.attname)): str(restaurant) for restaurant in known}

    def label(self, booking_ref: str) -> str:
        return f"{capfirst(self.bookings_table._meta.verbose_name)} {booking_ref}"

    def admin_url(self, booking_ref: str) -> str | None:
        meta = self.bookings_table._meta
        try:
            return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[booking_ref])
        except NoReverseMatch:
            return None

    # The floor

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
        if type(self).floor_fingerprint is not ModelHost.floor_fingerprint:
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

    # Callbacks

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        """Mark bookings as confirmed and store their tables. At most two queries for any number of bookings.

        Raises InvalidBookingError for bookings that no longer exist or wait. Then the transaction must be rolled back.
        """
        keys = {seating.booking_ref: self._key(seating.booking_ref) for seating in seatings}
        changes: dict[str, Any] = {}
        if self.status_field:
            changes[self.status_field] = self.confirmed_status
        if self.confirmed_field:
            changes[self.confirmed_field] = True
        if self.tables_field and not self._tables_are_many:
            changes[self._column(self.tables_field)] = self._first_tables(seatings, keys)
        waiting = self.bookings_table._default_manager.filter(self._is_waiting(), pk__in=keys.values())
        if (waiting.update(**changes) if changes else waiting.count()) != len(keys):
            raise InvalidBookingError(self._not_confirmed(keys))
        if self._tables_are_many:
            self._write_many(seatings, keys)

    def on_moved(self, moves: Sequence[Move]) -> None:
        """Store the new tables of these bookings, and mark those that wait as confirmed. At most three queries.

        Raises InvalidBookingError for bookings that no longer exist or are cancelled. Then the transaction must be rolled
        back.
        """
        seatings = [move.seating for move in moves]
        keys = {seating.booking_ref: self._key(seating.booking_ref) for seating in seatings}
        changes: dict[str, Any] = {}
        if self.status_field:
            changes[self.status_field] = Case(
                When(self._is_waiting(), then=Value(self.confirmed_status)), default=F(self.status_field)
            )
        if self.confirmed_field:
            changes[self.confirmed_field] = True
        if self.tables_field and not self._tables_are_many:
            changes[self._column(self.tables_field)] = self._first_tables(seatings, keys)
        there = self.bookings_table._default_manager.filter(~self._is_cancelled(), pk__in=keys.values())
        if (there.update(**changes) if changes else there.count()) != len(keys):
            raise InvalidBookingError(self._not_confirmed(keys))
        if self._tables_are_many:
            self._write_many(seatings, keys)

    def stored_form(self, table_refs: Sequence[str]) -> tuple[str, ...]:
        """Return these tables as the project can store them: all, the first (a foreign key), or none."""
        if not self.tables_field:
            return ()
        return tuple(table_refs) if self._tables_are_many else tuple(table_refs[:1])

    def on_review(self, reasons: Mapping[str, str]) -> None:
        """Do nothing: this app has the review queue."""

    def on_released(self, booking_refs: Sequence[str]) -> None:
        """Return bookings to waiting and clear their tables, except cancelled ones. At most two queries."""
        released = self.bookings_table._default_manager.filter(
            self._is_waiting() | self._is_confirmed(), pk__in=_keys(self.bookings_table, booking_refs)
        )
        if self._tables_are_many:
            to_booking, _to_table = self._links
            self._through._default_manager.filter(
                **{f"{to_booking.name}__in": released.order_by().values("pk")}
            ).delete()
        changes: dict[str, Any] = {}
        if self.status_field:
            # A booking that the project has already set back keeps its waiting status.
            changes[self.status_field] = Case(
                When(self._is_confirmed(), then=Value(self.waiting_statuses[0])), default=F(self.status_field)
            )
        if self.confirmed_field:
            changes[self.confirmed_field] = False
        if self.tables_field and not self._tables_are_many:
            field = self.bookings_table._meta.get_field(self.tables_field)
            if field.null:  # A required foreign key keeps its table until the next one is chosen.
                changes[self._column(self.tables_field)] = None
        if changes:
            released.update(**changes)

    def deliver(self, message: Message) -> None:
        """Do nothing. Override it to notify guests, a bus or a webhook."""

    # Checking

    def check(self) -> list[checks.CheckMessage]:
        """E006: a configured model or field does not exist or does not fit. W001: no status counts as cancelled."""
        hint = f"Correct the attributes of {type(self).__module__}.{type(self).__qualname__}."
        found: list[checks.CheckMessage] = [
            checks.Error(problem, hint=hint, id="assignments.E006")
            for problem in list(self._wrong_names()) or [*self._wrong_relation(), *self._wrong_restaurants()]
        ]
        if not found and self.status_field and not self._knows_cancelled(self.status_field):
            problem = (
                f"None of cancelled_statuses {list(self.cancelled_statuses)} is a choice of {self.booking_model}."
                f"{self.status_field}: tables of cancelled bookings are kept unless api.booking_cancelled is called."
            )
            found.append(checks.Warning(problem, hint=f"Set cancelled_statuses. {hint}", id="assignments.W001"))
        return found

    def _knows_cancelled(self, status_field: str) -> bool:
        field: Any = self.bookings_table._meta.get_field(status_field)
        choices = {value for value, _label in getattr(field, "flatchoices", ())}
        return not choices or bool(choices & set(self.cancelled_statuses))

    def _wrong_names(self) -> Iterable[str]:
        for kind in ("booking", "table"):
            attribute = f"{kind}_model"
            label = getattr(self, attribute)
            try:
                model = apps.get_model(label)
            except (LookupError, ValueError):
                yield f"{attribute} is {label!r}, but this model does not exist."
                continue
            for name in _fields_of(kind):
                field = getattr(self, name)
                try:
                    if field:
                        model._meta.get_field(field)
                except FieldDoesNotExist:
                    yield f"{name} is {field!r}, but {label} has no such field."
        if not self.start_field and not (self.date_field and self.time_field):
            yield "Set start_field, or date_field and time_field."

    def _wrong_relation(self) -> Iterable[str]:
        if not self.tables_field:
            return
        named = f"tables_field is {self.tables_field!r}"
        field: Any = self.bookings_table._meta.get_field(self.tables_field)
        if field.related_model is not self.tables_table:
            yield f"{named}, which is not a relation from {self.booking_model} to {self.table_model}."
        elif isinstance(field, models.ForeignObjectRel):
            yield (
                f"{named}: this is the reverse side of {field.related_model._meta.label}.{field.field.name}. Use a "
                f"foreign key or many-to-many of {self.booking_model}, or None and store the tables in on_confirmed."
            )
        elif self._tables_are_many and (needed := self._needed_besides_links()):
            yield (
                f"{named}: rows of {self._through._meta.label} also need {', '.join(needed)}. Make it nullable or give "
                f"it a db_default, or set tables_field to None and store the tables in on_confirmed."
            )

    def _needed_besides_links(self) -> list[str]:
        """Return further required columns of the many-to-many's rows. Django's defaults do not exist in the database."""
        return [
            field.name
            for field in self._through._meta.local_concrete_fields
            if field not in self._links
            and not (field.null or field.has_db_default() or field.generated or isinstance(field, models.AutoField))
        ]

    def _wrong_restaurants(self) -> Iterable[str]:
        overrides_floor = type(self).floor is not ModelHost.floor  # The many-to-many itself determines the tables.
        if self.restaurant_field and not self.table_restaurant_field and not overrides_floor:
            yield (
                f"table_restaurant_field is None, but restaurant_field is {self.restaurant_field!r}: a booking could "
                f"get another restaurant's table. Set it to the restaurant field of {self.table_model}; for a single "
                f"venue leave restaurant_field None."
            )

    # Details

    @cached_property
    def _tables_are_many(self) -> bool:
        if not self.tables_field:
            return False
        return bool(self.bookings_table._meta.get_field(self.tables_field).many_to_many)

    @cached_property
    def _through(self) -> Any:
        return self.bookings_table._meta.get_field(self.tables_field or "").remote_field.through  # type: ignore[union-attr]

    @cached_property
    def _links(self) -> tuple[Any, Any]:
        """Return the foreign keys of the many-to-many's rows to booking and table."""
        field: Any = self.bookings_table._meta.get_field(self.tables_field or "")
        meta = self._through._meta
        return meta.get_field(field.m2m_field_name()), meta.get_field(field.m2m_reverse_field_name())

    def _first_tables(self, seatings: Sequence[Seating], keys: Mapping[str, Any]) -> Case:
        """Return the first table of each seating, for a foreign key."""
        return Case(
            *(
                When(pk=keys[seating.booking_ref], then=Value(_key_of(self.tables_table, seating.table_refs[0])))
                for seating in seatings
            )
        )

    def _write_many(self, seatings: Sequence[Seating], keys: Mapping[str, Any]) -> None:
        """Set the tables of these bookings, in one query. Rows that are correct stay unchanged."""
        quote = connection.ops.quote_name
        table = quote(self._through._meta.db_table)
        to_booking, to_table = self._links
        booking, chosen = quote(to_booking.column), quote(to_table.column)
        pairs = [
            (
                to_booking.get_db_prep_value(keys[seating.booking_ref], connection),
                to_table.get_db_prep_value(_key_of(self.tables_table, table_ref), connection),
            )
            for seating in seatings
            for table_ref in seating.table_refs
        ]
        types = [f"{link.db_type(connection)}[]" for link in (to_booking, to_table)]
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                WITH wanted AS (SELECT * FROM unnest(%s::{types[0]}, %s::{types[1]}) AS wanted(booking, chosen)),
                     gone AS (DELETE FROM {table} AS stored
                               WHERE stored.{booking} IN (SELECT booking FROM wanted)
                                 AND (stored.{booking}, stored.{chosen}) NOT IN (SELECT booking, chosen FROM wanted))
                INSERT INTO {table} ({booking}, {chosen}) SELECT booking, chosen FROM wanted
                 WHERE (booking, chosen) NOT IN (SELECT {booking}, {chosen} FROM {table}
                                                  WHERE {booking} IN (SELECT booking FROM wanted))
                """,  # noqa: S608  (names from the project's model)
                [[key for key, _table in pairs], [key for _booking, key in pairs]],
            )

    def _not_confirmed(self, keys: Mapping[str, Any]) -> str:
        """Return the bookings that an update missed."""
        confirmed = self.bookings_table._default_manager.filter(self._is_confirmed(), pk__in=keys.values())
        reached = set(confirmed.values_list("pk", flat=True))
        # None is missing if one was confirmed before; then it may be any.
        left_out = sorted(ref for ref, key in keys.items() if key not in reached) or sorted(keys)
        return f"Bookings no longer waiting for a table cannot be confirmed: {', '.join(left_out)}."

    def _key(self, ref: str) -> Any:
        return _key_of(self.bookings_table, ref)

    def _column(self, field_name: str) -> str:
        """Return the column for the plain value: ``restaurant_id`` for a foreign key."""
        return str(self.bookings_table._meta.get_field(field_name).attname)  # type: ignore[union-attr]

    def _is_waiting(self) -> Q:
        if self.status_field:
            none_yet = Q(**{f"{self.status_field}__isnull": True}) if None in self.waiting_statuses else Q()
            statuses = [each for each in self.waiting_statuses if each is not None]
            return Q(**{f"{self.status_field}__in": statuses}) | none_yet
        if self.confirmed_field:
            return ~Q(**{self.confirmed_field: True})
        return Q()

    def _is_confirmed(self) -> Q:
        if self.status_field:
            return Q(**{self.status_field: self.confirmed_status})
        if self.confirmed_field:
            return Q(**{self.confirmed_field: True})
        return Q()

    def _is_cancelled(self) -> Q:
        return Q(**{f"{self.status_field}__in": list(self.cancelled_statuses)}) if self.status_field else Q(pk__in=[])

    def _is_at(self, model: type[models.Model], field_name: str | None, restaurant_ref: str) -> Q:
        """Return a restaurant's rows. Raises LookupError for an impossible ref."""
        missing = LookupError(f"Restaurant {restaurant_ref!r} does not exist.")
        if self.restaurant_field is None and restaurant_ref != self.venue_ref:
            raise missing
        if field_name is None:
            return Q()
        field: Any = model._meta.get_field(field_name)
        try:
            return Q(**{field.attname: field.to_python(restaurant_ref)})
        except ValidationError:
            raise missing from None

    def _check_exists(self, restaurant_ref: str) -> None:
        field: Any = self.restaurant_field and self.bookings_table._meta.get_field(self.restaurant_field)
        if field and field.related_model:
            key = field.target_field
            if not field.related_model._default_manager.filter(**{key.attname: key.to_python(restaurant_ref)}).exists():
                raise LookupError(f"Restaurant {restaurant_ref!r} does not exist.")

    def _page(
        self, rows: QuerySet[Any], *, after: str | None, limit: int, restaurant_ref: str | None
    ) -> Sequence[HostBooking]:
        rows = rows.order_by("pk")
        if after is not None:
            rows = rows.filter(pk__gt=self._key(after))
        if restaurant_ref is not None:
            try:
                rows = rows.filter(self._is_at(self.bookings_table, self.restaurant_field, restaurant_ref))
            except LookupError:
                return []
        return list(self._read(rows[:limit]))

    def _starts_after(self, now: datetime) -> Q:
        if self.start_field:
            return Q(**{f"{self.start_field}__gt": now})
        return self._by_each_clock(lambda zone: self._on_the_wall(now, zone, "gt"))

    def _starts_within(self, start: datetime, until: datetime) -> Q:
        if self.start_field:
            return Q(**{f"{self.start_field}__gte": start, f"{self.start_field}__lt": until})
        return self._by_each_clock(
            lambda zone: self._on_the_wall(start, zone, "gte") & self._on_the_wall(until, zone, "lt")
        )

    def _by_each_clock(self, condition: Callable[[str], Q]) -> Q:
        """Apply a condition in each restaurant's local time, if the project stores that."""
        zones = self._time_zones()
        if self.restaurant_field is None:
            return condition(zones.get(self.venue_ref, self._default_timezone))
        here: dict[str, Q] = {}
        for restaurant_ref, zone in zones.items():
            with suppress(LookupError):  # Settings of an impossible restaurant ref.
                here[zone] = here.get(zone, Q()) | self._is_at(
                    self.bookings_table, self.restaurant_field, restaurant_ref
                )
        there = reduce(or_, (where & condition(zone) for zone, where in here.items()), Q())
        anywhere_else = ~reduce(or_, here.values(), Q()) if here else Q()
        return there | (anywhere_else & condition(self._default_timezone))

    def _on_the_wall(self, moment: datetime, zone: str, comparison: str) -> Q:
        """Compare date and time with ``moment`` in a time zone. ``comparison``: gt, gte or lt."""
        try:
            local = moment.astimezone(time_zone(zone))
        except ValueError:  # Reported for each of its bookings.
            local = moment
        return Q(**{f"{self.date_field}__{comparison[:2]}": local.date()}) | Q(
            **{f"{self.date_field}": local.date(), f"{self.time_field}__{comparison}": local.time()}
        )

    def _read(self, rows: QuerySet[Any]) -> Iterable[HostBooking]:
        named = {
            name.removesuffix("_field"): getattr(self, name) for name in _fields_of("booking") if name != "tables_field"
        }
        columns = {key: self._column(field) for key, field in named.items() if field}
        zones = self._time_zones() if self.date_field else {}
        shown = []
        if self.tables_field and self._tables_are_many:
            to_booking, to_table = self._links
            links = self._through._default_manager.filter(**{to_booking.name: OuterRef("pk")}).order_by(
                to_table.attname
            )
            rows, shown = rows.annotate(assignments_shown=ArraySubquery(links.values(to_table.attname))), [SHOWN]
        elif self.tables_field:
            shown = [self._column(self.tables_field)]
        for row in rows.values("pk", *dict.fromkeys([*columns.values(), *self._parents.values(), *shown])):
            booking = self._booking(str(row["pk"]), {key: row[column] for key, column in columns.items()}, zones)
            yield replace(booking, table_refs=_shown(row[shown[0]])) if shown else booking

    @cached_property
    def _parents(self) -> dict[str, str]:
        """Return the parents of a booking model with multi-table inheritance: each link, and a column.

        An edit of a booking may change a parent's row, and so may ours. Django locks the rows that it reads.
        """
        stored: Any = self.bookings_table._meta.concrete_model  # Resolve a proxy to its model.
        return {
            LOOKUP_SEP.join(step.join_field.name for step in stored._meta.get_path_to_parent(parent)): column.attname
            for parent in stored._meta.all_parents
            for column in [field for field in parent._meta.local_concrete_fields if not field.primary_key][:1]
        }

    def _booking(self, ref: str, row: Mapping[str, Any], zones: Mapping[str, str]) -> HostBooking:
        restaurant_ref = self.venue_ref
        if self.restaurant_field:
            restaurant_ref = "" if row["restaurant"] is None else str(row["restaurant"])
        starts_at, problem = self._start(row, zones.get(restaurant_ref, self._default_timezone))
        if not restaurant_ref:
            problem = "The booking has no restaurant."
        status = row.get("status")
        is_confirmed = status == self.confirmed_status if self.status_field else bool(row.get("confirmed"))
        party = row["party"]
        if not isinstance(party, int):
            # Not the text, which may name a guest.
            party, problem = 0, problem or f"The party is a {type(row['party']).__name__}, not a number of covers."
        zone = row.get("zone")
        return HostBooking(
            ref=ref,
            restaurant_ref=restaurant_ref,
            starts_at=starts_at,
            party=party,
            ends_at=row.get("end"),
            zone_ref=None if zone in (None, "") else str(zone),
            requested_at=row.get("requested"),
            wants_table=not self.status_field or status in self.waiting_statuses or is_confirmed,
            keeps_tables=bool(self.status_field) and status not in self.cancelled_statuses,
            is_confirmed=is_confirmed,
            problem=problem,
            stage=self.stage_statuses.get(status) if self.status_field else None,
        )

    def _start(self, row: Mapping[str, Any], timezone: str) -> tuple[datetime, str | None]:
        if self.start_field:
            start: datetime | None = row["start"]
            return (start, None) if start else (_NEVER, "The booking has no start.")
        day: date | None = row["date"]
        clock: time | None = row["time"]
        if day is None or clock is None:
            return _NEVER, "The booking has no start."
        local = datetime.combine(day, clock)
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            return _NEVER, f"{local:%Y-%m-%d %H:%M} is no time for a dinner."
        try:
            zone = time_zone(timezone)
        except ValueError:
            return local.replace(tzinfo=UTC), f"Its restaurant's time zone {timezone!r} does not exist."
        try:
            return local_to_aware(local, zone), None
        except ValueError as error:
            return local.replace(tzinfo=zone), str(error)

    @property
    def _default_timezone(self) -> str:
        return self.timezone or django_settings.TIME_ZONE

    def _time_zones(self) -> dict[str, str]:
        """Return the time zones of restaurants that have their own, by ref. One query."""
        return dict(VenueSettings.objects.values_list("restaurant_ref", "timezone"))

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


def _shown(found: Any) -> tuple[str, ...]:
    """Return the refs of tables from a foreign key's column, or from an array of keys."""
    keys = found if isinstance(found, list) else [found]
    return tuple(str(key) for key in keys if key is not None)


def _at_most(seats: int, party: int | None) -> int | None:
    """Return a limit of parties, no larger than the seats: one row's mistake must not stop the whole restaurant."""
    return party if party is None else min(party, seats)


def _fields_of(kind: str) -> list[str]:
    """Return the attributes of a host that name fields of its bookings, or of its tables."""
    fields = [name for name in vars(ModelHost) if name.endswith("_field")]
    return [name for name in fields if name.startswith("table_") == (kind == "table")]


def _key_of(model: type[models.Model], ref: str) -> Any:
    return model._meta.pk.to_python(ref)


def _keys(model: type[models.Model], refs: Iterable[str]) -> list[Any]:
    """Return the primary keys of these refs, without malformed ones."""
    keys = []
    for ref in refs:
        if "\0" in ref:  # PostgreSQL text cannot contain it, so the query would fail.
            continue
        with suppress(ValidationError, ValueError):
            keys.append(_key_of(model, ref))
    return keys
