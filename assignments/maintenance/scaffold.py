"""Writing a host class from a project's models, with a comment on every guess.

Long because every kind of field that projects have is guessed here, so that one look tells what is found and what is not.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.postgres.fields import DateTimeRangeField
from django.core import checks
from django.db import models

from assignments.integration.model_host import ModelHost, values
from assignments.integration.model_host.attributes import finds_nothing
from assignments.models import Stage

BOOKINGS = ("booking", "reservation", "visit", "stay", "banquet", "appointment", "ticket", "dinner", "guest")
TABLES = ("table", "board", "desk", "bench", "stool", "seating", "place")
RESTAURANTS = ("restaurant", "venue", "house", "location", "branch", "site", "bistro", "outlet", "property")
STARTS = ("start", "begin", "from", "arriv", "when", "scheduled", "datetime", "date_time", "reserved_for", "slot")
NOT_STARTS = (
    "creat",
    "updat",
    "modif",
    "cancel",
    "delet",
    "end",
    "until",
    "request",
    "confirm",
    "left",
    "paid",
    "sent",
    "check",
    "seated",
    "complet",
    "open",
    "remind",
    "notif",
    "no_show",
    "noshow",
    "sync",
    "mail",
)
ENDS = ("end", "until", "finish", "depart", "to", "leav")
CLOCKS = ("time", "hour", "slot", "clock", "at", *STARTS)
DURATIONS = ("duration", "minutes", "length")
REQUESTED = ("creat", "request", "booked", "made", "added", "submitted")
PARTIES = ("party", "guest", "cover", "people", "person", "pax", "heads", "number_of", "size", "adults", "seats")
CHILDREN = ("children", "kids")
INFANTS = ("infants", "toddlers", "babies")
NOT_PARTIES = ("name", "phone", "mail", "note", "comment", "type", "key", "token", "fee", "price")
MONEY = ("fee", "price", "deposit", "amount", "spend", "cost", "total", "budget", "per")
"""What numbers are about that may have a word for guests in their names: ``price_per_person``."""
ZONES = ("zone", "area", "room", "section")
STATUSES = ("status", "state", "stage")
OF_BOOKINGS = ("booking", "reservation")
NOT_STATUSES = ("pay", "paid", "refund", "deposit", "invoice", "mail", "notif", "remind", "sync")
"""What statuses besides the booking's own are about."""
SEATS = ("seat", "place", "capacity", "cover", "size", "people", "max")
ACTIVE = ("active", "in_use", "in_service", "enabled", "available", "bookable", "open")
IN_FORCE = ("active",)
"""What bookings are called that are not cancelled."""
LEAST = ("min", "smallest", "least")
MOST = ("max", "largest", "most")
NAMES = ("name", "label", "number", "code", "title")
OPENS = ("open", "start", "begin", "from")
CLOSES = ("clos", "end", "until", "to")
CLOSED = ("closed",)
WEEKDAYS = ("weekday", "day_of_week", "dow", "day")
HOURS = ("opening", "hours", "schedule", "shift", "service", "meal")
TURNS = ("turn", "stay", "duration", "sitting", "dwell")
TIME_ZONES = ("time_zone", "timezone", "tz")
CONFIRMING = ("confirm", "accept", "approv")
DELETED = "delet"
CANCELLING = ("cancel", "declin", "reject", "withdrawn", "void", DELETED)
NOT_CANCELLING = (
    "can",
    "cancellable",
    "cancelable",
    "allow",
    "until",
    "deadline",
    "before",
    "fee",
    "refund",
    "mail",
    "sent",
)
"""What cancelling is about in names of other fields: until when it is free, for example."""
WAITING = ("pending", "request", "asked", "open", "new", "wait", "submit", "draft", "unconfirmed", "tentative")
STAGES = {
    "no_show": Stage.NO_SHOW, "noshow": Stage.NO_SHOW, "arrived": Stage.ARRIVED, "seated": Stage.SEATED,
    "complete": Stage.LEFT, "finished": Stage.LEFT, "left": Stage.LEFT, "done": Stage.LEFT, "late": Stage.LATE,
}  # fmt: skip
LONGEST_PARTY = 20
"""Characters of a text that is a number of covers. Longer ones are names or notes."""
STATUS_ROWS = (
    'guess: {name} is a foreign key to {label}, whose rows say the statuses. Set status_field = "{name}", and '
    "waiting_statuses, confirmed_status and cancelled_statuses to the keys of its rows."
)
NO_CHOICES = "guess: the model lists no choices, so these statuses are guessed: put in what your code stores"
BY_NAME = "guess: by its name"
TO_ONE_TABLE = "guess: leads to a table; of a join, the first is stored"
BY_DEFAULT = "guess: the field's default, as it says no choices"
WHICH_ONE = "guess: which status means that a table is given?"
BY_USAGE = "guess: a usual word, as the model lists no choices"
BY_NUMBER = "guess: the next number, as the model lists no choices"
BESIDE_STATUS = "guess: by its name; it cancels as well as the status does"
BY_CHOICES = "guess: by the names of the choices"
UNLESS = "guess: by its name; a booking without it counts as cancelled"
BEGINNINGS = frozenset({"min", "max", "end", "date"})
"""Words that are inside of others: an ``end`` in ``calendar``, a ``date`` in ``updated``."""
OF_ALL = "guess: the default manager finds nothing where no request is answered"
FIRST_OF_KIND = "guess: nothing is named like it; this is the first field of a fitting type"
FLOOR = (
    "",
    "    def floor(self, restaurant_ref):",
    "        # guess: no model of tables was found. Write here which tables there are, and when they are served.",
    '        tables = tuple(Table(ref=ref, name=ref, seats=seats) for ref, seats in {"1": 2, "2": 4}.items())',
    "        dinner = ServicePeriod(",
    '            key="dinner", starts=time(17), ends=time(23), turn_times=(TurnTime(max_party=8, minutes=120),)',
    "        )",
    "        return Floor(",
    "            restaurant_ref=restaurant_ref, timezone=settings.TIME_ZONE, tables=tables, services=(dinner,)",
    "        )",
)
"""The method of a class whose project has no model of tables."""
PERIOD = (
    "",
    "    def start_of(self, row):",
    "        return row[{0!r}].lower",
    "",
    "    def end_of(self, row):",
    "        return row[{0!r}].upper",
)
"""The methods of a class whose bookings have one range of time."""


