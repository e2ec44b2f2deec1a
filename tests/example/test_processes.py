"""Several run_coordinator processes at once, and one of them killed in the middle: real processes, real PostgreSQL."""

import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from assignments.maintenance import promise_check
from assignments.models import Assignment, Attempt, State, StateTransition
from example import demo, evening, models
from rollout.control import switches
from rollout.flags import resolution
from tests.built import built_once
from tests.example import processes
from tests.example.conftest import keep_few, load

RESTAURANTS = 12
BOOKINGS = 240


def a_group() -> list[models.Restaurant]:
    source = evening.parse_json_ahead(demo.REAL_EVENING.read_text(), datetime.now(UTC) + timedelta(days=30))
    source = replace(source, bookings=source.bookings[:20])
    switches.set_switch(resolution.V3_SWITCH, active=True, actor="test", reason="test")
    return [
        evening.store(source, restaurant_name=f"Restaurant {number:02}").restaurants[0] for number in range(RESTAURANTS)
    ]


@pytest.fixture
def group(transactional_db: Any) -> list[models.Restaurant]:
    """Twelve restaurants with twenty bookings each, all pending, and V3 on."""
    built_once("twelve restaurants with twenty bookings", a_group)
    return list(models.Restaurant.objects.order_by("pk"))


def assert_every_booking_was_decided_once() -> None:
    booked = models.Booking.objects.count()
    assert Assignment.objects.count() == booked
    tries = Counter(Attempt.objects.values_list("booking_ref", "number"))
    assert set(tries.values()) == {1}, "a claim was decided twice"
    assert len({ref for ref, _number in tries}) == booked
    successes = Counter(Attempt.objects.filter(outcome="confirmed").values_list("booking_ref", flat=True))
    assert set(successes.values()) == {1}, "a booking has two outcomes"
    assert demo.count_overlaps() == 0
    assert demo.count_lost() == 0
    states = set(Assignment.objects.values_list("state", flat=True).distinct())
    assert states <= {State.CONFIRMED, State.ASSIGNMENT_PENDING, State.MANUAL_REVIEW}
    confirmed = Counter(Assignment.objects.filter(state=State.CONFIRMED).values_list("restaurant_ref", flat=True))
    assert len(confirmed) == RESTAURANTS
    assert len(set(confirmed.values())) == 1, "the same evening must be seated alike everywhere"
    assert_history_equals_states()
    assert list(promise_check.violations(days=7)) == []


def assert_history_equals_states() -> None:
    last = {
        row["booking_ref"]: row["target"]
        for row in StateTransition.objects.order_by("assignment", "version").values("booking_ref", "target")
    }
    assert last == dict(Assignment.objects.values_list("booking_ref", "state"))


def test_four_processes_share_the_bookings_without_deciding_one_twice(group: list[models.Restaurant]) -> None:
    workers = [processes.start("run_coordinator", "--json") for _ in range(4)]
    finished = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4, finished
    reports = [json.loads(out) for out, _err in finished]
    leftover = Assignment.objects.filter(state=State.CREATED).count()
    # A process that starts late finds due again what another one has tried once: another attempt, not a second claim.
    assert sum(report["processed"] for report in reports) == Attempt.objects.count() >= BOOKINGS - leftover, finished
    assert sum(report["unexpected"] for report in reports) == 0
    if leftover:  # every process passed by a day that another one had: the next run finishes it
        code, _out, err = processes.run("run_coordinator")
        assert code == 0, err
    assert_every_booking_was_decided_once()


