"""Steering: what is refused, what is recorded, and that bookings in flight survive every change of stage."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.cache import cache
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now
from waffle.models import Switch

from assignments import api
from assignments.concurrency import transactions
from assignments.coordination import dispatch
from assignments.models import Assignment, State
from assignments.outcome import Kind
from assignments.telemetry import events
from example import demo, models
from rollout.control import change_freeze, change_log, steering, switches
from rollout.control.steering import PromotionRefusedError, RefusedError
from rollout.evidence import measuring
from rollout.flags import bucketing, resolution
from rollout.flags.resolution import Mode
from rollout.models import Change, ForcedPlanner, Position, Waiver
from tests.example.conftest import load

WHO: dict[str, Any] = {"actor": "user:1", "reason": "because"}
STAGES: list[dict[str, Any]] = [
    {"key": "off"},
    {"key": "shadow", "shadow": True},
    {"key": "some", "v3": True, "percent": 40},
    {"key": "full", "v3": True, "percent": 100},
]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def ladder(settings: Any) -> None:
    """A ladder of which every stage may be left at once, but for what a test adds."""
    configure(settings)


def configure(settings: Any, *, gates: dict[str, float] | None = None, soak_hours: float = 0, **more: Any) -> None:
    stages: list[dict[str, Any]] = [{**stage} for stage in STAGES]
    stages[1].update(gates=gates or {}, soak_hours=soak_hours)
    settings.ROLLOUT = {**settings.ROLLOUT, "LADDERS": {"dev": stages}, **more}


def climb(stage: str) -> Position:
    """To this stage, whatever stands in the way."""
    position = steering.current() or steering.begin(**WHO)
    while position.stage != stage:
        position = steering.promote(from_stage=position.stage, override=True, **WHO)
    return position


def last_change() -> Change:
    change = Change.objects.first()
    assert change is not None
    return change


class TestBegin:
    @pytest.mark.parametrize(("v3", "shadow", "stage"), [(0, 0, "off"), (0, 1, "shadow"), (1, 0, "full")])
    def test_it_begins_where_the_flags_are_and_changes_nothing(self, v3: int, shadow: int, stage: str) -> None:
        Switch.objects.create(name=resolution.V3_SWITCH, active=bool(v3))
        Switch.objects.create(name=resolution.SHADOW_SWITCH, active=bool(shadow))
        mode = resolution.read().mode
        position = steering.begin(**WHO)
        assert (position.stage, resolution.read().mode) == (stage, mode)
        assert (last_change().before, last_change().after, last_change().actor) == ("", stage, "user:1")

    def test_flags_that_are_no_stage_are_refused(self) -> None:
        Switch.objects.create(name=resolution.V3_SWITCH, active=True)
        Switch.objects.create(name=resolution.SHADOW_SWITCH, active=True)
        with pytest.raises(RefusedError, match="No stage of the ladder matches the current flags"):
            steering.begin(**WHO)

    def test_once(self) -> None:
        steering.begin(**WHO)
        with pytest.raises(RefusedError, match="has already begun"):
            steering.begin(**WHO)

    @pytest.mark.parametrize(
        "steer", [steering.pause, steering.resume, steering.roll_back], ids=lambda each: each.__name__
    )
    def test_before_that_nothing_can_be_steered(self, steer: Callable[..., Any]) -> None:
        with pytest.raises(steering.NotBegunError, match="rollout begin"):
            steer(**WHO)
        with pytest.raises(steering.NotBegunError):
            steering.plan()


class TestPromote:
    def test_the_flags_follow_the_stage(self) -> None:
        modes = [resolution.read().mode for stage in ("off", "shadow", "some", "full") if climb(stage)]
        assert modes == [Mode.LEGACY, Mode.SHADOW, Mode.ACTIVE, Mode.ACTIVE]
        assert [bucketing.read("x").percent, bucketing.read("x").stage] == [100, "full"]

    def test_it_is_refused_with_every_gate_that_does_not_pass(self, settings: Any) -> None:
        climb("shadow")
        configure(settings, gates={"comparable": 3000, "unsafe": 0}, soak_hours=24)
        with pytest.raises(PromotionRefusedError) as refused:
            steering.promote(from_stage="shadow", **WHO)
        assert {obstacle.kind for obstacle in refused.value.obstacles} == {"gate"}
        for named in ("Gate soak: inconclusive", "Gate comparable: inconclusive", "Gate unsafe: inconclusive"):
            assert named in str(refused.value)
        position = steering.current()
        assert position is not None
        assert (position.stage, resolution.read().mode) == ("shadow", Mode.SHADOW)

    def test_an_override_is_recorded_for_ever_with_what_it_lifted(self, settings: Any) -> None:
        climb("shadow")
        configure(settings, gates={"comparable": 3000})
        steering.promote(from_stage="shadow", override=True, actor="user:7", reason="the board wants it")
        change = last_change()
        assert (change.before, change.after, change.actor, change.reason) == (
            "shadow",
            "some",
            "user:7",
            "the board wants it",
        )
        assert change.overridden is True
        assert len(change.evidence["overridden"]) == 1
        assert "comparable" in change.evidence["overridden"][0]
        assert change.evidence["facts"]["stage"] == "shadow"
        assert {gate["gate"] for gate in change.evidence["gates"]} >= {"comparable", "soak", "integrity"}
        for forge in (change.delete, Change.objects.all().delete, lambda: Change.objects.update(overridden=False)):
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                forge()

    def test_where_all_gates_pass_an_override_overrides_nothing(self) -> None:
        climb("off")
        steering.promote(from_stage="off", override=True, **WHO)
        assert last_change().overridden is False

    @pytest.mark.parametrize("reason", ["", "  "])
    def test_a_reason_is_required(self, reason: str) -> None:
        climb("off")
        before = Change.objects.count()
        with pytest.raises(change_log.UnusableError, match="A reason is required"):
            steering.promote(from_stage="off", actor="user:1", reason=reason)
        assert Change.objects.count() == before

    def test_at_the_top_there_is_nowhere_to_go(self) -> None:
        climb("full")
        with pytest.raises(RefusedError, match="last stage"):
            steering.promote(from_stage="full", **WHO)

    def test_flags_set_by_hand_block_it_and_are_named(self) -> None:
        climb("shadow")
        switches.set_switch(resolution.SHADOW_SWITCH, active=False, **WHO)
        with pytest.raises(
            PromotionRefusedError, match=r"assignment_pipeline_v3_shadow is off \(by switch\) and should"
        ):
            steering.promote(from_stage="shadow", **WHO)

    def test_of_two_at_once_one_wins(self) -> None:
        climb("off")
        barrier, outcomes = threading.Barrier(2), []

        def promote(number: int) -> None:
            barrier.wait(10)
            try:
                steering.promote(from_stage="off", actor=f"user:{number}", reason="at once")
                outcomes.append("promoted")
            except RefusedError as error:
                outcomes.append(str(error))
            finally:
                connection.close()

        threads = [threading.Thread(target=promote, args=[number]) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(outcomes) == 2
        assert "promoted" in outcomes
        assert any("is at shadow, no longer at off" in outcome for outcome in outcomes)
        assert Change.objects.filter(kind="stage", after="shadow").count() == 1


class TestHoldFreezeAndCoolDown:
    def test_a_hold_is_lifted_by_its_release_only(self) -> None:
        climb("off")
        steering.pause(actor="user:2", reason="the chef is away")
        for override in (False, True):
            with pytest.raises(PromotionRefusedError, match="Resume it first"):
                steering.promote(from_stage="off", override=override, **WHO)
        steering.resume(**WHO)
        assert steering.promote(from_stage="off", **WHO).stage == "shadow"
        assert list(Change.objects.filter(kind__in=["pause", "resume"]).values_list("kind", "after")) == [
            ("resume", "resumed"),
            ("pause", "paused"),
        ]

    @pytest.mark.legacy_planner
    def test_after_the_guard_rolled_back_it_cools_down(self) -> None:
        position = climb("some")
        steering.roll_back(seen=position, cool_down_hours=24, actor="guard", reason="errors")
        with pytest.raises(PromotionRefusedError, match="promotion is locked until"):
            steering.promote(from_stage="shadow", **WHO)
        Position.objects.update(cool_down_until=Now())
        assert steering.promote(from_stage="shadow", **WHO).stage == "some"

    def test_named_windows_freeze_it(self, settings: Any) -> None:
        climb("off")
        now = datetime.now(UTC)
        window = [(now - timedelta(hours=1)).isoformat(), (now + timedelta(hours=1)).isoformat()]
        configure(settings, FREEZE_WINDOWS=[window])
        with pytest.raises(PromotionRefusedError, match="Change freeze from"):
            steering.promote(from_stage="off", **WHO)
        configure(settings, FREEZE_WINDOWS=[[window[0], now.isoformat()]])
        assert steering.promote(from_stage="off", **WHO).stage == "shadow"

    @pytest.mark.parametrize(
        ("clock", "frozen"), [("16:59", False), ("17:00", True), ("21:30", True), ("22:00", False), ("12:30", False)]
    )
    def test_service_with_bookings_freezes_it(self, settings: Any, clock: str, frozen: bool) -> None:
        settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT": "staging"}
        restaurant = load("v3")
        restaurant.services.all().delete()
        models.ServicePeriod.objects.create(restaurant=restaurant, key="dinner", start="17:00", end="22:00")
        models.TurnTime.objects.create(service=restaurant.services.get(), max_party=10, minutes=90)
        dispatch.register_new()
        day = Assignment.objects.all()[0].service_date
        zone = ZoneInfo(restaurant.timezone)
        moment = datetime.combine(day, datetime.strptime(clock, "%H:%M").time(), tzinfo=zone)  # noqa: DTZ007
        reasons = change_freeze.reasons(moment.astimezone(UTC))
        assert bool(reasons) is frozen
        assert all(f"restaurant {restaurant.pk}" in reason for reason in reasons)
        assert change_freeze.reasons(moment + timedelta(days=1)) == [], "nobody is booked then"

    @pytest.mark.parametrize(
        ("clock", "days", "frozen"),
        [("18:59", -1, False), ("19:00", -1, True), ("00:30", 0, True), ("02:00", 0, False), ("19:30", 0, False)],
    )
    def test_who_comes_after_midnight_belongs_to_the_service_of_the_evening_before(
        self, settings: Any, clock: str, days: int, frozen: bool
    ) -> None:
        settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT": "staging"}
        restaurant = load("v3", bookings=2)
        restaurant.services.all().delete()
        models.ServicePeriod.objects.create(restaurant=restaurant, key="night", start="19:00", end="02:00")
        models.TurnTime.objects.create(service=restaurant.services.get(), max_party=10, minutes=60)
        only = restaurant.bookings.all()[0]
        restaurant.bookings.exclude(pk=only.pk).delete()
        zone = ZoneInfo(restaurant.timezone)
        day = only.start.astimezone(zone).date()
        only.start = datetime.combine(day, time(0, 30), tzinfo=zone)
        only.save()
        dispatch.register_new()
        moment = datetime.combine(day + timedelta(days=days), time.fromisoformat(clock), tzinfo=zone)
        assert bool(change_freeze.reasons(moment.astimezone(UTC))) is frozen

    @pytest.mark.legacy_planner
    def test_a_rollback_is_allowed_while_held_and_frozen(self, settings: Any) -> None:
        climb("full")
        steering.pause(**WHO)
        configure(settings, FREEZE_WINDOWS=[["2000-01-01T00:00+00:00", "2999-01-01T00:00+00:00"]])
        assert steering.roll_back(**WHO).stage == "shadow"


class TestRollBack:
    @pytest.mark.parametrize(
        ("stage", "to", "reached"),
        [
            pytest.param("full", "", "shadow", marks=pytest.mark.legacy_planner),
            pytest.param("some", "", "shadow", marks=pytest.mark.legacy_planner),
            pytest.param("shadow", "", "off", marks=pytest.mark.legacy_planner),
            ("full", "some", "some"),
            pytest.param("full", "off", "off", marks=pytest.mark.legacy_planner),
        ],
    )
    def test_it_goes_to_the_previous_safe_stage_or_a_named_one(self, stage: str, to: str, reached: str) -> None:
        climb(stage)
        position = steering.roll_back(to=to, **WHO)
        assert (position.stage, last_change().before, last_change().after) == (reached, stage, reached)
        wanted = {"off": Mode.LEGACY, "shadow": Mode.SHADOW, "some": Mode.ACTIVE}[reached]
        assert resolution.read().mode is wanted

    @pytest.mark.legacy_planner
    def test_of_two_who_roll_back_at_once_one_does(self) -> None:
        climb("full")
        both_saw = steering.current()
        assert steering.roll_back(seen=both_saw, **WHO).stage == "shadow"
        with pytest.raises(RefusedError, match="moved to shadow"):
            steering.roll_back(seen=both_saw, **WHO)
        assert steering.current().stage == "shadow"  # type: ignore[union-attr]

    @pytest.mark.parametrize(("stage", "to"), [("off", ""), ("shadow", "full"), ("shadow", "shadow")])
    def test_it_goes_down_only(self, stage: str, to: str) -> None:
        climb(stage)
        with pytest.raises(RefusedError, match=r"below|lowest"):
            steering.roll_back(to=to, **WHO)

    def test_an_unknown_stage_is_named(self) -> None:
        climb("full")
        with pytest.raises(LookupError, match="no stage 'canary'; it has off, shadow, some, full"):
            steering.roll_back(to="canary", **WHO)

    @pytest.mark.legacy_planner
    def test_from_a_stage_that_the_settings_no_longer_name(self) -> None:
        climb("full")
        Position.objects.update(stage="canary-25")
        assert steering.roll_back(**WHO).stage == "shadow"

    @pytest.mark.legacy_planner
    def test_it_works_while_the_cache_is_down(self, monkeypatch: Any) -> None:
        climb("full")

        def down(*args: Any, **kwargs: Any) -> None:
            raise ConnectionError("no cache")

        monkeypatch.setattr(type(cache._connections["default"]), "delete_many", down)  # type: ignore[attr-defined]
        steering.roll_back(**WHO)
        assert resolution.read().mode is Mode.SHADOW

    def test_without_a_legacy_planner_nobody_is_left_to_decide_so_it_is_refused(self, settings: Any) -> None:
        climb("full")
        configure(settings, LEGACY_PLANNER="")
        with pytest.raises(RefusedError, match="nobody would decide"):
            steering.roll_back(**WHO)
        assert resolution.read().mode is Mode.ACTIVE

    @pytest.mark.legacy_planner
    def test_it_measures_nothing_and_asks_few_queries(
        self, django_assert_max_num_queries: Any, monkeypatch: Any
    ) -> None:
        climb("full")
        monkeypatch.delattr(measuring, "measure")
        with django_assert_max_num_queries(20):
            steering.roll_back(**WHO)


class TestSwitches:
    @pytest.mark.legacy_planner
    def test_nobody_ever_reads_both_flags_on(self) -> None:
        """Whoever reads while the stage goes up and down sees one stage or the other."""
        climb("off")
        seen: set[tuple[bool, bool]] = set()
        done = threading.Event()

        def read() -> None:
            while not done.is_set():
                current = resolution.read()
                seen.add((current.v3.value, current.shadow.value))
            connection.close()

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for _ in range(5):
                climb("some")
                steering.roll_back(**WHO)
                steering.roll_back(**WHO)
        finally:
            done.set()
            reader.join(30)
        assert seen <= {(False, False), (False, True), (True, False)}
        assert seen

    def test_not_even_inside_the_transaction(self, django_capture_on_commit_callbacks: Any, monkeypatch: Any) -> None:
        seen = []
        write = Switch.objects.filter

        def filter_and_look(*args: Any, **kwargs: Any) -> Any:
            seen.append(dict(write().values_list("name", "active")))
            return write(*args, **kwargs)

        climb("shadow")
        monkeypatch.setattr(Switch.objects, "filter", filter_and_look)
        steering.promote(from_stage="shadow", **WHO)
        assert seen
        assert all(not (each[resolution.V3_SWITCH] and each[resolution.SHADOW_SWITCH]) for each in seen)

    def test_two_who_turn_on_contradicting_switches_at_once_do_not_both_succeed(self) -> None:
        barrier, outcomes = threading.Barrier(2), []

        def turn_on(name: str) -> None:
            barrier.wait(10)
            try:
                switches.set_switch(name, active=True, **WHO)
                outcomes.append("on")
            except switches.ContradictionError:
                outcomes.append("refused")
            finally:
                connection.close()

        threads = [
            threading.Thread(target=turn_on, args=[name]) for name in (resolution.V3_SWITCH, resolution.SHADOW_SWITCH)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(outcomes) == ["on", "refused"]

    def test_a_switch_set_by_hand_leaves_a_change(self) -> None:
        switches.set_switch(resolution.V3_SWITCH, active=True, actor="user:3", reason="trying it")
        switches.set_switch(resolution.V3_SWITCH, active=False, actor="user:3", reason="tried it")
        assert list(
            Change.objects.filter(kind="switch").values_list("subject", "before", "after", "actor", "reason")
        ) == [
            (resolution.V3_SWITCH, "on", "off", "user:3", "tried it"),
            (resolution.V3_SWITCH, "", "on", "user:3", "trying it"),
        ]

    def test_a_switch_cannot_take_v3_further_than_the_stage(self) -> None:
        climb("shadow")
        switches.set_switch(resolution.SHADOW_SWITCH, active=False, **WHO)
        switches.set_switch(resolution.V3_SWITCH, active=True, **WHO)
        assert not any(bucketing.read(str(ref)).v3_decides(str(ref)) for ref in range(100))


class TestShare:
    def test_raising_the_percentage_keeps_who_was_in(self) -> None:
        refs = [str(number) for number in range(1000)]
        shares = [{ref for ref in refs if bucketing.is_in_share(ref, percent)} for percent in (0, 10, 50, 100)]
        none, tenth, half, everybody = shares
        assert none == set()
        assert tenth < half < everybody == set(refs)
        assert 70 < len(tenth) < 130
        assert 450 < len(half) < 550

    @pytest.mark.legacy_planner
    def test_pins_win_over_the_percentage_but_not_over_flags(self) -> None:
        refs = [str(load("v3", name=f"Restaurant {number}", bookings=2).pk) for number in range(2)]
        switches.set_switch(resolution.V3_SWITCH, active=False, **WHO)
        climb("some")
        for ref, planner in zip(refs, ForcedPlanner.PlannerChoice, strict=True):
            steering.force_planner(restaurant_ref=ref, planner=planner, **WHO)
        assert [bucketing.read(ref).v3_decides(ref) for ref in refs] == [True, False]
        steering.roll_back(**WHO)
        assert [bucketing.read(ref).v3_decides(ref) for ref in refs] == [False, False]
        climb("full")
        steering.unforce_planner(restaurant_ref=refs[1], **WHO)
        assert bucketing.read(refs[1]).v3_decides(refs[1]) is True
        assert list(Change.objects.filter(kind="forced_planner").values_list("subject", "before", "after")) == [
            (refs[1], "legacy", ""),
            (refs[1], "", "legacy"),
            (refs[0], "", "v3"),
        ]

    def test_what_cannot_be_pinned_is_named(self, settings: Any) -> None:
        with pytest.raises(RefusedError, match="no restaurant 'Rialto'"):
            steering.force_planner(restaurant_ref="Rialto", planner=ForcedPlanner.PlannerChoice.V3, **WHO)
        with pytest.raises(RefusedError, match="No planner is forced"):
            steering.unforce_planner(restaurant_ref="Rialto", **WHO)


class TestWaive:
    GOOD: dict[str, Any] = {"verdict": "worse", "owner": "team tables", **WHO}

    def test_it_is_kept_and_withdrawn_with_a_record(self) -> None:
        soon = datetime.now(UTC) + timedelta(days=3)
        waiver = steering.waive(**self.GOOD, expires_at=soon, restaurant_ref="7", refusal="no_fit")
        steering.withdraw(waiver_id=waiver.pk, **WHO)
        assert Waiver.objects.get().withdrawn_at is not None
        assert last_change().after == "withdrawn"
        with pytest.raises(RefusedError, match=f"Waiver {waiver.pk} does not exist"):
            steering.withdraw(waiver_id=waiver.pk, **WHO)

    @pytest.mark.parametrize(
        ("changed", "named"),
        [
            ({"verdict": "unsafe"}, "'unsafe' cannot be waived"),
            ({"verdict": "v3_error"}, "'v3_error' cannot be waived"),
            ({"refusal": "bad luck"}, "'bad luck' is not a reason code"),
            ({"owner": " "}, "needs an owner"),
            ({"reason": ""}, "A reason is required"),
            ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "within 90 days"),
            ({"expires_at": datetime(2999, 1, 1, tzinfo=UTC)}, "within 90 days"),
        ],
        ids=str,
    )
    def test_what_cannot_be_kept_is_named(self, changed: dict[str, Any], named: str) -> None:
        soon = datetime.now(UTC) + timedelta(days=3)
        with pytest.raises(change_log.UnusableError, match=named):
            steering.waive(**{**self.GOOD, "expires_at": soon, **changed})
        assert not Waiver.objects.exists()


@pytest.mark.legacy_planner
class TestInFlight:
    """Fourteen parties of four at once, and tables for thirteen: one of them waits for its next try."""

    @pytest.fixture
    def crowded(self) -> models.Restaurant:
        restaurant = load("legacy")
        keep = restaurant.bookings.filter(party=4).order_by("start")[:14]
        models.Booking.objects.exclude(pk__in=[booking.pk for booking in keep]).delete()
        models.Booking.objects.update(start=keep[0].start)
        return restaurant

    def run(self) -> dict[str, Any]:
        dispatch.register_new()
        Assignment.objects.open().update(due_at=datetime(2020, 1, 1, tzinfo=UTC))
        return {outcome.booking_ref: outcome for each in dispatch.run_pass() for outcome in each.outcomes}

    def free_one(self) -> None:
        seated = models.Booking.objects.filter(status="confirmed")[0]
        seated.status = "cancelled"
        seated.save()
        api.booking_cancelled(booking_ref=str(seated.pk))

    def test_after_a_rollback_the_legacy_planner_finishes_what_v3_began(self, crowded: models.Restaurant) -> None:
        climb("full")
        waiting = [ref for ref, outcome in self.run().items() if outcome.kind is Kind.RETRY]
        assert Assignment.objects.get(booking_ref=waiting[0]).planner == "v3"
        steering.roll_back(**WHO)
        self.free_one()
        outcomes = self.run()
        assert {ref: (outcome.kind, outcome.planner) for ref, outcome in outcomes.items()} == {
            waiting[0]: (Kind.CONFIRMED, "legacy")
        }
        self.assert_nothing_is_lost()
        events.flush(5)
        assert "rollout.handed_back" in [event.type for event in events.MemorySink.events]

    def test_after_a_promotion_the_legacy_planner_finishes_what_it_began(self, crowded: models.Restaurant) -> None:
        climb("shadow")
        waiting = [ref for ref, outcome in self.run().items() if outcome.kind is Kind.RETRY]
        assert Assignment.objects.get(booking_ref=waiting[0]).planner == "legacy"
        climb("full")
        new = models.Booking.objects.create(
            restaurant=crowded, reference="new", start=models.Booking.objects.all()[0].start, party=2
        )
        self.free_one()
        outcomes = self.run()
        assert {ref: (outcome.kind, outcome.planner) for ref, outcome in outcomes.items()} == {
            waiting[0]: (Kind.CONFIRMED, "legacy"),
            str(new.pk): (Kind.CONFIRMED, "v3"),
        }
        self.assert_nothing_is_lost()

    def test_up_and_down_in_the_middle_of_an_evening_loses_nobody(self, crowded: models.Restaurant) -> None:
        for stage in ("shadow", "some", "full"):
            climb(stage)
            self.run()
            self.free_one()
        steering.roll_back(to="off", **WHO)
        self.run()
        self.assert_nothing_is_lost()

    def assert_nothing_is_lost(self) -> None:
        assert (demo.count_overlaps(), demo.count_lost()) == (0, 0)
        open_ones = Assignment.objects.open().values_list("state", "planner")
        assert all(state == State.ASSIGNMENT_PENDING for state, _planner in open_ones)


def test_every_change_is_announced() -> None:
    climb("shadow")
    steering.pause(**WHO)
    events.flush(5)
    mine = [event for event in events.MemorySink.events if event.source == "assignment.rollout"]
    stages = [
        (each.context.get("from_state"), each.context["to_state"])
        for each in mine
        if each.type == "rollout.stage_changed"
    ]
    assert stages == [(None, "off"), ("off", "shadow")]
    assert [each.context["detail"] for each in mine if each.type == "rollout.steered"] == [
        "pause shadow: resumed -> paused"
    ]


def test_whoever_comes_while_another_steers_waits_and_is_told(monkeypatch: Any) -> None:
    monkeypatch.setattr(change_log, "LOCK_TIMEOUT_MS", 50)
    entered, leave = threading.Event(), threading.Event()

    def steer_slowly() -> None:
        with change_log.changing(reason="slowly"):
            entered.set()
            leave.wait(30)
        connection.close()

    thread = threading.Thread(target=steer_slowly)
    thread.start()
    try:
        assert entered.wait(10)
        with pytest.raises(change_log.BusyError, match="try again"):
            steering.begin(**WHO)
    finally:
        leave.set()
        thread.join(30)
    assert steering.begin(**WHO).stage == "off"


@pytest.mark.legacy_planner
def test_whoever_stops_while_steering_keeps_nobody_from_rolling_back(monkeypatch: Any) -> None:
    """A frozen machine, or one that lost its network: the transaction is open, and nothing comes of it."""
    monkeypatch.setattr(transactions, "IDLE_TIMEOUT_MS", 300)
    climb("full")
    entered, leave = threading.Event(), threading.Event()

    def stop() -> None:
        with suppress(DatabaseError), change_log.changing(reason="stopped"):
            entered.set()
            leave.wait(30)
        connection.close()

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        assert entered.wait(10)
        assert steering.roll_back(**WHO).stage != "full"
    finally:
        leave.set()
        thread.join(30)


def test_steering_in_the_callers_transaction_leaves_its_limits_as_they_are() -> None:
    with transaction.atomic(), change_log.changing(reason="checked"), connection.cursor() as cursor:
        for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
            cursor.execute(f"SHOW {name}")
            assert cursor.fetchone()[0] == "0", name
