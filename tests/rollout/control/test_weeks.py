"""A simulated week, thinned: the command ``rollout guard`` over what V3 decided, with the clock moved on."""

from typing import Any

import pytest

from rollout.models import GuardRun
from tests.power import database

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.legacy_planner]


@pytest.fixture(autouse=True)
def _in_production(settings: Any) -> None:
    settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT": "production"}


def test_a_healthy_v3_is_left_alone_whatever_befalls_the_day() -> None:
    found = database.week(1, days=1)
    assert not found.breached
    assert found.stage == "full"
    assert found.audits == found.decisions > 50
    assert found.guard_runs == 2 * len(database.HOURS)
    assert GuardRun.objects.count() == found.guard_runs - 1, "one has met a host that was away"


def test_one_that_refuses_whom_it_could_seat_is_rolled_back() -> None:
    found = database.week(1, days=1, wrongly_refused=0.2)
    assert "wrong_refusals" in found.breached
    assert found.stage != "full"
