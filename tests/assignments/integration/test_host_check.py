"""What the check of a ModelHost finds before the first booking: each with an id, what was found, and what to write."""

import inspect
import re
from enum import Enum
from typing import Any

import pytest
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.postgres.constraints import ExclusionConstraint
from django.db import models

from assignments.host import ModelHost
from assignments.integration.model_host import checking
from tests.shapes.hosts import CardHost, InvitationHost, SupperHost
from tests.shapes.models import Card, Muddle, Stay


class Letters(str, Enum):  # noqa: UP042  (as projects had them before StrEnum; Python prints it otherwise)
    """Statuses as an enum."""

    NEW = "new"
    SET = "set"
    OFF = "off"


class MuddleHost(ModelHost):
    booking_model = "shapes.Muddle"
    start_field = "moment"
    party_field = "count"
    status_field = "letter"
    waiting_statuses = ("P",)
    confirmed_status = "C"
    cancelled_statuses = ("X",)
    table_model = "shapes.Board"
    table_seats_field = "places"


def found(base: type[ModelHost], **attributes: Any) -> list[tuple[str, str, str]]:
    host = type("WrongHost", (base,), attributes)()
    return [((each.id or "").removeprefix("assignments."), each.msg, each.hint or "") for each in host.check()]


def test_what_they_start_from_is_right() -> None:
    assert found(MuddleHost) == []


