"""Commands take a restaurant by its key, its reference or its name."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from assignments.models import Closure
from example import models
from rollout.models import ForcedPlanner

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
