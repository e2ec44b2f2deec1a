"""Rows of earlier versions are read in today's words."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from rollout.admin import labels
from rollout.models import Change
from rollout.policy import gates
from rollout.reporting import builder
from tests.rollout.control.test_steering import climb, configure
from tests.rollout.policy.test_former_words import EVIDENCE

pytestmark = pytest.mark.django_db(transaction=True)


def written(kind: str, subject: str, before: str, after: str, **changed: Any) -> int:
    """A row, as the version before would have written it. Returns its key."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO rollout_change
                   (environment, kind, subject, before, after, actor, reason, overridden, evidence)
            VALUES ('dev', %s, %s, %s, %s, 'user:1', 'x', %s, %s) RETURNING id
            """,
            [kind, subject, before, after, changed.get("overridden", False), json.dumps(changed.get("evidence", {}))],
        )
        return int(cursor.fetchone()[0])


@pytest.fixture
def old_rows(settings: Any) -> dict[str, int]:
    """The key of each, by what it is called today."""
    configure(settings)
    climb("shadow")
    return {
        "waiver": written("explanation", "7", "", "worse any reason at all restaurants, by us"),
        "forced_planner": written("pin", "R1", "", "v3"),
        "pause": written("hold", "shadow", "released", "held"),
        "resume": written("hold", "shadow", "held", "released"),
        "stage": written("stage", "shadow", "off", "shadow", overridden=True, evidence=EVIDENCE),
    }


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("rollout", *arguments, stdout=out)
    return out.getvalue()


class TestReading:
    def test_the_history_says_what_they_are_called_today(self, old_rows: dict[str, int]) -> None:
        text = said("history")
        assert "pause shadow: resumed -> paused" in text
        assert "resume shadow: paused -> resumed" in text
        assert "forced_planner R1: - -> v3" in text
        assert "waiver 7: -" in text
        assert not [word for word in ("hold", "held", "released", "pin ", "explanation") if word in text]

    @pytest.mark.parametrize("kind", ["pause", "resume", "forced_planner", "waiver"])
    def test_they_are_found_by_todays_kind(self, kind: str, old_rows: dict[str, int], admin_client: Client) -> None:
        (change,) = json.loads(said("history", "--kind", kind, "--json"))["changes"]
        assert (change["id"], change["kind"]) == (old_rows[kind], kind)
        listed = admin_client.get(reverse("admin:rollout_change_changelist"), {"kind": kind})
        assert [each.pk for each in listed.context["cl"].result_list] == [old_rows[kind]]

    def test_what_a_gate_said_then_is_read_in_todays_words(self, old_rows: dict[str, int]) -> None:
        (change,) = [
            each for each in json.loads(said("history", "--json"))["changes"] if each["id"] == old_rows["stage"]
        ]
        gates = {gate["gate"]: gate["status"] for gate in change["evidence"]["gates"]}
        assert gates == {"soak": "inconclusive", "unsafe": "pass"}
        assert change["evidence"]["gates"][0]["detail"] == "hold on"
        assert change["evidence"]["overridden"][0].startswith("Gate soak: inconclusive. It says 0 against 1")
        facts = change["evidence"]["facts"]
        assert (facts["waivers_valid"], facts["waivers_expired"]) == (2, 1)
        assert facts["comparisons"]["not_waived"] == {"worse": 3}

    def test_pages_and_report_say_so_too(self, old_rows: dict[str, int], admin_client: Client) -> None:
        page = admin_client.get(reverse("admin:rollout_position_changelist")).content.decode()
        assert "resumed → paused" in page
        assert "released" not in page
        change = admin_client.get(reverse("admin:rollout_change_change", args=[old_rows["stage"]])).content.decode()
        assert "inconclusive" in change
        report = builder.build()
        assert ("pause", "resumed", "paused") in [(each.kind, each.before, each.after) for each in report.changes]
        assert {"hold", "pin", "explanation"}.isdisjoint(each.kind for each in report.changes)

    def test_what_is_stored_stays(self, old_rows: dict[str, int]) -> None:
        assert set(Change.objects.values_list("kind", flat=True)) >= {"hold", "pin", "explanation"}
        with connection.cursor() as cursor:
            cursor.execute("SELECT evidence FROM rollout_change WHERE id = %s", [old_rows["stage"]])
            (kept,) = cursor.fetchone()
        assert (json.loads(kept) if isinstance(kept, str) else kept) == EVIDENCE


def test_each_gate_has_a_name_for_people() -> None:
    """Ids stay, since settings name them: the gate ``explanations`` counts expired waivers."""
    assert set(labels.GATES) == {*gates.ALWAYS, *gates.GATES}
    assert labels.gate("explanations") == "expired waivers"