DATED: dict[str, Any] = {"start_field": None, "date_field": "day", "time_field": "word"}
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("E006", {"start_field": "board__nothing"}, "start_field is 'board__nothing', but shapes.Muddle has no such field"),
    ("E006", {"start_field": "moment__hour"}, "has no such field"),
    ("E006", {"party_field": ("count", "children")}, "party_field is 'children'"),
    ("E006", {"party_field": None}, "Set party_field, or write party_of()"),
    ("E006", {"cancelled_field": "gone_at"}, "cancelled_field is 'gone_at'"),
    ("E006", {"read_fields": ("nowhere",)}, "read_fields is 'nowhere'"),
    ("E006", {"tables_field": "count"}, "set table_key_field to that field of shapes.Board"),
    ("E006", {"hours_model": "shapes.Hours"}, "hours_model is 'shapes.Hours', but this model does not exist"),
    ("E006", {"turn_model": "shapes.Turn"}, "turn_party_field is 'max_party', but shapes.Turn has no such field"),
    (
        "E006",
        {"tables_field": "board__label"},
        "tables_field is 'board__label', but it must be a field of shapes.Muddle",
    ),
    (
        "E006",
        {"tables_field": "count", "table_key_field": "house__name"},
        "table_key_field is 'house__name', but it must be a field of shapes.Board itself",
    ),
    ("E006", {"table_adjacent_field": "house__name"}, "Name a many-to-many of the tables to themselves"),
    ("E006", {"table_name_field": "muddles"}, "a row of shapes.Board may have several"),
    ("E020", {"start_field": "day"}, "start_field is 'day', which is a DateField"),
    ("E020", {**DATED, "date_field": "moment"}, "date_field is 'moment', which is a DateTimeField"),
    ("E021", {**DATED, "time_field": "count"}, "time_field is 'count', which is a IntegerField"),
    ("E021", {**DATED, "time_field": "meal"}, "whose choice 'dinner' can mean more than one thing"),
    ("E022", {"end_field": "day"}, "end_field is 'day', which is a DateField"),
    ("E022", {"end_field": "noted_at", "duration_field": "weight"}, "only one can hold"),
    ("E022", {"end_field": "moment"}, "end_field is 'moment', which is the start, too"),
    ("E022", {**DATED, "time_field": "word", "end_field": "word"}, "end_field is 'word', which is the start, too"),
    ("E023", {"duration_field": "count"}, "duration_field is 'count', which is the party, too"),
    ("E023", {"duration_field": "flag"}, "duration_field is 'flag', which is a BooleanField"),
    ("E024", {"party_field": "flag"}, "party_field is 'flag', which is a BooleanField"),
    ("E024", {"party_field": "board"}, "party_field is 'board', which is a ForeignKey"),
    ("E024", {"party_field": "pk"}, "party_field is 'pk', which is the booking's key"),
    ("E024", {"party_field": ("count", "count")}, "party_field names 'count' more than once"),
    ("E024", {"party_field": "meal"}, "whose choice 'dinner'"),
    ("E025", {"waiting_statuses": "P"}, "waiting_statuses is 'P', and not several statuses"),
    ("E025", {"waiting_statuses": ()}, "waiting_statuses is empty"),
    ("E025", {"cancelled_statuses": ("X", "C")}, "'C' means more than one of waiting, confirmed and cancelled"),
    ("E026", {"status_field": "count"}, "waiting_statuses holds 'P', which shapes.Muddle.count, a IntegerField"),
    ("E026", {"waiting_statuses": (None,)}, "waiting_statuses holds None"),
    ("E027", {"confirmed_status": "confirmed"}, "which is no choice of shapes.Muddle.letter"),
    ("E027", {"cancelled_statuses": ("X", "N")}, "cancelled_statuses holds 'N', which is no choice"),
    ("E027", {"stage_statuses": {"S": "seated"}}, "stage_statuses holds 'S', which is no choice"),
    ("E028", {"status_field": None, "confirmed_field": "count"}, "confirmed_field is 'count', which is a IntegerField"),
    (
        "E028",
        {"status_field": None, "confirmed_field": "flag", "cancelled_field": "flag"},
        "confirmed_field is 'flag', by which bookings are cancelled as well",
    ),
    ("E029", {"cancelled_field": "word"}, "cancelled_field is 'word', which is a CharField"),
    ("E029", {"cancelled_unless_field": "word"}, "cancelled_unless_field is 'word', which is a CharField"),
    ("E029", {"cancelled_field": "moment"}, "which is never null: every booking would count as cancelled"),
    ("E030", {"status_field": "word", "confirmed_status": "CONFIRMED"}, "longer than the 4 characters"),
    (
        "E031",
        {"status_field": None, "tables_mean_seated": True},
        "tables_mean_seated is True, but tables_field is None",
    ),
    (
        "E031",
        {"status_field": None, "tables_mean_seated": True, "tables_field": "board"},
        "but board is required: nobody would ever wait",
    ),
    ("E032", {"tables_field": "only_board"}, "a table can be in one booking only"),
    ("E033", {"tables_field": "board", "table_key_field": "label"}, "but tables_field is a relation"),
    ("E033", {"tables_field": "count", "table_key_field": "label"}, "a CharField, but tables_field is a IntegerField"),
    ("E033", {"tables_field": "word", "table_key_field": "label"}, "up to 20 characters, but tables_field stores 4"),
    ("E033", {"tables_field": "facts", "table_key_field": "label"}, "and tables_field is a JSONField"),
    (
        "E033",
        {"tables_field": "count", "table_key_field": "places", "tables_separator": "+"},
        "tables_separator is '+', but tables_field is 'count', which is no text",
    ),
    ("E034", {"table_seats_field": "in_use"}, "table_seats_field is 'in_use', which is a BooleanField"),
    ("E034", {"table_seats_field": "id"}, "table_seats_field is 'id', which is the table's key"),
    ("E034", {"table_active_field": "label"}, "table_active_field is 'label', which is a CharField"),
    ("E034", {"table_priority_field": "label"}, "table_priority_field is 'label', which is a CharField"),
    ("E034", {"table_priority_field": "in_use"}, "table_priority_field is 'in_use', which is a BooleanField"),
    ("E034", {"table_adjacent_field": "house"}, "which is no many-to-many of shapes.Board to itself"),
    ("E035", {"hours_model": "shapes.Opening", "hours_opens_field": "weekday"}, "hours_opens_field is 'weekday'"),
    ("E035", {"hours_model": "shapes.Opening", "hours_closed_field": "late"}, "hours_closed_field is 'late'"),
    (
        "E035",
        {"turn_model": "shapes.Turn", "turn_party_field": "up_to", "turn_minutes_field": "house"},
        "turn_minutes_field is 'house', which is a ForeignKey",
    ),
    ("E036", {"requested_field": "day"}, "requested_field is 'day', which is a DateField"),
    ("E037", {"stage_statuses": {"C": "eating"}}, "'C' means 'eating', which is no stage"),
    ("E038", {"bookings_manager": "everything"}, "shapes.Muddle has no such manager"),
    ("E038", {"tables_manager": "everything"}, "shapes.Board has no such manager"),
    (
        "E048",
        {"known_bookings": lambda host: Stay.objects.none()},
        "The default manager of shapes.Muddle finds no rows",
    ),
    ("E039", {"start_field": "boards__muddles__moment"}, "a booking may have several boards"),
    ("E039", {"table_name_field": "kept_for__room"}, "but a row of shapes.Board may have several kept_for"),
    ("E039", {"table_zone_field": "muddles__word"}, "but a row of shapes.Board may have several muddles"),
    ("E040", {"timezone": "Mars/Olympus"}, "timezone is 'Mars/Olympus', which is no time zone"),
    ("W022", {"table_zones_field": "room"}, "table_zones_field is no attribute that is read, but table_zone_field is"),
    ("W022", {"canceled_field": "flag"}, "but cancelled_field is"),
    ("E006", {"restaurant_timezone_field": "name"}, "but restaurant_field is no foreign key to a model"),
    ("E041", {"stage_statuses": ["seated"]}, "stage_statuses is ['seated'], a list"),
    ("E042", {"told_field": "word"}, "told_field is 'word', which is a CharField"),
    ("E043", {"table_restaurant_field": "room"}, "but restaurant_field is None: bookings are all of one restaurant"),
    ("E044", {"needs_field": "flag"}, "needs_field is 'flag', which is a BooleanField, and names no features"),
    ("E044", {"wishes_field": "board"}, "wishes_field is 'board', which is a ForeignKey"),
    ("E044", {"table_features_field": "places"}, "table_features_field is 'places', which is a IntegerField"),
    ("E045", {"zone_field": "moment"}, "zone_field is 'moment', which is a DateTimeField, and names no zone"),
    ("E045", {"table_zone_field": "in_use"}, "table_zone_field is 'in_use', which is a BooleanField"),
    ("E045", {"venue_ref": ""}, "venue_ref is empty, and names no restaurant"),
    (
        "E045",
        {"restaurant_field": "moment", "table_restaurant_field": "house"},
        "restaurant_field is 'moment', which is a DateTimeField, and names no restaurant",
    ),
    ("E046", {"hours_model": "shapes.Opening", "hours_monday": 9}, "hours_monday is 9, which no weekday is called"),
    (
        "E047",
        {"restaurant_field": "board", "table_restaurant_field": "house"},
        "which leads to shapes.House.id, but restaurant_field is 'board', which leads to shapes.Board.id",
    ),
    ("W028", {"cancelled_field": "shown"}, "every new booking counts as cancelled"),
    ("W028", {"cancelled_unless_field": "flag"}, "whose default is False: every new booking counts as cancelled"),
    ("W028", {"status_field": None, "confirmed_field": "shown"}, "every new booking counts as confirmed"),
    ("W029", {"zone_field": "count", "table_zone_field": "room"}, "no table is in the zone that guests ask for"),
    ("W029", {"zone_field": "count"}, "no table is in the zone that guests ask for"),
    ("W029", {"zone_field": "board", "table_zone_field": "house"}, "no table is in the zone that guests ask for"),
    ("W023", {"party_field": "weight"}, "party_field is 'weight', which is a FloatField"),
    ("W024", {"status_field": "facts"}, "status_field is 'facts', which is a JSONField"),
    ("W025", {"start_field": "noted_at"}, "start_field is 'noted_at', which Django sets to the moment"),
    ("W026", {"date_field": "day"}, "date_field is ignored, because start_field is set"),
    ("W027", {"confirmed_field": "flag"}, "confirmed_field is ignored, because status_field is set"),
    (
        "W027",
        {"tables_mean_seated": True, "tables_field": "boards"},
        "tables_mean_seated is ignored, because status_field",
    ),
    (
        "E047",
        {"restaurant_field": "board__house", "table_restaurant_field": "id"},
        "table_restaurant_field is 'id', which is the key of the row itself",
    ),
    (
        "W031",
        {"status_field": "count", "waiting_statuses": (1,), "confirmed_status": 2, "cancelled_statuses": (3,)},
        "status_field is 'count', whose default 0 is none of waiting_statuses",
    ),
    ("E039", {"zone_field": "boards"}, "zone_field is 'boards', but a booking may have several boards"),
    ("E039", {"cancelled_field": "board__in_use"}, "must be a field of shapes.Muddle itself"),
    ("W001", {"cancelled_statuses": ("cancelled",)}, "None of cancelled_statuses"),
    ("W020", {"status_field": None, "tables_field": "board"}, "is required and there is no status"),
]


