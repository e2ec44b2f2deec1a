"""Reading a project's bookings by the names of its fields.

Long because each fact of a booking (start, end, party, status, tables ...) may be stored in several ways.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, reduce
from operator import or_
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models
from django.db.models import OuterRef, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.urls import NoReverseMatch, reverse
from django.utils.text import capfirst

from assignments.exceptions import InvalidBookingError
from assignments.integration.host import HostBooking
from assignments.integration.model_host import values
from assignments.integration.model_host.attributes import Attributes, field_at, keys_of
from assignments.planning.seating_window import FIRST_YEAR, LAST_YEAR, local_to_aware
from assignments.planning.timezone import time_zone

SHOWN = "assignments_shown"
"""Name under which the tables of a many-to-many are read."""

TIMEZONE = "assignments_timezone"
"""Name under which the restaurant's time zone is in a row."""

NEVER = datetime(9000, 1, 1, tzinfo=UTC)
"""Placeholder for a missing start. The booking's ``problem`` says so, and it is not planned."""

NO_START = "The booking has no start."
A_DAY = timedelta(days=1)
MOST_CALLED = 10
"""Restaurants of the same name that are told apart."""
FEWEST_READ = 200
"""Bookings that are read at a time where not the database but we select those of a time."""


class Reading(Attributes):
    """Bookings, and how staff recognise them."""

    def bookings(self, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        # The project's default order may join other tables, whose rows must not be locked.
        rows = self.known_bookings().filter(pk__in=keys_of(self.bookings_table, refs)).order_by("pk")
        return {booking.ref: booking for booking in self._read(self._locked(rows) if lock else rows)}

    def _locked(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Lock these bookings. Rows that a manager groups or makes distinct cannot be locked, so their keys are."""
        if self._is_in_a_schema:
            return self._locked_first(rows)
        if rows.query.group_by is not None or rows.query.distinct:
            model: type[models.Model] = self.bookings_table
            keys = rows.order_by().values("pk")
            rows = models.QuerySet(model).filter(pk__in=keys).order_by("pk")
        return rows.select_for_update(skip_locked=True, no_key=True, of=("self", *self._parents))

    def _locked_first(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Lock these bookings with a query of its own: PostgreSQL refuses a lock ``OF`` a table named with its schema."""
        model: type[models.Model] = self.bookings_table
        alone: QuerySet[Any] = models.QuerySet(model).filter(pk__in=rows.order_by().values("pk")).order_by("pk")
        return rows.filter(pk__in=[row.pk for row in alone.select_for_update(skip_locked=True, no_key=True)])

    @cached_property
    def _is_in_a_schema(self) -> bool:
        """Return whether a booking's table is named with its schema, as in ``db_table = 'crm"."booking'``."""
        model: Any = self.bookings_table
        return any('"' in each._meta.db_table for each in (model, *model._meta.all_parents))

    def unassigned(
        self, *, after: str | None, limit: int, now: datetime, restaurant_ref: str | None = None
    ) -> Sequence[HostBooking]:
        waiting = self.known_bookings().filter(self._is_waiting(), self._starts_after(now))

        def comes_later(booking: HostBooking) -> bool:
            # One with an unreadable start is reported, if its date is still to come.
            return booking.starts_at > now and (booking.starts_at < NEVER or bool(self._day_field))

        return self._page(waiting, comes_later, after=after, limit=limit, restaurant_ref=restaurant_ref)

    def history(
        self, *, start: datetime, until: datetime, after: str | None, limit: int, restaurant_ref: str | None = None
    ) -> Sequence[HostBooking]:
        """Return bookings that were not cancelled, by key, without those that have no start."""
        then = self.known_bookings().filter(~self._is_cancelled(), self._starts_within(start, until))
        return self._page(
            then,
            lambda booking: start <= booking.starts_at < until,
            after=after,
            limit=limit,
            restaurant_ref=restaurant_ref,
        )

    def start_of(self, row: Mapping[str, Any]) -> datetime:
        """Return the start of a booking, aware. Override it if field names cannot express it.

        ``row`` has the fields named by this class, under these names (``row["slot__starts"]``), those of
        ``read_fields``, and ``pk``. ``moment`` makes a datetime of a date and a time. It is used wherever bookings are
        read; with an override, bookings of a period are selected in Python rather than by the database.

        Raise InvalidBookingError with a sentence for staff, without personal data, if the row has no usable start; this
        booking then fails with that sentence. Any other error is reported by its type.
        """
        if self.start_field:
            start: datetime | None = row[self.start_field]
            if start is None:
                raise InvalidBookingError(NO_START)
            return start
        day, at = row[self.date_field or ""], row[self.time_field or ""]
        if day is None or at in (None, ""):
            raise InvalidBookingError(NO_START)
        try:
            return self.moment(row, day, values.clock(at))
        except ValueError as error:
            raise InvalidBookingError(str(error)) from None

    def end_of(self, row: Mapping[str, Any]) -> datetime | None:
        """Return the end of a booking, aware; None if turn times decide. See ``start_of``."""
        if self.duration_field:
            duration = row[self.duration_field]
            if duration in (None, ""):
                return None
            try:
                return self.start_of(row) + values.stay(duration)
            except (ValueError, OverflowError) as error:
                raise InvalidBookingError(str(error)) from None
        end = row[self.end_field] if self.end_field else None
        if end in (None, "") or isinstance(end, datetime):
            return end or None
        try:
            until, start = values.clock(end), self.start_of(row).astimezone(time_zone(row[TIMEZONE]))
        except ValueError as error:
            raise InvalidBookingError(str(error)) from None
        day = start.date() + timedelta(days=until <= start.time())
        return self.moment(row, day, until)

    def party_of(self, row: Mapping[str, Any]) -> int:
        """Return a booking's covers. See ``start_of``."""
        found = [row[name] for name in self._party_fields]
        given = [each for each in found if each is not None] if len(found) > 1 else found
        try:
            return sum(values.covers(each) for each in given) if given else values.covers(None)
        except ValueError as error:
            raise InvalidBookingError(str(error)) from None

    def moment(self, row: Mapping[str, Any], day: date, at: time) -> datetime:
        """Return the moment of this date and time in the time zone of the row's restaurant.

        Raises InvalidBookingError for a time that the clocks skip.
        """
        local = datetime.combine(day, at)
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            raise InvalidBookingError(f"{local:%Y-%m-%d %H:%M} is out of range.")
        name = row[TIMEZONE]
        try:
            zone = time_zone(name)
        except ValueError:
            problem = f"Its restaurant's time zone {name!r} does not exist."
            raise InvalidBookingError(problem, nearly=local.replace(tzinfo=UTC)) from None
        try:
            return local_to_aware(local, zone)
        except ValueError as error:
            raise InvalidBookingError(str(error), nearly=local.replace(tzinfo=zone)) from None

    def tables_of(self, refs: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Return tables from the foreign key (one table) or the many-to-many; none without ``tables_field``. One query."""
        if not self.tables_field:
            return {}
        # By the key, not by the tables' default order, which may join other tables.
        column = self._column(self.tables_field) if not self._tables_are_many else ""
        rows = self.known_bookings().filter(pk__in=keys_of(self.bookings_table, refs))
        if self._tables_are_many:
            column = f"{self.tables_field}__{self._table_key.attname}"
        rows = rows.filter(**{f"{column}__isnull": False}).order_by(column)
        tables: dict[str, list[str]] = {}
        for booking, table in rows.values_list("pk", column):
            for table_ref in self._refs_in(table):
                tables.setdefault(str(booking), []).append(table_ref)
        return {ref: tuple(each) for ref, each in tables.items()}

    def restaurant_names(self, restaurant_refs: Sequence[str]) -> Mapping[str, str]:
        """Return the restaurants' names in one query; none if restaurants are plain text."""
        field: Any = self.restaurant_field and field_at(self.bookings_table, self.restaurant_field)
        if not field or not field.related_model:
            return {}
        key, keys = field.target_field, []
        for ref in restaurant_refs:
            with suppress(ValidationError, ValueError):
                keys.append(key.to_python(ref))
        known = self._known(field.related_model).filter(**{f"{key.attname}__in": keys})
        return {str(getattr(restaurant, key.attname)): str(restaurant) for restaurant in known}

    def restaurants_called(self, text: str) -> Collection[str]:
        """Return the refs of the restaurants with this text in a field called ``name``, or in a unique one. One query."""
        field: Any = self.restaurant_field and field_at(self.bookings_table, self.restaurant_field)
        if not field or not field.related_model:
            return []
        texts = [
            each.name
            for each in field.related_model._meta.concrete_fields
            if isinstance(each, models.CharField) and not each.primary_key and (each.unique or each.name == "name")
        ]
        if not texts:
            return []
        is_called = reduce(or_, (Q(**{name: text}) for name in texts))
        called = self._known(field.related_model).filter(is_called).order_by("pk")
        return [str(each) for each in called.values_list(field.target_field.attname, flat=True)[:MOST_CALLED]]

    def label(self, booking_ref: str) -> str:
        return f"{capfirst(self.bookings_table._meta.verbose_name)} {booking_ref}"

    def admin_url(self, booking_ref: str) -> str | None:
        from django.contrib.admin.utils import quote  # Here: the project may have no admin.

        meta = self.bookings_table._meta
        try:
            return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[quote(booking_ref)])
        except NoReverseMatch:
            return None

    def _page(
        self,
        rows: QuerySet[Any],
        is_wanted: Callable[[HostBooking], bool],
        *,
        after: str | None,
        limit: int,
        restaurant_ref: str | None,
    ) -> Sequence[HostBooking]:
        rows = rows.order_by("pk")
        if restaurant_ref is not None:
            try:
                rows = rows.filter(self._is_at(self.bookings_table, self.restaurant_field, restaurant_ref))
            except LookupError:
                return []
        if self._starts_are_compared:
            return list(self._read(self._after(rows, after)[:limit]))
        found: list[HostBooking] = []
        size = max(limit, FEWEST_READ)
        while len(found) < limit:
            page = list(self._read(self._after(rows, after)[:size]))
            found += filter(is_wanted, page)
            if len(page) < size:
                break
            after = page[-1].ref
        return found[:limit]

    def _after(self, rows: QuerySet[Any], ref: str | None) -> QuerySet[Any]:
        return rows if ref is None else rows.filter(pk__gt=self._key(ref))

    @cached_property
    def _starts_are_compared(self) -> bool:
        """Return whether the database can compare starts; otherwise it compares dates, if any, and Python the rest."""
        if self._is_own("start_of"):
            return False
        if self.start_field:
            return True
        return isinstance(field_at(self.bookings_table, self.time_field or ""), models.TimeField)

    @property
    def _day_field(self) -> str | None:
        """Return the field of the date, unless ``start_of`` is overridden."""
        return None if self.start_field or self._is_own("start_of") else self.date_field

    def _is_own(self, hook: str) -> bool:
        """Return whether the project overrides this hook."""
        return getattr(type(self), hook) is not getattr(Reading, hook)

    def _starts_after(self, now: datetime) -> Q:
        if not self._starts_are_compared:
            return Q(**{f"{self._day_field}__gte": now.date() - A_DAY}) if self._day_field else Q()
        if self.start_field:
            return Q(**{f"{self.start_field}__gt": now})
        return self._by_each_clock(lambda zone: self._on_the_wall(now, zone, "gt"))

    def _starts_within(self, start: datetime, until: datetime) -> Q:
        if not self._starts_are_compared:
            days = (start.date() - A_DAY, until.date() + A_DAY)
            return Q(**{f"{self._day_field}__range": days}) if self._day_field else Q()
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
            with suppress(LookupError):  # Stored for an impossible restaurant ref.
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

    @cached_property
    def _columns(self) -> list[str]:
        """Return the names of all fields of a booking that are read, without its tables."""
        named = [
            self.restaurant_field,
            self.zone_field,
            self.requested_field,
            self.status_field,
            self.confirmed_field,
            self.cancelled_unless_field,
            self.told_field,
            self.needs_field,
            self.wishes_field,
        ]
        named += [*self._cancelled_fields, *self.read_fields]
        for hook, names in (
            ("start_of", [self.start_field, self.date_field, self.time_field]),
            ("end_of", [self.end_field, self.duration_field]),
            ("party_of", self._party_fields),
        ):
            # A project that overrides it may not have the field that we would read.
            named += [name for name in names if name and (not self._is_own(hook) or self._has(name))]
        return list(dict.fromkeys(name for name in named if name))

    def _has(self, name: str) -> bool:
        try:
            field_at(self.bookings_table, name)
        except FieldDoesNotExist:
            return False
        return True

    @cached_property
    def _needs_clocks(self) -> bool:
        """Return whether a row's moments depend on its restaurant's time zone."""
        if self.date_field or self._is_own("start_of") or self._is_own("end_of"):
            return True
        return bool(
            self.end_field and not isinstance(field_at(self.bookings_table, self.end_field), models.DateTimeField)
        )

    def _read(self, rows: QuerySet[Any]) -> Iterable[HostBooking]:
        zones = self._venue_zones() if self._needs_clocks else {}
        told_zone = self._zone_column if self._needs_clocks else None
        shown = []
        if self.tables_field and self._tables_are_many:
            to_booking, to_table = self._links
            links = self._through._default_manager.filter(**{to_booking.name: OuterRef("pk")}).order_by(
                to_table.attname
            )
            rows, shown = rows.annotate(assignments_shown=ArraySubquery(links.values(to_table.attname))), [SHOWN]
        elif self.tables_field:
            shown = [self._column(self.tables_field)]
        for row in rows.values(
            "pk", *dict.fromkeys([*self._columns, *self._parents.values(), *shown, *filter(None, [told_zone])])
        ):
            restaurant_ref = self.venue_ref
            if self.restaurant_field:
                given = row[self.restaurant_field]
                restaurant_ref = "" if given is None else str(given)
            told = row[told_zone] if told_zone else None
            row[TIMEZONE] = zones.get(restaurant_ref) or str(told or self._default_timezone)
            yield self._booking(row, restaurant_ref, self._refs_in(row[shown[0]]) if shown else None)

    @property
    def _zone_column(self) -> str | None:
        """Return the path from a booking to its restaurant's time zone, if the project has that."""
        if not (self.restaurant_field and self.restaurant_timezone_field):
            return None
        return f"{self.restaurant_field}{LOOKUP_SEP}{self.restaurant_timezone_field}"

    def _refs_in(self, found: Any) -> tuple[str, ...]:
        """Return the refs of tables from what the column holds, or from an array of keys."""
        if self.tables_separator and isinstance(found, str):
            found = [each.strip() for each in found.split(self.tables_separator)]
        return _shown(found)

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

    def _booking(self, row: Mapping[str, Any], restaurant_ref: str, shown: tuple[str, ...] | None) -> HostBooking:
        starts_at, problem = self._start(row)
        ends_at = None
        if problem is None:
            ends_at, problem = self._told("end_of", row)
        if not restaurant_ref:
            problem = "The booking has no restaurant."
        party, no_party = self._told("party_of", row)
        zone = row[self.zone_field] if self.zone_field else None
        status = row[self.status_field] if self.status_field else None
        is_cancelled = self._is_called_off_in(row) or (bool(self.status_field) and status in self.cancelled_statuses)
        if self.status_field:
            is_confirmed = status == self.confirmed_status
        elif self.confirmed_field:
            is_confirmed = bool(row[self.confirmed_field])
        else:
            is_confirmed = self.tables_mean_seated and bool(shown)
        is_confirmed = is_confirmed and not is_cancelled
        is_undecided = not self.status_field or status in self.waiting_statuses or is_confirmed
        return HostBooking(
            ref=str(row["pk"]),
            restaurant_ref=restaurant_ref,
            starts_at=starts_at,
            party=0 if party is None else party,
            ends_at=ends_at,
            zone_ref=None if zone in (None, "") else str(zone),
            requested_at=row[self.requested_field] if self.requested_field else None,
            wants_table=is_undecided and not is_cancelled,
            keeps_tables=bool(self.status_field) and not is_cancelled,
            is_confirmed=is_confirmed,
            problem=problem or no_party,
            stage=self.stage_statuses.get(status) if self.status_field else None,
            table_refs=shown,
            table_told=self._is_told(row, status),
            needs=tuple(sorted(values.features(row[self.needs_field]))) if self.needs_field else (),
            wishes=tuple(sorted(values.features(row[self.wishes_field]))) if self.wishes_field else (),
        )

    def _is_called_off_in(self, row: Mapping[str, Any]) -> bool:
        """Return whether a field besides the status says that the booking is cancelled."""
        is_without = self.cancelled_unless_field is not None and row[self.cancelled_unless_field] is False
        return is_without or any(row[name] for name in self._cancelled_fields)

    def _is_told(self, row: Mapping[str, Any], status: Any) -> bool:
        """Return whether the guests have been told their table."""
        by_status = bool(self.status_field) and status in self.told_statuses
        return by_status or bool(self.told_field and row[self.told_field])

    def _start(self, row: Mapping[str, Any]) -> tuple[datetime, str | None]:
        """Return the start and no problem, or an approximate start and the problem."""
        try:
            start = self.start_of(row)
        except InvalidBookingError as error:
            return error.context.get("nearly", NEVER), str(error)
        except Exception as error:  # noqa: BLE001  (by type: the message may name a guest)
            return NEVER, f"start_of raised {type(error).__name__}."
        if not isinstance(start, datetime) or start.tzinfo is None:
            return NEVER, f"start_of returned a {type(start).__name__}, not an aware datetime."
        return start, None

    def _told(self, hook: str, row: Mapping[str, Any]) -> tuple[Any, str | None]:
        """Return a hook's result for a row and no problem, or None and the problem."""
        try:
            found = getattr(self, hook)(row)
        except InvalidBookingError as error:
            return None, str(error)
        except Exception as error:  # noqa: BLE001  (by type: the message may name a guest)
            return None, f"{hook} raised {type(error).__name__}."
        expected = int if hook == "party_of" else datetime | None
        if isinstance(found, expected):
            return found, None
        return None, f"{hook} returned a {type(found).__name__}."


def _shown(found: Any) -> tuple[str, ...]:
    """Return the refs of tables from a foreign key's column, or from an array of keys."""
    keys = found if isinstance(found, list) else [found]
    return tuple(str(key) for key in keys if key not in (None, ""))
