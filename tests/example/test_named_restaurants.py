"""Commands and forms take a restaurant by its key, its reference or its name."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from assignments.models import Closure
from example import models
from example.host import ExampleHost
from rollout.models import ForcedPlanner, Waiver

pytestmark = pytest.mark.django_db(transaction=True)


def said(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def anchor(db: Any) -> models.Restaurant:
    """The Anchor is 17 in its files, and has a table."""
    anchor = models.Restaurant.objects.create(name="Anchor", reference="north-17", timezone="Europe/London")
    zone = models.Zone.objects.create(restaurant=anchor, name="Bar")
    models.Table.objects.create(restaurant=anchor, zone=zone, code="T1", seats=4)
    return anchor


def test_an_evening_is_shown_by_key_reference_and_name(anchor: models.Restaurant) -> None:
    shown = [json.loads(said("show_evening", text, "--json")) for text in (str(anchor.pk), "north-17", "Anchor")]
    assert {each["restaurant_ref"] for each in shown} == {str(anchor.pk)}
    with pytest.raises(CommandError, match="There is no restaurant 'Anker'") as unknown:
        said("show_evening", "Anker")
    assert unknown.value.returncode == 2
    models.Restaurant.objects.create(name="Anchor", reference="south")
    assert json.loads(said("show_evening", "north-17", "--json"))["restaurant_ref"] == str(anchor.pk)
    with pytest.raises(CommandError, match=r"Several restaurants are called 'Anchor': .*Write the key of one") as two:
        said("show_evening", "Anchor")
    assert two.value.returncode == 2


def test_what_changes_a_restaurant_knows_it_by_name_too(anchor: models.Restaurant) -> None:
    start = datetime.now(UTC) + timedelta(days=1)
    said("closures", "add", "north-17", "--from", start.isoformat(), "--actor", "staff:7")
    closure = Closure.objects.get()
    assert (closure.restaurant_ref, closure.author) == (str(anchor.pk), "staff:7")
    assert str(closure.pk) in said("closures", "list", "--restaurant", "Anchor")
    said("rollout", "force", "Anchor", "--planner", "v3", "--reason", "a pilot")
    assert ForcedPlanner.objects.get().restaurant_ref == str(anchor.pk)
    for command in ("reconcile_assignments", "run_coordinator"):
        said(command, "--restaurant", "north-17")
    with pytest.raises(CommandError, match="has no restaurant 'Anker'"):
        said("run_coordinator", "--restaurant", "Anker")


def test_a_form_of_the_rollout_takes_a_restaurant_by_its_name_and_says_it(
    anchor: models.Restaurant, admin_client: Client
) -> None:
    def send(name: str, *args: str, **values: str) -> Any:
        url = reverse(f"admin:rollout_{name}", args=args)
        seen = admin_client.get(url).context["form"]["seen"].value()
        return admin_client.post(url, {"seen": seen, "reason": "a pilot", **values}, follow=True)

    answer = send("force", restaurant_ref="Anchor", planner="v3")
    assert ForcedPlanner.objects.get().restaurant_ref == str(anchor.pk)
    assert f"The planner of restaurant Anchor ({anchor.pk}) is forced" in answer.content.decode()
    end = reverse("admin:rollout_unforce", args=[anchor.pk])
    assert f'<a href="{end}">' in answer.content.decode()
    title = f"End the forced planner of restaurant Anchor ({anchor.pk})"
    assert title in admin_client.get(end).content.decode()
    models.Restaurant.objects.create(name="Anchor", reference="south")
    answer = send("force", restaurant_ref="Anchor", planner="v3")
    assert "Several restaurants are called" in answer.context["form"].errors["restaurant_ref"][0]
    send("waive", restaurant_ref="north-17", verdict="worse", owner="us", days="3", at_most="7")
    waiver = Waiver.objects.get()
    assert waiver.restaurant_ref == str(anchor.pk)
    assert (
        f"at Anchor ({anchor.pk})"
        in admin_client.get(reverse("admin:rollout_withdraw", args=[waiver.pk])).content.decode()
    )


def test_a_host_that_fails_keeps_nobody_from_steering(
    anchor: models.Restaurant, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_options: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(ExampleHost, "restaurant_names", fail)
    url = reverse("admin:rollout_force")
    admin_client.post(url, {"restaurant_ref": str(anchor.pk), "planner": "v3", "reason": "a pilot"})
    assert ForcedPlanner.objects.get().restaurant_ref == str(anchor.pk)