@pytest.mark.parametrize(("id_", "attributes", "problem"), WRONG)
def test_each_mistake_has_an_id_what_was_found_and_what_to_write(
    id_: str, attributes: dict[str, Any], problem: str
) -> None:
    ids = {each[0] for each in found(MuddleHost, **attributes)}
    assert ids == {id_}
    (told,) = [each for each in found(MuddleHost, **attributes) if problem in each[1]]
    assert "WrongHost" in told[2]


def test_the_choices_are_told_to_whoever_wrote_another_case() -> None:
    (told,) = found(MuddleHost, waiting_statuses=("p",))
    assert told[0] == "E027"
    assert "Write waiting_statuses with values among 'C', 'P', 'X'." in told[2]


def test_the_other_attribute_is_told_to_whoever_named_a_flag_that_means_the_opposite() -> None:
    (told,) = found(MuddleHost, cancelled_field="shown")
    assert "write cancelled_unless_field = 'shown' instead" in told[2]
    (told,) = found(MuddleHost, cancelled_unless_field="flag")
    assert "write cancelled_field = 'flag' instead" in told[2]
    assert found(MuddleHost, cancelled_unless_field="shown") == []
    assert found(MuddleHost, cancelled_field="flag") == []


def test_a_flag_that_the_database_sets_counts_as_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    flag = Muddle._meta.get_field("flag")
    monkeypatch.setattr(flag, "default", models.NOT_PROVIDED)
    monkeypatch.setattr(flag, "db_default", models.Value(True))
    assert [each[0] for each in found(MuddleHost, cancelled_field="flag")] == ["W028"]


