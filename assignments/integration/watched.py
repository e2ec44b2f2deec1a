"""The models whose signals show that a booking was written."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Protocol, runtime_checkable

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import DEFAULT_DB_ALIAS, models
from django.db.models.constants import LOOKUP_SEP
from django.db.models.functions import Cast

from assignments.integration import marks
from assignments.models import Assignment, State
from assignments.models.moment import DatabaseNow

MOST_BEHIND = 5000
"""Bookings that are marked when one row behind a foreign key is written, the next ones first."""
LONGEST_DINNER = timedelta(hours=12)
_READ_BEHIND = (
    "start_field",
    "date_field",
    "time_field",
    "end_field",
    "duration_field",
    "party_field",
    "restaurant_field",
    "zone_field",
    "read_fields",
)
"""What decides about a booking and may lie behind foreign keys."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """A model of the host, and which bookings change with one of its rows.

    ``model``: a class or ``"app.Model"``. Its proxies and the models that inherit from it are watched too, and for a
    proxy its concrete model. ``refs``: returns the refs of the bookings that belong to a row.
    """

    model: type[models.Model] | str
    refs: Callable[[Any], Iterable[str]]

    def models(self) -> list[type[models.Model]]:
        """Return the model and all that inherit from it."""
        watched = apps.get_model(self.model) if isinstance(self.model, str) else self.model
        concrete = watched._meta.concrete_model or watched
        return [each for each in apps.get_models() if issubclass(each, concrete)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _ParentWatch(Watch):
    """A table from which bookings inherit. Its other children are not bookings, or are watched as such."""

    def models(self) -> list[type[models.Model]]:
        return [each for each in apps.get_models() if each._meta.concrete_model is self.model]


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchBehind(Watch):
    """A model behind a booking's foreign key, such as a slot that says when its bookings start. One row has many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedLinks:
    """A many-to-many from bookings to tables. ``column``: the attribute of its rows that has the booking's key."""

    through: type[models.Model]
    column: str

    def ref_of(self, key: object) -> str:
        """Return the ref of the booking with this key, however it is spelt."""
        return _ref(self.through._meta.get_field(self.column), key)

    def stored_ref(self, row: models.Model) -> str | None:
        """Return the ref of the booking to which a row of the link belongs as stored, or None. One query."""
        rows: models.QuerySet[Any] = models.QuerySet(self.through, using=DEFAULT_DB_ALIAS).filter(pk=row.pk)
        stored = rows.values_list(self.column, flat=True).first()
        return None if stored is None else self.ref_of(stored)

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
    """A host that names models to watch: its bookings if it is no ModelHost, and any other models that affect them."""

    def watched(self) -> Sequence[Watch]:
        """Return the models to watch, besides the booking model that a ModelHost already names."""
        ...


def watches(host: object) -> list[Watch]:
    """Return the watches of this host: its booking model, and those that it names. Raises LookupError."""
    found: list[Watch] = []
    label = getattr(host, "booking_model", "")
    if label:
        found += _bookings(apps.get_model(label))
        found += _behind(host, apps.get_model(label))
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


def _bookings(booking: type[models.Model]) -> Iterator[Watch]:
    """Yield the watches of the booking model, and of the models from which it inherits a part of its row.

    A model that inherits from the booking model may have another key.
    """
    model: Any = booking._meta.concrete_model
    key = model._meta.pk
    yield Watch(model=model, refs=lambda row: [_ref(key, getattr(row, key.attname))])
    for parent in model._meta.all_parents:
        yield _ParentWatch(model=parent, refs=partial(_refs_below, model, _path_to(model, parent)))


def _behind(host: object, booking: type[models.Model]) -> Iterator[Watch]:
    """Yield the watches of models on the path to fields behind foreign keys, each model once per path."""
    named = [getattr(host, name, None) for name in _READ_BEHIND]
    paths = [path for given in named for path in ((given,) if isinstance(given, str) else given or ())]
    ways = {
        LOOKUP_SEP.join(steps[:number])
        for steps in (str(path).split(LOOKUP_SEP) for path in paths)
        for number in range(1, len(steps))
    }
    for way in sorted(ways):
        model: Any = booking
        for step in way.split(LOOKUP_SEP):
            try:
                model = model._meta.get_field(step).related_model
            except FieldDoesNotExist:
                model = None
            if not isinstance(model, type):
                break  # The checks report it.
        else:
            yield WatchBehind(model=model, refs=partial(_refs_by_way, booking, way))


def _refs_by_way(booking: type[models.Model], way: str, row: models.Model) -> list[str]:
    """Return the refs of upcoming bookings that a row affects, the next ones first. One query."""
    if not marks.are_stored():
        return []
    there: models.QuerySet[Any] = models.QuerySet(booking).filter(**{f"{way}{LOOKUP_SEP}pk": row.pk})
    refs = there.annotate(assignments_ref=Cast("pk", models.TextField())).values("assignments_ref")
    known = Assignment.objects.filter(booking_ref__in=refs, starts_at__gt=DatabaseNow() - LONGEST_DINNER)
    known = known.exclude(state=State.CANCELLED).order_by("starts_at", "pk")
    return list(known.values_list("booking_ref", flat=True)[:MOST_BEHIND])


def _path_to(model: Any, parent: type[models.Model]) -> str:
    """Return the path over the links from a model to one that it inherits from, directly or not."""
    names = []
    while model is not parent:
        link = model._meta.get_ancestor_link(parent)
        names.append(link.name)
        model = link.related_model
    return LOOKUP_SEP.join(names)


def _refs_below(booking: type[models.Model], path: str, row: models.Model) -> list[str]:
    """Return the ref of the booking whose row in a parent's table this is, if there is one. One query."""
    return [str(key) for key in models.QuerySet(booking).filter(**{path: row.pk}).values_list("pk", flat=True)]


def _ref(field: Any, key: object) -> str:
    """Return the ref for a key as the project wrote it: a UUID may be given in capitals, and a number as text."""
    return str(field.to_python(key))
