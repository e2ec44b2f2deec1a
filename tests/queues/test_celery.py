"""A real Celery worker with a real broker decides what is booked; and what a queue loses, the cron line decides."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from kombu import pools

from assignments import api, tasks
from assignments.coordination import queueing
from assignments.models import Assignment, State
from example import models
from rollout import tasks as rollout_tasks
from tests import debian
from tests.example import processes
from tests.queues.project import app

pytestmark = pytest.mark.django_db(transaction=True)

OURS = {
    *(f"assignments.tasks.{name}" for name in tasks.__all__ if not name.startswith(("enqueue", "task"))),
    f"{rollout_tasks.__name__}.rollout",
}


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis of its own in this folder, without a port. Its address as a broker."""
    socket = folder / "redis.sock"
    server = subprocess.Popen(
        [debian.program("redis-server", "redis-server"), "--port", "0", "--unixsocket", str(socket), "--save", ""],
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(socket.exists)
        yield f"redis+socket://{socket}"
    finally:
        server.terminate()
        server.wait(10)


@contextmanager
def worker(broker: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as written:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", "-A", "tests.queues.project", "worker"),
                "--pool",
                "solo",
                "--loglevel",
                "INFO",
            ],
            cwd=processes.PROJECT,
            env=processes.environment(CELERY_BROKER=broker),
            stdout=written,
            stderr=written,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def request_all(restaurant: models.Restaurant) -> None:
    for booking in restaurant.bookings.all():
        api.request(booking_ref=str(booking.pk))


def open_ones() -> int:
    return Assignment.objects.exclude(state__in=[State.CONFIRMED, State.MANUAL_REVIEW]).count()


def use(settings: Any) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "TASKS": "assignments.tasks.enqueue_day_in_celery"}


@pytest.mark.xdist_group("celery")
@pytest.mark.timeout(180)
def test_a_worker_decides_what_is_booked_and_runs_the_commands(
    booked: models.Restaurant, settings: Any, tmp_path: Path
) -> None:
    use(settings)
    with redis(tmp_path) as broker, worker(broker, tmp_path / "log"):
        app.conf.broker_url = broker
        app.set_default()
        try:
            request_all(booked)
            wait_until(lambda: Assignment.objects.count() == 6 and open_ones() == 0)
            current_app.send_task("assignments.tasks.deliver_outbox", args=["--limit", "100"])
            current_app.send_task("rollout.tasks.rollout", args=["status"])
            said = tmp_path / "log"
            done = ("assignments.tasks.deliver_outbox", "rollout.tasks.rollout")
            wait_until(lambda: all(re.search(rf"Task {name}\[.*succeeded", said.read_text()) for name in done))
            assert "Traceback" not in said.read_text()
        finally:
            app.conf.broker_url = "memory://"


def test_what_the_queue_drops_the_cron_line_decides(booked: models.Restaurant, settings: Any) -> None:
    use(settings)
    app.conf.broker_url = "memory://"
    app.set_default()
    request_all(booked)  # Nobody works on the queue.
    assert open_ones() == 6
    code, _out, err = processes.run_here("run_coordinator", "--json")
    assert (code, open_ones()) == (0, 0), err


def _start_anew() -> None:
    """Other tests of this process may have left connections to the broker that is there, and have read other settings."""
    pools.reset()  # type: ignore[no-untyped-call]
    vars(app).pop("amqp", None)


def test_an_unreachable_broker_stops_no_booking_and_need_keep_nobody_waiting(
    booked: models.Restaurant, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the setting that docs/scaling.md names."""
    use(settings)
    said: list[str] = []
    waited: list[float] = []
    monkeypatch.setattr(queueing, "log_error", lambda _logger, _error, text, *_args: said.append(text))
    monkeypatch.setattr("kombu.utils.functional.sleep", waited.append)
    _start_anew()
    policy = app.conf.task_publish_retry_policy
    app.conf.broker_url = "redis+socket:///nowhere/redis.sock"
    app.conf.task_publish_retry_policy = {"max_retries": 0}
    app.set_default()
    try:
        request_all(booked)
    finally:
        _start_anew()
        app.conf.broker_url = "memory://"
        app.conf.task_publish_retry_policy = policy
    assert open_ones() == 6
    assert said == ["The task queue did not accept a task for booking %s"] * 6
    assert waited == []


def test_each_task_has_a_name_in_celery() -> None:
    app.loader.import_default_modules()
    assert app.tasks.keys() >= OURS
