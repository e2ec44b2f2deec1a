"""The cron command: exit codes, dry run, output."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection

from assignments import conf
from assignments.coordination import dispatch
from assignments.models import Allocation, Assignment, Attempt, Event, OutboxMessage, StateTransition
from example import models
from rollout.control import switches
from rollout.flags import resolution
from tests.example import processes
from tests.example.conftest import keep_few

EVERYTHING = (models.Booking, models.Table, Assignment, Attempt, Allocation, StateTransition, OutboxMessage, Event)


def contents() -> dict[str, list[Any]]:
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in EVERYTHING}


def run(*arguments: str, capsys: Any) -> Any:
    call_command("run_coordinator", *arguments)
    return capsys.readouterr().out


def test_one_pass_decides_what_is_due_and_says_so(restaurant: models.Restaurant, capsys: Any) -> None:
    out = run(capsys=capsys)
    confirmed = restaurant.bookings.filter(status="confirmed").count()
    assert confirmed >= 70
    assert f"117 new; {confirmed} confirmed, {114 - confirmed} retry, 3 manual_review" in out


def test_json_is_one_object_with_the_whole_tally(restaurant: models.Restaurant, settings: Any, capsys: Any) -> None:
    # However slow the machine, nothing is due again by the second pass.
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "RETRY_BASE_SECONDS": 3600, "RETRY_MAX_SECONDS": 3600}
    report = json.loads(run("--json", capsys=capsys))
    confirmed = restaurant.bookings.filter(status="confirmed").count()
    assert (report["taken_in"], report["processed"], report["confirmed"]) == (117, 117, confirmed)
    assert report["planners"] == {"v3": 117}
    assert report["reasons"] == {"manual_review:service_overrun": 3, "retry:no_capacity": 114 - confirmed}
    assert set(report["decision_ms"]) == {"p50", "p95", "max"}
    Assignment.objects.open().update(due_at=datetime(2100, 1, 1, tzinfo=UTC))
    assert json.loads(run("--json", capsys=capsys))["processed"] == 0


@pytest.mark.parametrize(
    "v3", [pytest.param(True, id="v3"), pytest.param(False, id="legacy", marks=pytest.mark.legacy_planner)]
)
def test_a_dry_run_shows_the_plan_and_changes_nothing(restaurant: models.Restaurant, capsys: Any, v3: bool) -> None:
    keep_few(restaurant, 40)
    switches.set_switch(resolution.V3_SWITCH, active=v3, actor="test", reason="test")
    before = contents()
    plan = json.loads(run("--dry-run", "--json", capsys=capsys))
    assert contents() == before
    decisions = plan["days"][0]["decisions"]
    assert {decision["planner"] for decision in decisions} == {"v3" if v3 else "legacy"}
    planned = {decision["booking"]: decision["tables"] for decision in decisions if decision["tables"]}
    run(capsys=capsys)
    confirmed: dict[str, list[str]] = {}
    for allocation in Allocation.objects.order_by("table_ref"):
        confirmed.setdefault(allocation.booking_ref, []).append(allocation.table_ref)
    assert {ref: sorted(tables) for ref, tables in planned.items()} == {
        ref: sorted(tables) for ref, tables in confirmed.items()
    }


def test_a_dry_run_says_why(restaurant: models.Restaurant, capsys: Any) -> None:
    out = run("--dry-run", capsys=capsys)
    assert "stays empty" in out or "stay empty" in out or "it fits exactly" in out
    assert "Preferred over" in out
    assert "dinner ends at" in out
    assert "Dry run: nothing was written." in out


def test_a_dry_run_that_tries_to_write_is_refused_by_the_database(restaurant: models.Restaurant, settings: Any) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "HOST": "tests.example.hosts.WritingHost"}
    before = contents()
    with pytest.raises(DatabaseError, match="read-only transaction"):
        call_command("run_coordinator", "--dry-run")
    assert contents() == before


def test_a_limit_is_kept_across_passes(restaurant: models.Restaurant, capsys: Any) -> None:
    assert json.loads(run("--json", "--limit", "10", capsys=capsys))["processed"] == 10
    assert dispatch.count_due() == 107


def test_an_unexpected_error_exits_with_one_and_the_others_are_processed(
    restaurant: models.Restaurant, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "HOST": "tests.example.hosts.RefusingHost"}
    models.Booking.objects.filter(reference="B003").update(guest_name="Canary Guest", guest_email="canary@example.test")
    code, out, err = processes.run_here("run_coordinator")
    assert code == 1
    assert "retry:unexpected_error" in out
    assert caplog.text
    assert "canary" not in (out + err + caplog.text).lower()
    assert restaurant.bookings.filter(status="confirmed").count() >= 70
    assert restaurant.bookings.get(reference="B003").status == "pending"
    assert Assignment.objects.filter(due_at__isnull=True, state="assignment_pending").count() == 0


def test_a_host_that_cannot_say_what_waits_does_not_hold_up_what_is_known(
    restaurant: models.Restaurant, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    dispatch.register_new()
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "HOST": "tests.example.hosts.ForgetfulHost"}
    code, out, err = processes.run_here("run_coordinator")
    assert code == 1
    assert "KeyError" in err + caplog.text
    assert "canary" not in (out + err + caplog.text).lower()
    assert restaurant.bookings.filter(status="confirmed").count() >= 70


@pytest.mark.parametrize(
    "arguments",
    [
        ["--limit", "0"],
        ["--limit", "-3"],
        ["--limit", "many"],
        ["--limit", "99999999999"],
        ["--max-seconds", "0"],
        ["--interval", "soon"],
        ["--interval", "inf"],
        ["--interval", "nan"],
        ["--interval", "1e12"],
        ["--restaurant", "nowhere"],
        ["--restaurant", ""],
        ["--watch", "--dry-run"],
        ["--no-such-option"],
    ],
    ids=" ".join,
)
def test_bad_usage_exits_with_two_and_names_the_value(transactional_db: Any, arguments: list[str]) -> None:
    code, out, err = processes.run_here("run_coordinator", *arguments)
    assert (code, out) == (2, "")
    assert arguments[-1] in err


@pytest.mark.parametrize(
    "arguments",
    [["reconcile_assignments", "--restaurant", ""], ["deliver_outbox", "--limit", "-5"]],
    ids=" ".join,
)
def test_the_other_commands_refuse_bad_usage_too(transactional_db: Any, arguments: list[str]) -> None:
    code, out, err = processes.run_here(*arguments)
    assert (code, out) == (2, "")
    assert arguments[1] in err


@pytest.mark.parametrize(
    ("group", "wrong", "named"),
    [
        ("ASSIGNMENTS", {"HOST": "example.host.NoSuchHost"}, "example.host.NoSuchHost"),
        ("ASSIGNMENTS", {"HOST": "nonsense"}, "nonsense"),
        ("ASSIGNMENTS", {"MAX_PARALLEL": 99}, "99"),
        ("ASSIGNMENTS", {"MAX_PARALLEL": "three"}, "three"),
        ("ROLLOUT", {"ENVIRONMENT_VARIABLES": {"FEATURE_ASSIGNMENT_PIPELINE_V3": "maybe"}}, "maybe"),
        ("ROLLOUT", {"ENVIRONMENT_VARIABLES": {"ASSIGNMENT_PIPELINE_KILL": "perhaps"}}, "perhaps"),
        (
            "ROLLOUT",
            {
                "ENVIRONMENT_VARIABLES": {
                    "FEATURE_ASSIGNMENT_PIPELINE_V3": "1",
                    "FEATURE_ASSIGNMENT_PIPELINE_V3_SHADOW": "1",
                }
            },
            "both on",
        ),
    ],
)
def test_a_wrong_configuration_exits_with_two_and_names_the_value(
    restaurant: models.Restaurant, settings: Any, group: str, wrong: dict[str, Any], named: str
) -> None:
    setattr(settings, group, {**getattr(settings, group), **wrong})
    code, _out, err = processes.run_here("run_coordinator")
    assert code == 2, err
    assert named in err
    assert not Assignment.objects.exists()


def test_a_process_with_a_wrong_environment_exits_with_two_and_names_the_value(restaurant: models.Restaurant) -> None:
    code, _out, err = processes.run_anew(
        "run_coordinator",
        FEATURE_ASSIGNMENT_PIPELINE_V3="maybe",
        FEATURE_ASSIGNMENT_PIPELINE_V3_MAX_PARALLEL="three",
    )
    assert code == 2, err
    assert "maybe" in err
    assert "three" in err
    assert not Assignment.objects.exists()


def test_a_database_that_is_away_exits_with_seventy_five() -> None:
    import os
    import subprocess
    import sys

    environ = {
        **{name: value for name, value in os.environ.items() if name != "DATABASE_NAME"},
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": "postgresql://nobody:canary-password@127.0.0.1:1/nothing",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "run_coordinator"],
        cwd=processes.PROJECT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 75, done.stderr
    assert "canary-password" not in done.stderr


def test_a_database_that_was_not_migrated_exits_with_two_and_says_what_to_do(transactional_db: Any) -> None:
    name = f"{connection.settings_dict['NAME']}_empty"
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}"')
        try:
            answers = [processes.run("run_coordinator", DATABASE_NAME=name)]
            with processes.on_database(name):
                answers += [processes.run_here(command) for command in ("reconcile_assignments", "deliver_outbox")]
        finally:
            cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    for code, _out, err in answers:
        assert code == 2, err
        assert "manage.py migrate" in err
        assert "Traceback" not in err


def test_without_a_planner_on_duty_bookings_wait(restaurant: models.Restaurant, settings: Any, capsys: Any) -> None:
    switches.set_switch(resolution.V3_SWITCH, active=False, actor="test", reason="test")
    settings.ROLLOUT = {**settings.ROLLOUT, "LEGACY_PLANNER": ""}
    report = json.loads(run("--json", capsys=capsys))
    assert (report["noop"], report["confirmed"]) == (117, 0)
    assert report["reasons"] == {"noop:pipeline_disabled": 117}
    assert dispatch.count_due() == 117


def test_the_help_tells_the_exit_codes(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        call_command("run_coordinator", "--help")
    out = capsys.readouterr().out
    assert "75 the database is unavailable" in " ".join(out.split())


def test_a_command_error_carries_its_exit_code(restaurant: models.Restaurant) -> None:
    conf.load.cache_clear()
    with pytest.raises(CommandError) as refused:
        call_command("run_coordinator", "--restaurant", "nowhere")
    assert refused.value.returncode == 2
