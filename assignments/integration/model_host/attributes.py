"""What a project writes: the names of its models and fields, and what its statuses mean."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from assignments.models import VenueSettings


class Attributes:
    """The attributes of a ``ModelHost``, and what follows from them."""

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

    def _key(self, ref: str) -> Any:
        return key_of(self.bookings_table, ref)

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

    @property
    def _default_timezone(self) -> str:
        return self.timezone or django_settings.TIME_ZONE

    def _time_zones(self) -> dict[str, str]:
        """Return the time zones of restaurants that have their own, by ref. One query."""
        return dict(VenueSettings.objects.values_list("restaurant_ref", "timezone"))

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


def fields_of(kind: str) -> list[str]:
    """Return the attributes of a host that name fields of its bookings, or of its tables."""
    fields = [name for name in vars(Attributes) if name.endswith("_field")]
    return [name for name in fields if name.startswith("table_") == (kind == "table")]


def key_of(model: type[models.Model], ref: str) -> Any:
    return model._meta.pk.to_python(ref)


def keys_of(model: type[models.Model], refs: Iterable[str]) -> list[Any]:
    """Return the primary keys of these refs, without malformed ones."""
    keys = []
    for ref in refs:
        if "\0" in ref:  # PostgreSQL text cannot contain it, so the query would fail.
            continue
        with suppress(ValidationError, ValueError):
            keys.append(key_of(model, ref))
    return keys
