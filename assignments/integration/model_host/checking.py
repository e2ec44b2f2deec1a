"""Finding wrong attributes before the first booking. Ids are stable and never reused.

Long because each mistake has its own check, with what to write instead.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.core import checks
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models.constants import LOOKUP_SEP

from assignments.integration.model_host import values
from assignments.integration.model_host.attributes import Attributes, column_at, field_at, finds_nothing, fits
from assignments.integration.model_host.floors import Floors
from assignments.integration.model_host.python_types import wrong_types
from assignments.integration.model_host.reading import Reading
from assignments.integration.model_host.writing import Writing, compares, plain
from assignments.models import Stage
from assignments.planning.timezone import time_zone

Problem = tuple[str, str, str]
"""An id, what was found, and what to write."""

_TEXTS = (models.CharField, models.TextField)
_NUMBERS = (models.IntegerField, models.DecimalField, models.FloatField)
_STATUSES = (
    *_TEXTS,
    models.IntegerField,
    models.DecimalField,
    models.BooleanField,
    models.UUIDField,
    models.ForeignKey,
)
_UNNAMED = (
    models.BooleanField,
    models.DateField,
    models.TimeField,
    models.DurationField,
    models.FloatField,
    models.DecimalField,
    models.JSONField,
    models.BinaryField,
    ArrayField,
)
"""What is no name of a restaurant or a zone: two rows have the same by chance only, or never."""
_UNWORDED = (
    *_NUMBERS,
    models.BooleanField,
    models.DateField,
    models.TimeField,
    models.DurationField,
    models.UUIDField,
    models.BinaryField,
)
"""What holds no features: read as one, it is as if there were none."""
LATEST_MONDAY = 7
"""The largest number that anybody calls a weekday by."""
ALIKE = 0.85
"""How alike two names are, from 0 to 1, if one is probably the other misspelt."""
_GUESTS = ("guest_name", "guest_phone", "guest_notes", "guest_reference")
_OF_THE_ROW_ITSELF = {
    "tables_field": "Name the foreign key or the many-to-many to the tables, or set table_key_field.",
    "table_key_field": "Name the field whose value tables_field holds.",
    "table_adjacent_field": "Name a many-to-many of the tables to themselves, or None.",
}
"""Attributes whose field is of the row itself, as it is written or joined by, and what to write."""
_READ_ONLY = ("start", "date", "time", "end", "duration", "restaurant", "zone", "requested", *_GUESTS)
"""Fields of bookings that are never written, so that they may lie behind foreign keys."""


class Checking(Reading, Writing, Floors):
    """The system check of a ``ModelHost``."""

    def check(self) -> list[checks.CheckMessage]:
        """Find what is wrong with the attributes.

        E041: an attribute is of another Python type; then nothing else is checked. E006: a configured model or field does
        not exist or does not fit. E020 to E048: a field has another type, a status does not fit, tables cannot be stored;
        each says what to write. W001: no status counts as cancelled. W020 to W029, W031: what may surprise. See
        docs/checks.md.
        """
        place = f"{type(self).__module__}.{type(self).__qualname__}"
        hint = f"Correct the attributes of {place}."
        found: list[checks.CheckMessage] = [
            checks.Error(what, hint=f"{do} ({place})", id="assignments.E041") for what, do in wrong_types(self)
        ]
        if found:
            return found
        found = [
            checks.Error(problem, hint=hint, id="assignments.E006")
            for problem in list(self._wrong_names()) or [*self._wrong_relation(), *self._wrong_restaurants()]
        ]
        if found:
            return found
        wrong = [*self._wrong_bookings(), *self._wrong_statuses(), *self._wrong_tables(), *self._wrong_hours()]
        wrong += self._of_another_model()
        found += [checks.Error(what, hint=f"{do} ({place})", id=f"assignments.{id_}") for id_, what, do in wrong]
        if found:
            return found
        if self.status_field and not self._can_be_called_off and not self._knows_cancelled(self.status_field):
            problem = (
                f"None of cancelled_statuses {list(self.cancelled_statuses)} is a choice of {self.booking_model}."
                f"{self.status_field}: tables of cancelled bookings are kept unless api.booking_cancelled is called."
            )
            found.append(checks.Warning(problem, hint=f"Set cancelled_statuses. {hint}", id="assignments.W001"))
        found += [
            checks.Warning(what, hint=f"{do} ({place})", id=f"assignments.{id_}") for id_, what, do in self._doubtful()
        ]
        return found

    def _knows_cancelled(self, status_field: str) -> bool:
        choices = _choices(field_at(self.bookings_table, status_field))
        return any(not choices or status in choices for status in self._cancelled)

    # Names

    def _wrong_names(self) -> Iterable[str]:
        for attribute, names in self._named().items():
            label = getattr(self, attribute)
            if not label and (attribute in {"hours_model", "turn_model"} or self._needs_no_table_model(attribute)):
                continue
            try:
                model = apps.get_model(label)
            except (LookupError, ValueError, AttributeError):
                yield f"{attribute} is {label!r}, but this model does not exist."
                continue
            for name, path in names:
                yield from self._wrong_name(model, label, name, path)
        if not self._is_own("start_of") and not self.start_field and not (self.date_field and self.time_field):
            yield "Set start_field, or date_field and time_field, or write start_of()."
        if not self._is_own("party_of") and not self._party_fields:
            yield "Set party_field, or write party_of()."

    def _named(self) -> dict[str, list[tuple[str, str]]]:
        """Return the attributes that name a field, with the names, by the attribute that names the model."""
        named: dict[str, list[tuple[str, str]]] = {
            f"{kind}_model": [] for kind in ("booking", "table", "hours", "turn")
        }
        for name in [*vars(Attributes)]:
            if not name.endswith(("_field", "read_fields")) or name == "restaurant_timezone_field":
                continue
            kind = name.partition("_")[0]
            given = getattr(self, name)
            paths = [given] if isinstance(given, str) else [*(given or ())]
            named[f"{kind}_model" if kind in {"table", "hours", "turn"} else "booking_model"] += [
                (name, path) for path in paths if path
            ]
        return named

    def _needs_no_table_model(self, attribute: str) -> bool:
        """Return whether the project builds floors without a table model. A plain field then holds the floor's refs."""
        if attribute != "table_model" or type(self).floor is Floors.floor or self.table_key_field:
            return False
        if not self.tables_field or LOOKUP_SEP in self.tables_field:  # E006 reports a path.
            return True
        return self._has(self.tables_field) and not self._stores_tables.is_relation

    def _wrong_name(self, model: type[models.Model], label: str, name: str, path: str) -> Iterator[str]:
        hook = {"start": "start_of", "date": "start_of", "time": "start_of", "party": "party_of"}.get(
            name.removesuffix("_field")
        )
        is_default = getattr(self, name) == getattr(Attributes, name)
        if name in _OF_THE_ROW_ITSELF and LOOKUP_SEP in path:
            yield f"{name} is {path!r}, but it must be a field of {label} itself. {_OF_THE_ROW_ITSELF[name]}"
            return
        try:
            column_at(model, path)
        except FieldDoesNotExist:
            if not (hook and self._is_own(hook) and is_default):
                yield f"{name} is {path!r}, but {label} has no such field."
        except AttributeError:  # The reverse side of a relation has no column.
            if name != "tables_field":
                yield f"{name} is {path!r}, which is the reverse side of a relation: a row of {label} may have several."
        else:
            if _is_generic(field_at(model, path)):
                yield (
                    f"{name} is {path!r}, which is a generic foreign key and no column. If all lead to one model, name the "
                    f"column with their keys."
                )

    def _wrong_relation(self) -> Iterable[str]:
        if not self.tables_field:
            return
        named = f"tables_field is {self.tables_field!r}"
        field: Any = self._stores_tables
        if not field.is_relation:
            if not self.table_key_field and not (not self.table_model and self._needs_no_table_model("table_model")):
                yield (
                    f"{named}, which is not a relation from {self.booking_model} to {self.table_model}. If it holds a "
                    f"table's number or name, set table_key_field to that field of {self.table_model}."
                )
            return
        if field.related_model._meta.concrete_model is not self.tables_table._meta.concrete_model:
            yield f"{named}, which is not a relation from {self.booking_model} to {self.table_model}."
        elif isinstance(field, models.ForeignObjectRel):
            yield (
                f"{named}: this is the reverse side of {field.related_model._meta.label}.{field.field.name}. Use a "
                f"foreign key or many-to-many of {self.booking_model}, or None and store the tables in write_tables."
            )
        elif self._tables_are_many and not self._is_written_elsewhere and (needed := self._needed_besides_links()):
            yield (
                f"{named}: rows of {self._through._meta.label} also need {', '.join(needed)}. Make it nullable or give "
                f"it a db_default, or write write_tables()."
            )

    def _needed_besides_links(self) -> list[str]:
        """Return further required columns of the many-to-many's rows. Django's defaults do not exist in the database."""
        return [
            field.name
            for field in self._through._meta.local_concrete_fields
            if field not in self._links
            and not (field.null or field.has_db_default() or field.generated or isinstance(field, models.AutoField))
        ]

    def _wrong_zone_field(self) -> Iterable[str]:
        if not self.restaurant_timezone_field:
            return
        named = f"restaurant_timezone_field is {self.restaurant_timezone_field!r}"
        restaurant: Any = self.restaurant_field and field_at(self.bookings_table, self.restaurant_field)
        if not restaurant or not restaurant.many_to_one:
            yield f"{named}, but restaurant_field is no foreign key to a model that could have it."
            return
        try:
            field_at(restaurant.related_model, self.restaurant_timezone_field)
        except FieldDoesNotExist:
            yield f"{named}, but {restaurant.related_model._meta.label} has no such field."

    def _wrong_restaurants(self) -> Iterable[str]:
        yield from self._wrong_zone_field()
        overrides_floor = type(self).floor is not Floors.floor  # The many-to-many itself determines the tables.
        if self.restaurant_field and not self.table_restaurant_field and not overrides_floor:
            yield (
                f"table_restaurant_field is None, but restaurant_field is {self.restaurant_field!r}: a booking could "
                f"get another restaurant's table. Set it to the restaurant field of {self.table_model}; for a single "
                f"venue leave restaurant_field None."
            )

    # Bookings

    def _wrong_bookings(self) -> Iterator[Problem]:
        yield from self._wrong_manager("bookings_manager", self.bookings_table, self.known_bookings)
        yield from self._paths_to_many()
        yield from self._wrong_start()
        yield from self._wrong_end()
        yield from self._wrong_party()
        if self.confirmed_field:
            yield from self._typed(
                "E028", "confirmed_field", (models.BooleanField,), "Name a boolean, or set status_field."
            )
            if self.confirmed_field in {*self._cancelled_fields, self.cancelled_unless_field}:
                what = f"confirmed_field is {self.confirmed_field!r}, by which bookings are cancelled as well."
                yield "E028", what, "Name each field for one of the two."
        for name in self._cancelled_fields:
            yield from self._typed(
                "E029", "cancelled_field", (models.BooleanField, models.DateField), "Name a boolean, or a date or "
                "datetime that is null until the booking is cancelled.", path=name
            )  # fmt: skip
            field = field_at(self.bookings_table, name)
            if isinstance(field, models.DateField) and not field.null:
                what = f"cancelled_field is {name!r}, which is never null: every booking would count as cancelled."
                yield "E029", what, "Name a date or datetime that is null until the booking is cancelled."
        if self.cancelled_unless_field:
            do = "Name a boolean that is true until the booking is cancelled, or set cancelled_field."
            yield from self._typed("E029", "cancelled_unless_field", (models.BooleanField,), do)
        if self.told_field:
            do = "Name a boolean, or a date or datetime that is null until the guests are told, or set told_statuses."
            yield from self._typed("E042", "told_field", (models.BooleanField, models.DateField), do)
        yield from self._wrong_zones()
        yield from self._wrong_features_and_places()
        if self.requested_field:
            do = "Name the datetime at which the booking was made, or None."
            yield from self._typed("E036", "requested_field", (models.DateTimeField,), do)

    def _wrong_manager(
        self, name: str, model: type[models.Model], rows: Callable[[], models.QuerySet[Any]]
    ) -> Iterator[Problem]:
        """E038: the named manager does not exist. E048: it finds nothing here."""
        given, label = getattr(self, name), model._meta.label
        if given and not isinstance(getattr(model, given, None), models.Manager):
            do = f"Name a manager of {label}, or None for its default manager."
            yield "E038", f"{name} is {given!r}, but {label} has no such manager.", do
        elif finds_nothing(rows):
            manager = f"manager {given!r}" if given else "default manager"
            what = f"The {manager} of {label} finds no rows where no request is answered, as in cron."
            yield (
                "E048",
                what,
                f"Set {name} to the name of a manager of {label} that finds the rows of every tenant and user.",
            )

    def _wrong_zones(self) -> Iterator[Problem]:
        if path := self.restaurant_timezone_field:
            field = field_at(self._restaurant_key.model, path)
            if field.is_relation or isinstance(field, (*_NUMBERS, models.DateField, models.BooleanField)):
                what = (
                    f"restaurant_timezone_field is {path!r}, which is a {type(field).__name__}, and names no time zone."
                )
                yield "E040", what, "Name a text such as 'Europe/Berlin', or None."
        if self.timezone:
            try:
                time_zone(self.timezone)
            except ValueError:
                what = f"timezone is {self.timezone!r}, which is no time zone: no booking could be read."
                yield "E040", what, "Write an IANA name, such as 'Europe/Berlin', or None for Django's TIME_ZONE."

    def _wrong_features_and_places(self) -> Iterator[Problem]:
        for name in ("needs_field", "wishes_field"):
            yield from self._without_words("booking_model", name)
        for name in ("restaurant_field", "zone_field"):
            yield from self._without_a_name("booking_model", name)
        if not self.restaurant_field and not self.venue_ref:
            what = "venue_ref is empty, and names no restaurant: every booking would be without one."
            yield "E045", what, "Write any name, such as 'venue', or set restaurant_field."

    def _without_words(self, model_name: str, name: str) -> Iterator[Problem]:
        """E044: a field that is read as features holds none."""
        field = self._named_by(model_name, name)
        if field is not None and (field.is_relation or isinstance(field, _UNWORDED)):
            what = f"{name} is {getattr(self, name)!r}, which is a {type(field).__name__}, and names no features."
            do = 'Name an array, a JSON list, or a text with commas between the features, such as "window, quiet".'
            yield "E044", what, do

    def _of_another_model(self) -> Iterator[Problem]:
        """E047: tables, hours or turn times belong to other rows than bookings, which have the same keys by chance."""
        asked = self._named_by("booking_model", "restaurant_field")
        if asked is None or type(self).floor is not Floors.floor:
            return
        for kind in ("table", "hours", "turn"):
            name = f"{kind}_restaurant_field"
            given = self._named_by(f"{kind}_model", name)
            is_link = isinstance(given, models.ForeignKey)
            if is_link and isinstance(asked, models.ForeignKey) and plain(asked) != plain(given):
                what = (
                    f"{name} is {getattr(self, name)!r}, which leads to {_target(given)}, but restaurant_field is "
                    f"{self.restaurant_field!r}, which leads to {_target(asked)}: a booking could get another restaurant's "
                    f"rows."
                )
                yield "E047", what, f"Name a path that ends at {_target(asked)}, such as 'area__restaurant'."
            elif given is not None and given.primary_key and not is_link:
                what = (
                    f"{name} is {getattr(self, name)!r}, which is the key of the row itself, and names no restaurant."
                )
                yield "E047", what, "Name the foreign key to the restaurant."

    def _without_a_name(self, model_name: str, name: str) -> Iterator[Problem]:
        """E045: a field that is read as a restaurant or a zone cannot name one."""
        field = self._named_by(model_name, name)
        if isinstance(field, _UNNAMED):
            meant = "zone" if "zone" in name else "restaurant"
            what = f"{name} is {getattr(self, name)!r}, which is a {type(field).__name__}, and names no {meant}."
            yield "E045", what, f"Name a foreign key, a text or a whole number that says the {meant}, or None."

    def _named_by(self, model_name: str, name: str) -> Any:
        """Return the field that an attribute names, or None."""
        path, label = getattr(self, name), getattr(self, model_name)
        return field_at(apps.get_model(label), path) if path and label else None

    def _paths_to_many(self) -> Iterator[Problem]:
        """E039: a path leads to several rows, or to a row that a booking's lock does not cover."""
        yield from self._paths_to_many_below_tables()
        for name, path in self._named()["booking_model"]:
            steps = path.split("__")
            if not self._has(path):
                continue
            if name not in {"tables_field", "read_fields"} and field_at(self.bookings_table, path).many_to_many:
                do = "Name a field with one value."
                yield "E039", f"{name} is {path!r}, but a booking may have several {steps[-1]}.", do
                continue
            if len(steps) == 1:
                continue
            kind = name.removesuffix("_field")
            if kind not in {*_READ_ONLY, "party", "read_fields"}:
                what = f"{name} is {path!r}, but it must be a field of {self.booking_model} itself."
                yield "E039", what, f"Name a field of {self.booking_model}."
                continue
            model: Any = self.bookings_table
            for step in steps[:-1]:
                field = model._meta.get_field(step)
                if field.many_to_many or field.one_to_many:
                    do = "Lead over foreign keys only, or say it in start_of(), end_of() or party_of()."
                    yield "E039", f"{name} is {path!r}, but a booking may have several {step}.", do
                    break
                model = field.related_model

    def _paths_to_many_below_tables(self) -> Iterator[Problem]:
        for model_name, names in self._named().items():
            if model_name == "booking_model" or not getattr(self, model_name):
                continue
            for name, path in names:
                further: Any = apps.get_model(getattr(self, model_name))
                for step in path.split(LOOKUP_SEP):
                    field = further._meta.pk if step == "pk" else further._meta.get_field(step)
                    if (field.many_to_many or field.one_to_many) and name != "table_adjacent_field":
                        what = f"{name} is {path!r}, but a row of {getattr(self, model_name)} may have several {step}."
                        yield "E039", what, "Lead over foreign keys only, to a field with one value."
                        break
                    further = field.related_model

    def _typed(
        self, id_: str, name: str, types: tuple[type, ...], do: str, *, path: str | None = None
    ) -> Iterator[Problem]:
        path = path or getattr(self, name)
        field = field_at(self.bookings_table, path)
        if not isinstance(field, types):
            yield id_, f"{name} is {path!r}, which is a {type(field).__name__}.", do

    def _wrong_start(self) -> Iterator[Problem]:
        if self._is_own("start_of"):
            return
        if self.start_field:
            do = (
                "Name a DateTimeField; for a date and a time, set date_field and time_field and leave start_field None; "
                "for anything else write start_of()."
            )
            yield from self._typed("E020", "start_field", (models.DateTimeField,), do)
            return
        field = field_at(self.bookings_table, self.date_field or "")
        if not isinstance(field, models.DateField) or isinstance(field, models.DateTimeField):
            do = "Name a DateField, set start_field for a datetime, or write start_of()."
            yield "E020", f"date_field is {self.date_field!r}, which is a {type(field).__name__}.", do
        do = 'Name a TimeField, or a text such as "18:30", or write start_of().'
        yield from self._typed("E021", "time_field", (models.TimeField, *_TEXTS), do)
        yield from self._unreadable("E021", "time_field", self.time_field or "", values.clock, "write start_of()")

    def _wrong_end(self) -> Iterator[Problem]:
        if self._is_own("end_of"):
            return
        if self.end_field and self.duration_field:
            what = "end_field and duration_field are both set, and only one can hold."
            yield "E022", what, "Set one of them to None."
        if self.end_field and self.end_field in {self.start_field, self.time_field}:
            what = f"end_field is {self.end_field!r}, which is the start, too: no booking would have an end."
            yield "E022", what, "Name the end, or None: turn times decide then."
        if self.end_field:
            do = "Name a DateTimeField or a TimeField, set duration_field for a duration, or write end_of()."
            yield from self._typed("E022", "end_field", (models.DateTimeField, models.TimeField, *_TEXTS), do)
            yield from self._unreadable("E022", "end_field", self.end_field, values.clock, "write end_of()")
        if self.duration_field:
            do = "Name a DurationField or a number of minutes, or write end_of()."
            if self.duration_field in self._party_fields:
                yield "E023", f"duration_field is {self.duration_field!r}, which is the party, too.", do
            yield from self._typed("E023", "duration_field", (models.DurationField, *_NUMBERS, *_TEXTS), do)
            yield from self._unreadable("E023", "duration_field", self.duration_field, values.stay, "write end_of()")

    def _wrong_party(self) -> Iterator[Problem]:
        if self._is_own("party_of"):
            return
        for name in dict.fromkeys(self._party_fields):
            do = 'Name a whole number, or a text such as "2" or "2 people", or write party_of().'
            if field_at(self.bookings_table, name).primary_key:
                yield "E024", f"party_field is {name!r}, which is the booking's key, and no number of covers.", do
            if self._party_fields.count(name) > 1:
                yield "E024", f"party_field names {name!r} more than once: its guests would be counted again.", do
            yield from self._typed("E024", "party_field", (*_NUMBERS, *_TEXTS), do, path=name)
            yield from self._unreadable("E024", "party_field", name, values.covers, "write party_of()")

    def _unreadable(self, id_: str, name: str, path: str, read: Any, do: str) -> Iterator[Problem]:
        """Find choices of a text field that cannot be read as the field's meaning."""
        field = field_at(self.bookings_table, path)
        if not isinstance(field, _TEXTS):
            return
        for choice in sorted(_choices(field) - {"", None}, key=str):
            try:
                read(choice)
            except ValueError:
                what = f"{name} is {path!r}, whose choice {choice!r} can mean more than one thing."
                yield id_, what, f"Name a field whose values are plain, or {do}."
                return

    # Statuses

    def _wrong_statuses(self) -> Iterator[Problem]:
        if not self.status_field:
            return
        field = field_at(self.bookings_table, self.status_field)
        column = f"{self.booking_model}.{self.status_field}"
        given = {"waiting_statuses": self.waiting_statuses, "cancelled_statuses": self.cancelled_statuses}
        for name, statuses in given.items():
            if isinstance(statuses, str):
                what = f"{name} is {statuses!r}, and not several statuses."
                yield "E025", what, f"Write {name} = ({statuses!r},)"
                return
        if not self.waiting_statuses:
            yield "E025", "waiting_statuses is empty: no booking would ever wait.", "Name at least one status."
            return
        yield from self._unfit(field, column)
        meant = Counter(
            [*dict.fromkeys(self.waiting_statuses), self.confirmed_status, *dict.fromkeys(self.cancelled_statuses)]
        )
        for status, times in meant.items():
            if times > 1:
                what = f"{status!r} means more than one of waiting, confirmed and cancelled."
                yield (
                    "E025",
                    what,
                    "Name each status once in waiting_statuses, confirmed_status and cancelled_statuses.",
                )
        stages = set(Stage.values)
        for status, stage in self.stage_statuses.items():
            if stage not in stages:
                what = f"stage_statuses says that {status!r} means {stage!r}, which is no stage."
                yield "E037", what, f"The stages are {', '.join(sorted(stages))}."

    def _unfit(self, field: Any, column: str) -> Iterator[Problem]:
        """Find statuses that the project's column does not store as they are written here."""
        choices = _choices(field)
        for name, statuses in (
            ("waiting_statuses", self.waiting_statuses),
            ("confirmed_status", (self.confirmed_status,)),
            # Where none is known, W001 says so, or cancelled_field cancels.
            ("cancelled_statuses", self.cancelled_statuses if self._knows_cancelled(self.status_field or "") else ()),
            ("stage_statuses", tuple(self.stage_statuses)),
            ("told_statuses", tuple(self.told_statuses)),
        ):
            for status in statuses:
                if status is None and name == "waiting_statuses" and status is not self.waiting_statuses[0]:
                    continue
                if not fits(field, status):
                    what = (
                        f"{name} holds {status!r}, which {column}, a {type(field).__name__}, does not store as it is."
                    )
                    yield "E026", what, _say_of(name, choices) or "Write it in the column's own type."
                elif status is not None and choices and status not in choices:
                    yield "E027", f"{name} holds {status!r}, which is no choice of {column}.", _say_of(name, choices)
                elif field.max_length and _length(field, status) > field.max_length:
                    what = (
                        f"{name} holds {status!r}, which is longer than the {field.max_length} characters of {column}."
                    )
                    yield "E030", what, "Write the value that the column stores, or lengthen it."

    # Tables

    def _wrong_tables(self) -> Iterator[Problem]:
        if self.tables_field:
            yield from self._wrong_storage()
        elif self.tables_mean_seated:
            what = "tables_mean_seated is True, but tables_field is None: nobody could see who has tables."
            yield "E031", what, "Set tables_field, or status_field or confirmed_field."
        if not self.table_model or type(self).floor is not Floors.floor:
            return
        yield from self._wrong_manager("tables_manager", self.tables_table, self.known_tables)
        if self.table_restaurant_field and not self.restaurant_field and self.venue_ref == Attributes.venue_ref:
            what = (
                f"table_restaurant_field is {self.table_restaurant_field!r}, but restaurant_field is None: bookings are all "
                f"of one restaurant, called {self.venue_ref!r}, and only tables of that name would be its own."
            )
            do = (
                f"Set restaurant_field to the restaurant of {self.booking_model}; for a single venue set "
                f"table_restaurant_field to None, or venue_ref to what the tables call it."
            )
            yield "E043", what, do
        numbers = ("table_seats_field", "table_min_party_field", "table_max_party_field")
        for name in numbers:
            do = "Name a whole number, or a text of digits."
            yield from self._typed_of("E034", "table_model", name, (*_NUMBERS, *_TEXTS), do)
            field = self._named_by("table_model", name)
            if field is not None and field.primary_key:
                yield "E034", f"{name} is {getattr(self, name)!r}, which is the table's key, and counts nothing.", do
        do = "Name a whole number, the larger the better, or None."
        yield from self._typed_of("E034", "table_model", "table_priority_field", _NUMBERS, do)
        yield from self._without_words("table_model", "table_features_field")
        for name in ("table_restaurant_field", "table_zone_field"):
            yield from self._without_a_name("table_model", name)
        do = "Name a boolean, or None."
        yield from self._typed_of("E034", "table_model", "table_active_field", (models.BooleanField,), do)
        if self.table_adjacent_field:
            field = self.tables_table._meta.get_field(self.table_adjacent_field)
            concrete = self.tables_table._meta.concrete_model
            if (
                not isinstance(field, models.ManyToManyField)
                or field.related_model._meta.concrete_model is not concrete
            ):
                named = f"table_adjacent_field is {self.table_adjacent_field!r}"
                what = f"{named}, which is no many-to-many of {self.table_model} to itself."
                yield "E034", what, "Name one, or enter what is next to each other in this app's admin."

    def _wrong_storage(self) -> Iterator[Problem]:
        named = f"tables_field is {self.tables_field!r}"
        field = self._stores_tables
        if field.one_to_one or (field.unique and not field.many_to_many):
            what = f"{named}, in which a table can be in one booking only, ever."
            yield "E032", what, f"Make it a ForeignKey of {self.booking_model}."
        if self.tables_mean_seated and self._tables_are_one and not self._can_be_without_tables:
            what = f"tables_mean_seated is True, but {self.tables_field} is required: nobody would ever wait."
            yield "E031", what, "Make it nullable, or set status_field or confirmed_field."
        if self.tables_separator and not self._tables_are_text:
            what = f"tables_separator is {self.tables_separator!r}, but {named}, which is no text."
            yield "E033", what, "Set tables_separator to None, or store the tables as text."
        if self.table_key_field:
            yield from self._wrong_key()

    def _wrong_key(self) -> Iterator[Problem]:
        key, field = self.tables_table._meta.get_field(self.table_key_field or ""), self._stores_tables
        field = field.base_field if self._tables_are_array else field
        named = f"table_key_field is {self.table_key_field!r}"
        if field.is_relation:
            what = f"{named}, but tables_field is a relation, which says itself how it refers to tables."
            yield "E033", what, "Set table_key_field to None."
            return
        kinds = (models.IntegerField, *_TEXTS, models.UUIDField)
        if not isinstance(field, kinds) or not isinstance(key, kinds):
            what = f"{named}, a {type(key).__name__}, and tables_field is a {type(field).__name__}."
            yield "E033", what, "Both must be whole numbers, texts or UUIDs."
        elif isinstance(field, models.IntegerField) and not isinstance(key, models.IntegerField):
            what = f"{named}, a {type(key).__name__}, but tables_field is a {type(field).__name__} and stores numbers only."
            yield "E033", what, "Name a field of the table that is a number, or store the table as text."
        elif key.max_length and field.max_length and key.max_length > field.max_length:
            what = f"{named} with up to {key.max_length} characters, but tables_field stores {field.max_length}."
            yield "E033", what, f"Lengthen {self.booking_model}.{self.tables_field}."

    # Hours and turn times

    def _wrong_hours(self) -> Iterator[Problem]:
        do = 'Name a TimeField, or a text such as "18:30".'
        for name in ("hours_opens_field", "hours_closes_field"):
            yield from self._typed_of("E035", "hours_model", name, (models.TimeField, *_TEXTS), do)
        do = "Name a boolean that is true for weekdays on which the restaurant is closed, or None."
        yield from self._typed_of("E035", "hours_model", "hours_closed_field", (models.BooleanField,), do)
        do = 'Name a number (see hours_monday), or an English name such as "mon".'
        yield from self._typed_of("E035", "hours_model", "hours_weekday_field", (*_NUMBERS, *_TEXTS), do)
        do = "Name a whole number, or a text of digits."
        yield from self._typed_of("E035", "turn_model", "turn_party_field", (*_NUMBERS, *_TEXTS), do)
        do = "Name a DurationField or a number of minutes."
        minutes = (models.DurationField, *_NUMBERS, *_TEXTS)
        yield from self._typed_of("E035", "turn_model", "turn_minutes_field", minutes, do)
        for name in ("hours_early_field", "hours_late_field"):
            yield from self._typed_of("E035", "hours_model", name, minutes, do)
        if self.hours_model and not 0 <= self.hours_monday <= LATEST_MONDAY:
            what = f"hours_monday is {self.hours_monday}, which no weekday is called."
            yield "E046", what, "Write the number that means Monday: 0 in Python, 1 in ISO and where Sunday is 0."
        for kind in ("hours", "turn"):
            name = f"{kind}_restaurant_field"
            if self.restaurant_field and getattr(self, f"{kind}_model") and not getattr(self, name):
                what = f"{name} is None, but there are several restaurants: each would get the rows of all."
                yield "E035", what, f"Set it to the restaurant field of {getattr(self, f'{kind}_model')}."

    def _typed_of(self, id_: str, model_name: str, name: str, types: tuple[type, ...], do: str) -> Iterator[Problem]:
        path, label = getattr(self, name), getattr(self, model_name)
        if label and path:
            field = field_at(apps.get_model(label), path)
            if not isinstance(field, types) or isinstance(field, models.ForeignKey):
                yield id_, f"{name} is {path!r}, which is a {type(field).__name__}.", do

    # Doubts

    def _doubtful(self) -> Iterator[Problem]:
        yield from self._misspelt()
        yield from self._unlikely()
        yield from self._ignored()
        if not self.tables_field or self._is_written_elsewhere:
            return
        if not self.tracks_confirmation and self._tables_are_one and not self._can_be_without_tables:
            what = (
                f"{self.booking_model}.{self.tables_field} is required and there is no status: every booking has a table "
                f"already, yet each counts as waiting and gets a table anew."
            )
            yield (
                "W020",
                what,
                "Set status_field or confirmed_field, or make the table nullable and set tables_mean_seated.",
            )
        if self._tables_are_unique and self._counts_cancelled():
            what = (
                f"A unique constraint of {self.booking_model} holds {self.tables_field} and counts cancelled bookings, "
                f"which keep their table: it cannot be given to others at that time."
            )
            do = "Give the constraint a condition that leaves cancelled bookings out, or clear the table on cancelling."
            yield "W021", what, do

    def _unlikely(self) -> Iterator[Problem]:
        """W023 to W025, W028, W029, W031: a field whose type or value does not suit its attribute."""
        yield from self._said_of_new_bookings()
        yield from self._zones_of_two_kinds()
        for name in () if self._is_own("party_of") else self._party_fields:
            if isinstance(field_at(self.bookings_table, name), models.FloatField):
                what = f"party_field is {name!r}, which is a FloatField: a booking of 2.5 guests could not be planned."
                yield "W023", what, "Name a field of whole numbers, or write party_of()."
        if self.status_field:
            field = field_at(self.bookings_table, self.status_field)
            if not isinstance(field, _STATUSES):
                what = (
                    f"status_field is {self.status_field!r}, which is a {type(field).__name__}: a booking has a status only "
                    f"if the whole value equals it."
                )
                yield "W024", what, "Name a text, a number, a boolean or a foreign key that holds the status alone."
            yield from self._never_waiting(field)
        if self.start_field and not self._is_own("start_of"):
            start = field_at(self.bookings_table, self.start_field)
            if start.auto_now or start.auto_now_add:
                what = f"start_field is {self.start_field!r}, which Django sets to the moment at which a row is saved."
                yield "W025", what, "Name the datetime at which the guests come, and this one as requested_field."

    def _said_of_new_bookings(self) -> Iterator[Problem]:
        """W028: a flag makes every new booking cancelled, or confirmed."""
        flags = [("cancelled_field", name, True) for name in self._cancelled_fields]
        flags += [("cancelled_unless_field", self.cancelled_unless_field or "", False)]
        if not self.status_field:
            flags += [("confirmed_field", self.confirmed_field or "", True)]
        cures = {
            "cancelled_field": "If true means that the booking stands, write cancelled_unless_field = {0!r} instead.",
            "cancelled_unless_field": "If true means that the booking is cancelled, write cancelled_field = {0!r} instead.",
            "confirmed_field": "Name a boolean that is false until the booking has its table. If true means that the "
            "booking stands, write cancelled_unless_field = {0!r} instead.",
        }
        for name, path, value in flags:
            field = field_at(self.bookings_table, path) if path else None
            if not isinstance(field, models.BooleanField) or value not in _defaults(field):
                continue
            means = "confirmed" if name == "confirmed_field" else "cancelled"
            what = f"{name} is {path!r}, whose default is {value}: every new booking counts as {means}."
            yield "W028", what, cures[name].format(path)

    def _never_waiting(self, status: Any) -> Iterator[Problem]:
        """W031: a new booking has a status that does not wait."""
        for default in _defaults(status):
            is_unknown = callable(default) or hasattr(default, "resolve_expression")
            if is_unknown or default in (None, "") or default in self.waiting_statuses:
                continue
            shown = getattr(default, "value", default)
            what = (
                f"status_field is {self.status_field!r}, whose default {shown!r} is none of waiting_statuses: a booking "
                f"would get no table while it has that status."
            )
            yield "W031", what, f"Add {shown!r} to waiting_statuses, unless it means that no table is wanted yet."

    def _zones_of_two_kinds(self) -> Iterator[Problem]:
        """W029: the zone that guests ask for can never be that of a table."""
        if not self.zone_field or type(self).floor is not Floors.floor:
            return
        asked, given = (
            self._named_by(*each) for each in (("booking_model", "zone_field"), ("table_model", "table_zone_field"))
        )
        if asked.is_relation and given is not None and given.is_relation:
            differ = asked.related_model._meta.concrete_model is not given.related_model._meta.concrete_model
        else:
            asked, given = (
                getattr(each, "target_field", each) if each is not None else None for each in (asked, given)
            )
            differ = isinstance(asked, models.IntegerField) and not isinstance(given, models.IntegerField)
        if differ:
            of_tables = f"table_zone_field is {self.table_zone_field!r}" + (
                "" if self.table_zone_field else ", and zones have names"
            )
            what = f"zone_field is {self.zone_field!r} and {of_tables}: no table is in the zone that guests ask for."
            yield (
                "W029",
                what,
                "Name fields that say the same: foreign keys to one model, or texts; or set zone_field to None.",
            )

    def _ignored(self) -> Iterator[Problem]:
        """W026 and W027: one of two attributes with the same meaning is ignored."""
        if self.start_field and not self._is_own("start_of"):
            for name in ("date_field", "time_field"):
                if getattr(self, name):
                    yield (
                        "W026",
                        f"{name} is ignored, because start_field is set.",
                        f"Set {name} or start_field to None.",
                    )
        for name, others in (
            ("confirmed_field", ("status_field",)),
            ("tables_mean_seated", ("status_field", "confirmed_field")),
        ):
            stronger = next((other for other in others if getattr(self, other)), None)
            if getattr(self, name) and stronger:
                what = f"{name} is ignored, because {stronger} is set: that alone says which bookings are confirmed."
                yield "W027", what, f"Leave out {name}, or {stronger}."

    def _misspelt(self) -> Iterator[Problem]:
        """W022: an attribute that nothing reads, with a name close to one of ours."""
        known = [name for name in vars(Attributes) if not name.startswith("_")]
        for name in dict.fromkeys(name for cls in type(self).__mro__ for name in vars(cls)):
            if name.startswith("_") or hasattr(Checking, name) or callable(getattr(type(self), name)):
                continue
            for near in get_close_matches(name, known, n=1, cutoff=ALIKE):
                yield "W022", f"{name} is no attribute that is read, but {near} is.", f"Write {near}, or rename yours."

    def _counts_cancelled(self) -> bool:
        field = self._stores_tables
        meta = field.model._meta
        return any(field.name in each for each in meta.unique_together) or any(
            compares(each, field) and getattr(each, "condition", None) is None for each in meta.constraints
        )


def _defaults(field: Any) -> list[Any]:
    """Return what a new row has in this field, as Django or the database fills it."""
    by_database = getattr(field, "db_default", None)
    return [field.default, getattr(by_database, "value", by_database)]


def _is_generic(field: Any) -> bool:
    """Return whether a field is a generic foreign key, the only relation that leads to no one model."""
    return field.is_relation and field.related_model is None


def _length(field: Any, value: Any) -> int:
    """Return how long a text is as the column stores it. An enum's member may be another text as Python prints it."""
    stored = field.get_prep_value(value)
    return len(stored) if isinstance(stored, str) else 0


def _target(link: Any) -> str:
    """Return the field to which a foreign key leads, as text."""
    return f"{link.target_field.model._meta.label}.{link.target_field.name}"


def _choices(field: Any) -> set[Any]:
    return {value for value, _label in getattr(field, "flatchoices", None) or ()}


def _say_of(name: str, choices: set[Any]) -> str:
    return f"Write {name} with values among {', '.join(map(repr, sorted(choices, key=str)))}." if choices else ""
