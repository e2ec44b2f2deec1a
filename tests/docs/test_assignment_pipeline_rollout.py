"""docs/assignment-pipeline-rollout.md, from the first deploy to the last stage and back, in each of the environments.

What happens between two steps (a day of bookings) is made by the tests; the gates are the real ones. The tables of the
document are held against the code.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from waffle.models import Switch

from assignments import api
from assignments.coordination import dispatch
from assignments.models import Assignment, Attempt, Breaker, Event
from assignments.telemetry import background_writer
from example import models
from rollout.models import Change, Comparison, DayComparison, GuardRun, Position
from rollout.policy import gates, guardrails, ladder
from tests.docs import catalogue
from tests.docs.catalogue import RUNBOOK
from tests.docs.document import Step, run, steps
from tests.example.conftest import keep_few, load
from tests.rewriting import rewriting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.legacy_planner, pytest.mark.timeout(900)]

PRODUCTION = ("Production: shadow", "Production: canary-10", "Production: canary-50", "Production: full", "Going back")


def section(title: str) -> list[Step]:
    """The steps below this heading."""
    lines = RUNBOOK.read_text().splitlines()
    heads = [number for number, line in enumerate(lines, 1) if line.startswith("## ")]
    first = next(number for number in heads if lines[number - 1] == f"## {title}")
    last = next((number for number in heads if number > first), len(lines) + 1)
    return [step for step in steps(RUNBOOK) if first < int(step.place.split(":")[1]) < last]


def rows(title: str) -> list[dict[str, str]]:
    """The rows of the table that has this as its first column's title."""
    text = RUNBOOK.read_text()
    found = re.search(rf"^\| {title} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert found, f"no table begins with {title}"
    names = _cells(found.group().splitlines()[0])
    return [dict(zip(names, _cells(line), strict=True)) for line in found.group(1).splitlines()]


def _cells(line: str) -> list[str]:
    return [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]


class Environment:
    """One environment in which the document is followed."""

    def __init__(self, name: str, folder: Path, *, half_an_evening: bool = False) -> None:
        self.restaurant = load("legacy", name="Ours")
        if half_an_evening:
            kept = self.restaurant.bookings.order_by("start", "pk").values_list("pk", flat=True)[::2]
            self.restaurant.bookings.exclude(pk__in=kept).delete()
        else:
            keep_few(self.restaurant)
        Switch.objects.all().delete()
        self.variables = {
            "DJANGO_SETTINGS_MODULE": "tests.docs.settings",
            "DOCUMENT_ENVIRONMENT": name,
            "RESTAURANT": str(self.restaurant.pk),
            "TMPDIR": str(folder),
        }

    def follow(self, title: str, before: Mapping[str, Callable[[], object]] | None = None) -> dict[str, str]:
        """Do what this section says; ``before`` each command that begins so, something else happens. What each printed."""
        said = {}
        for step in section(title):
            for start, happens in (before or {}).items():
                if step.text.startswith(start):
                    happens()
            said[step.text] = run(step, **self.variables)
        return said

    @property
    def stage(self) -> str:
        return Position.objects.get(environment=self.variables["DOCUMENT_ENVIRONMENT"]).stage


@pytest.fixture
def environment(transactional_db: Any, tmp_path: Path) -> Callable[[str], Environment]:
    return lambda name: Environment(name, tmp_path)


def time_passes(hours: float) -> Callable[[], None]:
    """The stage, and everything that is evidence since then, lies so much longer back."""

    def passes() -> None:
        Position.objects.update(since=datetime.now(UTC) - timedelta(hours=hours))
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE rollout_change DISABLE TRIGGER USER")
            cursor.execute("UPDATE rollout_change SET at = at - %s * interval '1 hour'", [hours])
            cursor.execute("ALTER TABLE rollout_change ENABLE TRIGGER USER")

    return passes


def weeks_of_shadow() -> None:
    """What a group of restaurants would see in its weeks of shadow: peak evenings, edits, cancellations, many decisions."""
    days = [datetime.now(UTC).date() - timedelta(days=number) for number in range(25)]
    columns = [str(field.column) for field in Comparison._meta.concrete_fields if not field.primary_key]
    changed = {
        "booking_ref": "booking_ref || '-' || number",
        "snapshot_hash": "snapshot_hash || '-' || number",
        "service_date": "%s - number %% 25",
        # Each comes 25 times: one that a loaded machine took long for would be as many.
        "candidate_ms": "least(candidate_ms, 20)",
    }
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO rollout_comparison ({', '.join(columns)}) "
            f"SELECT {', '.join(changed.get(column, column) for column in columns)} "
            "FROM (SELECT *, count(*) OVER () AS total FROM rollout_comparison WHERE verdict <> '') AS kept, "
            "generate_series(0, 3000 / total::int) AS number",
            [days[0]],
        )
    a_day = DayComparison.objects.order_by("-id").values()[0]
    DayComparison.objects.bulk_create(
        DayComparison(**{**a_day, "id": None, "service_date": each}) for each in days if each != a_day["service_date"]
    )
    seated = list(models.Booking.objects.filter(status="confirmed").order_by("pk")[:50])
    for number, booking in enumerate(seated):
        if number % 2:
            booking.status = "cancelled"
            booking.save()
            api.booking_cancelled(booking_ref=str(booking.pk))
        else:
            booking.start += timedelta(days=1)
            booking.status = "pending"
            booking.save()
            api.booking_changed(booking_ref=str(booking.pk))
    background_writer.flush_all(5)
    time_passes(30)()


