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
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from django.apps import apps
from django.conf import settings as django_settings
from django.core import checks
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import connection, models
from django.db.models import Case, Q, QuerySet, Value, When
from django.urls import NoReverseMatch, reverse

from assignments.exceptions import InvalidBookingError
from assignments.host import HostBooking, Message, Seating
from assignments.models import AdjacentTables, ListedJoin, ServiceHours, TableDetails, TurnMinutes, VenueSettings
from assignments.planning.floor import EVERY_WEEKDAY, Floor, Join, ServicePeriod, Table, TurnTime, adjacency
from assignments.planning.window import local_to_aware

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
"""The service of a venue for which none is configured: no closing time, and generous turn times."""

_NEVER = datetime(9000, 1, 1, tzinfo=UTC)
"""Stands in for the start of a booking that has none; its ``problem`` says so, and nothing is planned for it."""


class ModelHost:
    """Implements ``assignments.host.Host`` over the project's models. See the attributes for what can be said.

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
    confirmed_field: str | None = None
    """A boolean, for models without a status."""
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

    @cached_property
    def bookings_table(self) -> type[models.Model]:
        return apps.get_model(self.booking_model)

    @cached_property
    def tables_table(self) -> type[models.Model]:
        return apps.get_model(self.table_model)

    # Reading bookings

    def bookings(self, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        rows = self.bookings_table._default_manager.filter(pk__in=_keys(self.bookings_table, refs))
        if lock:
            rows = rows.select_for_update(skip_locked=True, no_key=True)
        return {booking.ref: booking for booking in self._read(rows)}

    def unassigned(
        self, *, after: str | None, limit: int, now: datetime, restaurant_ref: str | None = None
    ) -> Sequence[HostBooking]:
        rows = self.bookings_table._default_manager.filter(self._is_waiting(), self._starts_after(now)).order_by("pk")
        if after is not None:
            rows = rows.filter(pk__gt=self.bookings_table._meta.pk.to_python(after))
        if restaurant_ref is not None and self.restaurant_field:
            rows = rows.filter(**{self._column(self.restaurant_field): restaurant_ref})
        return list(self._read(rows[:limit]))

    def label(self, booking_ref: str) -> str:
        return f"{self.bookings_table._meta.verbose_name} {booking_ref}".capitalize()

    def admin_url(self, booking_ref: str) -> str | None:
        meta = self.bookings_table._meta
        try:
            return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[booking_ref])
        except NoReverseMatch:
            return None

    # The floor

    def floor(self, restaurant_ref: str) -> Floor:
        """From the host's tables, and what this app keeps about them. At most six queries."""
        details = {row.table_ref: row for row in TableDetails.objects.filter(restaurant_ref=restaurant_ref)}
        venue = VenueSettings.objects.filter(restaurant_ref=restaurant_ref).first()
        return Floor(
            restaurant_ref=restaurant_ref,
            timezone=venue.timezone if venue else self.timezone or django_settings.TIME_ZONE,
            tables=tuple(self._table(row, details) for row in self._tables(restaurant_ref)),
            services=tuple(self._services(restaurant_ref)) or (ALL_DAY,),
            adjacent=adjacency(
                AdjacentTables.objects.filter(restaurant_ref=restaurant_ref).values_list(
                    "first_table_ref", "second_table_ref"
                )
            ),
            joins=tuple(
                Join(
                    table_refs=frozenset(row.table_refs),
                    seats=row.seats,
                    min_party=row.min_party,
                    max_party=row.max_party,
                )
                for row in ListedJoin.objects.filter(restaurant_ref=restaurant_ref)
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
        parts: list[str] = []
        parameters: list[Any] = []
        for queryset in self.floor_querysets(restaurant_ref):
            sql, given = queryset.order_by().query.sql_with_params()
            parts.append(f"(SELECT string_agg(md5(part::text), '' ORDER BY part::text) FROM ({sql}) AS part)")  # noqa: S608
            parameters += given
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT md5(concat_ws('|', {', '.join(parts)}))", parameters)
            return str(cursor.fetchone()[0])

    # Being told

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        """Mark as confirmed and store the tables; at most two queries, whatever the number of bookings.

        Raises InvalidBookingError for bookings that are gone or no longer wait: nothing is confirmed then.
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
        if changes:
            waiting = self.bookings_table._default_manager.filter(self._is_waiting(), pk__in=keys.values())
            if waiting.update(**changes) != len(keys):
                raise InvalidBookingError(self._no_longer_waiting(keys))
        if self._tables_are_many:
            self._write_many(seatings, keys)

    def on_review(self, reasons: Mapping[str, str]) -> None:
        """Nothing: the review queue is this app's."""

    def on_released(self, booking_refs: Sequence[str]) -> None:
        """Wait again, without tables. A booking that the project has cancelled stays so."""
        keys = _keys(self.bookings_table, booking_refs)
        changes: dict[str, Any] = {}
        confirmed = Q()
        if self.status_field:
            changes[self.status_field] = self.waiting_statuses[0]
            confirmed = Q(**{self.status_field: self.confirmed_status})
        if self.confirmed_field:
            changes[self.confirmed_field] = False
        if self.tables_field and not self._tables_are_many:
            field = self.bookings_table._meta.get_field(self.tables_field)
            if field.null:  # A required foreign key keeps its old table until the next one is chosen.
                changes[self._column(self.tables_field)] = None
        if changes:
            self.bookings_table._default_manager.filter(confirmed, pk__in=keys).update(**changes)
        if self._tables_are_many:
            booking = self.bookings_table._meta.get_field(self.tables_field or "").m2m_field_name()  # type: ignore[union-attr]
            self._through.objects.filter(**{f"{booking}__in": keys}).delete()

    def deliver(self, message: Message) -> None:
        """Nothing is sent: override it to tell guests, a bus or a webhook."""

    # Checking

    def check(self) -> list[checks.CheckMessage]:
        """E006: a model or field that this host names does not exist."""
        return [
            checks.Error(
                problem,
                hint=f"Correct the attributes of {type(self).__module__}.{type(self).__qualname__}.",
                id="assignments.E006",
            )
            for problem in self._wrong_names()
        ]

    def _wrong_names(self) -> Iterable[str]:
        for attribute, prefixes in (
            (
                "booking_model",
                (
                    "start",
                    "date",
                    "time",
                    "end",
                    "party",
                    "restaurant",
                    "zone",
                    "requested",
                    "status",
                    "confirmed",
                    "tables",
                ),
            ),
            (
                "table_model",
                (
                    "table_name",
                    "table_seats",
                    "table_zone",
                    "table_active",
                    "table_min_party",
                    "table_max_party",
                    "table_restaurant",
                ),
            ),
        ):
            label = getattr(self, attribute)
            try:
                model = apps.get_model(label)
            except (LookupError, ValueError):
                yield f"{attribute} is {label!r}: there is no such model."
                continue
            for name in (f"{prefix}_field" for prefix in prefixes):
                field = getattr(self, name)
                try:
                    if field:
                        model._meta.get_field(field)
                except FieldDoesNotExist:
                    yield f"{name} is {field!r}: {label} has no such field."
        if not self.start_field and not (self.date_field and self.time_field):
            yield "start_field, or date_field and time_field, must say when a booking starts."

    # Details

    @cached_property
    def _tables_are_many(self) -> bool:
        if not self.tables_field:
            return False
        return bool(self.bookings_table._meta.get_field(self.tables_field).many_to_many)

    @cached_property
    def _through(self) -> Any:
        return self.bookings_table._meta.get_field(self.tables_field or "").remote_field.through  # type: ignore[union-attr]

    def _write_many(self, seatings: Sequence[Seating], keys: Mapping[str, Any]) -> None:
        """Exactly these tables for these bookings, in one query: rows that are right already are left alone."""
        field = self.bookings_table._meta.get_field(self.tables_field or "")
        quote = connection.ops.quote_name
        table = quote(self._through._meta.db_table)
        booking, chosen = quote(field.m2m_column_name()), quote(field.m2m_reverse_name())  # type: ignore[union-attr]
        pairs = [
            (keys[seating.booking_ref], _key_of(self.tables_table, table_ref))
            for seating in seatings
            for table_ref in seating.table_refs
        ]
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                WITH wanted AS (SELECT * FROM unnest(%s, %s) AS wanted(booking, chosen)),
                     gone AS (DELETE FROM {table} AS stored
                               WHERE stored.{booking} IN (SELECT booking FROM wanted)
                                 AND (stored.{booking}, stored.{chosen}) NOT IN (SELECT booking, chosen FROM wanted))
                INSERT INTO {table} ({booking}, {chosen}) SELECT booking, chosen FROM wanted ON CONFLICT DO NOTHING
                """,  # noqa: S608  (names from the project's own model)
                [[key for key, _table in pairs], [key for _booking, key in pairs]],
            )

    def _no_longer_waiting(self, keys: Mapping[str, Any]) -> str:
        waiting = self.bookings_table._default_manager.filter(self._is_waiting(), pk__in=keys.values())
        left = set(waiting.values_list("pk", flat=True))
        gone = sorted(ref for ref, key in keys.items() if key not in left)
        return f"Bookings that no longer wait for a table cannot be confirmed: {', '.join(gone)}."

    def _key(self, ref: str) -> Any:
        return _key_of(self.bookings_table, ref)

    def _column(self, field_name: str) -> str:
        """The name under which a queryset gives the plain value: ``restaurant_id`` for a foreign key."""
        return str(self.bookings_table._meta.get_field(field_name).attname)  # type: ignore[union-attr]

    def _is_waiting(self) -> Q:
        if self.status_field:
            return Q(**{f"{self.status_field}__in": list(self.waiting_statuses)})
        if self.confirmed_field:
            return Q(**{self.confirmed_field: False})
        return Q()

    def _starts_after(self, now: datetime) -> Q:
        if self.start_field:
            return Q(**{f"{self.start_field}__gt": now})
        local = now.astimezone(self._zones()(self.venue_ref))
        return Q(**{f"{self.date_field}__gt": local.date()}) | Q(
            **{f"{self.date_field}": local.date(), f"{self.time_field}__gt": local.time()}
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
        zone_of = self._zones() if self.date_field else None
        for row in rows.values("pk", *columns.values()):
            yield self._booking(str(row["pk"]), {key: row[column] for key, column in columns.items()}, zone_of)

    def _booking(self, ref: str, row: Mapping[str, Any], zone_of: Callable[[str], ZoneInfo] | None) -> HostBooking:
        restaurant_ref = str(row["restaurant"]) if self.restaurant_field else self.venue_ref
        starts_at, problem = self._start(row, zone_of(restaurant_ref) if zone_of else None)
        status = row.get("status")
        is_confirmed = status == self.confirmed_status if self.status_field else bool(row.get("confirmed"))
        party = row["party"]
        if not isinstance(party, int):
            party, problem = 0, problem or f"The party is {row['party']!r}, not a number of covers."
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
            is_confirmed=is_confirmed,
            problem=problem,
        )

    def _start(self, row: Mapping[str, Any], zone: ZoneInfo | None) -> tuple[datetime, str | None]:
        if zone is None:
            if row["start"] is None:
                return _NEVER, "The booking has no start."
            return row["start"], None
        day: date | None = row["date"]
        clock: time | None = row["time"]
        if day is None or clock is None:
            return _NEVER, "The booking has no start."
        local = datetime.combine(day, clock)
        try:
            return local_to_aware(local, zone), None
        except ValueError as error:
            return local.replace(tzinfo=zone), str(error)

    def _zones(self) -> Callable[[str], ZoneInfo]:
        """Each restaurant's time zone, by ref. One query."""
        known = dict(VenueSettings.objects.values_list("restaurant_ref", "timezone"))
        fallback = self.timezone or django_settings.TIME_ZONE
        return lambda restaurant_ref: ZoneInfo(known.get(restaurant_ref, fallback))

    def _tables(self, restaurant_ref: str) -> QuerySet[Any]:
        rows = self.tables_table._default_manager.order_by("pk")
        if self.table_restaurant_field:
            rows = rows.filter(**{self.table_restaurant_field: restaurant_ref})
        return rows

    def _table(self, row: Any, details: Mapping[str, TableDetails]) -> Table:
        known = details.get(str(row.pk))

        def value(field: str | None, fallback: Any) -> Any:
            given = getattr(row, self.tables_table._meta.get_field(field).attname) if field else None  # type: ignore[union-attr]
            return fallback if given is None else given

        zone = value(self.table_zone_field, known.zone if known else "")
        return Table(
            ref=str(row.pk),
            name=str(value(self.table_name_field, row.pk)),
            seats=value(self.table_seats_field, 0),
            zone_ref=str(zone) if zone not in (None, "") else None,
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
                turn_times=tuple(TurnTime(max_party=turn.max_party, minutes=turn.minutes) for turn in row.turns.all()),
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
        try:
            keys.append(_key_of(model, ref))
        except (ValidationError, ValueError):
            continue
    return keys
