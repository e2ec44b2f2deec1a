"""Twelve shapes of booking projects, the whole way: installed, decided by either planner, compared, changed, uninstalled."""

import ast
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection, transaction

from assignments.host import ModelHost
from assignments.maintenance.reconcile import reconcile
from assignments.models import Allocation, Assignment, HostMark, State
from rollout.models import Comparison
from tests.hosts.project import HOSTS

HERE = Path(__file__).parent
DAY = (datetime.now(UTC) + timedelta(days=30)).replace(hour=17, minute=0, second=0, microsecond=0)
PARTIES = (2, 4, 3, 6, 2, 4, 4, 5, 2, 3)
"""Of the ten bookings of an evening, which come at 17, 19 and 21 o'clock by turns. There is a plan that seats them all."""
COMMON = ("harbour", "corner", "club", "garden", "diner", "atrium")
"""The shapes of six public projects. The others each have one thing that these lack."""
SOLE = "assignments.integration.planners.SoleRouter"
MOST_SETTINGS = 6
MOST_LINES = 12


@pytest.fixture(params=HOSTS)
def steps(request, settings):
    """What people do in one project, whose settings hold."""
    return use(request.param, settings)


def use(name, settings):
    given = import_module(f"tests.hosts.{name}.settings")
    settings.ASSIGNMENTS = {**given.ASSIGNMENTS, "EVENT_SINKS": ("assignments.telemetry.events.MemorySink",)}
    settings.ROLLOUT = given.ROLLOUT
    settings.ROOT_URLCONF = given.ROOT_URLCONF
    settings.TIME_ZONE = "UTC"
    return getattr(import_module(f"tests.hosts.{name}.steps"), f"{name.title()}Steps")()


def told(*arguments):
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def found_by_check():
    found = run_checks(databases=["default"], include_deployment_checks=False)
    return [each for each in found if each.id.startswith(("assignments.", "rollout."))]


def book(steps, *, evening, bookings=10):
    """Bookings of one evening, and a pass of cron. None is seated where another is, in the project's own rows."""
    rows = [
        steps.book(DAY + timedelta(days=evening, hours=2 * (number % 3)), party)
        for number, party in enumerate(PARTIES[:bookings])
    ]
    told("run_coordinator")
    assert steps.overlaps() == []
    assert not HostMark.objects.exists()
    return rows


def planners_of(rows):
    return {each.planner for each in Assignment.objects.filter(booking_ref__in=[str(row.pk) for row in rows])}


def in_the_ledger():
    """The tables of each booking as they are known here."""
    found = {}
    for ref, table in Allocation.objects.order_by("table_ref").values_list("booking_ref", "table_ref"):
        found.setdefault(ref, []).append(table)
    return found


def seat_by_staff(steps, *, evening):
    """Staff seat two parties in the project before any pass; four others want a table then. Each keeps its own."""
    start, (smallest, second, *_others) = DAY + timedelta(days=evening), steps.tables()
    waiting = [steps.book(start, 2) for _number in range(2)]
    booked = steps.book(start, 2)
    steps.seat(booked, smallest)
    with transaction.atomic():  # A row that is new to everybody, and seated.
        created = steps.book(start, 2)
        steps.seat(created, second)
    waiting += [steps.book(start, 2) for _number in range(2)]
    told("run_coordinator")
    rows, ledger = steps.seated_rows(), in_the_ledger()
    for row, table in ((booked, smallest), (created, second)):
        assert rows[str(row.pk)] == ledger[str(row.pk)] == [steps.ref(table)]
    assert len([row for row in waiting if str(row.pk) in rows]) == 2
    assert (steps.overlaps(), rows) == ([], ledger)
    assert list(reconcile()) == []
    assert told("reconcile_assignments", "--check") == "Every promise holds.\n"


UNKNOWABLE = {"club": {"confirmed_status", "cancelled_statuses"}}
"""What no model says: a text without choices does not tell which statuses are stored."""


@pytest.mark.parametrize("name", HOSTS)
def test_the_scaffold_writes_what_the_project_wrote_by_hand(name, tmp_path, monkeypatch):
    monkeypatch.setattr(apps.get_app_config(name), "path", str(tmp_path))
    told("scaffold_host", name, "--write")
    source = (tmp_path / "host.py").read_text()
    names = {"__name__": f"tests.hosts.{name}.scaffolded"}
    exec(source, names)
    (guessed,) = [each for each in names.values() if isinstance(each, type) and ModelHost in each.__bases__]
    by_hand = getattr(import_module(f"tests.hosts.{name}.host"), f"{name.title()}Host")
    written = {each for host in (guessed, by_hand) for each in vars(host) if not each.startswith("_")}
    differ = {each for each in written - {"floor"} if getattr(guessed, each) != getattr(by_hand, each)}
    assert differ == UNKNOWABLE.get(name, set())
    assert [each.msg for each in guessed().check() if each.is_serious()] == []
    # Who has no model of tables gets a method to fill in, which works as it is.
    assert ("floor" in vars(guessed)) == ("floor" in vars(by_hand))
    if "floor" in vars(guessed):
        assert len(guessed().floor("venue").tables) > 1
    if name in COMMON:
        assert len(code_lines(ast.parse(source).body[1:])) <= MOST_LINES


