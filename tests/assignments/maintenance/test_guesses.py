"""What ``scaffold_host`` guesses of models that are usual and easily misread. None of them has a table in the database."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import models
from django.test.utils import modify_settings
from django.utils import timezone

from assignments.host import ModelHost
from assignments.maintenance import scaffold as scaffolding

TABLES = {
    "table_model": "{app}.Table",
    "table_restaurant_field": "restaurant",
    "table_name_field": "number",
    "table_seats_field": "capacity",
}
HERE = {"restaurant_field": "restaurant", **TABLES}
IN_TABLE = {**HERE, "tables_field": "table"}
RIGHT: dict[str, dict[str, Any]] = {
    "stamped": {
        "booking_model": "stamped.Booking",
        "start_field": "starts_at",
        "requested_field": "created_at",
        "party_field": "party_size",
        "status_field": "status",
        **IN_TABLE,
    },
    "logged": {
        "booking_model": "logged.Reservation",
        "date_field": "date",
        "time_field": "time",
        "party_field": "guests",
        "status_field": "status",
        "stage_statuses": {"seated": "seated", "completed": "left"},
        **IN_TABLE,
    },
    "paid": {
        "booking_model": "paid.Booking",
        "start_field": "booking_date",
        "party_field": "number_of_guests",
        "status_field": "status",
        "waiting_statuses": ("PENDING",),
        "confirmed_status": "CONFIRMED",
        "cancelled_statuses": ("CANCELED",),
        **IN_TABLE,
    },
    "slotted": {
        "booking_model": "slotted.Booking",
        "date_field": "slot__date",
        "time_field": "slot__start_time",
        "end_field": "slot__end_time",
        "party_field": "guests",
        "cancelled_field": "cancelled",
        "tables_field": "table",
        "tables_mean_seated": True,
        "table_model": "slotted.Table",
        "table_name_field": "name",
        "table_seats_field": "capacity",
    },
    "worded": {
        "booking_model": "worded.Booking",
        "date_field": "date",
        "time_field": "time",
        "party_field": "guests",
        "confirmed_field": "approved",
        "tables_field": "tables",
        "table_model": "worded.Table",
        "table_name_field": "table_number",
    },
    "active": {
        "booking_model": "active.Reservation",
        "start_field": "reservation_datetime",
        "party_field": "num_guests",
        "cancelled_unless_field": "is_active",
        "tables_mean_seated": True,
        **IN_TABLE,
    },
    "linked": {
        "booking_model": "linked.Reservation",
        "start_field": "arrival",
        "end_field": "departure",
        "party_field": ("adults", "children", "infants"),
        "status_field": "status",
        "waiting_statuses": ("requested",),
        "confirmed_status": "approved",
        "cancelled_statuses": ("rejected",),
        **HERE,
    },
    "ranged": {
        "booking_model": "ranged.Booking",
        "read_fields": ("period",),
        "party_field": "covers",
        "confirmed_field": "confirmed",
        **IN_TABLE,
    },
}
"""The right host class of each app of tests/guesses: what it says beyond the defaults."""


def scaffold(app: str) -> str:
    out = StringIO()
    call_command("scaffold_host", app, stdout=out)
    return out.getvalue()


def guessed(text: str) -> type[ModelHost]:
    names: dict[str, Any] = {"__name__": __name__}
    exec(text, names)
    (found,) = [each for each in names.values() if isinstance(each, type) and ModelHost in each.__bases__]
    return found


@pytest.fixture(params=RIGHT)
def app(request: pytest.FixtureRequest) -> Iterator[str]:
    with modify_settings(INSTALLED_APPS={"append": f"tests.guesses.{request.param}"}):
        yield request.param


@pytest.fixture
def install() -> Iterator[Any]:
    """Install one app of tests/guesses for the length of a test."""
    changes = []

    def add(app: str) -> None:
        changes.append(modify_settings(INSTALLED_APPS={"append": f"tests.guesses.{app}"}))
        changes[-1].enable()

    yield add
    for each in reversed(changes):
        each.disable()


def test_usual_models_are_read_as_they_are_meant(app: str) -> None:
    host = guessed(scaffold(app))
    said = {
        name: value
        for name, value in vars(host).items()
        if not (name.startswith("_") or callable(value)) and value != getattr(ModelHost, name)
    }
    right = {name: value.format(app=app) if isinstance(value, str) else value for name, value in RIGHT[app].items()}
    assert said == right
    assert [each.msg for each in host().check() if each.is_serious()] == []


def test_why_a_many_to_many_is_not_taken_is_said_and_what_to_write(install: Any) -> None:
    install("linked")
    text = scaffold("linked")
    assert "# not taken: tables_field is 'tables': rows of linked.ReservationTable also need assigned_at." in text
    assert "Write write_tables() and tables_of()" in text


def test_hours_and_turn_times_of_the_app_with_the_restaurants_are_found(install: Any) -> None:
    install("spread")
    host = guessed(scaffold("spread"))
    assert (host.table_model, host.restaurant_field, host.tables_field) == ("shapes.Board", "house", "board")
    assert (host.hours_model, host.turn_model) == ("shapes.Opening", "shapes.Turn")
    assert [each.msg for each in host().check() if each.is_serious()] == []


def test_a_range_of_time_is_read_by_methods(install: Any) -> None:
    install("ranged")
    text = scaffold("ranged")
    assert '    def start_of(self, row):\n        return row["period"].lower\n' in text
    assert '    def end_of(self, row):\n        return row["period"].upper\n' in text


def test_a_slot_is_a_booking_less_likely_than_what_leads_to_it(install: Any) -> None:
    install("slotted")
    assert "--booking-model takes another, such as TimeSlot" in scaffold("slotted")


def test_a_word_inside_of_another_is_no_end_and_no_date() -> None:
    assert not scaffolding._has_word("calendar_synced", "end")
    assert not scaffolding._has_word("updated_on", "date")
    assert not scaffolding._has_word("admin_seats", "min")
    for name in ("end", "ends_at", "bookingEnd", "end_time"):
        assert scaffolding._has_word(name, "end")


def test_a_moment_that_may_be_null_is_the_start_where_nothing_else_could_be() -> None:
    class Loose(models.Model):
        opened_at = models.DateTimeField(null=True)
        comes_at = models.DateTimeField(null=True)

        class Meta:
            abstract = True

    made = scaffolding.Scaffold(class_name="Host")
    scaffolding._start(made, Loose)
    assert made.values == {"start_field": "comes_at"}


def test_a_moment_that_is_called_a_date_is_no_start_beside_a_date_and_a_time() -> None:
    class Dated(models.Model):
        birth_date = models.DateField()
        booking_date = models.DateTimeField(default=timezone.now)
        day = models.DateField()
        hour = models.TimeField()

        class Meta:
            abstract = True

    made = scaffolding.Scaffold(class_name="Host")
    scaffolding._start(made, Dated)
    assert made.values == {"date_field": "day", "time_field": "hour"}


def test_a_boolean_status_says_whether_a_booking_is_confirmed() -> None:
    class Flagged(models.Model):
        refund_status = models.CharField(max_length=10)
        status = models.BooleanField(default=False)

        class Meta:
            abstract = True

    made = scaffolding.Scaffold(class_name="Host")
    scaffolding._standing(made, Flagged)
    assert made.values == {"confirmed_field": "status"}


def test_a_no_show_in_whatever_spelling_is_no_status_that_keeps_a_table() -> None:
    class Coded(models.Model):
        status = models.CharField(
            max_length=1, choices=[("P", "Pending"), ("C", "Confirmed"), ("X", "Cancelled"), ("N", "No-show")]
        )

        class Meta:
            abstract = True

    made = scaffolding.Scaffold(class_name="Host")
    scaffolding._standing(made, Coded)
    assert made.values["stage_statuses"] == {"N": "no_show"}
    assert made.notes == []


def test_a_status_of_the_booking_comes_before_other_statuses() -> None:
    class Several(models.Model):
        kitchen_status = models.CharField(max_length=10)
        booking_state = models.CharField(max_length=10)

        class Meta:
            abstract = True

    assert scaffolding._status(Several).name == "booking_state"
