"""Rows and grants of earlier versions: they survive the renaming, and are read in today's words."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from rollout.admin import labels
from rollout.models import Change, ForcedPlanner, Position, Waiver
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


class TestMigrating:
    @pytest.fixture
    def before(self, django_user_model: Any) -> Iterator[Any]:
        """The database as the version before left it, and a user and a group who may do everything there."""
        call_command("migrate", "rollout", "0005", verbosity=0)
        try:
            codenames = ["view_explanation", "change_pin", "hold", "pin", "explain"]
            granted = Permission.objects.filter(content_type__app_label="rollout", codename__in=codenames)
            assert granted.count() == len(codenames)
            user = django_user_model.objects.create_user("anna", password="x", is_staff=True)
            user.user_permissions.set(granted)
            group = Group.objects.create(name="on call")
            group.permissions.set(granted)
            with connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO rollout_explanation (verdict, restaurant_ref, refusal, owner, reason, expires_at) "
                    "VALUES ('worse', '', '', 'us', 'round tables', '2030-01-01 00:00+00')"
                )
                cursor.execute(
                    "INSERT INTO rollout_pin (restaurant_ref, planner, actor, reason) VALUES ('R1', 'v3', 'user:1', 'x')"
                )
                cursor.execute(
                    "INSERT INTO rollout_position (environment, stage, percent, since, held) "
                    "VALUES ('dev', 'shadow', 0, now(), true)"
                )
            yield user
        finally:
            call_command("migrate", "rollout", verbosity=0)

    def test_rows_and_grants_are_kept_there_and_back(self, before: Any, django_user_model: Any) -> None:
        key = written("hold", "shadow", "released", "held")
        call_command("migrate", "rollout", verbosity=0)
        waiver = Waiver.objects.get()
        assert (waiver.owner, waiver.expires_at) == ("us", datetime(2030, 1, 1, tzinfo=UTC))
        assert ForcedPlanner.objects.get().planner == "v3"
        assert Position.objects.get().paused is True
        assert Change.objects.get().kind == "pause"
        user = django_user_model.objects.get(pk=before.pk)
        may = {"view_waiver", "change_forcedplanner", "pause", "force_planner", "waive"}
        assert user.get_all_permissions() == {f"rollout.{each}" for each in may}
        assert set(Group.objects.get().permissions.values_list("codename", flat=True)) == may
        names = Permission.objects.filter(content_type__app_label="rollout").values_list("codename", flat=True)
        assert len(names) == len(set(names))
        assert not [name for name in names if "explan" in name or name in {"hold", "pin"} or name.endswith("_pin")]
        # New rows can be written, and old ones not rewritten.
        Waiver.objects.create(verdict="worse", owner="us", reason="x", expires_at=datetime(2030, 1, 1, tzinfo=UTC))
        assert Waiver.objects.count() == 2
        with pytest.raises(Exception, match="append-only"):
            Change.objects.filter(pk=key).update(kind="pause")
        # The way back loses nothing.
        call_command("migrate", "rollout", "0005", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute("SELECT owner FROM rollout_explanation")
            assert cursor.fetchall() == [("us",), ("us",)]
            cursor.execute("SELECT planner FROM rollout_pin")
            assert cursor.fetchall() == [("v3",)]
            cursor.execute("SELECT held FROM rollout_position")
            assert cursor.fetchall() == [(True,)]
        user = django_user_model.objects.get(pk=before.pk)
        assert user.get_all_permissions() == {
            f"rollout.{each}" for each in ("view_explanation", "change_pin", "hold", "pin", "explain")
        }
