"""``manage.py rollout``: what each action prints, its JSON, and its exit codes."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from assignments.telemetry import events
from rollout.control import change_log, steering, switches
from rollout.flags import resolution
from rollout.flags.resolution import Mode
from rollout.models import Change, ForcedPlanner, Position, Waiver
from tests.example.conftest import load
from tests.rollout.control.test_steering import WHO, climb, configure

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def ladder(settings: Any) -> None:
    configure(settings)


@pytest.fixture
def run(capsys: Any) -> Any:
    """The action's output, parsed if it is JSON."""

    def call(*arguments: str) -> Any:
        capsys.readouterr()
        call_command("rollout", *arguments)
        out = capsys.readouterr().out
        return json.loads(out) if "--json" in arguments else out

    return call


def refused(*arguments: str) -> tuple[int, str]:
    """Exit code and message."""
    with pytest.raises(CommandError) as error:
        call_command("rollout", *arguments)
    return error.value.returncode, str(error.value)


class TestWalk:
    @pytest.mark.legacy_planner
    def test_up_and_down_the_ladder(self, run: Any) -> None:
        assert run("begin", "--reason", "here we go", "--json")["stage"] == "off"
        assert "off -> shadow" in run("plan")
        assert run("promote", "--reason", "to look", "--json")["stage"] == "shadow"
        assert "V3 decides for 40 % of restaurants" in run("promote", "--reason", "it was good")
        assert run("rollback", "--reason", "it was not", "--json")["stage"] == "shadow"
        assert run("rollback", "--reason", "no", "--to", "off", "--json")["stage"] == "off"
        history = run("history", "--json")["changes"]
        assert [(each["before"], each["after"]) for each in history] == [
            ("shadow", "off"),
            ("some", "shadow"),
            ("shadow", "some"),
            ("off", "shadow"),
            ("", "off"),
        ]
        assert {each["actor"].split(":")[0] for each in history} == {"command"}
        text = run("history", "--limit", "1", "--kind", "stage")
        assert "stage off: shadow -> off" in text
        assert ": no" in text
        assert "some" not in text

    def test_events_are_stored_before_the_command_ends(self, run: Any) -> None:
        run("begin", "--reason", "here we go")
        assert [each.type for each in events.MemorySink.events] == ["rollout.stage_changed"]


class TestRefusals:
    @pytest.mark.parametrize("action", ["plan", "check", "promote", "rollback", "pause", "resume"])
    def test_what_has_not_begun_is_refused_with_what_to_do(self, action: str) -> None:
        reason = [] if action in {"plan", "check"} else ["--reason", "x"]
        code, message = refused(action, *reason)
        assert code == 1
        assert "rollout begin" in message

    @pytest.mark.parametrize("action", ["begin", "promote", "rollback", "pause", "resume"])
    def test_no_reason_is_a_usage_error(self, action: str) -> None:
        if action != "begin":
            climb("shadow")
        code, message = refused(action, "--reason", " ")
        assert (code, "A reason is required" in message) == (2, True)

    def test_two_hyphens_are_no_reason(self) -> None:
        with pytest.raises(CommandError, match="argument --reason: -- is no value"):
            call_command("rollout", "begin", "--reason=--")

    def test_a_closed_gate_is_refused_and_named(self, settings: Any) -> None:
        climb("shadow")
        configure(settings, gates={"comparable": 3000})
        code, message = refused("promote", "--reason", "x")
        assert code == 1
        assert "Gate comparable: inconclusive" in message
        call_command("rollout", "promote", "--reason", "the board", "--override", "--from", "shadow")
        assert Change.objects.all()[0].overridden is True

    def test_an_override_right_after_a_rollback_does_not_promote_again(self) -> None:
        climb("shadow")
        code, message = refused("promote", "--reason", "x", "--override")
        assert (code, "--override requires --from" in message) == (2, True)

    def test_a_stage_that_was_left_meanwhile_is_refused(self) -> None:
        climb("shadow")
        code, message = refused("promote", "--reason", "x", "--from", "off")
        assert (code, "is at shadow, no longer at off" in message) == (1, True)

    def test_an_unknown_stage_is_a_usage_error_that_names_those_there_are(self) -> None:
        climb("shadow")
        code, message = refused("rollback", "--reason", "x", "--to", "canary")
        assert (code, "it has off, shadow, some, full" in message) == (2, True)

    def test_a_lock_that_is_not_to_be_had_is_refused(self, monkeypatch: Any) -> None:
        climb("shadow")

        def busy(*args: Any, **kwargs: Any) -> None:
            raise change_log.BusyError("Somebody else is at it.")

        monkeypatch.setattr(steering, "pause", busy)
        assert refused("pause", "--reason", "x") == (1, "Somebody else is at it.")

    def test_a_database_that_is_away_is_75(self, monkeypatch: Any) -> None:
        def away(*args: Any, **kwargs: Any) -> None:
            raise OperationalError("connection refused")

        monkeypatch.setattr(steering, "roll_back", away)
        code, message = refused("rollback", "--reason", "x")
        assert (code, "connection refused" in message) == (75, True)


