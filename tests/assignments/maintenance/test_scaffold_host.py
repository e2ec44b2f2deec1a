"""``manage.py scaffold_host``: a host class that the checks accept, from models alone, with a comment on every guess."""

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import models

from assignments.host import ModelHost
from assignments.maintenance import scaffold as scaffolding
from tests.assignments.integration.test_host_check import Letters
from tests.shapes.hosts import StayHost
from tests.shapes.models import Board, House, Stay

PROJECT = Path(__file__).resolve().parents[3]


def scaffold(*arguments: str) -> str:
    out = StringIO()
    call_command("scaffold_host", *arguments, stdout=out)
    return out.getvalue()


def host_of(text: str) -> ModelHost:
    """The host that this source defines."""
    names: dict[str, Any] = {"__name__": __name__}
    exec(text, names)
    host: ModelHost = next(
        value() for value in names.values() if isinstance(value, type) and ModelHost in value.__bases__
    )
    return host


@pytest.mark.parametrize(
    "model", ["Visit", "Stay", "Card", "Note", "Ticket", "Banquet", "Feast", "Supper", "Invitation"]
)
def test_what_it_writes_for_each_shape_passes_the_checks(model: str) -> None:
    text = scaffold("shapes", "--booking-model", model)
    host = host_of(text)
    assert [each for each in host.check() if each.is_serious()] == []
    assert type(host).__name__ == f"{model}Host"
    assert host.booking_model == f"shapes.{model}"
    attributes = [line for line in text.splitlines() if line.startswith("    ")]
    assert [line for line in attributes if "  # guess: " not in line and "_status" not in line] == []


def test_it_finds_the_fields_of_two_common_projects() -> None:
    visits, bookings = host_of(scaffold("shapes")), host_of(scaffold("example"))
    assert (visits.date_field, visits.time_field, visits.party_field) == ("day", "hour", "guests")
    assert (visits.waiting_statuses, visits.confirmed_status, visits.cancelled_statuses) == ((0, 3), 1, (2,))
    assert (visits.stage_statuses, visits.tables_field, visits.table_seats_field) == ({4: "seated"}, "boards", "places")
    assert (bookings.start_field, bookings.end_field, bookings.requested_field) == ("start", "end", "created_at")
    assert (bookings.restaurant_field, bookings.table_restaurant_field) == ("restaurant", "restaurant")
    assert bookings.stage_statuses == {"no_show": "no_show", "completed": "left"}


def test_tables_may_be_of_another_app() -> None:
    host = host_of(scaffold("shapes", "--booking-model", "Note", "--table-model", "example.Table"))
    assert (host.table_model, host.table_seats_field) == ("example.Table", "seats")
    with pytest.raises(CommandError, match="nowhere has no model Table"):
        scaffold("shapes", "--booking-model", "Note", "--table-model", "nowhere.Table")


def test_what_it_cannot_know_it_says() -> None:
    text = scaffold("shapes", "--booking-model", "Card")
    assert "put in what your code stores" in text
    assert 'waiting_statuses = ("open",)' in text
    assert "--table-model takes another" in text
    assert "bookings have no status" in scaffold("shapes", "--booking-model", "Note")


def test_statuses_without_choices_are_all_printed_and_a_flag_cancels_beside_them() -> None:
    class Meal(models.Model):
        state = models.CharField(max_length=20)
        is_cancellable = models.BooleanField(default=True)
        cancel_until = models.DateTimeField(null=True)
        is_cancelled = models.BooleanField(default=False)

        class Meta:
            abstract = True

    class Party(models.Model):
        status = models.IntegerField(choices=[(1, "pending"), (2, "confirmed"), (3, "cancelled")])
        withdrawn_at = models.DateTimeField(null=True)
        deleted = models.DateTimeField()

        class Meta:
            abstract = True

    made = {model: scaffolding.Scaffold(class_name="Host") for model in (Meal, Party)}
    for model, each in made.items():
        scaffolding._standing(each, model)
    lines = [line.partition("  # guess: ")[::2] for line in made[Meal].text().splitlines()]
    said = {line.strip().removeprefix("# "): bool(comment) for line, comment in lines}
    for line in (
        'waiting_statuses = ("pending",)',
        'confirmed_status = "confirmed"',
        'cancelled_statuses = ("cancelled",)',
        'cancelled_field = "is_cancelled"',
    ):
        assert said[line], "a guess, though it may equal the default"
    assert made[Party].values["cancelled_field"] == "withdrawn_at"
    assert "cancels as well as the status" in made[Party].text()