def test_zones_that_say_the_same_are_not_warned_of() -> None:
    for fields in (
        {"zone_field": "word", "table_zone_field": "room"},
        {"zone_field": "word"},
        {"zone_field": "count", "table_zone_field": "places"},
        {"zone_field": "board__house", "table_zone_field": "house"},
        {"zone_field": "count", "table_zone_field": "house"},
    ):
        assert found(MuddleHost, **fields) == [], fields


def test_needs_and_features_in_every_form_that_is_read_are_right() -> None:
    fields = {"needs_field": "word", "wishes_field": "facts", "table_features_field": "label"}
    assert found(MuddleHost, **fields) == []


def test_statuses_may_be_members_of_an_enum() -> None:
    statuses = {
        "waiting_statuses": (Letters.NEW,),
        "confirmed_status": Letters.SET,
        "cancelled_statuses": (Letters.OFF,),
    }
    assert found(MuddleHost, status_field="word", **statuses) == []
    word = Muddle._meta.get_field("word")
    assert word.max_length == 4 < len(str(Letters.NEW))


def test_a_generic_foreign_key_is_no_column(monkeypatch: pytest.MonkeyPatch) -> None:
    about = GenericForeignKey("kind", "count")
    about.set_attributes_from_name("about")
    get_field = Muddle._meta.get_field
    monkeypatch.setattr(Muddle._meta, "get_field", lambda name: about if name == "about" else get_field(name))
    for name in ("zone_field", "restaurant_field", "status_field", "guest_name_field", "tables_field"):
        problems = found(MuddleHost, **{name: "about"})
        assert [each[0] for each in problems] == ["E006"], name
        assert f"{name} is 'about', which is a generic foreign key and no column" in problems[0][1]


def test_a_proxy_stands_for_its_tables() -> None:
    for field in ("board", "boards"):
        assert found(MuddleHost, table_model="shapes.UsedBoard", tables_field=field) == []


def test_restaurants_hours_and_turn_times_are_of_one_restaurant_each() -> None:
    told = found(SupperHost, hours_restaurant_field=None, turn_restaurant_field=None)
    assert [each[0] for each in told] == ["E035", "E035"]


def test_a_time_zone_of_each_restaurant_is_a_text_of_its_model() -> None:
    for field, id_, problem in (
        ("name", None, ""),
        ("nothing", "E006", "shapes.House has no such field"),
        ("pk", "E040", "which is a BigAutoField, and names no time zone"),
    ):
        told = found(SupperHost, restaurant_timezone_field=field)
        assert [each[0] for each in told] == ([id_] if id_ else [])
        assert all(problem in each[1] for each in told)


def test_a_constraint_that_counts_the_cancelled_is_warned_of() -> None:
    (told,) = found(InvitationHost)
    assert told[0] == "W021"
    assert "leaves cancelled bookings out" in told[2]
    assert found(CardHost) == []


def test_a_constraint_by_expressions_and_an_exclusion_may_count_the_cancelled_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = models.Q(status="open")
    for constraint, ids in (
        (models.UniqueConstraint("board", "start", name="by_expressions"), ["W021"]),
        (ExclusionConstraint(name="excluded", expressions=[("board", "="), ("start", "=")]), ["W021"]),
        (ExclusionConstraint(name="excluded", expressions=[("board", "="), ("start", "=")], condition=held), []),
        (models.UniqueConstraint("code", name="of_codes"), []),
    ):
        monkeypatch.setattr(Card._meta, "constraints", [constraint])
        assert [each[0] for each in found(CardHost)] == ids


def test_a_project_that_builds_its_own_floors_needs_no_table_model() -> None:
    own = {"table_model": "", "floor": lambda self, restaurant_ref: None}
    assert [each[0] for each in found(MuddleHost, tables_field="board__label", **own)] == ["E006"]
    assert found(MuddleHost, **own) == []
    assert [each[0] for each in found(MuddleHost, table_model="")] == ["E006"]


def test_every_id_has_a_mistake_here() -> None:
    ids = {id_ for id_, _attributes, _problem in WRONG} | {"W021"}
    assert set(re.findall(r"\"([EW]\d{3})\"", inspect.getsource(checking))) <= ids
