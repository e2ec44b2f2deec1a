"""What gates and guard have to find, and what is no fault, by the commands that people and cron run."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg.types.range import TimestamptzRange

from assignments.coordination import dispatch
from assignments.models import Allocation, Assignment
from example import models
from rollout.control import steering, switches
from rollout.flags import resolution
from rollout.models import GuardRun
from rollout.policy.ladder import PARITY
from rollout.shadow import recorder
from tests.built import built_once
from tests.example.conftest import keep_few, load
from tests.rollout.control.test_steering import WHO, climb, configure
from tests.rollout.evidence import worse_together
from tests.rollout.evidence.test_measuring import compared
from tests.rollout.evidence.test_worse_planners import undecided

# One process builds the evenings.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("worse planners"),
    pytest.mark.legacy_planner,
]


@pytest.fixture(autouse=True)
def environment(settings: Any, monkeypatch: Any) -> None:
    configure(settings)
    monkeypatch.setenv("DATABASE_NAME", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")


def guarded() -> GuardRun:
    """The guard's run, which finds a breach."""
    with pytest.raises(CommandError) as breached:
        call_command("rollout", "guard")
    assert breached.value.returncode == 3
    return GuardRun.objects.latest("id")


@pytest.mark.parametrize("fault", ["forgets_buffers", "is_an_hour_off", "joins_what_is_apart"])
def test_a_fault_that_both_planners_share_is_found_before_promotion_and_after_it(settings: Any, fault: str) -> None:
    keep_few(undecided(), 24)
    models.TableAdjacency.objects.all().delete()  # Whoever joins tables joins what is apart.
    climb("shadow")
    dispatch.register_new()
    with worse_together.spoiled(fault):
        list(dispatch.run_pass())
        assert recorder.flush()
        configure(settings, gates=dict(PARITY), CANDIDATE=f"tests.rollout.evidence.worse_together.{fault}")
        call_command("rollout", "compare", verbosity=0)
    with pytest.raises(CommandError, match="Gate unsafe: fail"):
        call_command("rollout", "promote", reason="because")
    run = guarded()
    assert [breach["rail"] for breach in run.breaches] == ["unsafe_legacy_seatings"], "whoever decides is watched"


def decide_at_many() -> None:
    """54 restaurants with two bookings each, and one with a single booking."""
    start = datetime.combine(datetime.now(UTC).date() + timedelta(days=30), time(19), UTC)
    bookings = []
    for number in range(55):
        restaurant = models.Restaurant.objects.create(name=f"R{number}", timezone="UTC")
        zone = models.Zone.objects.create(restaurant=restaurant, name="Hall")
        service = models.ServicePeriod.objects.create(restaurant=restaurant, key="dinner", start="17:00", end="23:00")
        models.TurnTime.objects.create(service=service, max_party=10, minutes=90)
        for code in range(1 if number == 54 else 2):
            models.Table.objects.create(restaurant=restaurant, zone=zone, code=f"T{code}", seats=2)
            bookings.append(models.Booking(restaurant=restaurant, reference=f"B{code}", start=start, party=2))
    models.Booking.objects.bulk_create(bookings)
    switches.set_switch(resolution.V3_SWITCH, active=True, **WHO)
    climb("full")
    dispatch.register_new()
    list(dispatch.run_pass())


def test_an_unsafe_seating_at_the_quietest_of_many_restaurants_is_found() -> None:
    built_once("fifty-five restaurants by V3", decide_at_many)
    assert Assignment.objects.filter(state="confirmed").count() == 54 * 2 + 1
    call_command("rollout", "guard")
    row = Allocation.objects.get(restaurant_ref=str(models.Restaurant.objects.get(name="R54").pk))
    earlier = row.blocked.upper - timedelta(minutes=1)
    Allocation.objects.filter(pk=row.pk).update(blocked=TimestamptzRange(row.blocked.lower, earlier))
    run = guarded()
    assert [breach["rail"] for breach in run.breaches] == ["unsafe_seatings"]
    assert run.rolled_back_to == "shadow"


def decide_at_a_fuller_restaurant() -> None:
    """V3 has half of the tables for a whole evening; elsewhere the legacy planner has all of them for a quarter of it."""
    fuller = load("v3", name="Fuller")
    for number, table in enumerate(fuller.tables.order_by("code")):
        if number % 2:
            models.Table.objects.filter(pk=table.pk).update(active=False)
    other = load("legacy", name="Elsewhere")
    keep_few(other, 60)
    for booking in list(other.bookings.order_by("start"))[::2]:
        booking.delete()
    switches.set_switch(resolution.V3_SWITCH, active=True, **WHO)
    climb("full")
    steering.force_planner(restaurant_ref=str(other.pk), planner="legacy", **WHO)  # type: ignore[arg-type]
    dispatch.register_new()
    list(dispatch.run_pass())


def test_v3_at_restaurants_that_are_fuller_than_the_others_is_left_alone() -> None:
    built_once("a fuller restaurant by V3", decide_at_a_fuller_restaurant)
    call_command("rollout", "guard")
    measured = GuardRun.objects.get().measured
    of_all = measured["v3"]["confirmed"] / measured["v3"]["bookings"]
    elsewhere = measured["reference_seated"] / measured["reference_bookings"]
    assert of_all < elsewhere - 0.2, "compared by all of their bookings, it would be rolled back"


def test_evidence_of_one_restaurant_among_many_holds(settings: Any) -> None:
    built_once("fifty-five restaurants by V3", decide_at_many)
    steering.roll_back(to="shadow", **WHO)
    configure(settings, gates={"restaurants": 10, "largest_share": 0.5})
    one, *others = [str(pk) for pk in models.Restaurant.objects.order_by("pk").values_list("pk", flat=True)]
    compared("same_tables", 600, restaurant_ref=one)
    with pytest.raises(CommandError, match="Gate restaurants: inconclusive"):
        call_command("rollout", "promote", reason="because")
    for number in range(12):
        compared("same_tables", 50, restaurant_ref=f"called otherwise {number}", origin="backtest")
    with pytest.raises(CommandError, match="Gate restaurants: inconclusive"):
        call_command("rollout", "promote", reason="because")
    for restaurant_ref in others[:30]:
        compared("same_tables", 30, restaurant_ref=restaurant_ref)
    call_command("rollout", "promote", reason="because")
    position = steering.current()
    assert position is not None
    assert position.stage == "some"
