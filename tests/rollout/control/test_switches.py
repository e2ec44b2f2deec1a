"""Turning switches: never into a contradiction, and never without a trace."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from waffle.models import Switch

from assignments.telemetry import events
from rollout.control import change_log, switches
from rollout.flags import resolution
from rollout.models import Change

pytestmark = pytest.mark.django_db(transaction=True)


def active() -> dict[str, bool]:
    return dict(Switch.objects.values_list("name", "active"))


class TestCommand:
    def test_status_tells_every_value_and_its_source(self, capsys: Any, settings: Any) -> None:
        settings.ROLLOUT = {
            **settings.ROLLOUT,
            "ENVIRONMENT_VARIABLES": {"FEATURE_ASSIGNMENT_PIPELINE_V3_SHADOW": "yes"},
        }
        switches.set_switch(resolution.V3_SWITCH, active=False, actor="test", reason="test")
        call_command("rollout", "status", "--json")
        status = json.loads(capsys.readouterr().out)
        assert status["mode"] == "shadow"
        assert status["flags"]["assignment_pipeline_v3"]["source"] == "switch"
        assert status["flags"]["assignment_pipeline_v3_shadow"]["source"] == "environment variable"
        assert status["flags"]["assignment_pipeline_v3_shadow"]["raw"] == "yes"
        call_command("rollout", "status")
        text = capsys.readouterr().out
        assert "shadow" in text
        assert "FEATURE_ASSIGNMENT_PIPELINE_V3_SHADOW=yes" in text

    def test_set_keeps_the_reason_and_announces_it(self, capsys: Any) -> None:
        call_command("rollout", "set", "v3", "on", "--reason", "parity was fine", "--json")
        assert json.loads(capsys.readouterr().out)["mode"] == "active"
        assert Switch.objects.get().note == "parity was fine"
        events.flush(5)
        assert [event.context["detail"] for event in events.MemorySink.events] == ["assignment_pipeline_v3 on"]

    def test_a_contradiction_is_refused_and_names_the_other_flag(self) -> None:
        call_command("rollout", "set", "v3", "on", "--reason", "x")
        with pytest.raises(CommandError, match=r"assignment_pipeline_v3 is on \(by switch\)") as refused:
            call_command("rollout", "set", "shadow", "on", "--reason", "x")
        assert refused.value.returncode == 1
        assert active() == {resolution.V3_SWITCH: True}

    def test_a_reason_is_required(self) -> None:
        with pytest.raises(CommandError) as refused:
            call_command("rollout", "set", "v3", "on", "--reason", "  ")
        assert refused.value.returncode == 2
        assert active() == {}


class TestUnset:
    def test_the_variable_rules_again_and_it_is_recorded(self, settings: Any) -> None:
        settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT_VARIABLES": {"FEATURE_ASSIGNMENT_PIPELINE_V3": "true"}}
        switches.set_switch(resolution.V3_SWITCH, active=False, actor="test", reason="test")
        now = switches.unset_switch(resolution.V3_SWITCH, actor="user:1", reason="as it was")
        assert (now.v3.value, now.v3.source) == (True, resolution.Source.ENVIRONMENT)
        change = Change.objects.all()[0]
        assert (change.subject, change.before, change.after) == (resolution.V3_SWITCH, "off", "")
        assert (change.actor, change.reason) == ("user:1", "as it was")

    def test_a_variable_that_would_contradict_keeps_the_row(self, settings: Any) -> None:
        variables = {"FEATURE_ASSIGNMENT_PIPELINE_V3_SHADOW": "true"}
        settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT_VARIABLES": variables}
        switches.set_switch(resolution.SHADOW_SWITCH, active=False, actor="test", reason="test")
        switches.set_switch(resolution.V3_SWITCH, active=True, actor="test", reason="test")
        with pytest.raises(switches.ContradictionError, match=r"shadow too \(by environment variable\)"):
            switches.unset_switch(resolution.SHADOW_SWITCH, actor="test", reason="test")
        assert active() == {resolution.SHADOW_SWITCH: False, resolution.V3_SWITCH: True}

    def test_a_row_that_is_not_there_is_named(self) -> None:
        with pytest.raises(change_log.UnusableError, match="assignment_pipeline_v3 has no row"):
            switches.unset_switch(resolution.V3_SWITCH, actor="test", reason="test")


def test_what_is_set_while_killed_does_not_contradict_itself_either(settings: Any) -> None:
    switches.set_switch(resolution.V3_SWITCH, active=True, actor="test", reason="test")
    settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT_VARIABLES": {"ASSIGNMENT_PIPELINE_KILL": "1"}}
    with pytest.raises(switches.ContradictionError):
        switches.set_switch(resolution.SHADOW_SWITCH, active=True, actor="test", reason="test")
