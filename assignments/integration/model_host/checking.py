"""Finds wrong attributes before the first booking. Ids are stable and never reused."""

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.core import checks
from django.core.exceptions import FieldDoesNotExist
from django.db import models

from assignments.integration.model_host.attributes import fields_of
from assignments.integration.model_host.floors import Floors


class Checking(Floors):
    """The system check of a ``ModelHost``."""

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
            for name in fields_of(kind):
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
        overrides_floor = type(self).floor is not Floors.floor  # The many-to-many itself determines the tables.
        if self.restaurant_field and not self.table_restaurant_field and not overrides_floor:
            yield (
                f"table_restaurant_field is None, but restaurant_field is {self.restaurant_field!r}: a booking could "
                f"get another restaurant's table. Set it to the restaurant field of {self.table_model}; for a single "
                f"venue leave restaurant_field None."
            )
