"""Rows and grants of the version before survive the renaming, and its way back."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import connection

from rollout.models import Change, ForcedPlanner, Position, Waiver
from tests.rollout.test_former_words import written

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def before(django_user_model: Any) -> Iterator[Any]:
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


def test_rows_and_grants_are_kept_there_and_back(before: Any, django_user_model: Any) -> None:
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
