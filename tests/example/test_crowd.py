"""The crowd that the costs of pages are measured on is as valid as the evening it was copied from."""

from typing import Any

from assignments.models import Allocation, Assignment, Event
from assignments.planning.reasons import Reason
from example import demo, models
from rollout.models import Comparison
from tests import crowd
from tests.showcase import decided


def test_a_crowd_overlaps_nowhere_loses_nobody_and_has_what_was_asked_for(transactional_db: Any, settings: Any) -> None:
    restaurant = decided(settings)
    crowd.compare_evening(restaurant)
    crowd.grow(restaurant, bookings=1000, events=2000, comparisons=500)
    assert demo.count_overlaps() == demo.count_lost() == 0
    assert models.Booking.objects.count() == Assignment.objects.count() == 1117
    assert Event.objects.count() >= 2000
    assert Comparison.objects.count() == 540
    assert len(set(Allocation.objects.values_list("restaurant_ref", flat=True))) > 1
    assert set(Comparison.objects.values_list("verdict", flat=True)) >= {"same_tables", "equivalent", "only_v3_seats"}
    assert Reason.NO_CAPACITY in set(Assignment.objects.values_list("reason", flat=True))
