"""Several machines share one evening: workers that have nothing in common but the database."""

import json
from collections import Counter
from pathlib import Path

import pytest

from assignments.coordination import dispatch
from assignments.models import Assignment, State, StateTransition
from example import models
from tests.example import processes
from tests.example.conftest import load

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]

MACHINES = 3
DAYS = 3


def evenings() -> list[models.Restaurant]:
    return [load(name=f"Machine {number}", bookings=20) for number in range(DAYS)]


def test_three_machines_decide_each_booking_once(tmp_path: Path) -> None:
    restaurants = evenings()
    bookings = sum(each.bookings.count() for each in restaurants)
    dispatch.register_new()
    workers = []
    for number in range(MACHINES):
        folder = tmp_path / str(number)
        folder.mkdir()
        workers.append(processes.start("run_coordinator", "--json", TMPDIR=str(folder), HOME=str(folder)))
    confirmed_by_them = 0
    for each in workers:
        out, err = each.communicate(timeout=150)
        assert each.returncode == 0, err
        confirmed_by_them += sum(json.loads(line)["confirmed"] for line in out.splitlines())
    confirmed = Assignment.objects.filter(state=State.CONFIRMED)
    assert confirmed_by_them == confirmed.count() > bookings / 2, "nobody decided what another had decided"
    assert Assignment.objects.exclude(state=State.CREATED).count() == bookings, "and all were looked at"
    transitions = StateTransition.objects.filter(target=State.CONFIRMED).values_list("assignment_id")
    assert set(Counter(transitions).values()) == {1}
    code, out, err = processes.run_here("reconcile_assignments", "--check", "--json")
    assert (code, out.strip()) == (0, ""), err