class NothingFoundError(LookupError):
    """The app has no models from which a host could be written; the message says why."""


@dataclass(kw_only=True)
class Scaffold:
    """A host class: its attributes, and a comment for each that is a guess."""

    class_name: str
    values: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    is_told_elsewhere: bool = False
    """Whether a note says where statuses are, so that tables do not mean that guests are seated."""
    has_tables: bool = True
    """Whether there is a model of tables. Otherwise the class builds its floors itself."""
    period: str = ""
    """The field with a range of time, if that says when a booking starts and ends."""

    def set(self, name: str, value: Any, comment: str = BY_NAME) -> None:
        """Give an attribute a value, unless that is None."""
        if value is not None:
            self.values[name] = value
            self.comments[name] = comment

    def drop(self, *names: str) -> None:
        for name in names:
            self.values.pop(name, None)

    def problems(self) -> list[str]:
        """Return what the checks would refuse in this host."""
        own = {} if self.has_tables else {"floor": _not_written}
        if self.period:
            own |= {"start_of": _not_written, "end_of": _not_written}
        host: type[ModelHost] = type(self.class_name, (ModelHost,), {**self.values, **own})
        return [each.msg for each in host().check() if each.level >= checks.ERROR]

    def has_no_more_than(self, problems: Collection[str]) -> bool:
        """Return whether the last guess has caused no new problems. Problems elsewhere do not refute it."""
        return set(self.problems()) <= set(problems)

    def text(self) -> str:
        """Return the module's source."""
        return "\n".join([*self._head(), *self._body(), ""])

    def _head(self) -> Iterator[str]:
        yield '"""The interface between this project\'s bookings and the assignments app."""'
        yield ""
        if not self.has_tables:
            yield from ("from datetime import time", "", "from django.conf import settings", "")
            yield "from assignments.floor import Floor, ServicePeriod, Table, TurnTime"
        yield "from assignments.host import ModelHost"
        yield ""
        yield ""
        yield from (f"# {note}" for note in self.notes)
        yield f"class {self.class_name}(ModelHost):"

    def _body(self) -> Iterator[str]:
        for name, value in sorted(self.values.items(), key=_place):
            comment = self.comments[name]
            is_default = value == getattr(ModelHost, name)
            if comment in {BY_NAME, BY_CHOICES} and is_default:
                continue
            # A guess is shown even if it equals the default, because the code may store something else.
            line = f"{name} = {_source(value)}{f'  # {comment}' if comment else ''}"
            yield f"    # {line}" if comment == BY_USAGE and is_default else f"    {line}"
        yield from (line.format(self.period).replace("'", '"') for line in PERIOD if self.period)
        if not self.has_tables:
            yield from FLOOR


def _not_written(host: ModelHost, given: Any) -> Any:
    """Stand in for a method that the class has besides its attributes."""
    raise NotImplementedError


def _place(item: tuple[str, Any]) -> tuple[bool, bool]:
    """Return the order of attributes: of bookings first, then of tables, and their model before its fields."""
    return item[0].startswith("table_"), item[0] != "table_model"


