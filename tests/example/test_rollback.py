"""A rollback reaches every running worker within a minute, without a deployment, and with the cache down too."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from assignments.models import Assignment, Attempt
from example import demo, models
from rollout.control import steering
from tests.example import processes
from tests.example.conftest import load

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.legacy_planner]

WORKERS = 2


@pytest.fixture(params=["cache up", "cache down"])
def workers(request: Any, transactional_db: Any) -> Iterator[list[models.Restaurant]]:
    """Restaurants with V3 deciding, and workers that watch one each; each had a first booking."""
    restaurants = [load("v3", name=f"Restaurant {number}", bookings=1) for number in range(WORKERS)]
    steering.begin(actor="test", reason="V3 is on")
    extra = {"TEST_CACHE": "down"} if request.param == "cache down" else {}
    running = [
        processes.start(
            "run_coordinator", "--watch", "--interval", "0.2", "--json", "--restaurant", str(each.pk), **extra
        )
        for each in restaurants
    ]
    try:
        yield restaurants
    finally:
        for worker in running:
            worker.terminate()
        for worker in running:
            _out, err = worker.communicate(timeout=60)
            assert worker.returncode == 0, err


def decided_by(planner: str) -> set[str]:
    return set(Attempt.objects.filter(planner=planner).values_list("assignment__restaurant_ref", flat=True))


def wait_for(planner: str, restaurants: list[models.Restaurant]) -> None:
    expected = {str(each.pk) for each in restaurants}
    for _ in range(600):
        if decided_by(planner) == expected:
            return
        time.sleep(0.1)
    pytest.fail(f"{planner} has decided for {decided_by(planner)} only, not for {expected}.")


def test_after_a_rollback_v3_decides_nothing_more_in_any_worker(workers: list[models.Restaurant]) -> None:
    wait_for("v3", workers)
    steering.roll_back(actor="test", reason="the evening went wrong")
    rolled_back_at = timezone.now()
    for restaurant in workers:
        booked = restaurant.bookings.all()[0]
        models.Booking.objects.create(
            restaurant=restaurant, reference="after", start=booked.start + timedelta(minutes=15), party=2
        )
    wait_for("legacy", workers)
    took = max(Attempt.objects.filter(planner="legacy").values_list("at", flat=True)) - rolled_back_at
    assert took < timedelta(minutes=1)
    assert not Attempt.objects.filter(planner="v3", at__gt=rolled_back_at).exists()
    assert Assignment.objects.filter(state="confirmed").count() == 2 * WORKERS
    assert demo.count_overlaps() == demo.count_lost() == 0
