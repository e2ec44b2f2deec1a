"""docs/legacy-planner-removal.md, step by step, in an environment in which V3 has decided everything for ten days."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from assignments.coordination import dispatch
from assignments.models import Assignment, Attempt
from example import models
from rollout.control import steering
from rollout.models import ForcedPlanner, Position
from rollout.policy.gates import Status
from rollout.removal import readiness, usage
from tests.docs.document import DOCS, run, steps

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.legacy_planner]

DOCUMENT = DOCS / "legacy-planner-removal.md"


@pytest.fixture
def ended(restaurant: models.Restaurant) -> models.Restaurant:
    """The real evening by V3, and the legacy planner's last decision, of eight days ago."""
    now = timezone.now()
    Position.objects.create(environment="dev", stage="full", percent=100, since=now - timedelta(days=10))
    dispatch.register_new()
    list(dispatch.run_pass())
    old = Attempt.objects.all()[0]
    old.pk, old.planner, old.number, old.at = None, "legacy", old.number + 1, now - timedelta(days=8)
    old.save()
    return restaurant


def test_it_can_be_followed(ended: models.Restaurant) -> None:
    found = steps(DOCUMENT)
    assert [step.language for step in found].count("sql") == 8
    assert [step.language for step in found].count("sh") == 16
    said: dict[str, str] = {}
    variables: dict[str, str] = {}
    for step in found:
        if not variables and "rollout plan" in step.text:
            variables = put_in_the_way(ended)
            assert measure() >= {"pins", "explanations", "held"}
        said[step.text] = run(step, **variables)
    assert measure() == set()
    assert "rollout/legacy.py:" in said["python manage.py rollout removal --only scope"]
    assert "fail" not in said["python manage.py rollout removal --only readiness --days 7"]


def put_in_the_way(restaurant: models.Restaurant) -> dict[str, str]:
    """A forced planner, a waiver and a pause; the variables under which the document speaks of them."""
    ref = str(restaurant.pk)
    who: Any = {"actor": "test", "reason": "test"}
    steering.force_planner(restaurant_ref=ref, planner=ForcedPlanner.PlannerChoice.LEGACY, **who)
    expires_at = timezone.now() + timedelta(days=1)
    waiver = steering.waive(verdict="worse", owner="floor team", expires_at=expires_at, **who)
    steering.pause(**who)
    return {"RESTAURANT": ref, "WAIVER": str(waiver.pk)}


def measure() -> set[str]:
    """What does not pass."""
    results = readiness.evaluate(usage.read(now=timezone.now(), days=7))
    return {result.gate for result in results if result.status is not Status.PASS}


def test_its_queries_find_what_is_left(ended: models.Restaurant) -> None:
    ForcedPlanner.objects.create(restaurant_ref="1", planner="legacy", actor="test", reason="test")
    Assignment.objects.filter(pk=Assignment.objects.open()[0].pk).update(planner="legacy")
    Attempt.objects.update(planner="legacy")
    broken = []
    for step in steps(DOCUMENT):
        if step.language == "sql":
            try:
                run(step)
            except AssertionError as error:
                broken.append(str(error))
    assert len(broken) == 3
    readiness = next(step for step in steps(DOCUMENT) if "readiness" in step.text)
    with pytest.raises(AssertionError, match="pins"):
        run(readiness)