@pytest.mark.django_db(transaction=True)
class TestTheWholeWay:
    def test_v3_alone_decides_and_follows_what_people_change(self, steps, settings):
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "ROUTER": SOLE}
        steps.furnish()
        assert [(each.id, each.msg) for each in found_by_check()] == []
        early = steps.book(DAY - timedelta(days=1), 2)
        said = told("inspect_host")
        assert f"Booking {early.pk}" in said
        assert "v3: " in said
        rows = book(steps, evening=0)
        assert planners_of(rows) == {"v3"}
        assert len(steps.seated_rows()) == 11
        assert steps.seated_rows() == in_the_ledger()

        # A party grows: another table does, at once.
        steps.edit(rows[4], 3)
        assert {each.party for each in Allocation.objects.filter(booking_ref=str(rows[4].pk))} == {3}
        assert steps.overlaps() == []

        # Guests cancel: their table is free.
        steps.cancel(rows[3])
        assert Assignment.objects.get(booking_ref=str(rows[3].pk)).state == State.CANCELLED
        assert str(rows[3].pk) not in {**in_the_ledger(), **steps.seated_rows()}

        # Staff give it to others, in the project: taken over as it is.
        largest = steps.tables()[-1]
        steps.give(rows[0], largest)
        assert in_the_ledger()[str(rows[0].pk)] == [steps.ref(largest)]
        assert steps.seated_rows() == in_the_ledger()
        assert steps.overlaps() == []
        assert list(reconcile()) == []

    def test_nobody_is_seated_where_staff_seated_others_before_any_pass(self, steps, settings):
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "ROUTER": SOLE}
        steps.furnish()
        seat_by_staff(steps, evening=0)

    @pytest.mark.legacy_planner
    def test_nor_does_the_legacy_planner_seat_anybody_there(self, steps):
        steps.furnish()
        seat_by_staff(steps, evening=0)

    def test_inspect_host_plans_the_next_ten_bookings_and_changes_nothing(self, settings):
        steps = use("garden", settings)
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "ROUTER": SOLE}
        steps.furnish()
        # The later five come in the evening after, so that there is a table for each.
        rows = [
            steps.book(DAY + timedelta(days=number // 5, hours=2 * (number % 3)), party)
            for number, party in enumerate(PARTIES)
        ]
        last = steps.book(DAY + timedelta(days=9), 2)
        before = rows_of_the_projects()
        said = told("inspect_host")
        assert [f"Booking {row.pk}" in said for row in rows] == [True] * 10, said
        assert f"Booking {last.pk}" not in said
        assert said.count("v3: ") == 10, said
        assert rows_of_the_projects() == before
        assert (steps.seated_rows(), in_the_ledger()) == ({}, {})

    @pytest.mark.parametrize("how", ["pass", "reconcile"])
    def test_a_table_that_is_deleted_under_its_bookings_sends_no_signal_and_is_found(self, settings, how):
        """Django clears their foreign keys in bulk."""
        steps = use("corner", settings)
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "ROUTER": SOLE}
        steps.furnish()
        (row,) = book(steps, evening=0, bookings=1)
        row.refresh_from_db()
        gone = steps.ref(row.table)
        row.table.delete()
        assert (HostMark.objects.count(), in_the_ledger()) == (0, {str(row.pk): [gone]})
        if how == "pass":
            told("run_coordinator")
        else:
            assert [found.booking_ref for found in reconcile()] == [str(row.pk)]
        row.refresh_from_db()
        assert steps.ref(row.table) != gone
        assert in_the_ledger() == steps.seated_rows() == {str(row.pk): [steps.ref(row.table)]}

    @pytest.mark.legacy_planner
    def test_legacy_decides_then_shadow_compares_then_v3_decides(self, steps):
        steps.furnish()
        first = book(steps, evening=0)
        assert planners_of(first) == {"legacy"}
        assert steps.seated_rows() == in_the_ledger()
        told("rollout", "set", "shadow", "on", "--reason", "to compare")
        second = book(steps, evening=1, bookings=2)  # Each is compared in a process of its own.
        assert planners_of(second) == {"legacy"}
        told("rollout", "compare")
        assert {each.booking_ref for each in Comparison.objects.all()} == {str(row.pk) for row in second}
        told("rollout", "set", "shadow", "off", "--reason", "it is as good")
        told("rollout", "set", "v3", "on", "--reason", "it is as good")
        third = book(steps, evening=2, bookings=3)
        assert planners_of(third) == {"v3"}
        assert {str(row.pk) for row in third} <= set(steps.seated_rows())
        assert steps.seated_rows() == in_the_ledger()
        assert list(reconcile()) == []


def test_a_one_to_one_is_refused_before_the_first_booking(settings):
    use("chapel", settings)
    settings.ASSIGNMENTS = {"HOST": "tests.hosts.chapel.host.RefusedHost"}
    (found,) = [each for each in run_checks(tags=["assignments"]) if each.is_serious()]
    assert (found.id, "tables_field is 'pew'" in found.msg) == ("assignments.E032", True)
    with pytest.raises(SystemCheckError, match=r"assignments\.E032"):
        call_command("check")


@pytest.mark.django_db(transaction=True)
def test_a_project_with_a_user_model_of_its_own_is_migrated_and_names_its_members():
    given = connection.settings_dict
    name = f"{given['NAME']}_members"
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        cursor.execute(f'CREATE DATABASE "{name}"')
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.hosts.club.members"],
            cwd=HERE.parents[1],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.hosts.club.settings",
                "AUTH_USER_MODEL": "club.Member",
                "FEATURE_ASSIGNMENT_PIPELINE_V3": "true",  # Nobody else may be there to decide.
                "DATABASE_NAME": name,
                "DATABASE_HOST": str(given["HOST"]),
                "DATABASE_PORT": str(given["PORT"]),
                "DATABASE_USER": str(given["USER"]),
                "DATABASE_PASSWORD": str(given["PASSWORD"]),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    assert (done.returncode, done.stdout, done.stderr) == (0, "moved by 030 5678\n", "")


def code_lines(statements):
    """The lines of statements without blanks, comments, docstrings and imports."""
    return {
        each.lineno
        for statement in statements
        for each in ast.walk(statement)
        if isinstance(each, ast.stmt) and not isinstance(each, ast.Import | ast.ImportFrom)
    }


def written(name):
    """How many lines a project writes to use these apps: of settings, and of its host class
    with what that needs."""
    settings = ast.parse((HERE / name / "settings.py").read_text()).body
    host = [
        each
        for each in ast.parse((HERE / name / "host.py").read_text()).body
        if not (isinstance(each, ast.ClassDef) and each.name == "RefusedHost")
    ]
    own = [each for each in settings if not isinstance(each, ast.ImportFrom)]
    return sum(each.end_lineno - each.lineno + 1 for each in own), len(code_lines(host))


def test_a_project_writes_few_lines():
    lines = {name: written(name) for name in HOSTS}
    assert max(settings for settings, _host in lines.values()) <= MOST_SETTINGS, lines
    assert max(lines[name][1] for name in COMMON) <= MOST_LINES, lines
    urls = ast.parse((HERE / "urls.py").read_text()).body[-1]
    assert len(urls.value.elts) == 1
    readme = (HERE.parents[1] / "README.md").read_text()
    for line in (HERE / "crontab").read_text().splitlines()[1:]:
        assert line in readme


def rows_of_the_projects():
    """Every row of the twelve projects, by table; those of many-to-many fields too."""
    found = {}
    with connection.cursor() as cursor:
        for model in (
            each for name in HOSTS for each in apps.get_app_config(name).get_models(include_auto_created=True)
        ):
            cursor.execute(f'SELECT to_jsonb(one) FROM "{model._meta.db_table}" AS one ORDER BY one::text')
            found[model._meta.db_table] = cursor.fetchall()
    return found


def number_from(model, first):
    """Let a project's bookings have keys that those of the other projects do not have: all are in one ledger."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence(%s, %s), %s, false)",
            (model._meta.db_table, model._meta.pk.column, first),
        )


@pytest.mark.django_db(transaction=True)
class TestUninstalling:
    """The twelve projects are one here, and each has a booking with a table."""

    @pytest.fixture
    def copy(self):
        """A copy of the tests' database, which is the default one meanwhile."""
        original = connection.settings_dict["NAME"]
        name = f"{original}_uninstalled"
        connection.close()
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{original}"')
        connection.settings_dict["NAME"] = name
        yield
        connection.close()
        connection.settings_dict["NAME"] = original
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def test_it_leaves_no_table_of_ours_and_every_row_of_each_project(self, settings, request):
        for number, name in enumerate(HOSTS):
            steps = use(name, settings)
            settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "ROUTER": SOLE}
            steps.furnish()
            number_from(steps.booking, 1000 * (number + 1))
            (row,) = book(steps, evening=number, bookings=1)
            assert list(steps.seated_rows()) == [str(row.pk)], name
        before = rows_of_the_projects()
        request.getfixturevalue("copy")
        for label in ("rollout", "assignments"):
            call_command("migrate", label, "zero", verbosity=0, stdout=StringIO())
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT relname FROM pg_class WHERE relname ~ '^(assignments|rollout)_'
                UNION ALL SELECT proname FROM pg_proc WHERE proname ~ '^(assignments|rollout)_'
                UNION ALL SELECT typname FROM pg_type WHERE typname ~ '^(assignments|rollout)_'
                UNION ALL SELECT tgname FROM pg_trigger WHERE tgname ~ '^(assignments|rollout)_'
                """
            )
            assert cursor.fetchall() == []
        assert rows_of_the_projects() == before
