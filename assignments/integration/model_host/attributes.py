"""The attributes that a project sets: names of its models and fields, and the meaning of its statuses."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP

from assignments.models import VenueSettings


class Attributes:
    """The attributes of a ``ModelHost``, and what follows from them."""

    booking_model: str = ""
    """``"app.Model"``, with integer, UUID or text keys."""
    start_field: str | None = None
    """An aware datetime. Alternatively ``date_field`` and ``time_field``, in the restaurant's local time.

    Where a field is read only, it may lie behind foreign keys: ``"slot__starts_at"``.
    """
    date_field: str | None = None
    """A date, with ``time_field`` instead of ``start_field``."""
    time_field: str | None = None
    """A time, or a text such as ``"18:30"``."""
    end_field: str | None = None
    """End of the seating; may be null, then turn times decide. A datetime, or a time of the restaurant's clocks: one that
    is not after the start is on the next day."""
    duration_field: str | None = None
    """How long the guests stay, instead of ``end_field``: a duration, or a number of minutes; may be null."""
    party_field: str | Sequence[str] | None = "party"
    """Covers: a whole number, or its digits as text (``"2"``, ``"2 people"``). Of several fields, such as ``("adults",
    "children")``, the sum; null counts as none, unless all are null. None only with a ``party_of`` of your own."""
    read_fields: Sequence[str] = ()
    """Further fields that your own ``start_of``, ``end_of`` or ``party_of`` needs in its row."""
    bookings_manager: str | None = None
    """Name of the manager that finds bookings; default: the model's default manager. A booking that it does not find is
    gone, and its tables are free."""
    restaurant_field: str | None = None
    """A foreign key or text; None for a single venue with the ref ``venue_ref``."""
    venue_ref: str = "venue"
    """The restaurant's ref where there is only one."""
    zone_field: str | None = None
    """The zone that the guests asked for: a foreign key or text; null for any."""
    needs_field: str | None = None
    """Features that its tables must have: an array, a JSON list, or a text with commas between them."""
    wishes_field: str | None = None
    """Features that its tables had better have, like ``needs_field``."""
    requested_field: str | None = None
    """Time of the booking's creation, a datetime."""
    status_field: str | None = None
    """The booking's status, of any type. Without one, see ``confirmed_field`` and ``tables_mean_seated``."""
    waiting_statuses: Sequence[Any] = ("pending",)
    """Statuses of bookings that need a table."""
    confirmed_status: Any = "confirmed"
    """The status that a booking gets with its tables."""
    cancelled_statuses: Sequence[Any] = ("cancelled",)
    """Statuses that free the tables. In any other (seated, completed) the tables are kept until the end of the seating.
    """
    cancelled_field: str | Sequence[str] | None = None
    """A boolean (``is_cancelled``), or a date or datetime that is null until then (``cancelled_at``). Of several, each
    cancels. With a status, both count."""
    cancelled_unless_field: str | None = None
    """A boolean that is true until the booking is cancelled (``is_active``). False cancels, and null does not. It counts
    besides ``cancelled_field`` and a status."""
    stage_statuses: Mapping[Any, str] = {}
    """How far the guests are, by status: ``{"seated": "seated", "done": "left", "no_show": "no_show"}``. The stages are
    expected, late, arrived, seated, left and no_show."""
    told_field: str | None = None
    """A boolean or a time: whether guests have been told their table. V3 moves none of those who have."""
    told_statuses: Collection[Any] = ()
    """Statuses of bookings whose guests have been told their table."""
    confirmed_field: str | None = None
    """A boolean, for models without a status. Null waits, like false."""
    tables_field: str | None = None
    """Where chosen tables are stored: a foreign key (the first table of a join), a many-to-many, the table's number or name
    as a plain field (see ``table_key_field``), an array of these, or None."""
    tables_separator: str | None = None
    """What is between the tables of a join, if ``tables_field`` is a text that holds several: ``"+"`` for ``"5+6"``. None: a
    text holds one table, and of a join the first."""
    tables_mean_seated: bool = False
    """For models without a status: a booking that has tables is confirmed, and one that has none waits."""
    guest_name_field: str | Sequence[str] | None = None
    """The guest's name, for staff with the permission ``view_guests``: a text, or several (``("first_name", "last_name")``).
    May lie behind foreign keys: ``"customer__name"``. It is shown and searched, and never stored."""
    guest_phone_field: str | None = None
    """The guest's phone number, like ``guest_name_field``."""
    guest_notes_field: str | None = None
    """Notes about the guests, such as allergies, like ``guest_name_field``. They are shown, and not searched."""
    guest_reference_field: str | None = None
    """What the guest's own confirmation calls the booking, such as its code, like ``guest_name_field``."""
    table_model: str = ""
    """``"app.Model"`` of the tables. They are active rows with a number of seats."""
    tables_manager: str | None = None
    """Name of the manager that finds tables; restaurants, opening hours and turn times too, where their models have one of
    that name. Default: each model's default manager."""
    table_key_field: str | None = None
    """The table's field whose value ``tables_field`` holds, if that is no relation: ``"number"``. Unique in a restaurant."""
    table_name_field: str | None = None
    """What staff call the table. None: its ref."""
    table_seats_field: str = "seats"
    """Number of seats."""
    table_zone_field: str | None = None
    """The table's zone: a foreign key or text. Only tables of one zone are joined."""
    table_active_field: str | None = None
    """A boolean: tables without it are out of service."""
    table_min_party_field: str | None = None
    """Smallest party that gets the table alone; may be null."""
    table_max_party_field: str | None = None
    """Largest party that gets the table alone; may be null."""
    table_features_field: str | None = None
    """What guests may need or wish: an array, a JSON list, or a text with commas between them. With those of this app."""
    table_priority_field: str | None = None
    """A whole number: tables with a higher one are preferred; may be null."""
    table_restaurant_field: str | None = None
    """May lie behind foreign keys: ``"area__restaurant"``."""
    table_adjacent_field: str | None = None
    """A many-to-many of the table model to itself: which tables are next to each other."""
    hours_model: str | None = None
    """``"app.Model"`` of opening hours, one row for a service on a weekday. Restaurants without rows have those of this
    app's admin."""
    hours_restaurant_field: str | None = None
    """The restaurant of the opening hours; None only for a single venue."""
    hours_opens_field: str = "opens"
    """A time: when the first guests may sit down."""
    hours_closes_field: str = "closes"
    """A time: when the service ends. One that is not after the opening is on the next day."""
    hours_closed_field: str | None = None
    """A boolean: a row with it is of a weekday on which the restaurant is closed, whatever its times say."""
    hours_weekday_field: str | None = None
    """A number (see ``hours_monday``) or an English name (``"mon"``); None: every day is the same."""
    hours_monday: int = 0
    """The number that means Monday: 0 in Python, 1 in ISO and where Sunday is 0."""
    hours_early_field: str | None = None
    """Minutes before the opening from which guests may already come."""
    hours_late_field: str | None = None
    """Minutes after the closing until which guests may still come. They then stay past the end."""
    hours_name_field: str | None = None
    """The service's name, such as lunch. None: every row is of the same service."""
    turn_model: str | None = None
    """``"app.Model"`` of turn times, one row for each size of parties. They hold in every service."""
    turn_restaurant_field: str | None = None
    """The restaurant of the turn times; None only for a single venue."""
    turn_party_field: str = "max_party"
    """Largest party that the row is for. The last row holds for larger ones, too."""
    turn_minutes_field: str = "minutes"
    """Minutes, or a duration."""
    restaurant_timezone_field: str | None = None
    """The restaurant's time zone, such as ``"Europe/Berlin"``: a field of the model that ``restaurant_field`` leads to, or
    behind its foreign keys. Where that is empty, ``timezone`` holds. ``VenueSettings`` of this app are stronger."""
    timezone: str | None = None
    """The time zone of restaurants that have none of their own. Default: Django's TIME_ZONE."""

    @property
    def tracks_confirmation(self) -> bool:
        """Return whether the project stores confirmation."""
        return bool(self.status_field or self.confirmed_field or self.tables_mean_seated)

    @property
    def reports_arrivals(self) -> bool:
        """Return whether the project has a status for guests who have arrived or sit."""
        return bool({"arrived", "seated"} & set(self.stage_statuses.values()))

    @property
    def reports_told_tables(self) -> bool:
        """Return whether the project knows which guests have been told their table. V3 moves bookings only if it does."""
        return bool(self.told_field or self.told_statuses)

    @cached_property
    def bookings_table(self) -> type[models.Model]:
        return apps.get_model(self.booking_model)

    @cached_property
    def tables_table(self) -> type[models.Model]:
        return apps.get_model(self.table_model)

    def _key(self, ref: str) -> Any:
        return key_of(self.bookings_table, ref)

    def known_bookings(self) -> QuerySet[Any]:
        """Return all bookings of the project, by ``bookings_manager``."""
        model: Any = self.bookings_table
        manager = getattr(model, self.bookings_manager) if self.bookings_manager else model._default_manager
        return manager.all()  # type: ignore[no-any-return]

    def known_tables(self) -> QuerySet[Any]:
        """Return all tables of the project, by ``tables_manager``."""
        return self._known(self.tables_table)

    def _known(self, model: Any) -> QuerySet[Any]:
        """Return all rows of a model from which floors are read: tables, restaurants, opening hours or turn times."""
        named = getattr(model, self.tables_manager, None) if self.tables_manager else None
        manager = named if isinstance(named, models.Manager) else model._default_manager
        return manager.all()

    def _column(self, field_name: str) -> str:
        """Return the column for the plain value: ``restaurant_id`` for a foreign key."""
        return column_at(self.bookings_table, field_name)

    @cached_property
    def _party_fields(self) -> tuple[str, ...]:
        return _names(self.party_field)

    @cached_property
    def _cancelled_fields(self) -> tuple[str, ...]:
        return _names(self.cancelled_field)

    @property
    def _can_be_called_off(self) -> bool:
        """Return whether a field besides the status cancels."""
        return bool(self._cancelled_fields or self.cancelled_unless_field)

    def _is_waiting(self) -> Q:
        if self.status_field:
            none_yet = Q(**{f"{self.status_field}__isnull": True}) if None in self.waiting_statuses else Q()
            statuses = [each for each in self.waiting_statuses if each is not None]
            return (Q(**{f"{self.status_field}__in": statuses}) | none_yet) & self._is_not_called_off()
        if self.confirmed_field:
            return ~Q(**{self.confirmed_field: True}) & self._is_not_called_off()
        if self.tables_mean_seated:
            return self._is_without_tables() & self._is_not_called_off()
        return self._is_not_called_off()

    def _is_confirmed(self) -> Q:
        if self.status_field:
            return Q(**{self.status_field: self.confirmed_status}) & self._is_not_called_off()
        if self.confirmed_field:
            return Q(**{self.confirmed_field: True}) & self._is_not_called_off()
        if self.tables_mean_seated:
            return ~self._is_without_tables() & self._is_not_called_off()
        return self._is_not_called_off()

    def _is_cancelled(self) -> Q:
        by_status = Q(**{f"{self.status_field}__in": self._cancelled}) if self.status_field else Q(pk__in=[])
        return by_status | self._is_called_off() if self._can_be_called_off else by_status

    def _is_called_off(self) -> Q:
        """Return a condition for bookings that ``cancelled_field`` or ``cancelled_unless_field`` shows as cancelled."""
        found = Q(**{self.cancelled_unless_field: False}) if self.cancelled_unless_field else Q(pk__in=[])
        for name in self._cancelled_fields:
            is_flag = isinstance(field_at(self.bookings_table, name), models.BooleanField)
            found |= Q(**{name: True}) if is_flag else Q(**{f"{name}__isnull": False})
        return found

    def _is_not_called_off(self) -> Q:
        return ~self._is_called_off() if self._can_be_called_off else Q()

    @cached_property
    def _cancelled(self) -> list[Any]:
        """Return the cancelled statuses that the column's type can hold, because the default is a text."""
        field = field_at(self.bookings_table, self.status_field or "")
        return [status for status in self.cancelled_statuses if fits(field, status)]

    def _is_without_tables(self) -> Q:
        if self._tables_are_many:
            to_booking, _to_table = self._links
            return Q(~Exists(self._through._default_manager.filter(**{to_booking.name: OuterRef("pk")})))
        column = self._column(self.tables_field or "")
        none = Q(**{f"{column}__isnull": True})
        if self._tables_are_array:
            return none | Q(**{column: []})
        return none | Q(**{column: ""}) if self._tables_are_text else none

    def _is_at(self, model: type[models.Model], field_name: str | None, restaurant_ref: str) -> Q:
        """Return a condition for a restaurant's rows. Raises LookupError for an impossible ref."""
        missing = LookupError(f"Restaurant {restaurant_ref!r} does not exist.")
        if self.restaurant_field is None and restaurant_ref != self.venue_ref:
            raise missing
        if field_name is None:
            return Q()
        field: Any = field_at(model, field_name)
        try:
            return Q(**{column_at(model, field_name): field.to_python(restaurant_ref)})
        except ValidationError:
            raise missing from None

    @property
    def _default_timezone(self) -> str:
        return self.timezone or django_settings.TIME_ZONE

    def _venue_zones(self) -> dict[str, str]:
        """Return the time zones of restaurants that this app stores, by ref. One query."""
        return dict(VenueSettings.objects.values_list("restaurant_ref", "timezone"))

    def _time_zones(self) -> dict[str, str]:
        """Return the time zones of restaurants that have their own, by ref. One query, or two."""
        if not self.restaurant_timezone_field:
            return self._venue_zones()
        key = self._restaurant_key
        rows = self._known(key.model).values_list(key.attname, self.restaurant_timezone_field)
        return {**{str(ref): str(zone) for ref, zone in rows if zone}, **self._venue_zones()}

    @cached_property
    def _restaurant_key(self) -> Any:
        """Return the field of the restaurant's model that is its ref: what ``restaurant_field`` stores."""
        return field_at(self.bookings_table, self.restaurant_field or "").target_field

    def _zones_of(self, restaurant_ref: str) -> QuerySet[Any]:
        """Return the restaurant's time zone in the project, for ``restaurant_timezone_field``."""
        key = self._restaurant_key
        rows: Any = self._known(key.model).filter(**{key.attname: key.to_python(restaurant_ref)})
        return rows.values_list(self.restaurant_timezone_field, flat=True)  # type: ignore[no-any-return]

    @cached_property
    def _tables_are_many(self) -> bool:
        return bool(self.tables_field and self._stores_tables.many_to_many)

    @cached_property
    def _stores_tables(self) -> Any:
        return self.bookings_table._meta.get_field(self.tables_field or "")

    @cached_property
    def _tables_are_text(self) -> bool:
        return not self._stores_tables.is_relation and isinstance(
            self._stores_tables, models.CharField | models.TextField
        )

    @cached_property
    def _tables_are_array(self) -> bool:
        return isinstance(self._stores_tables, ArrayField)

    @property
    def _tables_are_several(self) -> bool:
        """Return whether one column of the booking holds all tables of a join."""
        return self._tables_are_array or bool(self.tables_separator and self._tables_are_text)

    @cached_property
    def _table_key(self) -> Any:
        """Return the field of a table that is its ref: what ``tables_field`` stores, else the primary key."""
        if self.table_key_field:
            return self.tables_table._meta.get_field(self.table_key_field)
        if self.tables_field:
            link = self._links[1] if self._tables_are_many else self._stores_tables
            if link.is_relation:
                return link.target_field
        return self.tables_table._meta.pk

    @cached_property
    def _through(self) -> Any:
        return self.bookings_table._meta.get_field(self.tables_field or "").remote_field.through  # type: ignore[union-attr]

    @cached_property
    def _links(self) -> tuple[Any, Any]:
        """Return the foreign keys of the many-to-many's rows to booking and table."""
        field: Any = self.bookings_table._meta.get_field(self.tables_field or "")
        meta = self._through._meta
        return meta.get_field(field.m2m_field_name()), meta.get_field(field.m2m_reverse_field_name())


