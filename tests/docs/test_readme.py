"""Every shell command of README.md works as it is printed, on the database that ``make demo`` leaves behind."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import execute_from_command_line
from django.db import connection
from django.utils import timezone

from assignments.integration import planners
from assignments.models import Breaker
from example import demo, demo_database, evening
from example import settings as example_settings
from rollout import conf
from rollout.control import steering
from tests.docs.document import PROJECT, Step, run, steps

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.legacy_planner]

README = PROJECT / "README.md"
MANAGE = "python manage.py "
ACTIVATE = ". .venv/bin/activate"
NOT_RUN = {
    "make demo": "its data is there: the test has run the same functions",
    ACTIVATE: "the tests run in the virtual environment that they were started with",
    "make test": "this is part of it",
    "python manage.py demo --friday": "it empties the database: tests/example/test_friday.py runs it in one of its own",
    "python manage.py show_evening 1": "the restaurant has another number here: tests/example/test_friday.py runs it",
}
"""The commands that are left out, and why."""


def without_comment(command: str) -> str:
    return command.partition("#")[0].strip()


def cron() -> list[Step]:
    """What the README has cron run, in the project's folder."""
    lines = re.findall(
        r"^(?:\S+ +){5}cd /srv/booking && \.venv/bin/(python manage\.py .*)$", README.read_text(), re.MULTILINE
    )
    return [Step(place="README.md, cron", language="sh", text=line, promise="0") for line in lines]


@pytest.fixture
def after_the_demo(settings: Any, tmp_path: Path, monkeypatch: Any) -> Iterator[None]:
    """What ``make demo`` leaves behind, with the example's ladder."""
    monkeypatch.setattr(demo_database, "PASSWORD_FILE", tmp_path / "password")
    # The candidate's process works on this test's database.
    monkeypatch.setenv("DATABASE_NAME", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")
    settings.ROLLOUT = example_settings.ROLLOUT
    settings.ASSIGNMENTS = example_settings.ASSIGNMENTS
    with demo_database.claimed(anew=False):
        demo_database.make_user()
        # Few of its bookings: how many there are makes no difference to the commands.
        data = json.loads(demo.REAL_EVENING.read_text())
        path = tmp_path / "evening.json"
        path.write_text(json.dumps({**data, "bookings": data["bookings"][:15]}))
        demo.run(evening.parse_json_ahead(path.read_text(), timezone.now()), path, tmp_path / "rollout-report.html")
    # The incidents happen on the evening of this file.
    a_third = tmp_path / "a_third.json"
    a_third.write_text(json.dumps({**data, "bookings": data["bookings"][::3]}))
    monkeypatch.setattr(demo, "REAL_EVENING", a_third)
    yield
    with connection.cursor() as cursor:
        cursor.execute("COMMENT ON TABLE example_restaurant IS NULL")
        cursor.execute("DROP FUNCTION IF EXISTS example_loyalty_points CASCADE")


def execute(step: Step) -> str:
    """In this process if it is one of ``manage.py``'s, which saves a second each; what it printed."""
    if not step.text.startswith(MANAGE):
        return run(step, DJANGO_SETTINGS_MODULE="example.settings")
    out, code = StringIO(), 0
    with redirect_stdout(out), redirect_stderr(out):
        try:
            execute_from_command_line(["manage.py", *shlex.split(step.text.removeprefix(MANAGE), comments=True)])
        except SystemExit as error:
            code = int(error.code or 0)
    assert code == int(step.promise), f"{step.place}: {step.text}\nexits with {code}\n{out.getvalue()}"
    return out.getvalue()


@pytest.mark.usefixtures("after_the_demo")
def test_every_command_works_as_printed_after_the_demo() -> None:
    found = steps(README)
    left_out = {without_comment(step.text) for step in found} & NOT_RUN.keys()
    assert left_out == NOT_RUN.keys(), "these are not in the README any more"
    said = {}
    for step in [*found, *cron()]:
        command = without_comment(step.text)
        if command not in NOT_RUN:
            said[command] = execute(step)
    assert len(cron()) == 7
    assert re.search(r"^Mode +shadow$", said["python manage.py rollout status"], re.MULTILINE)
    assert "117" in said["python manage.py rollout backtest --file example/data/demo_evening.json"]
    # The incidents came last, and each was there: the breaker's was mended for the next, and the guard has rolled back.
    assert not Breaker.objects.exists()
    position = steering.current()
    assert position is not None
    assert position.stage == "shadow"


def test_the_settings_for_development_are_six_lines_at_most_and_pass_the_checks(settings: Any) -> None:
    alone, with_rollout = re.findall(r"^# settings\.py.*\n((?:.+\n)+)```", README.read_text(), re.MULTILINE)
    assert len((alone + with_rollout).splitlines()) <= 6
    given: dict[str, Any] = {"INSTALLED_APPS": []}
    exec(alone, given)
    assert given["INSTALLED_APPS"] == ["assignments", "django.contrib.postgres"]
    exec(with_rollout, given)
    assert set(given["INSTALLED_APPS"]) <= set(settings.INSTALLED_APPS)
    settings.DEBUG = True
    settings.ASSIGNMENTS = {**given["ASSIGNMENTS"], "HOST": example_settings.ASSIGNMENTS["HOST"]}
    settings.ROLLOUT = given["ROLLOUT"]
    assert [each for each in run_checks(tags=["assignments", "rollout"]) if each.is_serious()] == []
    assert conf.settings().LEGACY_PLANNER
    assert planners.router_path() == "rollout.routing.RolloutRouter"


def test_it_is_short_and_opens_with_the_two_commands() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= 150
    title, _blank, fence, *first, end = lines[:7]
    assert (title, fence, end) == ("# Table assignments", "```sh", "```")
    assert [without_comment(line) for line in first] == ["make demo", ACTIVATE, "make test"]


def test_the_environment_is_entered_between_the_demo_and_the_first_command() -> None:
    commands = [without_comment(step.text) for step in steps(README)]
    assert commands[:2] == ["make demo", ACTIVATE]
    assert [each for each in commands if each.startswith("manage.py")] == []
