"""What is watched of the host's models: whose signals tell that a booking was written."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import models


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """A model of the host, and which bookings change with one of its rows.

    ``model``: a class or ``"app.Model"``. Proxies of it and models that inherit from it are watched too. ``refs``: returns
    the refs of the bookings that belong to a row.
    """

    model: type[models.Model] | str
    refs: Callable[[Any], Iterable[str]]

    def models(self) -> list[type[models.Model]]:
        """Return the model and all that inherit from it."""
        watched = apps.get_model(self.model) if isinstance(self.model, str) else self.model
        return [each for each in apps.get_models() if issubclass(each, watched)]


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedLinks:
    """A many-to-many from bookings to tables. ``column``: the attribute of its rows that has the booking's key."""

    through: type[models.Model]
    column: str

    def refs_at(self, other: models.Model) -> list[str]:
        """Return the refs of the bookings that are linked to this row of the other side. One query."""
        (to_other,) = (
            field
            for field in self.through._meta.get_fields()
            if isinstance(field, models.ForeignKey) and isinstance(other, field.related_model)
        )
        linked = self.through._default_manager.filter(**{to_other.name: other}).values_list(self.column, flat=True)
        return [str(key) for key in linked]


@runtime_checkable
class WatchesModels(Protocol):
    """A host that names models to watch: its bookings if it is no ModelHost, and whatever else decides about them."""

    def watched(self) -> Sequence[Watch]:
        """Return the models to watch, beside the booking model that a ModelHost has named already."""
        ...


def watches(host: object) -> list[Watch]:
    """Return what is watched for this host: its booking model, and what it names itself. Raises LookupError."""
    found: list[Watch] = []
    label = getattr(host, "booking_model", "")
    if label:
        key = _key_of(apps.get_model(label))
        found.append(Watch(model=label, refs=lambda row: [str(getattr(row, key))]))
    if isinstance(host, WatchesModels):
        found += host.watched()
    return found


def links(host: object) -> WatchedLinks | None:
    """Return the many-to-many in which the host stores tables, or None."""
    label, name = getattr(host, "booking_model", ""), getattr(host, "tables_field", None)
    if not label or not isinstance(name, str):
        return None
    booking = apps.get_model(label)
    try:
        field: Any = booking._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    if not isinstance(field, models.ManyToManyField):
        return None
    through: Any = field.remote_field.through
    return WatchedLinks(through=through, column=through._meta.get_field(field.m2m_field_name()).attname)


def _key_of(model: type[models.Model]) -> str:
    """Return the attribute with the key. A model that inherits from this one may have another key of its own."""
    key = model._meta.pk
    return key.attname if key is not None else "pk"