def finds_nothing(rows: Callable[[], QuerySet[Any]]) -> bool:
    """Return whether these rows are none by definition, as where no request says whose they are. No query."""
    try:
        return rows().query.is_empty()
    except Exception:  # noqa: BLE001  (a manager of the project refuses, instead of finding nothing)
        return True


def _names(field: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of an attribute that may name one field, several, or none."""
    return tuple(name for name in ((field,) if isinstance(field, str) else field or ()) if name)


def field_at(model: type[models.Model], path: str) -> Any:
    """Return the field at a path over foreign keys. Raises FieldDoesNotExist."""
    *steps, last = path.split(LOOKUP_SEP)
    for step in steps:
        further = model._meta.get_field(step).related_model
        if not isinstance(further, type):
            raise FieldDoesNotExist(f"{model._meta.label}.{step} is no foreign key.")
        model = further
    return model._meta.pk if last == "pk" else model._meta.get_field(last)


def column_at(model: type[models.Model], path: str) -> str:
    """Return the path to the plain value of a field: ``area__restaurant_id`` for ``area__restaurant``."""
    before, separator, _last = path.rpartition(LOOKUP_SEP)
    return f"{before}{separator}{field_at(model, path).attname}"


def fits(field: Any, value: Any) -> bool:
    """Return whether a field stores exactly this value, not an equal one of another type."""
    if value is None:
        return bool(field.null)
    try:
        return bool(field.to_python(value) == value)
    except (ValidationError, ValueError, TypeError):
        return False


def key_of(model: type[models.Model], ref: str) -> Any:
    return model._meta.pk.to_python(ref)


def keys_of(model: type[models.Model], refs: Iterable[str]) -> list[Any]:
    """Return the primary keys of these refs, without malformed ones."""
    keys = []
    for ref in refs:
        if "\0" in ref:  # PostgreSQL text cannot contain NUL, so the query would fail.
            continue
        with suppress(ValidationError, ValueError):
            keys.append(key_of(model, ref))
    return keys
