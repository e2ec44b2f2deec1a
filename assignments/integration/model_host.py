"""A host from field names alone: for the usual booking model, a project writes some fifteen lines.

    class BookingHost(ModelHost):
        booking_model = "booking.Booking"
        start_field = "starts_at"
        restaurant_field = "restaurant"
        status_field = "status"
        tables_field = "tables"
        table_model = "booking.Table"
        table_restaurant_field = "restaurant"

What the host's tables do not say (zones, adjacency, joins, services, turn times, party limits) is kept in this app and
edited in its admin.

Long because one class answers the whole host protocol from field names.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time
from functools import cached_property, reduce
from operator import or_
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core import checks
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import connection, models
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.constants import LOOKUP_SEP
from django.urls import NoReverseMatch, reverse
from django.utils.text import capfirst

from assignments.exceptions import InvalidBookingError
from assignments.integration.host import HostBooking, Message, Seating
from assignments.models import AdjacentTables, ListedJoin, ServiceHours, TableDetails, TurnMinutes, VenueSettings
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
"""The service of a venue for which none is configured: no closing time, and generous turn times, which a configured
service without turn times of its own has too."""

_NEVER = datetime(9000, 1, 1, tzinfo=UTC)
"""Stands in for the start of a booking that has none; its ``problem`` says so, and nothing is planned for it."""

_FIELDS = {
    "booking_model": (
        "start_field",
        "date_field",
        "time_field",
        "end_field",
        "party_field",
        "restaurant_field",
        "zone_field",
        "requested_field",
        "status_field",
        "confirmed_field",
        "tables_field",
    ),
    "table_model": (
        "table_name_field",
        "table_seats_field",
        "table_zone_field",
        "table_active_field",
        "table_min_party_field",
        "table_max_party_field",
        "table_restaurant_field",
    ),
}
"""Which attributes of a host name fields of which model."""


class ModelHost:
    """Implements ``assignments.integration.host.Host`` over the project's models. See the attributes for what can be said.

    A field that is None does not exist in the project's model.
    """

    booking_model: str = ""
    """``"app.Model"``; integer, UUID or text keys."""
    start_field: str | None = None
    """An aware datetime. Or else ``date_field`` and ``time_field``: the restaurant's wall clock."""
    date_field: str | None = None
    time_field: str | None = None
    end_field: str | None = None
    """When guests leave, a datetime (else turn times decide); may be null."""
    party_field: str = "party"
    restaurant_field: str | None = None
    """A foreign key or a text; None for a single venue, whose ref is ``venue_ref``."""
    venue_ref: str = "venue"
    zone_field: str | None = None
    requested_field: str | None = None
    """When the guest booked, a datetime."""
    status_field: str | None = None
    waiting_statuses: Sequence[Any] = ("pending",)
    confirmed_status: Any = "confirmed"
    cancelled_statuses: Sequence[Any] = ("cancelled",)
    """Nobody will come: the tables are free. In any other status (seated, completed) they are kept until their time is
    up."""
    confirmed_field: str | None = None
    """A boolean, for models without a status; null waits, as false does."""
    tables_field: str | None = None
    """Where the chosen tables go: a foreign key (gets the first table of a join), or a many-to-many; None: nowhere."""
    table_model: str = ""
    table_name_field: str | None = None
    table_seats_field: str = "seats"
    table_zone_field: str | None = None
    table_active_field: str | None = None
    table_min_party_field: str | None = None
    table_max_party_field: str | None = None
    table_restaurant_field: str | None = None
    timezone: str | None = None
    """The venue's time zone where ``VenueSettings`` has none; default: Django's TIME_ZONE."""

    @property
    def tracks_confirmation(self) -> bool:
        """Whether the project stores that a booking is confirmed."""
        return bool(self.status_field or self.confirmed_field)

    @cached_property
    def bookings_table(self) -> type[models.Model]:
        return apps.get_model(self.booking_model)

    @cached_property
    def tables_table(self) -> type[models.Model]:
        return apps.get_model(self.table_model)

    # Reading bookings

    def bookings(self, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        # The project's own order may join other tables, and their rows must not be locked.
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
        """All that were not cancelled, by key. What has no start is in no history."""
        then = self.bookings_table._default_manager.filter(~self._is_cancelled(), self._starts_within(start, until))
        return self._page(then, after=after, limit=limit, restaurant_ref=restaurant_ref)

    def tables_of(self, refs: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """From the foreign key (one table) or the many-to-many; nothing without ``tables_field``. One query."""
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
        """What the project's restaurants call themselves, in one query; none where they are but a text."""
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
        """From the host's tables, and what this app keeps about them. At most seven queries.

        Adjacencies and joins of tables that the project has deleted are passed over. Raises LookupError for an
        unknown restaurant (where restaurants are but a text in the tables, one without tables has an empty floor).
        """
        details = {row.table_ref: row for row in TableDetails.objects.filter(restaurant_ref=restaurant_ref)}
        venue = VenueSettings.objects.filter(restaurant_ref=restaurant_ref).first()
        tables = tuple(self._table(row, details) for row in self._tables(restaurant_ref))
        if not tables:
            self._check_exists(restaurant_ref)
        known = {table.ref for table in tables}
        pairs = AdjacentTables.objects.filter(restaurant_ref=restaurant_ref).values_list(
            "first_table_ref", "second_table_ref"
        )
        return Floor(
            restaurant_ref=restaurant_ref,
            timezone=venue.timezone if venue else self._default_timezone,
            tables=tables,
            services=tuple(self._services(restaurant_ref)) or (ALL_DAY,),
            adjacent=adjacency(pair for pair in pairs if known.issuperset(pair)),
            joins=tuple(
                Join(
                    table_refs=frozenset(row.table_refs),
                    seats=row.seats,
                    min_party=row.min_party,
                    max_party=row.max_party,
                )
                for row in ListedJoin.objects.filter(restaurant_ref=restaurant_ref)
                if known.issuperset(row.table_refs)
            ),
            outside_service_minutes=venue.outside_service_minutes if venue else 120,
        )

    def floor_querysets(self, restaurant_ref: str) -> Sequence[QuerySet[Any]]:
        """Everything that ``floor`` reads. A subclass that reads more adds it here."""
        return [
            self._tables(restaurant_ref),
            *(
                model._default_manager.filter(restaurant_ref=restaurant_ref)
                for model in (VenueSettings, TableDetails, AdjacentTables, ListedJoin, ServiceHours)
            ),
            TurnMinutes.objects.filter(service__restaurant_ref=restaurant_ref),
        ]

    def floor_fingerprint(self, restaurant_ref: str) -> str:
        """A digest of the rows themselves, in one query: no version has to be kept up to date."""
        return self._digests([restaurant_ref])[restaurant_ref]

    def floor_fingerprints(self, restaurant_refs: Collection[str]) -> Mapping[str, str]:
        """The same for several restaurants in one query; one each where a subclass has fingerprints of its own."""
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

    # Being told

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        """Mark as confirmed and store the tables; at most two queries, whatever the number of bookings.

        Raises InvalidBookingError for bookings that are gone or no longer wait: the transaction must be rolled back.
        """
        keys = {seating.booking_ref: self._key(seating.booking_ref) for seating in seatings}
        changes: dict[str, Any] = {}
        if self.status_field:
            changes[self.status_field] = self.confirmed_status
        if self.confirmed_field:
            changes[self.confirmed_field] = True
        if self.tables_field and not self._tables_are_many:
            changes[self._column(self.tables_field)] = Case(
                *(
                    When(pk=keys[seating.booking_ref], then=Value(_key_of(self.tables_table, seating.table_refs[0])))
                    for seating in seatings
                )
            )
        waiting = self.bookings_table._default_manager.filter(self._is_waiting(), pk__in=keys.values())
        if (waiting.update(**changes) if changes else waiting.count()) != len(keys):
            raise InvalidBookingError(self._not_confirmed(keys))
        if self._tables_are_many:
            self._write_many(seatings, keys)

    def on_review(self, reasons: Mapping[str, str]) -> None:
        """Nothing: the review queue is this app's."""

    def on_released(self, booking_refs: Sequence[str]) -> None:
        """Wait again, without tables; at most two queries. A booking that the project has cancelled stays as it is."""
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
            # Of several waiting statuses, a booking that the project itself set back keeps its own.
            changes[self.status_field] = Case(
                When(self._is_confirmed(), then=Value(self.waiting_statuses[0])), default=F(self.status_field)
            )
        if self.confirmed_field:
            changes[self.confirmed_field] = False
        if self.tables_field and not self._tables_are_many:
            field = self.bookings_table._meta.get_field(self.tables_field)
            if field.null:  # A required foreign key keeps its old table until the next one is chosen.
                changes[self._column(self.tables_field)] = None
        if changes:
            released.update(**changes)

    def deliver(self, message: Message) -> None:
        """Nothing is sent: override it to tell guests, a bus or a webhook."""

    # Checking

    def check(self) -> list[checks.CheckMessage]:
        """E006: a model or field that this host names does not exist, or will not do. W001: no status is known as
        cancelled."""
        hint = f"Correct the attributes of {type(self).__module__}.{type(self).__qualname__}."
        found: list[checks.CheckMessage] = [
            checks.Error(problem, hint=hint, id="assignments.E006")
            for problem in list(self._wrong_names()) or [*self._wrong_relation(), *self._wrong_restaurants()]
        ]
        if not found and self.status_field and not self._knows_cancelled(self.status_field):
            found.append(
                checks.Warning(
                    f"None of cancelled_statuses {list(self.cancelled_statuses)} is a choice of {self.booking_model}."
                    f"{self.status_field}: tables of cancelled bookings are kept unless api.booking_cancelled is called.",
                    hint=f"Set cancelled_statuses. {hint}",
                    id="assignments.W001",
                )
            )
        return found

    def _knows_cancelled(self, status_field: str) -> bool:
        choices = {
            value for value, _label in getattr(self.bookings_table._meta.get_field(status_field), "flatchoices", ())
        }
        return not choices or bool(choices & set(self.cancelled_statuses))

    def _wrong_names(self) -> Iterable[str]:
        for attribute, names in _FIELDS.items():
            label = getattr(self, attribute)
            try:
                model = apps.get_model(label)
            except (LookupError, ValueError):
                yield f"{attribute} is {label!r}: there is no such model."
                continue
            for name in names:
                field = getattr(self, name)
                try:
                    if field:
                        model._meta.get_field(field)
                except FieldDoesNotExist:
                    yield f"{name} is {field!r}: {label} has no such field."
        if not self.start_field and not (self.date_field and self.time_field):
            yield "start_field, or date_field and time_field, must say when a booking starts."

    def _wrong_relation(self) -> Iterable[str]:
        if not self.tables_field:
            return
        named = f"tables_field is {self.tables_field!r}"
        field: Any = self.bookings_table._meta.get_field(self.tables_field)
        if field.related_model is not self.tables_table:
            yield f"{named}: {self.booking_model} has no {self.table_model} there."
        elif isinstance(field, models.ForeignObjectRel):
            yield (
                f"{named}: that is the other side of {field.related_model._meta.label}.{field.field.name}. Name a foreign "
                f"key or a many-to-many of {self.booking_model} itself, or None and write the tables in on_confirmed."
            )
        elif self._tables_are_many and (needed := self._needed_besides_links()):
            yield (
                f"{named}: a row of {self._through._meta.label} needs {', '.join(needed)} too. Let it be null or give it a "
                "db_default; or None for tables_field, and write the tables in on_confirmed."
            )

    def _needed_besides_links(self) -> list[str]:
        """Columns of the many-to-many's rows that have to be filled; the database knows no default of Django's."""
        return [
            field.name
            for field in self._through._meta.local_concrete_fields
            if field not in self._links
            and not (field.null or field.has_db_default() or field.generated or isinstance(field, models.AutoField))
        ]

    def _wrong_restaurants(self) -> Iterable[str]:
        overrides_floor = type(self).floor is not ModelHost.floor  # It says itself whose tables they are.
        if self.restaurant_field and not self.table_restaurant_field and not overrides_floor:
            yield (
                f"table_restaurant_field is None, but restaurant_field is {self.restaurant_field!r}: a booking could get "
                f"another restaurant's table. Name the field of {self.table_model} that says whose table it is; for a "
                "single venue, whose tables need no such field, leave restaurant_field None."
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
        """The foreign keys of the many-to-many's rows: to the booking, and to the table."""
        field: Any = self.bookings_table._meta.get_field(self.tables_field or "")
        meta = self._through._meta
        return meta.get_field(field.m2m_field_name()), meta.get_field(field.m2m_reverse_field_name())

    def _write_many(self, seatings: Sequence[Seating], keys: Mapping[str, Any]) -> None:
        """Exactly these tables for these bookings, in one query: rows that are right already are left alone."""
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
                """,  # noqa: S608  (names from the project's own model)
                [[key for key, _table in pairs], [key for _booking, key in pairs]],
            )

    def _not_confirmed(self, keys: Mapping[str, Any]) -> str:
        """Whom an update that reached too few rows has left out."""
        confirmed = self.bookings_table._default_manager.filter(self._is_confirmed(), pk__in=keys.values())
        reached = set(confirmed.values_list("pk", flat=True))
        # Nobody is missing when one of them was confirmed before: then it may be any.
        left_out = sorted(ref for ref, key in keys.items() if key not in reached) or sorted(keys)
        return f"Bookings that no longer wait for a table cannot be confirmed: {', '.join(left_out)}."

    def _key(self, ref: str) -> Any:
        return _key_of(self.bookings_table, ref)

    def _column(self, field_name: str) -> str:
        """The name under which a queryset gives the plain value: ``restaurant_id`` for a foreign key."""
        return str(self.bookings_table._meta.get_field(field_name).attname)  # type: ignore[union-attr]

    def _is_waiting(self) -> Q:
        if self.status_field:
            none_yet = Q(**{f"{self.status_field}__isnull": True}) if None in self.waiting_statuses else Q()
            return (
                Q(**{f"{self.status_field}__in": [each for each in self.waiting_statuses if each is not None]})
                | none_yet
            )
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
        """The rows of one restaurant. Raises LookupError for a ref that cannot be one."""
        missing = LookupError(f"There is no restaurant {restaurant_ref!r}.")
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
                raise LookupError(f"There is no restaurant {restaurant_ref!r}.")

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
        """The condition by the clock on each restaurant's wall, where that is what the project stores."""
        zones = self._time_zones()
        if self.restaurant_field is None:
            return condition(zones.get(self.venue_ref, self._default_timezone))
        here: dict[str, Q] = {}
        for restaurant_ref, zone in zones.items():
            with suppress(LookupError):  # Settings of a restaurant that cannot be.
                here[zone] = here.get(zone, Q()) | self._is_at(
                    self.bookings_table, self.restaurant_field, restaurant_ref
                )
        there = reduce(or_, (where & condition(zone) for zone, where in here.items()), Q())
        anywhere_else = ~reduce(or_, here.values(), Q()) if here else Q()
        return there | (anywhere_else & condition(self._default_timezone))

    def _on_the_wall(self, moment: datetime, zone: str, comparison: str) -> Q:
        """Date and time compared with ``moment`` by the clock of a time zone; ``comparison``: gt, gte or lt."""
        try:
            local = moment.astimezone(time_zone(zone))
        except ValueError:  # Reported with each of its bookings.
            local = moment
        return Q(**{f"{self.date_field}__{comparison[:2]}": local.date()}) | Q(
            **{f"{self.date_field}": local.date(), f"{self.time_field}__{comparison}": local.time()}
        )

    def _read(self, rows: QuerySet[Any]) -> Iterable[HostBooking]:
        names = {
            "start": self.start_field,
            "date": self.date_field,
            "time": self.time_field,
            "end": self.end_field,
            "party": self.party_field,
            "restaurant": self.restaurant_field,
            "zone": self.zone_field,
            "requested": self.requested_field,
            "status": self.status_field,
            "confirmed": self.confirmed_field,
        }
        columns = {key: self._column(name) for key, name in names.items() if name}
        zones = self._time_zones() if self.date_field else {}
        for row in rows.values("pk", *dict.fromkeys([*columns.values(), *self._parents.values()])):
            yield self._booking(str(row["pk"]), {key: row[column] for key, column in columns.items()}, zones)

    @cached_property
    def _parents(self) -> dict[str, str]:
        """Of a booking model that inherits from another one's table: the link to each parent, and a column of it.

        An edit of the booking may be one of a parent's row, and so may our own. Django locks those that it reads.
        """
        stored: Any = self.bookings_table._meta.concrete_model  # Of a proxy, what it stands for.
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
            # Not its text, which may name a guest.
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
        """The time zones of the restaurants that have one of their own, by ref. One query."""
        return dict(VenueSettings.objects.values_list("restaurant_ref", "timezone"))

    def _tables(self, restaurant_ref: str) -> QuerySet[Any]:
        here = self._is_at(self.tables_table, self.table_restaurant_field, restaurant_ref)
        return self.tables_table._default_manager.filter(here).order_by("pk")

    def _table(self, row: Any, details: Mapping[str, TableDetails]) -> Table:
        known = details.get(str(row.pk))

        def value(field: str | None, fallback: Any) -> Any:
            given = getattr(row, self.tables_table._meta.get_field(field).attname) if field else None  # type: ignore[union-attr]
            return fallback if given is None else given

        zone = value(self.table_zone_field, "")
        if zone == "" and known:
            zone = known.zone
        return Table(
            ref=str(row.pk),
            name=str(value(self.table_name_field, row.pk)),
            seats=value(self.table_seats_field, 0),
            zone_ref=str(zone) if zone != "" else None,
            min_party=value(self.table_min_party_field, (known.min_party if known else None) or 1),
            max_party=value(self.table_max_party_field, known.max_party if known else None),
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
            )


def _key_of(model: type[models.Model], ref: str) -> Any:
    return model._meta.pk.to_python(ref)


def _keys(model: type[models.Model], refs: Iterable[str]) -> list[Any]:
    """The primary keys that these refs can be; a malformed ref can be none."""
    keys = []
    for ref in refs:
        if "\0" in ref:  # No text of PostgreSQL's holds it, so asking would fail.
            continue
        try:
            keys.append(_key_of(model, ref))
        except (ValidationError, ValueError):
            continue
    return keys