def scaffold(app: AppConfig, *, booking: str | None = None, table: str | None = None) -> Scaffold:
    """Guess the host class of this app's models; ``booking`` and ``table`` name models instead. Raises NothingFoundError."""
    known = [model for model in app.get_models() if not model._meta.auto_created]
    bookings = _named(app, booking) if booking else _likely_bookings(known)
    if not bookings:
        raise NothingFoundError(
            f"No model of {app.label} has a date and looks like a booking: name it with --booking-model."
        )
    chosen = bookings[0]
    others = [model for model in known if model is not chosen]
    related = [each.related_model for each in _fields(chosen) if each.is_relation and each.related_model not in known]
    tables = _named(app, table) if table else _ranked([*others, *related], lambda model: _table_score(model, chosen))
    written = _written_tables(chosen)
    if not (tables or written):
        raise NothingFoundError(
            f"No model with a number of seats was found beside {chosen._meta.label}: name the tables' model with "
            f"--table-model, one of another app as app.Model."
        )
    made = Scaffold(class_name=f"{chosen.__name__.removesuffix('Model')}Host")
    made.set("booking_model", chosen._meta.label, _instead(bookings, "--booking-model"))
    made.set("bookings_manager", _manager_of_all(chosen), OF_ALL)
    _time(made, chosen)
    _party(made, chosen)
    if tables:
        _restaurant(made, chosen, tables[0])
        made.set("zone_field", _zone(made, chosen, tables[0]))
    _standing(made, chosen)
    if tables:
        _tables(made, chosen, tables)
    else:
        made.has_tables = False
        made.set("tables_field", written[0].name, "guess: a table's ref, as floor() names it")
    _seated_by_tables(made)
    restaurant = _restaurant_model(made, chosen)
    if restaurant is not None:
        made.set("restaurant_timezone_field", _best(restaurant, TIME_ZONES, models.CharField))
    used = {chosen, *tables[:1], *(each.related_model for each in _fields(chosen) if each.is_relation)}
    # Where tables and restaurants are, there may be hours, too.
    places = [app, *(each._meta.app_config for each in (*tables[:1], restaurant) if each is not None)]
    around = dict.fromkeys(model for place in places for model in place.get_models())
    others = [model for model in around if model not in used and not model._meta.auto_created]
    _hours(made, others, restaurant)
    _turns(made, others, restaurant)
    made.notes += [f"check says: {problem}" for problem in made.problems()]
    return made


def _source(value: Any) -> str:
    """Return a value as Python source, with double quotes."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, tuple):
        inside = ", ".join(_source(each) for each in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_source(key)}: {_source(each)}" for key, each in value.items()) + "}"
    if isinstance(value, str):
        quoted = repr(str(value))
        return f'"{quoted[1:-1]}"' if '"' not in quoted and "\\" not in quoted else quoted
    return repr(value)


def _named(app: AppConfig, name: str) -> list[type[models.Model]]:
    """Return the model with this name, of this app or of another, ``"app.Model"``. Raises NothingFoundError."""
    label, _point, model = name.rpartition(".")
    try:
        return [(apps.get_app_config(label) if label else app).get_model(model)]
    except LookupError as error:
        raise NothingFoundError(f"{label or app.label} has no model {model}.") from error


def _ranked(candidates: Sequence[Any], score: Any) -> list[type[models.Model]]:
    """Return the models with a score, the most likely first; equal ones stay in the order of the app."""
    scored = [(score(model), model) for model in candidates if isinstance(model, type)]
    return [model for points, model in sorted(scored, key=lambda pair: -pair[0]) if points > 0]


def _instead(candidates: Sequence[type[models.Model]], option: str) -> str:
    others = ", ".join(model.__name__ for model in candidates[1:4])
    return (
        f"guess: the likeliest model; {option} takes another, such as {others}"
        if others
        else "guess: the only one that fits"
    )


def _likely_bookings(known: Sequence[type[models.Model]]) -> list[type[models.Model]]:
    """Return the models that could be bookings. One to which another of them leads, such as a slot, is less likely."""
    candidates = _ranked(known, _booking_score)
    targets = {link.related_model for model in candidates for link in _links(model) if link.related_model is not model}
    return _ranked(candidates, lambda model: max(1, _booking_score(model) - 3 * (model in targets)))


def _booking_score(model: type[models.Model]) -> int:
    # A datetime is a date, too. One that Django sets itself says nothing, but a start may lie behind a foreign key.
    is_dated = any(not _is_set_by_django(each) for each in _of_type(model, models.DateField)) or _periods(model)
    if not (is_dated or _behind(model, models.DateTimeField) or _day_and_clock_behind(model)):
        return 0
    points = 1 + 4 * _is_like(model.__name__, BOOKINGS) + 2 * model.__name__.lower().endswith(OF_BOOKINGS)
    return points + 2 * bool(_covers(model)) + 2 * bool(_status(model))


def _table_score(model: type[models.Model], booking: type[models.Model]) -> int:
    if model is booking or any(_could_be_start(each) for each in _of_type(model, models.DateTimeField)):
        return 0
    is_related = any(each.related_model is model for each in _fields(booking) if each.is_relation)
    if not (_best(model, SEATS, models.IntegerField) or (is_related and _seats(model))):
        return 0
    return 1 + 2 * _is_like(model.__name__, TABLES) + 4 * is_related


def _could_be_start(moment: Any) -> bool:
    """Return whether a datetime may say when something takes place, rather than when a row was changed."""
    if _is_set_by_django(moment) or _is_like(moment.name, NOT_STARTS):
        return False
    return not moment.null or _is_like(moment.name, STARTS)


def _seats(table: type[models.Model]) -> str | None:
    """Return the field of a table's seats: a number, or a text of digits."""
    return _best(table, SEATS, models.IntegerField, without=LEAST) or _best(
        table, SEATS, models.CharField, without=(*LEAST, *NOT_PARTIES)
    )


