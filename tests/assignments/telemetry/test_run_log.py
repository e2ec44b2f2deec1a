"""Runs on record: what cron and watching workers did, whatever befell them, and never in the way of a booking."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models.functions import Now
from django.db.transaction import Atomic

from assignments import api
from assignments.concurrency import transactions
from assignments.coordination import dispatch
from assignments.maintenance import retention
from assignments.models import Assignment, Run
from assignments.outcome import Kind, Noop, Outcome, noop
from assignments.telemetry import events, health, run_log
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import TheHost

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _waiting(host: TheHost, tonight: datetime) -> None:
    for ref in ("B1", "B2"):
        host.book(ref, starts_at=tonight)


def test_a_pass_from_cron_is_one_row_with_what_it_did() -> None:
    call_command("run_coordinator", "--json")
    run = Run.objects.get()
    assert (run.watches, run.passes, run.failed_passes, run.taken_in) == (False, 1, 0, 2)
    assert run.outcomes == {"confirmed": 2}
    assert run.succeeded_at is not None
    assert run.succeeded_at == run.last_pass_at
    assert run.ended_at is not None
    assert run.started_at <= run.succeeded_at <= run.ended_at
    assert (run.unexpected, run.error, run.dropped_events) == (0, "", 0)
    assert run.seconds > 0
    assert re.fullmatch(r".+:\d+", run.worker)
    assert run.version == run_log.version() == "0.1.0"


def test_an_app_that_is_not_installed_has_no_version(monkeypatch: Any) -> None:
    monkeypatch.setattr(run_log, "DISTRIBUTION", "no-such-distribution")
    assert run_log.version() == ""


def test_a_dry_run_leaves_no_record() -> None:
    call_command("run_coordinator", "--dry-run")
    assert not Run.objects.exists()


def test_one_bookings_error_is_counted_and_the_pass_succeeds_with_the_others(host: TheHost) -> None:
    host.raises["on_confirmed"] = ZeroDivisionError("Canary Guest")
    host.raises_for = {"B1"}
    with pytest.raises(CommandError):
        call_command("run_coordinator")
    run = Run.objects.get()
    assert (run.passes, run.failed_passes, run.unexpected, run.error) == (1, 1, 1, "ZeroDivisionError")
    assert run.outcomes == {"confirmed": 1, "retry": 1}
    assert run.succeeded_at == run.last_pass_at
    assert run.ended_at is not None


def test_one_restaurant_at_which_every_confirmation_raises_does_not_make_cron_look_dead(
    host: TheHost, tonight: datetime
) -> None:
    host.floors["R2"] = a_floor("R2", tables=[a_table("T9")])
    host.book("B9", starts_at=tonight, restaurant_ref="R2")
    host.raises["on_confirmed"] = ZeroDivisionError("Canary Guest")
    host.raises_for = {"B1", "B2"}
    with pytest.raises(CommandError):
        call_command("run_coordinator")
    assert Run.objects.get().unexpected == 2
    assert health.vitals().cron_problem == ""


def test_a_pass_of_which_nothing_but_unexpected_errors_came_is_no_success(host: TheHost) -> None:
    host.raises["on_confirmed"] = ZeroDivisionError("Canary Guest")
    with pytest.raises(CommandError):
        call_command("run_coordinator")
    run = Run.objects.get()
    assert (run.outcomes, run.failed_passes, run.succeeded_at) == ({"retry": 2}, 1, None)


def test_bookings_that_nobody_tried_beside_errors_do_not_count_as_decided(monkeypatch: Any, tonight: datetime) -> None:
    outcomes = (
        Outcome(booking_ref="B1", kind=Kind.RETRY, reason="unexpected_error", detail="KeyError", unexpected=True),
        Outcome(booking_ref="B2", kind=Kind.RETRY, reason="circuit_open"),
        noop("B3", Noop.LOCK_CONTENTION),
    )
    progress = dispatch.Progress(restaurant_ref="R1", service_date=tonight.date(), outcomes=outcomes)
    monkeypatch.setattr(dispatch, "run_pass", lambda limits: [progress])
    with pytest.raises(CommandError):
        call_command("run_coordinator")
    run = Run.objects.get()
    assert (run.outcomes, run.succeeded_at) == ({"noop": 1, "retry": 2}, None)


def test_a_host_that_cannot_say_who_waits_makes_no_success_though_others_are_decided(
    host: TheHost, monkeypatch: Any
) -> None:
    for ref in ("B1", "B2"):
        api.request(booking_ref=ref)
    monkeypatch.setattr(host, "unassigned", lambda **given: 1 / 0)
    with pytest.raises(CommandError):
        call_command("run_coordinator")
    run = Run.objects.get()
    assert (run.outcomes, run.failed_passes, run.error) == ({"confirmed": 2}, 1, "ZeroDivisionError")
    assert run.succeeded_at is None


def test_a_pass_in_which_nothing_is_due_succeeds(host: TheHost) -> None:
    host.rows.clear()
    call_command("run_coordinator")
    run = Run.objects.get()
    assert run.outcomes == {}
    assert run.succeeded_at == run.last_pass_at


def test_a_pass_that_breaks_off_is_on_record(monkeypatch: Any) -> None:
    monkeypatch.setattr(dispatch, "run_pass", lambda limits: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        call_command("run_coordinator")
    run = Run.objects.get()
    assert (run.passes, run.failed_passes, run.error) == (1, 1, "ZeroDivisionError")
    assert (run.succeeded_at, run.ended_at is None) == (None, False)


def test_a_watching_worker_is_one_row_over_all_its_passes() -> None:
    recorder = run_log.Recorder(watches=True)
    recorder.begin()
    assert Run.objects.get().passes == 0
    recorder.passed(run_log.Pass(seconds=1.5, taken_in=3, outcomes={"confirmed": 2, "retry": 1}, contended=1))
    recorder.passed(
        run_log.Pass(seconds=0.5, outcomes={"confirmed": 1}, breaker_open=1, unexpected=1, error="KeyError")
    )
    recorder.passed(run_log.Pass(seconds=1.0))
    run = Run.objects.get()
    assert (run.watches, run.passes, run.failed_passes, run.taken_in, run.seconds) == (True, 3, 1, 3, 3.0)
    assert run.outcomes == {"confirmed": 3, "retry": 1}
    assert (run.contended, run.breaker_open, run.unexpected, run.error) == (1, 1, 1, "KeyError")
    assert run.ended_at is None
    recorder.end()
    assert Run.objects.get().ended_at is not None


def test_passes_while_the_database_was_away_are_recorded_by_the_one_that_finds_it_back(monkeypatch: Any) -> None:
    recorder = run_log.Recorder(watches=True)
    recorder.begin()
    with monkeypatch.context() as patched:
        patched.setattr(transactions, "is_database_away", lambda error: True)
        recorder.broke_off(OperationalError("gone"), seconds=1.0)
        recorder.broke_off(OperationalError("gone"), seconds=1.0)
    recorder.passed(run_log.Pass(seconds=1.0))
    recorder.passed(run_log.Pass(seconds=1.0))
    run = Run.objects.get()
    assert (run.passes, run.failed_passes) == (4, 2)


def test_a_worker_that_was_given_up_and_works_on_begins_a_new_row(monkeypatch: Any) -> None:
    lost = {"dropped_failure": 0}
    monkeypatch.setattr(events, "counters", lambda: lost)
    recorder = run_log.Recorder(watches=True)
    recorder.begin()
    lost["dropped_failure"] = 3
    recorder.passed(run_log.Pass(seconds=1.0, outcomes={"confirmed": 2}))
    Run.objects.update(last_pass_at=Now() - run_log.GIVEN_UP_AFTER)
    list(retention.prune())
    before = Run.objects.values().get()
    assert before["ended_at"] is not None
    lost["dropped_failure"] = 4
    recorder.passed(run_log.Pass(seconds=1.0, outcomes={"retry": 1}))
    recorder.passed(run_log.Pass(seconds=1.0, outcomes={"retry": 1}))
    assert Run.objects.values().get(pk=before["id"]) == before, "it may be in the totals already"
    run = Run.objects.get(ended_at=None)
    assert (run.watches, run.passes, run.outcomes, run.dropped_events) == (True, 2, {"retry": 2}, 1)


def test_a_beginning_that_was_not_stored_loses_no_pass(monkeypatch: Any) -> None:
    recorder = run_log.Recorder(watches=True)
    with monkeypatch.context() as patched:
        patched.setattr(transaction, "atomic", _never_committed)
        recorder.begin()
    assert not Run.objects.exists()
    recorder.passed(run_log.Pass(seconds=1.0, outcomes={"confirmed": 2}))
    recorder.passed(run_log.Pass(seconds=1.0))
    run = Run.objects.get()
    assert (run.passes, run.outcomes) == (2, {"confirmed": 2})


@contextmanager
def _never_committed() -> Iterator[None]:
    """The connection goes away at the last moment."""
    with Atomic(using=None, savepoint=True, durable=False):
        yield
        transaction.set_rollback(True)


@pytest.fixture
def unrecordable() -> Iterator[None]:
    """A table of runs that cannot be written."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE assignments_run RENAME TO assignments_run_elsewhere")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE assignments_run_elsewhere RENAME TO assignments_run")


