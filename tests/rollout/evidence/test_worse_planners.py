"""A V3 made worse on purpose, in nine ways: a gate catches each before promotion, and the guard catches each after.

Before: the legacy planner decides a real evening with the worse V3 in its shadow. After: the worse V3 decides it.
"""

import contextlib
import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from assignments import api
from assignments.concurrency import stopwatch
from assignments.coordination import dispatch, planned_day, table_record
from example import models
from rollout.control import steering
from rollout.flags import resolution
from rollout.flags.resolution import Mode
from rollout.models import GuardRun
from rollout.policy.gates import GateResult, Status
from rollout.policy.ladder import PARITY
from rollout.shadow import recorder
from tests.built import built_once
from tests.example.conftest import keep_few, load
from tests.rollout.control.test_steering import climb, configure
from tests.rollout.evidence import worse

# One process builds the evening.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("worse planners")]

WAYS = {
    "prefers_joins": ("parity", "avoidable_joins"),
    "at_random": ("parity", "avoidable_joins"),
    "ignores_zones": ("unsafe", "unsafe_seatings"),
    "off_by_one_on_buffers": ("unsafe", "unsafe_seatings"),
    "keeps_tables_too_long": ("unsafe", "unsafe_seatings"),
    "ignores_pins": ("unsafe", "unsafe_seatings"),
    "uses_tables_out_of_service": ("unsafe", "unsafe_seatings"),
    "forgets_limits_of_tables": ("unsafe", "unsafe_seatings"),
    "slow": ("candidate_p95_ms", "decision_p95_ms"),
}
"""What catches each: a gate before, a guardrail after."""
SHARES = {way for way, (gate, _rail) in WAYS.items() if gate == "parity"}
"""Those that a share of the bookings gives away: half of the evening proves nothing of them."""
BOOKINGS = 60


