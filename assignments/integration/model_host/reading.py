"""Reads a project's bookings by the names of its fields."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, time
from functools import cached_property, reduce
from operator import or_
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.core.exceptions import ValidationError
from django.db.models import OuterRef, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.urls import NoReverseMatch, reverse
from django.utils.text import capfirst

from assignments.integration.host import HostBooking
from assignments.integration.model_host.attributes import Attributes, fields_of, keys_of
from assignments.planning.seating_window import FIRST_YEAR, LAST_YEAR, local_to_aware
from assignments.planning.timezone import time_zone

SHOWN = "assignments_shown"
"""Name under which the tables of a many-to-many are read."""

_NEVER = datetime(9000, 1, 1, tzinfo=UTC)
"""Placeholder for a missing start. The booking's ``problem`` says so, and it is not planned."""


class Reading(Attributes):
    """Bookings, and how staff recognise them."""

    def bookings(self, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        # The project's default order may join other tables, whose rows must not be locked.
        rows = self.bookings_table._default_manager.filter(pk__in=keys_of(self.bookings_table, refs)).order_by("pk")
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
            self.bookings_table._default_manager.filter(pk__in=keys_of(self.bookings_table, refs))
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
            name.removesuffix("_field"): getattr(self, name) for name in fields_of("booking") if name != "tables_field"
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


def _shown(found: Any) -> tuple[str, ...]:
    """Return the refs of tables from a foreign key's column, or from an array of keys."""
    keys = found if isinstance(found, list) else [found]
    return tuple(str(key) for key in keys if key is not None)