def _written_tables(booking: type[models.Model], *called: str) -> list[Any]:
    """Return the plain fields of a booking that are named like a table, its number or its name."""
    return [
        each
        for each in _of_type(booking, (models.IntegerField, models.CharField, models.UUIDField))
        if not each.choices
        and _is_like(each.name, (*TABLES[:4], *called))
        and not _is_like(each.name, ("note", "size", "count"))
    ]


def _fields(model: type[models.Model]) -> list[Any]:
    """Return a model's fields, including its parents', without automatic keys."""
    own = [*model._meta.fields, *model._meta.many_to_many]
    return [
        each for each in own if not isinstance(each, models.AutoField) and not isinstance(each, models.OneToOneField)
    ]


def _of_type(model: type[models.Model], kind: Any) -> list[Any]:
    return [each for each in _fields(model) if isinstance(each, kind) and not each.is_relation]


def _links(model: type[models.Model]) -> list[Any]:
    """Return a model's foreign keys."""
    return [each for each in _fields(model) if each.many_to_one and isinstance(each.related_model, type)]


def _is_like(name: str, words: Sequence[str]) -> bool:
    return any(_has_word(name, word) for word in words)


def _has_word(name: str, word: str) -> bool:
    """Return whether a name has the word: anywhere if the word is long, else as a separate part or the start of one."""
    parts = re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")
    if word in BEGINNINGS:
        return any(part.startswith(word) for part in parts)
    return word in parts if len(word) <= 3 else word in name.lower()


def _best(
    model: type[models.Model], words: Sequence[str], kind: Any, *, without: Sequence[str] = (), choices: bool = False
) -> str | None:
    """Return the field of this type whose name has the earliest of ``words`` that occurs in any name.

    A number with choices is a status, unless ``choices``.
    """
    candidates = [
        each
        for each in _of_type(model, kind)
        if not each.primary_key
        and not _is_like(each.name, without)
        and not (each.choices and kind is models.IntegerField and not choices)
    ]
    return next((each.name for word in words for each in candidates if _has_word(each.name, word)), None)


def _time(made: Scaffold, model: type[models.Model]) -> None:
    _start(made, model)
    _end(made, model)
    made.set("requested_field", _requested(model))


def _start(made: Scaffold, model: type[models.Model]) -> None:
    days = [each for each in _of_type(model, models.DateField) if not isinstance(each, models.DateTimeField)]
    days = [each for each in days if not _is_set_by_django(each)]
    days = [each for each in days if not _is_like(each.name, (*NOT_STARTS, "birth"))] or days
    clocks = [each for each in _of_type(model, models.TimeField) if not _is_like(each.name, (*ENDS, *NOT_STARTS))]
    clocks += [each for each in _texts(model, CLOCKS, values.clock) if not _is_like(each.name, NOT_STARTS)]
    moments = [
        each
        for each in _of_type(model, models.DateTimeField)
        if not (_is_set_by_django(each) or _is_like(each.name, (*NOT_STARTS, *ENDS)))
    ]
    # One that may be null says when something happened, if anything else says when the guests come.
    certain = [each for each in moments if not each.null]
    if certain or (days and clocks):
        moments = certain
    # A moment that is called a date may be that of the booking's making, where there is a date besides.
    words = STARTS if days and clocks else (*STARTS, "date")
    start = next((each.name for word in words for each in moments if _has_word(each.name, word)), None)
    if start or (moments and not (days and clocks)):
        made.set("start_field", start or moments[0].name, BY_NAME if start else FIRST_OF_KIND)
    elif days and clocks:
        made.set("date_field", days[0].name, _first_of(days, "date"))
        made.set("time_field", clocks[0].name, _first_of(clocks, "time"))
    elif periods := _periods(model):
        made.period = periods[0].name
        made.set("read_fields", (made.period,), "guess: says when a booking starts and ends")
    elif days and (behind := _behind(model, models.TimeField)):
        made.set("date_field", days[0].name, _first_of(days, "date"))
        made.set("time_field", behind, "guess: the time of what it leads to")
    elif behind := _behind(model, models.DateTimeField):
        made.set("start_field", behind, "guess: the start of what it leads to")
    elif both := _day_and_clock_behind(model):
        made.set("date_field", both[0], "guess: the date of what it leads to")
        made.set("time_field", both[1], "guess: the time of what it leads to")
    else:
        made.notes.append(f"No time was found beside {days[0].name}." if days else "No start was found.")