class TestPlan:
    def test_it_names_the_exact_switches_and_who_would_join(self, run: Any) -> None:
        restaurant = load("legacy", bookings=20)
        call_command("run_coordinator")
        climb("shadow")
        plan = run("plan", "--json")
        assert (plan["position"]["stage"], plan["target"], plan["percent"], plan["open"]) == (
            "shadow",
            "some",
            40,
            True,
        )
        assert plan["switches"] == {
            resolution.V3_SWITCH: {"before": False, "after": True},
            resolution.SHADOW_SWITCH: {"before": True, "after": False},
        }
        steering.promote(from_stage="shadow", **WHO)
        joins_later = not plan["joining"]
        assert run("plan", "--json")["joining"] == ([str(restaurant.pk)] if joins_later else [])
        text = run("plan")
        assert f"{resolution.V3_SWITCH:30} stays on" in text
        assert "V3 would decide for 100 % of restaurants" in text

    def test_it_changes_nothing(self, run: Any) -> None:
        climb("shadow")
        before = (Change.objects.count(), resolution.read(), list(Position.objects.values()))
        run("plan")
        assert (Change.objects.count(), resolution.read(), list(Position.objects.values())) == before

    def test_what_is_in_the_way_is_said_with_what_helps(self, run: Any) -> None:
        climb("shadow")
        steering.pause(**WHO)
        text = run("plan")
        assert "(cannot be overridden) The rollout is paused. Resume it first: manage.py rollout resume." in text

    def test_at_the_top(self, run: Any) -> None:
        climb("full")
        assert "full is the last stage" in run("plan")
        assert run("plan", "--json")["target"] is None


class TestCheck:
    def test_every_gate_with_value_threshold_sample_and_window(self, settings: Any, capsys: Any) -> None:
        climb("shadow")
        configure(settings, gates={"comparable": 3000})
        code, message = refused("check", "--json")
        assert (code, message) == (1, "0 of 4 gates fail, 1 are inconclusive.")
        found = json.loads(capsys.readouterr().out)
        assert found["pass"] is False
        gates = {gate["gate"]: gate for gate in found["gates"]}
        assert set(gates) == {"soak", "integrity", "flags", "comparable"}
        assert {key: gates["comparable"][key] for key in ("status", "value", "threshold", "sample")} == {
            "status": "inconclusive",
            "value": 0,
            "threshold": 3000,
            "sample": 0,
        }
        assert "UTC" in gates["comparable"]["window"]
        refused("check")
        assert "comparable" in capsys.readouterr().out

    def test_it_is_0_when_all_pass(self, run: Any) -> None:
        climb("shadow")
        assert run("check", "--json")["pass"] is True