def test_it_finds_a_time_in_words_a_slots_time_and_a_tables_number() -> None:
    supper = host_of(scaffold("shapes", "--booking-model", "Supper", "--table-model", "Place"))
    assert (supper.date_field, supper.time_field, supper.party_field) == ("day", "slot__starts", "size")
    assert (supper.tables_field, supper.table_key_field) == ("place_number", "number")
    assert (supper.table_seats_field, supper.table_adjacent_field) == ("seats", "beside")
    invitation = host_of(scaffold("shapes", "--booking-model", "Invitation"))
    assert (invitation.time_field, invitation.end_field) == ("hour", "until")
    assert (invitation.party_field, invitation.tables_mean_seated) == (("adults", "children"), True)


def test_a_start_an_end_and_a_status_behind_foreign_keys_are_found() -> None:
    text = scaffold("shapes", "--booking-model", "Outing")
    outing = host_of(text)
    assert (outing.start_field, outing.end_field) == ("sitting__starts_at", "sitting__ends_at")
    assert (outing.status_field, outing.waiting_statuses, outing.tables_field) == ("status", ("pending",), "board")
    assert (outing.requested_field, outing.tables_mean_seated) == ("created", False)
    assert "do not say their tables" not in text
    assert "have no status" not in text


def test_statuses_of_an_enum_are_written_as_the_column_stores_them() -> None:
    class Meal(models.Model):
        status = models.CharField(max_length=4, choices=[(each, each.name) for each in Letters], default=Letters.NEW)

        class Meta:
            abstract = True

    made = scaffolding.Scaffold(class_name="Host")
    scaffolding._standing(made, Meal)
    text = made.text()
    assert 'waiting_statuses = ("new",)' in text
    assert 'confirmed_status = "set"' in text
    assert "Letters" not in text


def test_a_status_whose_rows_have_numbers_is_noted() -> None:
    class Meal(models.Model):
        state = models.ForeignKey(House, on_delete=models.PROTECT)

        class Meta:
            abstract = True

    made = scaffolding.Scaffold(class_name="Host")
    scaffolding._standing(made, Meal)
    made.set("tables_field", "board")
    scaffolding._seated_by_tables(made)
    assert "state is a foreign key to shapes.House, whose rows say the statuses" in made.text()
    assert "tables_mean_seated" not in made.values


def test_what_is_wrong_elsewhere_does_not_hide_the_tables() -> None:
    made = scaffolding.Scaffold(class_name="Host")
    made.set("booking_model", "shapes.Stay")
    made.set("start_field", "covers")  # Which is no datetime.
    made.set("party_field", "covers")
    scaffolding._tables(made, Stay, [Board])
    scaffolding._seated_by_tables(made)
    assert made.values["tables_field"] in {"board", "boards"}
    assert made.problems()


def test_hours_turn_times_and_time_zones_of_restaurants_are_found() -> None:
    text = scaffold("shapes", "--booking-model", "Visit")
    host = host_of(text)
    assert host.restaurant_timezone_field == "time_zone"
    assert (host.hours_model, host.hours_restaurant_field) == ("shapes.Opening", "house")
    assert (host.hours_opens_field, host.hours_closes_field, host.hours_weekday_field) == ("opens", "closes", "weekday")
    assert host.hours_closed_field == "is_closed"
    assert (host.turn_model, host.turn_party_field, host.turn_minutes_field) == ("shapes.Turn", "up_to", "stay")
    assert "guess: which number is Monday?" in text


