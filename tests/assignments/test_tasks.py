"""A project's queue: what it is asked to do, and that nothing depends on whether it does."""

import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction

from assignments import api, conf, tasks
from assignments.models import Assignment, State
from tests.assignments.conftest import HOST_PATH, TheHost

pytestmark = pytest.mark.django_db(transaction=True)

asked: list[dict[str, str]] = []


def lose(**day: str) -> None:
    """A queue that takes everything and does nothing."""
    asked.append(day)


def refuse(**day: str) -> None:
    raise ConnectionError("Mrs Miller's queue is away")


@pytest.fixture(autouse=True)
def _nothing_asked() -> None:
    asked.clear()


def use(settings: Any, function: str) -> TheHost:
    """The host under the changed settings."""
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "TASKS": function}
    loaded: TheHost = conf.load(HOST_PATH)
    return loaded


def state_of(ref: str) -> str:
    return str(Assignment.objects.get(booking_ref=ref).state)


def test_a_request_is_decided_by_the_queue_after_its_commit(host: TheHost, tonight: datetime, settings: Any) -> None:
    host = use(settings, "assignments.tasks.enqueue_day")  # Django's default backend runs a task at once.
    host.book("B1", starts_at=tonight, party=2)
    host.book("B2", starts_at=tonight + timedelta(days=1), party=2)
    api.request(booking_ref="B1")
    with transaction.atomic():
        api.booking_changed(booking_ref="B2")
        assert state_of("B2") == State.CREATED
    assert (state_of("B1"), state_of("B2")) == (State.CONFIRMED, State.CONFIRMED)


def test_what_is_rolled_back_or_not_due_asks_for_nothing(host: TheHost, tonight: datetime, settings: Any) -> None:
    host = use(settings, f"{__name__}.lose")
    host.book("B1", starts_at=tonight, party=2)
    with pytest.raises(KeyError), transaction.atomic():
        api.request(booking_ref="B1")
        raise KeyError
    assert asked == []
    api.request(booking_ref="B1")
    day = Assignment.objects.get().service_date.isoformat()
    assert asked == [{"restaurant_ref": Assignment.objects.get().restaurant_ref, "service_date": day}]
    call_command("run_coordinator", json=True)
    api.booking_changed(booking_ref="B1")
    assert len(asked) == 1


@pytest.mark.parametrize("queue", ["lose", "refuse"])
def test_the_next_pass_decides_what_the_queue_lost(
    host: TheHost, tonight: datetime, settings: Any, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = use(settings, f"{__name__}.{queue}")
    for number in range(3):
        host.book(f"B{number}", starts_at=tonight, party=2)
        api.request(booking_ref=f"B{number}")
    assert {state_of(f"B{number}") for number in range(3)} == {State.CREATED}
    assert "Miller" not in caplog.text
    call_command("run_coordinator", json=True)
    assert {state_of(f"B{number}") for number in range(3)} == {State.CONFIRMED}


def test_a_task_decides_its_own_day_alone(host: TheHost, tonight: datetime) -> None:
    for ref, day in (("B1", tonight), ("B2", tonight + timedelta(days=1))):
        host.book(ref, starts_at=day, party=2)
        api.request(booking_ref=ref)
    first = Assignment.objects.get(booking_ref="B1")
    assert tasks.decide_day.call(first.restaurant_ref, first.service_date.isoformat()) == 1
    assert (state_of("B1"), state_of("B2")) == (State.CONFIRMED, State.CREATED)


def test_each_command_of_cron_has_a_task(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight, party=2)
    assert tasks.run_coordinator.enqueue("--json").is_finished
    assert state_of("B1") == State.CONFIRMED
    for each in (tasks.deliver_outbox, tasks.reconcile_assignments, tasks.prune_assignments):
        result = each.enqueue()
        assert (each.name, result.status) == (each.name, "SUCCESSFUL"), result.errors


def test_without_a_tasks_framework_the_module_says_what_to_install() -> None:
    hidden = "import sys; sys.modules['django.tasks'] = sys.modules['django_tasks'] = sys.modules['celery'] = None; "
    done = subprocess.run(
        [sys.executable, "-c", f"{hidden}import django; django.setup(); import assignments.tasks"],
        capture_output=True,
        text=True,
        check=False,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": "/usr/bin:/bin"},
    )
    assert "pip install 'table-assignments[tasks]'" in done.stderr