def test_what_cannot_be_recorded_is_logged_by_type_and_the_bookings_get_their_tables(
    unrecordable: None, caplog: Any
) -> None:
    with caplog.at_level(logging.ERROR, "assignments.runs"):
        call_command("run_coordinator")
    assert set(Assignment.objects.values_list("state", flat=True)) == {"confirmed"}
    said = {record.getMessage() for record in caplog.records if record.name == "assignments.runs"}
    assert said == {"A run could not be recorded: ProgrammingError."}


def test_lost_events_are_counted(monkeypatch: Any) -> None:
    lost = {"stored": 9, "dropped_overflow": 2, "dropped_failure": 3, "flush_ms": 7}
    monkeypatch.setattr(events, "counters", lambda: lost)
    recorder = run_log.Recorder(watches=False)
    recorder.begin()
    lost.update(stored=90, dropped_overflow=3, dropped_failure=7)
    recorder.passed(run_log.Pass(seconds=1.0))
    assert Run.objects.get().dropped_events == 5


def test_when_errors_and_losses_were_last_added_is_on_record(monkeypatch: Any) -> None:
    def moments() -> tuple[Any, Any, Any]:
        run = Run.objects.get()
        return run.failed_at, run.dropped_at, run.last_pass_at

    lost = {"dropped_overflow": 5}
    monkeypatch.setattr(events, "counters", lambda: lost)
    recorder = run_log.Recorder(watches=True)
    recorder.begin()
    recorder.passed(run_log.Pass(seconds=1.0))
    assert moments()[:2] == (None, None), "what was lost before it began is not its own"
    lost["dropped_overflow"] = 6
    recorder.passed(run_log.Pass(seconds=1.0))
    failed_at, dropped_at, at = moments()
    assert (failed_at, dropped_at) == (None, at)
    recorder.passed(run_log.Pass(seconds=1.0, unexpected=1, error="KeyError"))
    failed_at, still_dropped_at, at = moments()
    assert (failed_at, still_dropped_at) == (at, dropped_at)
    recorder.passed(run_log.Pass(seconds=1.0))
    assert moments()[:2] == (failed_at, dropped_at)
    assert moments()[2] > at


def test_recording_a_pass_costs_the_same_whatever_it_did(django_assert_num_queries: Any) -> None:
    recorder = run_log.Recorder(watches=False)
    recorder.begin()
    with django_assert_num_queries(4):  # BEGIN, timeouts, UPDATE, COMMIT
        recorder.passed(run_log.Pass(seconds=1.0, outcomes={"confirmed": 1000}))


def test_an_error_while_recording_never_reaches_the_command(monkeypatch: Any) -> None:
    def refuse(**values: Any) -> None:
        raise DatabaseError

    recorder = run_log.Recorder(watches=False)
    monkeypatch.setattr(recorder, "_update", refuse)
    recorder.begin()
    recorder.passed(run_log.Pass(seconds=1.0))
    recorder.end()