def bookings(
    restaurant: models.Restaurant, *, days: int, each: int, party: int, first: int = 40, sittings: int = 1
) -> list[str]:
    """So many parties on each of so many coming days, in the evening, at once or in sittings; their refs."""
    evening = datetime.now(UTC).replace(hour=19 if sittings == 1 else 17, minute=0, second=0, microsecond=0)
    made = models.Booking.objects.bulk_create(
        models.Booking(
            restaurant=restaurant,
            reference=f"{first + day}-{number}-{party}",
            start=evening + timedelta(days=first + day, minutes=90 * (number % sittings)),
            party=party,
        )
        for day in range(days)
        for number in range(each)
    )
    return [str(booking.pk) for booking in made]


def test_before_and_dev(environment: Callable[[str], Environment]) -> None:
    here = environment("dev")
    said = here.follow("Preparation")
    assert "would be seated" in said["python manage.py run_coordinator --dry-run"]
    assert not Attempt.objects.exists()
    here.follow("Dev", {"python manage.py rollout promote": lambda: bookings(here.restaurant, days=2, each=5, party=2)})
    assert here.stage == "full"
    assert set(Attempt.objects.values_list("planner", flat=True)) == {"legacy", "v3"}


def test_staging(environment: Callable[[str], Environment], tmp_path: Path) -> None:
    here = environment("staging")
    here.follow("Staging: shadow")
    assert here.stage == "shadow"
    here.follow("Staging: full", {"python manage.py rollout check": time_passes(25)})
    assert here.stage == "full"
    assert (tmp_path / "rollout-report.html").read_text().startswith("<!doctype html>")


@pytest.fixture
def production(transactional_db: Any, tmp_path: Path) -> tuple[Environment, list[str]]:
    """Production, all the way up by the document, with the real gates, and down again; bookings that V3 had open then."""
    # Its gates ask for dozens of edits and cancellations.
    here = Environment("production", tmp_path, half_an_evening=True)
    here.follow("Production: shadow")
    assert here.stage == "shadow"
    said = here.follow(
        "Production: canary-10",
        {
            "python manage.py rollout plan": weeks_of_shadow,
            "python manage.py run_coordinator": lambda: bookings(
                here.restaurant, days=50, each=36, party=2, sittings=3
            ),
        },
    )
    assert here.stage == "canary-10"
    assert "Nothing is blocking promotion" in said["python manage.py rollout plan"]
    assert Assignment.objects.filter(planner="v3", state="confirmed").count() >= 1800
    here.follow("Production: canary-50", {"python manage.py rollout check": time_passes(25)})
    assert here.stage == "canary-50"
    here.follow("Production: full", {"python manage.py rollout check": time_passes(170)})
    assert here.stage == "full"
    assert not Change.objects.filter(overridden=True).exists()
    refs = bookings(here.restaurant, days=1, each=20, party=4, first=250)
    dispatch.register_new()
    list(dispatch.run_pass())
    waiting = Assignment.objects.open().filter(booking_ref__in=refs, planner="v3")
    open_ones = list(waiting.values_list("booking_ref", flat=True))
    assert open_ones
    waiting.update(due_at=Now() - timedelta(minutes=1))
    here.follow("Going back")
    assert here.stage == "shadow"
    return here, open_ones