class TestStatus:
    @pytest.mark.legacy_planner
    def test_it_tells_stage_gates_pins_hold_cool_down_and_next_step(self, run: Any, settings: Any) -> None:
        restaurant = load("legacy", bookings=2)
        position = climb("some")
        steering.roll_back(seen=position, cool_down_hours=5, actor="guard", reason="errors")
        steering.force_planner(restaurant_ref=str(restaurant.pk), planner=ForcedPlanner.PlannerChoice.V3, **WHO)
        steering.pause(**WHO)
        configure(settings, gates={"comparable": 3000})
        status = run("status", "--json")
        assert status["position"]["stage"] == "shadow"
        assert status["position"]["paused"] is True
        assert status["position"]["cool_down_until"] is not None
        assert status["forced_planners"] == {str(restaurant.pk): "v3"}
        assert status["gates"]["comparable"] == "inconclusive"
        assert status["next"] == "some"
        assert (status["drift"], status["problems"]) == ("", [])
        text = run("status")
        for line in (
            "Stage           shadow, 0 % of restaurants, since",
            f"Forced planner  restaurant {restaurant.pk}: v3",
            "Paused          promotions are refused",
            "Locked          no promotion until",
            "Gates           3 of 4 pass; inconclusive: comparable",
            "Next            some, blocked by 3 obstacles",
        ):
            assert line in text

    def test_a_switch_that_is_not_what_the_stage_asks_for_is_a_problem(self, run: Any) -> None:
        climb("shadow")
        switches.set_switch(resolution.SHADOW_SWITCH, active=False, **WHO)
        (problem,) = run("status", "--json")["problems"]
        assert f"{resolution.SHADOW_SWITCH} is off (by switch) and should be on" in problem
        assert "Problem: The flags do not match the stage" in run("status")

    def test_a_stage_that_the_settings_no_longer_name_is_a_problem(self, run: Any) -> None:
        climb("shadow")
        Position.objects.update(stage="canary-25")
        assert "no stage 'canary-25'" in run("status", "--json")["problems"][0]

    def test_before_the_ladder_has_begun(self, run: Any) -> None:
        assert run("status", "--json")["position"] is None
        assert "not begun: the flags alone decide" in run("status")


def test_killed_the_status_needs_no_database(settings: Any, run: Any, django_assert_num_queries: Any) -> None:
    settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT_VARIABLES": {"ASSIGNMENT_PIPELINE_KILL": "1"}}
    with django_assert_num_queries(0):
        assert run("status", "--json")["killed"] is True


class TestPin:
    def test_a_restaurant_is_pinned_and_unpinned(self, run: Any) -> None:
        ref = str(load("legacy", bookings=2).pk)
        assert f"Restaurant {ref} is forced to v3" in run("force", ref, "--planner", "v3", "--reason", "they asked")
        assert dict(ForcedPlanner.objects.values_list("restaurant_ref", "planner")) == {ref: "v3"}
        assert run("force", ref, "--planner", "none", "--reason", "enough", "--json") == {
            "restaurant": ref,
            "planner": None,
        }
        assert not ForcedPlanner.objects.exists()

    def test_an_unknown_restaurant_is_refused(self) -> None:
        code, message = refused("force", "Rialto", "--planner", "v3", "--reason", "x")
        assert (code, message) == (1, "The host has no restaurant 'Rialto'.")


class TestWaive:
    def test_a_difference_is_accepted_listed_and_withdrawn(self, run: Any) -> None:
        assert "There are no waivers" in run("waive")
        arguments = [
            "--verdict",
            "worse",
            "--owner",
            "us",
            "--restaurant",
            "7",
            "--days",
            "3",
            "--reason",
            "round tables",
        ]
        (row,) = run("waive", *arguments, "--json")["waivers"]
        assert (row["verdict"], row["restaurant_ref"], row["expired"]) == ("worse", "7", False)
        assert "round tables" in run("waive")
        Waiver.objects.update(expires_at=datetime.now(UTC) - timedelta(days=1))
        assert "EXPIRED" in run("waive")
        assert "There are no waivers" in run("waive", "--withdraw", str(row["id"]), "--reason", "mended")

    @pytest.mark.parametrize(
        ("arguments", "code", "named"),
        [
            (["--verdict", "worse", "--reason", "x"], 2, "needs an owner"),
            (["--verdict", "worse", "--owner", "us"], 2, "A reason is required"),
            (["--verdict", "worse", "--owner", "us", "--reason", "x", "--refusal", "luck"], 2, "not a reason code"),
            (["--reason", "x"], 2, "--reason needs"),
            (["--withdraw", "7", "--reason", "x"], 1, "Waiver 7 does not exist"),
        ],
    )
    def test_what_cannot_be_is_named(self, arguments: list[str], code: int, named: str) -> None:
        found, message = refused("waive", *arguments)
        assert (found, named in message) == (code, True), message


def test_hold_and_release(run: Any) -> None:
    climb("off")
    assert run("pause", "--reason", "x", "--json")["paused"] is True
    assert refused("pause", "--reason", "x") == (1, "The rollout is already paused.")
    assert run("resume", "--reason", "x", "--json")["paused"] is False
    assert resolution.read().mode is Mode.LEGACY