@pytest.mark.legacy_planner
def test_four_processes_of_the_legacy_planner_try_each_booking_once(transactional_db: Any) -> None:
    keep_few(load("legacy"), 50)
    workers = [processes.start("run_coordinator", "--json") for _ in range(4)]
    finished = [worker.communicate(timeout=200) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4, finished
    tries = Counter(Attempt.objects.values_list("booking_ref", flat=True))
    assert len(tries) == 50
    assert set(tries.values()) == {1}
    assert demo.count_overlaps() == demo.count_lost() == 0
    assert_history_equals_states()


def test_a_process_killed_in_the_middle_leaves_nothing_half_done_and_the_others_finish(
    group: list[models.Restaurant],
) -> None:
    doomed = processes.start("run_coordinator", TEST_HOST="tests.example.hosts.SlowHost")
    wait_until_in_the_middle()
    others = [processes.start("run_coordinator", "--json") for _ in range(2)]
    doomed.send_signal(signal.SIGKILL)
    doomed.communicate(timeout=30)
    finished = [worker.communicate(timeout=120) for worker in others]
    assert [worker.returncode for worker in others] == [0, 0], finished
    wait_until_the_server_noticed()
    code, _out, err = processes.run("run_coordinator")
    assert code == 0, err
    assert_every_booking_was_decided_once()


def wait_until_in_the_middle() -> None:
    wait_until(lambda: count_in_the_middle() > 0, "The process never came to the middle of its work.")


def wait_until_the_server_noticed() -> None:
    """The server rolls back once the query that the dead process had under way has ended."""
    wait_until(lambda: count_in_the_middle() == 0, "The dead process's transaction never ended.")


def count_in_the_middle() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE query LIKE 'SELECT pg_sleep(%) AS in_the_middle' AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])


def wait_until(is_so: Callable[[], bool], complaint: str) -> None:
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.05)
    pytest.fail(complaint)


def test_sigterm_ends_watching_within_ten_seconds_and_nothing_is_half_done(group: list[models.Restaurant]) -> None:
    watcher = processes.start("run_coordinator", "--watch", "--interval", "60", "--json")
    assert watcher.stdout is not None
    first = json.loads(watcher.stdout.readline())
    assert first["processed"] == models.Booking.objects.count()
    watcher.send_signal(signal.SIGTERM)
    watcher.communicate(timeout=10)
    assert watcher.returncode == 0
    assert_every_booking_was_decided_once()


def test_a_worker_that_meets_an_unexpected_error_is_replaced(group: list[models.Restaurant], tmp_path: Path) -> None:
    once = tmp_path / "breaks"
    once.touch()
    watcher = processes.start(
        *("run_coordinator", "--watch", "--interval", "60", "--json"),
        TEST_HOST="tests.example.hosts.BreakingHost",
        BREAKS=str(once),
    )
    assert watcher.stdout is not None
    assert json.loads(watcher.stdout.readline())["processed"] == models.Booking.objects.count()
    watcher.send_signal(signal.SIGTERM)
    _out, err = watcher.communicate(timeout=10)
    assert watcher.returncode == 0
    assert "The worker ends after an unexpected error: KeyError at" in err
    assert "The worker died; another one goes on." in err
    assert "Canary" not in err
    assert_every_booking_was_decided_once()


@pytest.mark.parametrize("command", ["run_coordinator", "deliver_outbox"])
def test_a_workers_modules_are_exempt_from_garbage_collection(group: list[models.Restaurant], command: str) -> None:
    if command == "deliver_outbox":
        processes.run_here("run_coordinator", "--limit", "1")
    code, _out, err = processes.run(command, "--limit", "1", TEST_HOST="tests.example.hosts.ExemptHost")
    assert (code, set(err.splitlines())) == (0, {"The heap is exempt."})


@pytest.mark.legacy_planner
def test_a_flag_turned_in_another_process_rules_the_very_next_decision(group: list[models.Restaurant]) -> None:
    """Waffle's own cache in this process is warm and wrong throughout: routing goes past it."""
    import waffle

    from assignments import api

    bookings = list(group[0].bookings.order_by("start")[:4])
    planners = []
    for booking, value in zip(bookings, ["on", "off", "on", "off"], strict=True):
        waffle.switch_is_active(resolution.V3_SWITCH)
        code, _out, err = processes.run("rollout", "set", "v3", value, "--reason", "test")
        assert code == 0, err
        planners.append(api.assign_now(booking_ref=str(booking.pk)).planner)
    assert planners == ["v3", "legacy", "v3", "legacy"]
