"""An evening that is decided one booking at a time: whoever has been told a table keeps it, others make room."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from assignments import api
from assignments.models import Assignment
from example import demo, evening, models, one_by_one
from rollout.control import switches
from rollout.flags import resolution

THE_FIRST = 40
"""So many bookings of the real evening are more than its tables hold at their time."""
POSSIBLE = 33
"""How many of them can be seated, as the solver proves."""


@pytest.mark.django_db(transaction=True)
def test_more_are_seated_when_others_may_move() -> None:
    source = evening.parse_json_ahead(demo.REAL_EVENING.read_text(), datetime.now(UTC))
    source = replace(source, bookings=source.bookings[:THE_FIRST])
    found = one_by_one.play(source, seed=1)
    fixed, moving, optimized = found.runs
    assert (fixed.planner, fixed.moved, moving.planner) == ("v3-fixed", 0, "v3")
    assert moving.moved > 0
    assert moving.confirmed > fixed.confirmed
    assert moving.confirmed <= optimized.confirmed <= POSSIBLE
    assert (optimized.planner, found.possible, found.is_proven) == ("v3-optimizer", POSSIBLE, True)
    assert (found.overlaps, found.lost, found.bookings) == (0, 0, THE_FIRST)


@pytest.mark.django_db(transaction=True)
def test_the_project_says_by_a_field_who_has_been_told() -> None:
    source = evening.parse_json_ahead(demo.REAL_EVENING.read_text(), datetime.now(UTC))
    restaurant = evening.store(source).restaurants[0]
    switches.set_switch(resolution.V3_SWITCH, active=True, actor="test", reason="test")
    ref = str(restaurant.bookings.order_by("start", "pk")[0].pk)
    api.request(booking_ref=ref)
    api.assign_now(booking_ref=ref)
    assert not Assignment.objects.get(booking_ref=ref).table_told
    models.Booking.objects.filter(pk=ref).update(table_told=True)
    api.booking_changed(booking_ref=ref)
    assert Assignment.objects.get(booking_ref=ref).table_told


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--one-by-one", "--friday"], "not both"),
        (["--one-by-one", "--workers", "2"], "--workers belongs to --friday"),
        (["--seed", "2"], "--seed belongs to"),
    ],
)
def test_options_that_do_not_go_together_are_named(arguments: list[str], problem: str) -> None:
    with pytest.raises(CommandError, match=problem) as refused:
        call_command("demo", *arguments)
    assert refused.value.returncode == 2
