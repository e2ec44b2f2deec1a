"""Evidence belongs to a release: what a deploy does to gates, stage and time in stage, through the commands."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from assignments.coordination import dispatch
from assignments.integration import release
from assignments.integration.planners import V3
from assignments.models import Assignment, Attempt
from assignments.telemetry import events
from rollout.control import releases, switches
from rollout.flags import bucketing, resolution
from rollout.models import Change, Comparison, GuardRun, Position
from rollout.routing import RolloutRouter
from tests.example.conftest import load
from tests.rewriting import rewriting
from tests.rollout.control.test_steering import climb, configure
from tests.rollout.evidence.test_measuring import compared

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.legacy_planner]

GATES: dict[str, float] = {"comparable": 3, "unsafe": 0}


@pytest.fixture(autouse=True)
def environment(settings: Any, monkeypatch: Any) -> None:
    configure(settings)
    monkeypatch.setenv("DATABASE_NAME", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")


def deploy(settings: Any, name: str) -> None:
    """From here on this process runs the release of this name."""
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "RELEASE": name}
    assert release.running() == name


def rollout(capsys: Any, *arguments: str) -> tuple[int, Any]:
    """The exit code of a command, and the object that it prints."""
    capsys.readouterr()
    code = 0
    try:
        call_command("rollout", *arguments, "--json")
    except CommandError as error:
        code = error.returncode
    said = capsys.readouterr().out
    return code, json.loads(said) if said else None


def gate(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in found["gates"] if each["gate"] == name)


def position() -> Position:
    return Position.objects.get()


def hours_pass(hours: float) -> None:
    Position.objects.update(since=datetime.now(UTC) - timedelta(hours=hours))


def changes_by_release() -> list[tuple[str, str, str]]:
    found = Change.objects.filter(actor="release").order_by("id")
    return list(found.values_list("kind", "before", "after"))


def emitted(event: str) -> list[Any]:
    return [each for each in events.MemorySink.events if each.type == event]


class TestBeforePromotion:
    """Row 1: another release of V3 is deployed after the comparing."""

    @pytest.fixture(autouse=True)
    def _compared_with_a(self, environment: None, settings: Any) -> None:
        deploy(settings, "a")
        climb("shadow")
        configure(settings, gates=GATES, soak_hours=1)
        compared("same_tables", 4)
        hours_pass(2)

    def test_the_release_that_was_compared_is_promoted(self, capsys: Any) -> None:
        code, found = rollout(capsys, "check")
        assert (code, found["release"], found["others"]) == (0, "a", 0)
        assert rollout(capsys, "promote", "--reason", "go")[0] == 0
        change = Change.objects.filter(kind="stage").first()
        assert change is not None
        assert (position().stage, position().release, change.release) == ("some", "a", "a")

    def test_another_one_holds_and_says_how_many_comparisons_are_of_others(self, settings: Any, capsys: Any) -> None:
        deploy(settings, "b")
        code, found = rollout(capsys, "check")
        assert (code, found["release"], found["others"]) == (1, "b", 4)
        comparable = gate(found, "comparable")
        assert (comparable["status"], comparable["value"]) == ("inconclusive", 0)
        assert "4 more belong to other releases" in comparable["detail"]
        assert gate(found, "soak")["value"] == 0, "its time in stage begins with it"
        assert rollout(capsys, "promote", "--reason", "go")[0] == 1
        assert position().stage == "shadow"
        with pytest.raises(CommandError):
            call_command("rollout", "check")
        assert "comparisons that belong to other releases and do not count: 4" in capsys.readouterr().out
        call_command("rollout", "report", "--format", "md", "--output", "-")
        assert "4 comparisons of other releases do not count." in capsys.readouterr().out

    def test_its_own_comparisons_and_time_open_the_gates(self, settings: Any, capsys: Any) -> None:
        deploy(settings, "b")
        releases.note()
        compared("same_tables", 3)
        code, found = rollout(capsys, "check")
        assert (code, gate(found, "comparable")["value"], found["others"]) == (1, 3, 4)
        Position.objects.update(release_since=datetime.now(UTC) - timedelta(minutes=61))
        assert rollout(capsys, "check")[0] == 0

    def test_rows_without_a_release_count_for_none(self, capsys: Any) -> None:
        with rewriting():
            Comparison.objects.update(release="")
        code, found = rollout(capsys, "check")
        assert (code, gate(found, "comparable")["value"], found["others"]) == (1, 0, 4)

    def test_in_shadow_a_deploy_goes_on_record_and_moves_nothing(self, settings: Any, capsys: Any) -> None:
        deploy(settings, "b")
        rollout(capsys, "compare")
        rollout(capsys, "compare")
        assert (position().stage, position().release) == ("shadow", "b")
        assert changes_by_release() == [("release", "a", "b")]
        assert len(emitted("rollout.release_changed")) == 1

    def test_declared_to_decide_alike_the_other_ones_evidence_and_time_count(self, settings: Any, capsys: Any) -> None:
        deploy(settings, "b")
        code, found = rollout(capsys, "same-release", "--from", "a", "--reason", "only a comment")
        assert (code, found["release"]) == (0, "b")
        change = Change.objects.filter(kind="release").get()
        assert (change.before, change.after, change.reason, change.release) == ("a", "b", "only a comment", "b")
        assert change.actor.startswith("command:")
        code, found = rollout(capsys, "check")
        assert (code, gate(found, "comparable")["value"], found["others"]) == (0, 4, 0)
        deploy(settings, "a")  # Workers that are still to be restarted.
        assert rollout(capsys, "check")[0] == 0
        assert not changes_by_release()

    def test_declared_after_it_was_noted_the_evidence_counts_and_time_began_anew(
        self, settings: Any, capsys: Any
    ) -> None:
        deploy(settings, "b")
        releases.note()
        rollout(capsys, "same-release", "--from", "a", "--reason", "only a comment")
        code, found = rollout(capsys, "check")
        assert (code, gate(found, "comparable")["value"]) == (1, 4)
        assert gate(found, "soak")["value"] < 1

    @pytest.mark.parametrize("other", ["b", "nobody", ""])
    def test_only_another_release_with_evidence_can_be_declared(self, settings: Any, capsys: Any, other: str) -> None:
        deploy(settings, "b")
        assert rollout(capsys, "same-release", "--from", other, "--reason", "because")[0] == 2
        assert not Change.objects.filter(kind="release").exists()


class TestWhileV3Decides:
    @pytest.fixture(autouse=True)
    def _at_full(self, environment: None, settings: Any) -> None:
        deploy(settings, "a")
        climb("full")

    def shares(self) -> set[str]:
        """The planners of a hundred restaurants, as the router says."""
        routes = [RolloutRouter().route([Assignment(booking_ref="B", restaurant_ref=f"R{n}")]) for n in range(100)]
        assert {route["B"].planner for route in routes} <= {V3, "legacy"}
        return {f"R{n}" for n, route in enumerate(routes) if route["B"].planner == V3}

    def test_the_new_release_has_a_canarys_share_at_once_and_on_record_with_the_next_guard(
        self, settings: Any, capsys: Any, django_assert_num_queries: Any
    ) -> None:
        assert len(self.shares()) == 100
        deploy(settings, "b")
        canary = {f"R{n}" for n in range(100) if bucketing.is_in_share(f"R{n}", 40)}
        assert self.shares() == canary
        with django_assert_num_queries(1):
            bucketing.read("R1")
        assert rollout(capsys, "guard")[0] == 0
        assert (position().stage, position().percent, position().release) == ("some", 40, "b")
        assert changes_by_release() == [("stage", "full", "some"), ("release", "a", "b")]
        assert self.shares() == canary
        deploy(settings, "a")
        assert self.shares() == canary, "also in a process of the release before, until the deploy is done"
        rollout(capsys, "guard")
        assert (position().release, len(changes_by_release())) == ("b", 2)

    def test_to_go_back_to_the_release_before_is_a_deploy_too(self, settings: Any) -> None:
        deploy(settings, "b")
        releases.note()
        deploy(settings, "a")
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute("UPDATE rollout_change SET at = at - interval '1 hour'")
            cursor.execute("SET session_replication_role = origin")
        releases.note()
        assert position().release == "a"

    def test_kept_it_decides_everything_on_record_and_with_an_event(self, settings: Any, capsys: Any) -> None:
        configure(settings, NEW_RELEASE="keep")
        since = position().since
        deploy(settings, "b")
        assert len(self.shares()) == 100
        assert rollout(capsys, "guard")[0] == 0
        assert (position().stage, position().since, position().release) == ("full", since, "b")
        change = Change.objects.get(actor="release")
        assert (change.kind, change.evidence["kept"], change.evidence["percent"]) == ("release", True, 100)
        (event,) = emitted("rollout.release_kept")
        assert event.severity == "error"
        assert gate(rollout(capsys, "check")[1], "soak")["value"] < 0.1

    def test_without_a_legacy_planner_it_is_always_kept(self, settings: Any, capsys: Any) -> None:
        configure(settings, LEGACY_PLANNER="")
        deploy(settings, "b")
        assert rollout(capsys, "guard")[0] == 0
        assert (position().stage, position().release) == ("full", "b")
        assert len(emitted("rollout.release_kept")) == 1
        assert RolloutRouter().route([Assignment(booking_ref="B", restaurant_ref="R1")])["B"].planner == V3

    def test_while_v3_is_off_by_hand_a_deploy_turns_nothing_on(self, settings: Any, capsys: Any) -> None:
        switches.set_switch(resolution.V3_SWITCH, active=False, actor="test", reason="test")
        deploy(settings, "b")
        rollout(capsys, "guard")
        assert (position().stage, position().release, resolution.read().v3.value) == ("full", "a", False)
        switches.set_switch(resolution.V3_SWITCH, active=True, actor="test", reason="test")
        rollout(capsys, "guard")
        assert (position().stage, position().release) == ("some", "b")

    def test_a_release_declared_to_decide_alike_keeps_stage_and_share(self, settings: Any, capsys: Any) -> None:
        before = position()
        deploy(settings, "b")
        rollout(capsys, "same-release", "--from", "a", "--reason", "only a comment")
        assert len(self.shares()) == 100
        rollout(capsys, "guard")
        assert (position().stage, position().since) == ("full", before.since)
        deploy(settings, "a")
        assert len(self.shares()) == 100


def test_each_process_writes_its_own_release_and_the_guard_counts_one(settings: Any, capsys: Any) -> None:
    deploy(settings, "a")
    load("v3", bookings=20)
    climb("full")
    dispatch.register_new()
    list(dispatch.run_pass())
    assert set(Attempt.objects.values_list("release", flat=True)) == {"a"}
    assert rollout(capsys, "guard")[1]["facts"]["v3"]["bookings"] > 0
    configure(settings, NEW_RELEASE="keep")
    deploy(settings, "b")
    found = rollout(capsys, "guard")[1]["facts"]
    assert (found["release"], found["v3"]["bookings"], found["v3"]["attempts"]) == ("b", 0, 0)
    assert list(GuardRun.objects.order_by("id").values_list("release", flat=True)) == ["a", "b"]


def test_a_comparison_carries_the_release_of_the_process_that_was_asked(settings: Any, capsys: Any) -> None:
    load("legacy", bookings=20)
    climb("shadow")
    dispatch.register_new()
    list(dispatch.run_pass())
    from rollout.shadow import recorder

    assert recorder.flush()
    assert set(Comparison.objects.values_list("release", flat=True)) == {""}
    deploy(settings, "c")
    rollout(capsys, "compare")
    assert set(Comparison.objects.values_list("release", flat=True)) == {"c"}
