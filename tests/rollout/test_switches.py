"""Turning switches: from the command line and in the admin, never into a contradiction."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from waffle.models import AbstractBaseSwitch, Switch

from assignments import events
from rollout import flags, switches

Both = tuple[AbstractBaseSwitch, AbstractBaseSwitch]
pytestmark = pytest.mark.django_db(transaction=True)


def active() -> dict[str, bool]:
    return dict(Switch.objects.values_list("name", "active"))


class TestCommand:
    def test_status_tells_every_value_and_its_source(self, capsys: Any, settings: Any) -> None:
        settings.ROLLOUT = {
            **settings.ROLLOUT,
            "ENVIRONMENT_VARIABLES": {"FEATURE_ASSIGNMENT_PIPELINE_V3_SHADOW": "yes"},
        }
        switches.set_switch(flags.V3_SWITCH, active=False, actor="test", reason="test")
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
        assert active() == {flags.V3_SWITCH: True}

    def test_a_reason_is_required(self) -> None:
        with pytest.raises(CommandError) as refused:
            call_command("rollout", "set", "v3", "on", "--reason", "  ")
        assert refused.value.returncode == 2
        assert active() == {}


class TestAdmin:
    @pytest.fixture
    def both(self) -> Both:
        return (
            Switch.objects.create(name=flags.V3_SWITCH, active=True),
            Switch.objects.create(name=flags.SHADOW_SWITCH, active=False),
        )

    def test_the_form_refuses_contradicting_flags(self, admin_client: Client, both: Both) -> None:
        url = reverse("admin:waffle_switch_change", args=[both[1].pk])
        values = {
            "name": flags.SHADOW_SWITCH,
            "active": "on",
            "note": "",
            "created_0": "2026-01-01",
            "created_1": "12:00",
            "modified_0": "2026-01-01",
            "modified_1": "12:00",
        }
        answer = admin_client.post(url, values)
        assert answer.status_code == 200
        assert b"turn it off before" in answer.content
        assert active()[flags.SHADOW_SWITCH] is False
        del values["active"]
        assert admin_client.post(url, values).status_code == 302

    def test_the_action_refuses_the_second_of_two(self, admin_client: Client, both: Both) -> None:
        Switch.objects.update(active=False)
        answer = admin_client.post(
            reverse("admin:waffle_switch_changelist"),
            {
                "action": "enable_switches_without_contradiction",
                "_selected_action": [str(switch.pk) for switch in both],
            },
            follow=True,
        )
        assert b"turn it off before" in answer.content
        assert active() == {flags.V3_SWITCH: True, flags.SHADOW_SWITCH: False}

    def test_other_switches_are_nobodys_business(self, admin_client: Client, both: Both) -> None:
        other = Switch.objects.create(name="new_menu", active=False)
        admin_client.post(
            reverse("admin:waffle_switch_changelist"),
            {"action": "enable_switches_without_contradiction", "_selected_action": [str(other.pk)]},
        )
        assert active()["new_menu"] is True