def _end(made: Scaffold, model: type[models.Model]) -> None:
    if made.period:
        return
    without = ("creat", "updat", "cancel", "request", "sent")
    made.set("end_field", _best(model, ENDS, models.DateTimeField, without=without))
    if "end_field" not in made.values and "time_field" in made.values:
        made.set("end_field", _best(model, ENDS, models.TimeField))
    if "end_field" not in made.values and hasattr(ModelHost, "duration_field"):
        minutes = _best(model, DURATIONS, (models.IntegerField, models.DurationField))
        made.set("duration_field", minutes, "guess: minutes, or a DurationField")
    start = made.values.get("start_field") or made.values.get("time_field", "")
    if not {"end_field", "duration_field"} & made.values.keys() and "__" in start:
        end, stay = _end_beside(model, start)
        made.set("end_field", end, "guess: the end of what it leads to")
        made.set("duration_field", None if end else stay, "guess: minutes, or a DurationField")


def _periods(model: type[models.Model]) -> list[Any]:
    return _of_type(model, DateTimeRangeField)


def _behind(model: type[models.Model], kind: Any) -> str | None:
    """Return the path to a time that lies behind a foreign key, such as a slot's.

    A link that is named like a time comes first, then one to a model with a single field named like a start.
    """
    for link in _links(model):
        if _is_like(link.name, CLOCKS):
            found = _best(link.related_model, CLOCKS, kind, without=(*NOT_STARTS, *ENDS))
            if found:
                return f"{link.name}__{found}"
    for link in _links(model):
        starts = [
            each.name
            for each in _of_type(link.related_model, kind)
            if _is_like(each.name, (*STARTS, "at"))
            and not _is_like(each.name, NOT_STARTS)
            and not _is_set_by_django(each)
        ]
        if len(starts) == 1:
            return f"{link.name}__{starts[0]}"
    return None


def _day_and_clock_behind(model: type[models.Model]) -> tuple[str, str] | None:
    """Return the paths to a date and a time that lie behind the same foreign key, such as a slot's."""
    for link in _links(model):
        days = [
            each.name
            for each in _of_type(link.related_model, models.DateField)
            if not isinstance(each, models.DateTimeField) and _is_like(each.name, ("date", "day"))
        ]
        clock = _best(link.related_model, CLOCKS, models.TimeField, without=(*NOT_STARTS, *ENDS))
        if days and clock:
            return f"{link.name}__{days[0]}", f"{link.name}__{clock}"
    return None


def _is_set_by_django(moment: Any) -> bool:
    return bool(getattr(moment, "auto_now", False) or getattr(moment, "auto_now_add", False))


def _end_beside(model: type[models.Model], path: str) -> tuple[str | None, str | None]:
    """Return the paths to an end and to a duration that lie behind the same foreign key as the start."""
    link = path.partition("__")[0]
    further: Any = model._meta.get_field(link).related_model
    end = _best(further, ENDS, (models.DateTimeField, models.TimeField), without=("creat", "updat", "cancel", "sent"))
    stay = _best(further, DURATIONS, (models.IntegerField, models.DurationField))
    return (f"{link}__{end}" if end else None), (f"{link}__{stay}" if stay else None)


def _first_of(found: Sequence[Any], kind: str) -> str:
    return f"guess: the only {kind}" if len(found) == 1 else f"guess: the first of several {kind}s"


def _texts(model: type[models.Model], words: Sequence[str], read: Any) -> list[Any]:
    """Return the short texts with one of ``words`` in the name, whose choices, if any, ``read`` accepts."""
    return [
        each
        for each in _of_type(model, models.CharField)
        if _is_like(each.name, words)
        and (each.max_length or 0) <= LONGEST_PARTY
        and all(_is_readable(value, read) for value, _label in each.flatchoices)
    ]


def _is_readable(value: Any, read: Any) -> bool:
    try:
        read(value)
    except ValueError:
        return value in ("", None)
    return True


def _requested(model: type[models.Model]) -> str | None:
    made_by_itself = [each.name for each in _of_type(model, models.DateTimeField) if each.auto_now_add]
    return next(iter(made_by_itself), None) or _best(model, REQUESTED, models.DateTimeField)


def _party(made: Scaffold, model: type[models.Model]) -> None:
    party = _covers(model)
    if party and _has_word(party, "adults"):
        further = [_best(model, words, models.IntegerField, choices=True) for words in (CHILDREN, INFANTS)]
        parties = (party, *filter(None, further))
        if len(parties) > 1:
            made.set("party_field", parties, "guess: the sum of these")
            return
    if party:
        made.set("party_field", party)
        return
    numbers = [each.name for each in _of_type(model, models.IntegerField) if not (each.primary_key or each.choices)]
    if numbers:
        made.set("party_field", numbers[0], FIRST_OF_KIND)
    else:
        made.notes.append("No number of guests was found: set party_field, or write party_of().")