def test_managers_that_find_nothing_without_a_tenant_are_passed_by() -> None:
    host = host_of(scaffold("shapes", "--booking-model", "TenantStay", "--table-model", "TenantBoard"))
    assert (host.bookings_manager, host.tables_manager) == ("unscoped", "unscoped")


def test_it_never_overwrites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps.get_app_config("shapes"), "path", str(tmp_path))
    said = scaffold("shapes", "--write")
    written = (tmp_path / "host.py").read_text()
    assert written == scaffold("shapes")
    assert 'ASSIGNMENTS = {"HOST": "tests.shapes.host.VisitHost"}' in said
    (tmp_path / "host.py").write_text("mine")
    with pytest.raises(CommandError, match="is not overwritten") as refused:
        scaffold("shapes", "--write")
    assert (refused.value.returncode, (tmp_path / "host.py").read_text()) == (2, "mine")


def test_the_class_is_called_as_the_settings_call_it(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apps.get_app_config("shapes"), "path", str(tmp_path))
    settings.ASSIGNMENTS = {"HOST": "tests.shapes.host.BookingHost"}
    assert "ASSIGNMENTS" not in scaffold("shapes", "--write")
    assert "class BookingHost(ModelHost):" in (tmp_path / "host.py").read_text()
    settings.ASSIGNMENTS = {"HOST": "tests.shapes.hosts.StayHost"}  # In another module, so another class.
    assert "class VisitHost(ModelHost):" in scaffold("shapes")


def test_a_slot_in_words_beside_a_date_needs_a_start_of() -> None:
    class Dinner(models.Model):
        evening = models.DateField()
        slot = models.CharField(max_length=10, choices=[("early", "At six"), ("late", "At half past eight")])

        class Meta:
            abstract = True

    made = scaffolding.Scaffold(class_name="Host")
    scaffolding._start(made, Dinner)
    assert made.notes == ["No time was found beside evening."]
    (told,) = type("DinnerHost", (StayHost,), {"start_field": None})().check()
    assert told.msg == "Set start_field, or date_field and time_field, or write start_of()."


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nowhere"], "There is no app 'nowhere'. Installed are: .*shapes"),
        (["shapes", "--booking-model", "Nothing"], "shapes has no model Nothing"),
        (["contenttypes"], "No model of contenttypes .* looks like a booking"),
    ],
    ids=["app", "model", "no bookings"],
)
def test_what_is_not_there_is_named(arguments: list[str], problem: str) -> None:
    with pytest.raises(CommandError, match=problem) as refused:
        scaffold(*arguments)
    assert refused.value.returncode == 2


@pytest.mark.parametrize(("project", "app"), [("bistro", "bookings"), ("tavern", "reservations")])
def test_what_it_writes_in_another_project_passes_check_there(project: str, app: str, tmp_path: Path) -> None:
    folder = PROJECT / "tests" / "hosts" / project
    environ = {
        **{name: os.environ.get(name, "") for name in ("PATH", "HOME")},
        **dict.fromkeys(("DATABASE_NAME", "DATABASE_HOST", "DATABASE_USER"), "unused"),
        "PYTHONPATH": f"{tmp_path}:{folder}:{PROJECT}",
    }

    def manage(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "django", *arguments],
            cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    text = manage("scaffold_host", app, "--settings", "settings")
    (tmp_path / "guessed.py").write_text(text)
    name = text.partition("class ")[2].partition("(")[0]
    (tmp_path / "trial.py").write_text(f"from settings import *\n\nASSIGNMENTS = {{'HOST': 'guessed.{name}'}}\n")
    manage("check", "--fail-level", "ERROR", "--settings", "trial")  # fails with whatever is an error
