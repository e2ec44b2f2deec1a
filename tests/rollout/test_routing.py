"""Routing: who decides, and what happens to bookings in flight when that changes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from assignments import api, signals
from assignments.concurrency import locks
from assignments.coordination import dispatch, dry_run
from assignments.coordination.coordinator import Coordinator
from assignments.integration.planners import NOBODY, V3
from assignments.models import Assignment, State
from assignments.outcome import Kind
from assignments.telemetry import events
from example import models
from rollout.control import switches
from rollout.flags import resolution
from rollout.routing import RolloutRouter
from tests.example.conftest import load

OWNERS = ("", V3, "legacy")


def set_mode(mode: str) -> None:
    for name in (resolution.V3_SWITCH, resolution.SHADOW_SWITCH):
        switches.set_switch(name, active=False, actor="test", reason="test")
    if mode != "legacy":
        name = resolution.V3_SWITCH if mode == "active" else resolution.SHADOW_SWITCH
        switches.set_switch(name, active=True, actor="test", reason="test")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("mode", "legacy_installed", "routes"),
    [
        pytest.param("legacy", True, ("legacy", "legacy", "legacy"), marks=pytest.mark.legacy_planner),
        pytest.param("shadow", True, ("legacy", "legacy", "legacy"), marks=pytest.mark.legacy_planner),
        pytest.param("active", True, (V3, V3, "legacy"), marks=pytest.mark.legacy_planner),
        ("legacy", False, (NOBODY, NOBODY, NOBODY)),
        ("shadow", False, (NOBODY, NOBODY, NOBODY)),
        ("active", False, (V3, V3, V3)),
    ],
)
def test_each_owner_in_each_mode(
    settings: Any, mode: str, legacy_installed: bool, routes: tuple[str, ...], django_assert_num_queries: Any
) -> None:
    set_mode(mode)
    if not legacy_installed:
        settings.ROLLOUT = {**settings.ROLLOUT, "LEGACY_PLANNER": ""}
    assignments = [Assignment(booking_ref=f"B{number}", planner=owner) for number, owner in enumerate(OWNERS)]
    router = RolloutRouter()
    with django_assert_num_queries(1):
        routed = router.route(assignments)
    assert tuple(route.planner for route in routed.values()) == routes
    assert {route.is_recorded for route in routed.values()} == {mode == "shadow"}


@pytest.mark.django_db
def test_confirmed_parties_may_be_moved_only_while_their_switch_is_on(django_assert_num_queries: Any) -> None:
    set_mode("active")
    row = [Assignment(booking_ref="B1", restaurant_ref="1", planner=V3)]
    assert not RolloutRouter().route(row)["B1"].may_rearrange
    for active in (True, False):
        call_command("waffle_switch", resolution.REARRANGEMENT_SWITCH, "on" if active else "off", create=True)
        with django_assert_num_queries(1):
            assert RolloutRouter().route(row)["B1"].may_rearrange is active


def test_an_unknown_planner_is_named(settings: Any) -> None:
    with pytest.raises(LookupError, match="legacy2"):
        RolloutRouter().planner("legacy2")
    settings.ROLLOUT = {**settings.ROLLOUT, "LEGACY_PLANNER": ""}
    with pytest.raises(LookupError, match="old"):
        RolloutRouter().planner("old")


@pytest.mark.legacy_planner
@pytest.mark.django_db(transaction=True)
class TestInFlight:
    @pytest.fixture
    def crowded(self, transactional_db: Any) -> models.Restaurant:
        """Fourteen parties of four at once, and tables for thirteen: one of them waits for its next try."""
        restaurant = load("v3")
        keep = restaurant.bookings.filter(party=4).order_by("start")[:14]
        models.Booking.objects.exclude(pk__in=[booking.pk for booking in keep]).delete()
        start = keep[0].start
        models.Booking.objects.update(start=start)
        return restaurant

    def run(self) -> dict[str, Any]:
        dispatch.register_new()
        Assignment.objects.open().update(due_at=datetime(2020, 1, 1, tzinfo=UTC))
        return {outcome.booking_ref: outcome for each in dispatch.run_pass() for outcome in each.outcomes}

    def test_what_v3_had_not_finished_is_handed_back_and_the_legacy_planner_finishes_it(
        self, crowded: models.Restaurant
    ) -> None:
        waiting = [ref for ref, outcome in self.run().items() if outcome.kind is Kind.RETRY]
        assert len(waiting) == 1
        seated = models.Booking.objects.filter(status="confirmed").first()
        assert seated is not None
        set_mode("legacy")
        api.release_tables(booking_ref=str(seated.pk))
        api.booking_cancelled(booking_ref=str(seated.pk))
        models.Booking.objects.filter(pk=seated.pk).update(status="cancelled")
        outcomes = self.run()
        assert {ref: (outcome.kind, outcome.planner) for ref, outcome in outcomes.items()} == {
            waiting[0]: (Kind.CONFIRMED, "legacy")
        }
        events.flush(5)
        handed = [event for event in events.MemorySink.events if event.type == "rollout.handed_back"]
        assert [event.context["bookings"] for event in handed] == [1]

    def test_what_the_legacy_planner_has_claimed_stays_with_it_while_v3_takes_the_rest(
        self, crowded: models.Restaurant
    ) -> None:
        set_mode("legacy")
        waiting = [ref for ref, outcome in self.run().items() if outcome.kind is Kind.RETRY]
        assert len(waiting) == 1
        set_mode("active")
        models.Booking.objects.create(
            restaurant=crowded, reference="new", start=models.Booking.objects.all()[0].start, party=2
        )
        planners = {ref: outcome.planner for ref, outcome in self.run().items()}
        new = models.Booking.objects.get(reference="new")
        assert planners == {waiting[0]: "legacy", str(new.pk): "v3"}

    def test_a_dry_run_hands_nothing_back(self, crowded: models.Restaurant) -> None:
        self.run()
        set_mode("legacy")
        Assignment.objects.open().update(due_at=datetime(2020, 1, 1, tzinfo=UTC))
        assert [list(day.decisions) for day in dry_run.preview()] == [["legacy"]]
        events.flush(5)
        assert "rollout.handed_back" not in {event.type for event in events.MemorySink.events}

    @pytest.mark.parametrize(("before", "after"), [("legacy", "active"), ("active", "legacy")])
    def test_a_flip_in_the_middle_of_a_pass_rules_the_very_next_decision(
        self, crowded: models.Restaurant, monkeypatch: Any, before: str, after: str
    ) -> None:
        """All fourteen are in one batch; the flags change once the first of them has been decided."""
        set_mode(before)
        dispatch.register_new()
        decided: list[str] = []

        def flip(sender: Any, booking_ref: str, state: str, **kwargs: Any) -> None:
            if state == State.CONFIRMED and not decided:
                decided.append(booking_ref)
                set_mode(after)

        signals.state_changed.connect(flip)
        try:
            first_pass = [outcome for each in dispatch.run_pass() for outcome in each.outcomes]
        finally:
            signals.state_changed.disconnect(flip)
        assert decided
        planners = {outcome.planner for outcome in first_pass if outcome.kind is Kind.CONFIRMED}
        if before == "legacy":
            disabled = [outcome for outcome in first_pass if outcome.reason == "pipeline_disabled"]
            assert len(disabled) == 13
            assert planners == {"legacy"}
            second_pass = [outcome for each in dispatch.run_pass() for outcome in each.outcomes]
            assert {outcome.planner for outcome in second_pass} == {V3}
            assert len(second_pass) == 13
        else:
            assert planners == {V3}  # one transaction had decided all of them before anybody could know
            assert {outcome.planner for outcome in self.run().values()} <= {"legacy"}

    def test_past_the_time_budget_the_legacy_planner_is_not_begun(self, crowded: models.Restaurant) -> None:
        set_mode("legacy")
        booking = models.Booking.objects.order_by("pk")[0]
        api.request(booking_ref=str(booking.pk))
        outcome = api.assign_now(booking_ref=str(booking.pk), budget_seconds=0.0001)
        assert (outcome.kind, outcome.reason) == (Kind.RETRY, "time_budget_exceeded")
        assert Assignment.objects.get().planner == ""
        assert api.assign_now(booking_ref=str(booking.pk)).planner == "legacy"

    @pytest.mark.parametrize("off_by", ["kill", "legacy", "shadow"])
    def test_while_v3_is_off_none_of_it_is_touched_and_the_legacy_planner_decides(
        self, crowded: models.Restaurant, settings: Any, monkeypatch: Any, off_by: str
    ) -> None:
        waiting = [ref for ref, outcome in self.run().items() if outcome.kind is Kind.RETRY]
        if off_by == "kill":
            settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT_VARIABLES": {"ASSIGNMENT_PIPELINE_KILL": "1"}}
        else:
            set_mode(off_by)
        start = models.Booking.objects.all()[0].start + timedelta(days=1)
        new = [
            models.Booking.objects.create(restaurant=crowded, reference=f"new {number}", start=start, party=2)
            for number in range(2)
        ]

        def touched(*args: Any, **kwargs: Any) -> None:
            raise AssertionError("V3 is off")

        for name in ("__init__", "process", "process_day", "process_one", "preview"):
            monkeypatch.setattr(Coordinator, name, touched)
        monkeypatch.setattr(locks, "try_enter", touched)
        assert api.assign_now(booking_ref=str(new[0].pk)).planner == "legacy"
        outcomes = self.run()
        assert {outcome.planner for outcome in outcomes.values()} == {"legacy"}
        assert set(outcomes) == {*waiting, str(new[1].pk)}
        assert outcomes[str(new[1].pk)].kind is Kind.CONFIRMED
        events.flush(5)
        handed = [event for event in events.MemorySink.events if event.type == "rollout.handed_back"]
        assert [event.context["bookings"] for event in handed] == [1]

    @pytest.mark.parametrize("way", ["pass", "inline"])
    def test_a_flip_between_the_question_and_v3s_claim_hands_over_at_once(
        self, crowded: models.Restaurant, monkeypatch: Any, way: str
    ) -> None:
        """V3 has been chosen; before it has claimed anything the flags change."""
        waiting = [ref for ref, outcome in self.run().items() if outcome.kind is Kind.RETRY]
        Assignment.objects.open().update(due_at=datetime(2020, 1, 1, tzinfo=UTC))
        enter = locks.try_enter

        def flip(*args: Any, **kwargs: Any) -> Any:
            set_mode("legacy")
            return enter(*args, **kwargs)

        monkeypatch.setattr(locks, "try_enter", flip)
        if way == "inline":
            outcomes = [api.assign_now(booking_ref=waiting[0])]
        else:
            outcomes = [outcome for each in dispatch.run_pass() for outcome in each.outcomes]
        assert [(outcome.booking_ref, outcome.planner) for outcome in outcomes] == [(waiting[0], "legacy")]
        events.flush(5)
        assert "rollout.handed_back" in {event.type for event in events.MemorySink.events}

    def test_a_kill_sends_the_next_decision_to_the_legacy_planner(
        self, crowded: models.Restaurant, settings: Any
    ) -> None:
        first, second = list(models.Booking.objects.order_by("pk")[:2])
        assert api.assign_now(booking_ref=str(first.pk)).planner == V3
        settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT_VARIABLES": {"ASSIGNMENT_PIPELINE_KILL": "1"}}
        assert api.assign_now(booking_ref=str(second.pk)).planner == "legacy"
        assert Assignment.objects.get(booking_ref=str(second.pk)).state == State.CONFIRMED