def _covers(model: type[models.Model]) -> str | None:
    """Return the field that is named like a party: a number, possibly with choices or decimals, or a text of digits."""
    for kind, choices in ((models.IntegerField, False), (models.IntegerField, True), (models.DecimalField, True)):
        found = _best(model, PARTIES, kind, without=("phone", *MONEY, *STATUSES), choices=choices)
        if found:
            return found
    written = [each for each in _texts(model, PARTIES, values.covers) if not _is_like(each.name, NOT_PARTIES)]
    return next((each.name for each in written), None)


def _restaurant(made: Scaffold, model: type[models.Model], table: type[models.Model]) -> None:
    """Choose the restaurant: what both a booking and a table belong to, or what is named like one."""
    for each in [each for each in _fields(model) if each.many_to_one and each.related_model is not table]:
        target = each.related_model
        if isinstance(target, type) and (path := _path(table, target)):
            is_named = _is_like(each.name, RESTAURANTS) or _is_like(target.__name__, RESTAURANTS)
            comment = BY_NAME if is_named else "guess: both bookings and tables belong to it"
            if not is_named and _is_like(each.name, ZONES):
                continue
            made.set("restaurant_field", each.name, comment)
            made.set("table_restaurant_field", path, "guess: leads to the same model")
            return
    if any(each.many_to_one and _is_like(each.related_model.__name__, RESTAURANTS) for each in _fields(table)):
        made.notes.append("guess: a single venue, because bookings name no restaurant, though tables do.")


def _path(table: type[models.Model], target: type[models.Model]) -> str | None:
    """Return the path from a table to its restaurant, directly or through one other model."""
    links = [each for each in _fields(table) if each.many_to_one]
    for each in links:
        if each.related_model is target:
            return str(each.name)
    for each in links:
        for further in _fields(each.related_model):
            if further.many_to_one and further.related_model is target:
                return f"{each.name}__{further.name}"
    return None


def _zone(made: Scaffold, model: type[models.Model], table: type[models.Model]) -> str | None:
    def of(owner: type[models.Model]) -> str | None:
        taken = {made.values.get("restaurant_field"), made.values.get("table_restaurant_field")}
        fits = [each for each in _fields(owner) if each.many_to_one or isinstance(each, models.CharField)]
        return next((each.name for each in fits if _is_like(each.name, ZONES) and each.name not in taken), None)

    tables_zone = of(table)
    made.set("table_zone_field", tables_zone)
    return of(model) if tables_zone else None


def _standing(made: Scaffold, model: type[models.Model]) -> None:
    status = _status(model)
    rows = [each for each in _links(model) if _is_like(each.name, STATUSES) and not _is_like(each.name, NOT_STATUSES)]
    if isinstance(status, models.BooleanField):
        made.set("confirmed_field", status.name, "guess: a boolean, so it says whether the booking is confirmed")
    elif status:
        _statuses(made, status)
    elif rows and isinstance(rows[0].target_field, models.CharField):
        _statuses(made, rows[0])
    elif rows:
        made.notes.append(STATUS_ROWS.format(name=rows[0].name, label=rows[0].related_model._meta.label))
        made.is_told_elsewhere = True
    else:
        made.set("confirmed_field", _best(model, CONFIRMING, models.BooleanField))
    made.set("cancelled_field", _cancelled(model), BESIDE_STATUS if status else BY_NAME)
    made.set("cancelled_unless_field", _in_force(model), UNLESS)


def _status(model: type[models.Model]) -> Any:
    """Return the field of a booking's status: named ``status``, or after the booking, or at least like a status."""
    named = [
        each
        for each in _of_type(model, models.Field)
        if _is_like(each.name, STATUSES) and not _is_like(each.name, NOT_STATUSES)
    ]
    named.sort(key=lambda each: (each.name not in STATUSES, not _is_like(each.name, OF_BOOKINGS)))
    return next(iter(named), None)


def _in_force(model: type[models.Model]) -> str | None:
    """Return the flag that every booking has until it is cancelled."""
    flags = [each for each in _of_type(model, models.BooleanField) if each.default is True]
    return next((each.name for each in flags if set(each.name.split("_")) <= {"is", *IN_FORCE}), None)


def _cancelled(model: type[models.Model]) -> str | None:
    """Return the flag of cancelled bookings, or the time of cancellation, unless every booking has it.

    A flag of deleted rows does not count if the model has its own manager, which leaves these rows out.
    """
    words = [word for word in CANCELLING if word != DELETED or type(model._default_manager) is models.Manager]
    moments = [each for each in _of_type(model, models.DateTimeField) if each.null]
    flags = [*_of_type(model, models.BooleanField), *moments]
    fitting = [each.name for each in flags if not _is_like(each.name, NOT_CANCELLING)]
    return next((name for word in words for name in fitting if _has_word(name, word)), None)


def _manager_of_all(model: type[models.Model]) -> str | None:
    """Return the first manager that finds rows without knowing whose, if the default one never does."""
    if not finds_nothing(model._default_manager.all):
        return None
    return next((each.name for each in model._meta.managers if not finds_nothing(each.all)), None)