def test_production_up_and_down_again_and_what_helps_when_something_is_wrong(
    production: tuple[Environment, list[str]],
) -> None:
    here, open_ones = production
    handed_back = Assignment.objects.filter(booking_ref__in=open_ones)
    assert set(handed_back.values_list("planner", flat=True)) == {"legacy"}
    GuardRun.objects.create(
        environment="production", stage="full", breaches=[{"rail": "lost", "detail": "1 lost"}], rolled_back_to="shadow"
    )
    Breaker.objects.create(name="coordinator:1", failures=5, opened_until=Now() - timedelta(minutes=1))  # half open
    for kind, context in {
        "lock_contention": {"service_date": "2030-01-01", "detail": "day"},
        "error": {"error_type": "KeyError"},
    }.items():
        Event.objects.create(
            source="assignment.coordinator", type=f"coordinator.{kind}", severity="info", context=context, at=Now()
        )
    Event.objects.create(source="x", type="y", severity="info", booking_ref="42", at=Now())
    said = here.follow("Event cheat sheet") | here.follow("Troubleshooting")
    silent = [text for text, output in said.items() if not output and "pg_locks" not in text]
    assert not silent, "each of these queries was to find something"


def test_a_promise_of_the_document_that_is_broken_is_found_out(environment: Callable[[str], Environment]) -> None:
    here = environment("production")
    here.follow("Production: shadow")
    with pytest.raises(AssertionError, match=r"rollout check\nexits with 1"):
        here.follow("Production: canary-10")
    with rewriting():
        Comparison.objects.filter(pk=Comparison.objects.values("pk")[:1]).update(verdict="unsafe")
    broken = [step for step in section("Production: shadow") if "'unsafe'" in step.text]
    with pytest.raises(AssertionError, match="gives 1 instead of 0"):
        run(broken[0])


def test_every_block_belongs_to_a_section_that_is_followed() -> None:
    followed = ("Preparation", "Dev", "Staging: shadow", "Staging: full", *PRODUCTION)
    known = [step for title in (*followed, "Event cheat sheet", "Troubleshooting") for step in section(title)]
    assert sorted(known, key=lambda step: step.place) == sorted(steps(RUNBOOK), key=lambda step: step.place)
    assert len(known) > 60


def test_the_cheat_sheet_holds_every_event() -> None:
    expected = catalogue.cheat_sheet()
    for source in ("assignment.state_machine", "assignment.coordinator", "assignment.rollout", "auto_assign"):
        assert f"### `{source}`" in expected
    assert catalogue.written() == expected, "python -m tests.docs.catalogue writes it anew"


def test_the_stages_are_those_of_the_code() -> None:
    on = {True: "on", False: "off"}
    assert rows("Environment") == [
        {
            "Environment": environment,
            "Stage": stage.key,
            "V3": on[stage.v3],
            "Shadow": on[stage.shadow],
            "Restaurants": f"{stage.percent} %",
            "Minimum time": f"{stage.soak_hours:g} h",
        }
        for environment, stages in ladder.DEFAULT.items()
        for stage in stages
    ]


def test_the_thresholds_are_those_of_the_code() -> None:
    columns = {
        "staging shadow": [("staging", "shadow")],
        "staging full": [("staging", "full")],
        "production shadow": [("production", "shadow")],
        "canary-10, canary-50, full": [("production", key) for key in ("canary-10", "canary-50", "full")],
    }
    table = rows("Gate")
    assert [row["Gate"] for row in table] == list(gates.GATES)
    for column, stages in columns.items():
        written = {row["Gate"]: float(row[column]) for row in table if row[column]}
        for environment, key in stages:
            stage = next(each for each in ladder.DEFAULT[environment] if each.key == key)
            assert written == dict(stage.gates), (column, key)


def test_the_guardrails_are_those_of_the_code() -> None:
    assert {row["Guardrail"]: float(row["Limit"]) for row in rows("Guardrail")} == dict(guardrails.DEFAULT)
