"""Whole days: what only happens in batches is found before promotion, and a stored day is enough to replay both planners."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.utils import timezone

from assignments import conf as assignments_conf
from assignments.coordination import dispatch
from assignments.integration import release
from example import models
from rollout.maintenance import retention
from rollout.models import Comparison, DayComparison, DayTally, FloorRecord
from rollout.policy.gates import GATES, Status
from rollout.policy.ladder import PARITY
from rollout.policy.measurements import Days
from rollout.shadow import days, recorder
from rollout.shadow.candidate import v3
from rollout.shadow.serialization import floor_from_json
from tests.built import built_once
from tests.rewriting import rewriting
from tests.rollout.control.test_steering import climb, configure
from tests.rollout.evidence import worse_batches
from tests.rollout.evidence.test_measuring import measured
from tests.rollout.evidence.test_worse_planners import BOOKINGS, pin, undecided
from tests.rollout.policy.test_day_audit import a_day, together
from tests.rollout.policy.test_gates import facts

# One process builds the evening.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("worse planners"),
    pytest.mark.legacy_planner,
]

FAULTS = {
    "swaps_two": "days_unsafe",
    "gives_a_table_twice": "days_unsafe",
    "raises": "days_unsafe",
    "forgets_one": "days_unsafe",
    "ignores_the_order": "days_refused",
    "refuses_from_the_fourth_on": "days_refused",
}
"""Which gate finds it."""


@pytest.fixture(autouse=True)
def environment(settings: Any, monkeypatch: Any) -> None:
    configure(settings)
    monkeypatch.setenv("DATABASE_NAME", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")


@pytest.fixture
def evening(environment: None, transactional_db: Any) -> models.Restaurant:
    """The real evening in shadow mode, its guests having asked one after the other. Every decision waits to be compared."""
    built_once("the demanding evening, asked one after the other, by the legacy planner", _decide)
    return models.Restaurant.objects.get()


def _decide() -> None:
    restaurant = undecided()
    for number, booking in enumerate(restaurant.bookings.order_by("pk")):
        asked = booking.created_at + timedelta(minutes=37 * number % 1000)
        models.Booking.objects.filter(pk=booking.pk).update(created_at=asked)
    climb("shadow")
    dispatch.register_new()
    pin(restaurant)
    list(dispatch.run_pass())
    assert recorder.flush()


def compare(settings: Any, candidate: str) -> None:
    configure(settings, gates=dict(PARITY), CANDIDATE=candidate)
    call_command("rollout", "compare", verbosity=0)


def statuses(capsys: Any) -> dict[str, str]:
    capsys.readouterr()
    call_command("rollout", "status", "--json")
    gates: dict[str, str] = json.loads(capsys.readouterr().out)["gates"]
    return gates


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_only_a_batch_has_fails_a_gate(
    evening: models.Restaurant, settings: Any, capsys: Any, fault: str
) -> None:
    compare(settings, f"tests.rollout.evidence.worse_batches.{fault}")
    gates = statuses(capsys)
    assert gates[FAULTS[fault]] == Status.FAIL
    assert "fail" not in {gates["unsafe"], gates["refused"], gates["candidate_errors"]}, "alone it decides as V3 does"
    with pytest.raises(CommandError, match=f"Gate {FAULTS[fault]}: fail"):
        call_command("rollout", "promote", "--from", "shadow", "--reason", "because", verbosity=0)


def test_v3_as_it_is_fails_no_gate(evening: models.Restaurant, settings: Any, capsys: Any) -> None:
    compare(settings, "rollout.shadow.candidate.v3")
    gates = statuses(capsys)
    assert "fail" not in gates.values()
    assert (gates["days_unsafe"], gates["days_refused"], gates["days_worse"]) == ("pass", "pass", "inconclusive")


def test_a_stored_day_is_enough_to_replay_both_planners(evening: models.Restaurant, settings: Any) -> None:
    compare(settings, "rollout.shadow.candidate.v3")
    stored = DayComparison.objects.get()
    assert (stored.release, stored.environment, stored.bookings) == (release.running(), "dev", BOOKINGS)
    assert stored.service_date == evening.bookings.all()[0].start.date()
    assert stored.candidate_moved
    models.Booking.objects.all().delete()
    with rewriting():
        Comparison.objects.all().delete()
    day = days.day_from_json(stored.content, floor_from_json(FloorRecord.objects.get().content))
    assert json.loads(json.dumps(day.to_json())) == stored.content
    again, control = days.by_v3(day, together(v3)), days.by_the_control(day, _judge())
    assert (len(again.seated), again.covers) == (stored.candidate_seated, stored.candidate_covers)
    assert (len(again.moved), len(again.refused), len(again.unsafe)) == (stored.candidate_moved, 0, 0)
    assert (len(control.seated), control.covers) == (stored.control_seated, stored.control_covers)


def _judge() -> Any:
    return assignments_conf.load("rollout.legacy.LegacyPlanner").judge


def test_a_day_is_compared_again_only_when_it_has_grown(evening: models.Restaurant, settings: Any) -> None:
    configure(settings)
    call_command("rollout", "compare", "--limit", "40", verbosity=0)
    assert not DayComparison.objects.exists(), "decisions of the day still wait to be compared"
    call_command("rollout", "compare", verbosity=0)
    call_command("rollout", "compare", verbosity=0)
    assert DayComparison.objects.count() == 1
    day, ref = DayComparison.objects.get(), str(evening.pk)
    touched = {(ref, day.service_date)}
    assert days.waiting(touched, day.release) == []
    assert days.waiting(touched, "another release") == list(touched)
    DayComparison.objects.bulk_create([_day(bookings=BOOKINGS // 2, service_date=day.service_date, restaurant_ref="x")])
    with rewriting():
        DayComparison.objects.filter(restaurant_ref=ref).update(bookings=BOOKINGS // 2 + 1)
    assert days.waiting(touched, day.release) == [], "fewer than twice as many"
    with rewriting():
        DayComparison.objects.filter(restaurant_ref=ref).update(bookings=BOOKINGS // 2)
    assert days.waiting(touched, day.release) == list(touched)


def test_what_others_have_stays_taken_for_both_planners(evening: models.Restaurant, settings: Any) -> None:
    """Those whose decisions shadow mode did not record keep the tables that they have."""
    left_out = set(
        Comparison.objects.exclude(control__plans=[]).order_by("id").values_list("booking_ref", flat=True)[:10]
    )
    with rewriting():
        Comparison.objects.filter(booking_ref__in=left_out).delete()
    kept = Comparison.objects.order_by("id")[0]
    assert kept.service_date is not None
    day = days.recorded(str(evening.pk), kept.service_date)
    assert day is not None
    assert {row.booking_ref for row in day.start.occupied} == left_out
    assert not {request.booking_ref for request in day.requests} & left_out
    for totals in (days.by_v3(day, together(v3)), days.by_the_control(day, _judge())):
        assert totals.seated
        assert not totals.unsafe | totals.refused


def _day(**more: Any) -> DayComparison:
    floor, _new = FloorRecord.objects.get_or_create(version="f1", defaults={"restaurant_ref": "R1", "content": {}})
    both = {f"{who}_{what}": 0 for who in ("candidate", "control") for what in ("covers", "refused", "unsafe")}
    seated = {"candidate_seated": 5, "control_seated": 5, "candidate_moved": 0}
    defaults = {
        "restaurant_ref": "R1",
        "service_date": "2026-05-02",
        "environment": "dev",
        "content": {},
        "bookings": 9,
    }
    return DayComparison(**{"release": release.running(), "floor": floor, **defaults, **both, **seated, **more})


class TestMeasuring:
    @pytest.fixture(autouse=True)
    def _shadow(self, environment: None) -> None:
        climb("shadow")

    def test_a_day_counts_once_as_it_was_the_last_time_but_what_was_unsafe_stays_so(self) -> None:
        DayComparison.objects.bulk_create(
            [
                _day(candidate_seated=3, candidate_unsafe=2),
                _day(candidate_seated=7, candidate_moved=1),
                _day(restaurant_ref="R2", candidate_refused=3),
                _day(restaurant_ref="R2", candidate_seated=4),
                _day(service_date="2026-05-03", candidate_seated=None, candidate_refused=None, error="timeout"),
                _day(service_date="2026-05-04", control_seated=None),
                _day(service_date="2026-05-05", candidate_covers=11, control_covers=12),
                _day(service_date="2026-05-06", candidate_covers=12, control_covers=12),
            ]
        )
        assert measured().days == Days(
            compared=6,
            unsafe=1,
            errors=1,
            refused=3,
            moved=1,
            paired=4,
            better=1,
            worse=2,
            seated=21,
            control_seated=20,
        )

    def test_other_releases_and_environments_do_not_count(self) -> None:
        DayComparison.objects.bulk_create([_day(release="another"), _day(environment="production"), _day(release="")])
        assert measured().days == Days()


def test_a_planner_that_wastes_tables_in_batches_seats_fewer_on_too_many_days() -> None:
    better = worse = 0
    for seed in range(24):
        day = a_day(seed)
        theirs = days.by_the_control(day, _judge())
        ours = days.by_v3(day, together(worse_batches.wastes_tables))
        better += (len(ours.seated), ours.covers) > (len(theirs.seated), theirs.covers)
        worse += (len(ours.seated), ours.covers) < (len(theirs.seated), theirs.covers)
    assert (
        GATES["days_worse"](
            facts(days=Days(compared=24, paired=24, better=better, worse=worse)), PARITY["days_worse"]
        ).status
        is Status.FAIL
    )


def test_a_control_that_writes_has_no_numbers_and_the_day_is_kept() -> None:
    def writes(snapshot: Any) -> Any:
        models.Booking.objects.create(restaurant_id=1, start=timezone.now(), party=2)

    day = a_day(1)
    kept = days.compare(
        day,
        service_date=timezone.now().date(),
        origin="shadow",
        together=together(v3),
        judge=writes,
        release=release.running,
    )
    kept.refresh_from_db()
    assert kept.candidate_seated
    assert kept.control_seated is None
    assert not models.Booking.objects.exists()


def test_a_day_is_written_once_and_not_ahead() -> None:
    DayComparison.objects.bulk_create([_day()])
    for change in (
        lambda: DayComparison.objects.update(candidate_unsafe=7),
        lambda: DayComparison.objects.all().delete(),
        lambda: DayComparison.objects.bulk_create([_day(service_date="2099-01-01")]),
    ):
        with pytest.raises(IntegrityError, match="rollout_daycomparison"):
            change()


def test_pruning_keeps_the_counts_of_days() -> None:
    DayComparison.objects.bulk_create([_day(candidate_seated=4), _day(candidate_unsafe=1), _day(error="timeout")])
    with rewriting(), connection.cursor() as cursor:
        cursor.execute("UPDATE rollout_daycomparison SET recorded_at = recorded_at - interval '100 days'")
        cursor.execute("UPDATE rollout_floorrecord SET recorded_at = recorded_at - interval '100 days'")
    DayComparison.objects.bulk_create([_day()])
    assert retention.count(90).days == 3
    *_, pruned = retention.prune(90)
    assert (pruned.days, pruned.floors, DayComparison.objects.count()) == (3, 0, 1), "the floor is still needed"
    tally = DayTally.objects.get()
    assert (tally.comparisons, tally.worse, tally.unsafe, tally.errors) == (3, 1, 1, 1)