def _seated_by_tables(made: Scaffold) -> None:
    """Without a status or a confirmation, treat bookings with a table as seated, if a booking can be without one."""
    if {"status_field", "confirmed_field"} & made.values.keys() or made.is_told_elsewhere:
        return
    if "tables_field" in made.values:
        before = made.problems()
        made.set("tables_mean_seated", True, "guess: bookings have no status, so who has a table is seated")
        if made.has_no_more_than(before):
            return
        made.drop("tables_mean_seated")
    made.notes.append("guess: bookings have no status, so each of them waits until this app gives it a table.")


def _statuses(made: Scaffold, status: Any) -> None:
    made.set("status_field", status.name, BY_NAME if status.flatchoices else NO_CHOICES)
    choices = [(value, f"{value} {label}".lower()) for value, label in status.flatchoices if value not in ("", None)]
    if not choices:
        _statuses_without_choices(made, status)
        return
    cancelled = [value for value, said in choices if _is_like(said, CANCELLING)]
    waiting = [value for value, said in choices if _is_like(said, WAITING) and value not in cancelled]
    confirmed = [value for value, said in choices if _is_like(said, CONFIRMING) and value not in {*cancelled, *waiting}]
    stages = {}
    for value, said in choices:
        stage = next((stage for word, stage in STAGES.items() if _has_word(re.sub("[ -]", "_", said), word)), None)
        if stage and value not in {*cancelled, *waiting, *confirmed}:
            stages[value] = stage
    default = [] if status.get_default() in (None, "") else [status.get_default()]
    left = [value for value, _said in choices if value not in {*cancelled, *waiting, *confirmed, *stages}]
    guessed = (*waiting,) or (*default,) or (*left[:1],)
    made.set("waiting_statuses", guessed, BY_CHOICES if waiting else "guess: nothing is named like it")
    left = [value for value in left if value not in guessed]
    certain = confirmed[0] if confirmed else next(iter(left), None)
    made.set(
        "confirmed_status",
        certain,
        BY_CHOICES if len(confirmed) == 1 else WHICH_ONE,
    )
    made.set("cancelled_statuses", tuple(cancelled), BY_CHOICES if cancelled else "guess: no status is named like it")
    made.set("stage_statuses", {value: str(stage) for value, stage in stages.items()} or None, BY_CHOICES)
    other = [value for value in left if value != certain] + confirmed[1:]
    if other:
        made.notes.append(f"guess: {', '.join(map(_source, other))} keep their tables until the end of the seating.")


def _statuses_without_choices(made: Scaffold, status: Any) -> None:
    default = status.get_default() if status.has_default() else None
    if isinstance(status, models.IntegerField):
        first = default or 0
        waiting, confirmed, cancelled = (first,), first + 1, (first + 2,)
    else:
        waiting, confirmed, cancelled = (default or "pending",), "confirmed", ("cancelled",)
    why = BY_NUMBER if isinstance(status, models.IntegerField) else BY_USAGE
    made.set("waiting_statuses", (None, *waiting) if status.null else waiting, BY_DEFAULT if default else why)
    made.set("confirmed_status", confirmed, why)
    made.set("cancelled_statuses", cancelled, why)


def _tables(made: Scaffold, model: type[models.Model], candidates: Sequence[type[models.Model]]) -> None:
    """Choose where tables are stored: the first relation to a likely model that the checks accept."""
    refused: list[str] = []
    for table in candidates:
        links = [each for each in _fields(model) if each.is_relation and each.related_model is table]
        for link in sorted(links, key=lambda each: not each.many_to_many):
            made.drop("tables_field")
            _table_fields(made, table, candidates)
            before = made.problems()
            made.set("tables_field", link.name, "guess: leads to the tables" if link.many_to_many else TO_ONE_TABLE)
            if made.has_no_more_than(before):
                if not link.many_to_many and not link.null and "status_field" not in made.values:
                    made.notes.append("The table is required, so every booking shows one before it is confirmed.")
                return
            refused += [each for each in made.problems() if each not in before]
    made.drop("tables_field")
    _table_fields(made, candidates[0], candidates)
    if _numbered(made, model, candidates[0]):
        return
    made.notes += [f"not taken: {problem}" for problem in refused]
    made.notes.append(
        "guess: bookings do not say their tables. Write write_tables() and tables_of(), or read them in this app."
    )
    for unfit in (("restaurant_field", "table_restaurant_field"), ("zone_field",), ("end_field",)):
        before, values = made.problems(), dict(made.values)
        made.drop(*unfit)
        if len(made.problems()) >= len(before):
            made.values = values