@pytest.fixture(autouse=True)
def environment(settings: Any, monkeypatch: Any) -> None:
    configure(settings)
    monkeypatch.setenv("DATABASE_NAME", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")
    monkeypatch.setattr(time, "perf_counter", time.perf_counter)  # put back after the slow one
    monkeypatch.setattr(stopwatch, "_waited_ms", stopwatch._waited_ms)


@pytest.fixture
def evening(environment: None, transactional_db: Any) -> models.Restaurant:
    """The evening where V3 decides: every booking waits for a pass."""
    built_once("the demanding evening before V3 decides it", wait_for_v3)
    return models.Restaurant.objects.get()


@pytest.fixture
def by_the_legacy_planner(environment: None, transactional_db: Any) -> models.Restaurant:
    """The evening in shadow mode: every decision waits to be compared."""
    built_once("the demanding evening by the legacy planner", decide_in_shadow_mode)
    return models.Restaurant.objects.get()


def undecided(*, whole: bool = False) -> models.Restaurant:
    """Half of the real evening, with minutes to clear tables, and every third guest insisting on a zone."""
    restaurant = load("legacy")
    if not whole:
        keep_few(restaurant, BOOKINGS)
    models.ServicePeriod.objects.update(buffer_after_minutes=10)
    zones = list(restaurant.zones.order_by("pk"))
    for number, booking in enumerate(restaurant.bookings.order_by("start", "pk")):
        if number % 3 == 0:
            models.Booking.objects.filter(pk=booking.pk).update(zone=zones[number // 3 % len(zones)])
    fours = restaurant.tables.filter(seats=4).order_by("pk")
    fours.filter(pk=fours[0].pk).update(max_party=3)
    fours[0].zone.tables.create(restaurant=restaurant, code="Spare", seats=4, active=False)
    return restaurant


def pin(restaurant: models.Restaurant) -> None:
    """Two guests have a table for four, fixed by staff, though a smaller one is free."""
    booking = restaurant.bookings.filter(party=2, zone=None).order_by("start", "pk")[0]
    table = restaurant.tables.filter(seats=4, active=True).order_by("-pk")[0]
    api.pin(booking_ref=str(booking.pk), table_refs=[str(table.pk)], actor="staff:1")


def decide_whole_in_shadow_mode() -> None:
    decide_in_shadow_mode(whole=True)


def decide_in_shadow_mode(*, whole: bool = False) -> None:
    restaurant = undecided(whole=whole)
    climb("shadow")
    dispatch.register_new()
    pin(restaurant)
    list(dispatch.run_pass())
    assert recorder.flush()


def compared_with(settings: Any, candidate: str) -> dict[str, GateResult]:
    """The gates of shadow mode, when this candidate has been asked about the evening."""
    configure(settings, gates=dict(PARITY), CANDIDATE=candidate)
    call_command("rollout", "compare", verbosity=0)
    return {result.gate: result for result in steering.plan().gates}


def wait_for_v3_whole() -> None:
    wait_for_v3(whole=True)


def wait_for_v3(*, whole: bool = False) -> None:
    undecided(whole=whole)
    climb("full")
    dispatch.register_new()
    pin(models.Restaurant.objects.get())


def lived() -> GuardRun:
    """What the guard finds after an evening that V3, whatever it is now, decided."""
    list(dispatch.run_pass())
    with contextlib.suppress(CommandError):  # A breach.
        call_command("rollout", "guard", verbosity=0)
    return GuardRun.objects.latest("id")


@pytest.mark.legacy_planner
@pytest.mark.parametrize("way", WAYS)
def test_a_gate_catches_it_before_promotion(settings: Any, way: str) -> None:
    gate, _rail = WAYS[way]
    decide = decide_whole_in_shadow_mode if way in SHARES else decide_in_shadow_mode
    built_once("the demanding evening by the legacy planner", decide)
    results = compared_with(settings, f"tests.rollout.evidence.worse.{way}")
    assert results[gate].status is Status.FAIL, results[gate].detail
    with pytest.raises(CommandError, match=f"Gate {gate}: fail"):
        call_command("rollout", "promote", reason="because")
    assert resolution.read().mode is Mode.SHADOW


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.legacy_planner
def test_the_guard_catches_it_after(monkeypatch: Any, way: str) -> None:
    """That a breach rolls back, whatever rail it is, is tested with the guard: it takes somebody who would go on."""
    _gate, rail = WAYS[way]
    built_once("the demanding evening before V3 decides it", wait_for_v3_whole if way in SHARES else wait_for_v3)
    monkeypatch.setattr(planned_day, "EveningPlanner", worse.evening_planner(getattr(worse, way)))
    breached = {breach["rail"] for breach in lived().breaches}
    # Whoever draws tables may draw ones that staff had pinned for others, or that are no table for the party.
    assert breached & ({rail, "unsafe_seatings"} if way == "at_random" else {rail})


@pytest.mark.legacy_planner
def test_what_the_guard_caught_does_not_decide_the_next_booking(evening: models.Restaurant, monkeypatch: Any) -> None:
    monkeypatch.setattr(planned_day, "EveningPlanner", worse.evening_planner(worse.ignores_zones))
    assert lived().rolled_back_to == "shadow"
    assert resolution.read().mode is Mode.SHADOW


@pytest.mark.legacy_planner
def test_v3_as_it_is_fails_no_gate_and_breaches_no_guardrail(
    by_the_legacy_planner: models.Restaurant, settings: Any
) -> None:
    """Those that hold want more than one evening."""
    results = compared_with(settings, "rollout.shadow.candidate.v3")
    assert [result for result in results.values() if result.status is Status.FAIL] == []
    dispatch_again(by_the_legacy_planner)
    assert lived().breaches == []


@pytest.mark.legacy_planner
def test_a_loaded_machine_is_no_slow_planner(by_the_legacy_planner: models.Restaurant, settings: Any) -> None:
    results = compared_with(settings, "tests.rollout.evidence.worse.on_a_loaded_machine")
    for gate in ("candidate_p95_ms", "candidate_p99_ms"):
        assert results[gate].status is not Status.FAIL, results[gate].detail


@pytest.mark.legacy_planner
def test_nor_is_it_one_where_v3_decides(evening: models.Restaurant, monkeypatch: Any) -> None:
    monkeypatch.setattr(planned_day, "EveningPlanner", worse.evening_planner(worse.on_a_loaded_machine))
    run = lived()
    assert run.measured["v3"]["p95"]["sample"] > 20, run.measured
    assert {breach["rail"] for breach in run.breaches} & {"decision_p95_ms", "decision_p99_ms"} == set()


def dispatch_again(restaurant: models.Restaurant) -> None:
    """The same evening, undecided, for V3."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE assignments_assignment, assignments_allocation CASCADE")
    models.Booking.tables.through.objects.all().delete()
    restaurant.bookings.update(status="pending")
    table_record.forget()
    climb("full")
    dispatch.register_new()
    pin(restaurant)
