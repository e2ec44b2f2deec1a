"""What the rollout adds to the Health page: the facts, and what needs attention."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from assignments.admin.health_findings import Section
from rollout.admin import health
from rollout.control import guard, steering, switches
from rollout.flags import resolution
from rollout.models import GuardRun, Position
from tests.rollout.control.test_steering import WHO, climb, configure
from tests.rollout.evidence.test_measuring import compared

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def ladder(settings: Any) -> None:
    configure(settings)


def section() -> Section:
    """As somebody sees it who may see everything."""
    request = RequestFactory().get("/")
    request.user = User(is_superuser=True)
    return health.section(request)


def attended() -> list[str]:
    return [each.what for each in section().attentions]


def hours_ago(hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


def test_before_anything_has_begun_all_is_well() -> None:
    found = section()
    assert dict(found.facts) == {
        "Mode": "the legacy planner decides",
        "Stage": "not begun",
        "Last run of the guard": "none yet",
        "Comparisons waiting": "none",
    }
    assert found.attentions == []


def test_decisions_that_wait_too_long() -> None:
    climb("shadow")
    assert dict(section().facts)["Mode"] == "the legacy planner decides, V3 watches"
    compared("same_tables", 3, recorded_at=hours_ago(9))
    assert attended() == []
    compared("", 3, recorded_at=hours_ago(5))
    assert attended() == ["Decisions have been waiting for comparison for 5 hours."]


@pytest.mark.legacy_planner
@pytest.mark.parametrize("stage", ["off", "full"])
def test_what_shadow_has_left_over_is_late_for_nobody(stage: str) -> None:
    climb("shadow")
    compared("", 3, recorded_at=hours_ago(5))
    assert attended() == ["Decisions have been waiting for comparison for 5 hours."]
    if stage == "off":
        steering.roll_back(to="off", **WHO)
    else:
        climb("full")
    found = section()
    assert found.attentions == []
    assert dict(found.facts)["Comparisons waiting"] == "the oldest for 5 hours"


@pytest.mark.legacy_planner
def test_v3_decides_and_nobody_looks() -> None:
    climb("full")
    assert attended() == []
    Position.objects.update(since=hours_ago(4))
    assert attended() == ["V3 decides, but the guard has not run for 4 hours."]
    guard.run()
    assert attended() == []


@pytest.mark.legacy_planner
def test_v3_decides_without_a_ladder() -> None:
    switches.set_switch(resolution.V3_SWITCH, active=True, **WHO)
    assert attended() == ["V3 decides without a guard: the ladder has not begun."]


def test_a_breach_is_told_until_the_cool_down_is_over_and_is_grave_without_a_rollback() -> None:
    climb("shadow")
    run = GuardRun.objects.create(environment="dev", stage="full", breaches=[{"rail": "lost"}], rolled_back_to="shadow")
    assert attended() == []
    Position.objects.update(cool_down_until=datetime.now(UTC) + timedelta(hours=1))
    (found,) = section().attentions
    assert (found.what, found.is_grave) == ("The guard's last run found 1 breach.", False)
    assert "It rolled back to shadow." in found.remedy
    Position.objects.update(cool_down_until=None)
    GuardRun.objects.filter(pk=run.pk).update(rolled_back_to="")
    (found,) = section().attentions
    assert found.is_grave


def test_flags_that_left_their_stage_and_the_kill_variable(settings: Any) -> None:
    climb("shadow")
    switches.set_switch(resolution.SHADOW_SWITCH, active=False, **WHO)
    (said,) = attended()
    assert said.startswith("The flags do not match the stage: assignment_pipeline_v3_shadow is off")
    settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT_VARIABLES": {"ASSIGNMENT_PIPELINE_KILL": "1"}}
    assert attended() == ["ASSIGNMENT_PIPELINE_KILL is set: the legacy planner decides everything."]


def test_it_is_one_query_and_a_transaction() -> None:
    climb("shadow")
    compared("", 500)
    with CaptureQueriesContext(connection) as captured:
        section()
    assert len(captured) == 4