def _numbered(made: Scaffold, model: type[models.Model], table: type[models.Model]) -> bool:
    """Choose a plain field of the booking that holds the table's number or name. Returns whether there is one."""
    keys = [
        each.name for each in _of_type(table, (models.IntegerField, models.CharField)) if _is_like(each.name, NAMES)
    ]
    before = made.problems()
    for written in _written_tables(model, table.__name__.lower()):
        # First what the field's name suggests: table_number holds a number.
        for key in sorted(keys, key=lambda each: not written.name.endswith(each)):
            made.set("tables_field", written.name, f"guess: holds the table's {key}")
            made.set("table_key_field", key, "guess: what bookings call a table; unique in a restaurant")
            if made.has_no_more_than(before):
                if made.values.get("table_name_field") == key:
                    made.drop("table_name_field")  # The ref is the name.
                return True
    made.drop("tables_field", "table_key_field")
    return False


def _table_fields(made: Scaffold, table: type[models.Model], candidates: Sequence[type[models.Model]]) -> None:
    made.set(
        "table_model",
        table._meta.label,
        _instead([table, *(each for each in candidates if each is not table)], "--table-model"),
    )
    made.set("tables_manager", _manager_of_all(table), OF_ALL)
    made.set("table_name_field", _best(table, NAMES, (models.CharField, models.IntegerField)))
    made.set("table_seats_field", _seats(table))
    made.set("table_active_field", _best(table, ACTIVE, models.BooleanField))
    seats = made.values.get("table_seats_field")
    least, most = (_best(table, words, models.IntegerField) for words in (LEAST, MOST))
    made.set("table_min_party_field", least if least != seats else None)
    made.set("table_max_party_field", most if most != seats else None)
    to_itself = [each.name for each in _fields(table) if each.many_to_many and each.related_model is table]
    made.set("table_adjacent_field", next(iter(to_itself), None), "guess: a many-to-many of the tables to themselves")
    for name in ("table_zone_field", "table_restaurant_field"):
        first = made.values.get(name)
        if first and first.partition("__")[0] not in {each.name for each in _fields(table)}:
            made.drop(name, *(["restaurant_field"] if name == "table_restaurant_field" else ["zone_field"]))


# Hours and turn times


def _restaurant_model(made: Scaffold, booking: type[models.Model]) -> type[models.Model] | None:
    """Return the model of the restaurants, if bookings have a foreign key to it."""
    name = made.values.get("restaurant_field")
    return booking._meta.get_field(name).related_model if name else None


def _hours(made: Scaffold, candidates: Sequence[type[models.Model]], restaurant: type[models.Model] | None) -> None:
    """Choose the model of opening hours: it has an opening, a closing and a weekday, or is named like one."""
    for model in candidates:
        clocks = (models.TimeField, models.CharField)
        opens = _best(model, OPENS, clocks)
        closes = _best(model, CLOSES, clocks)
        weekday = _best(model, WEEKDAYS, (models.IntegerField, models.CharField))
        where = _path(model, restaurant) if restaurant else None
        if not (opens and closes) or opens == closes or (restaurant and not where):
            continue
        if not weekday and not _is_like(model.__name__, HOURS):
            continue
        before, values = made.problems(), dict(made.values)
        made.set("hours_model", model._meta.label, "guess: has an opening and a closing time")
        made.set("hours_restaurant_field", where, "guess: leads to the same model")
        made.set("hours_opens_field", opens)
        made.set("hours_closes_field", closes)
        made.set("hours_closed_field", _best(model, CLOSED, models.BooleanField))
        if weekday:
            made.set("hours_weekday_field", weekday)
            if isinstance(model._meta.get_field(weekday), models.IntegerField):
                made.set("hours_monday", *_monday(model._meta.get_field(weekday)))
        made.set("hours_name_field", _best(model, ("name", "meal", "service", "label"), models.CharField))
        if made.has_no_more_than(before):
            return
        made.values = values


def _monday(weekday: Any) -> tuple[int, str]:
    """Return the number that means Monday, and how certain that is."""
    for value, label in weekday.flatchoices:
        if str(label).lower().startswith("mon"):
            return value, BY_CHOICES
    return 0, "guess: which number is Monday? 0 in Python, 1 in ISO and where Sunday is 0"


def _turns(made: Scaffold, candidates: Sequence[type[models.Model]], restaurant: type[models.Model] | None) -> None:
    """Choose the model of turn times: it is named like one, and has a party size and a duration."""
    for model in candidates:
        minutes = _best(model, ("minutes", *TURNS), (models.IntegerField, models.DurationField))
        party = _best(model, ("max", "up_to", *PARTIES), models.IntegerField, without=LEAST)
        where = _path(model, restaurant) if restaurant else None
        if not _is_like(model.__name__, TURNS) or not (minutes and party) or minutes == party:
            continue
        if restaurant and not where:
            continue
        before, values = made.problems(), dict(made.values)
        made.set("turn_model", model._meta.label, "guess: has a size of parties and a duration")
        made.set("turn_restaurant_field", where, "guess: leads to the same model")
        made.set("turn_party_field", party)
        made.set("turn_minutes_field", minutes)
        if made.has_no_more_than(before):
            return
        made.values = values
