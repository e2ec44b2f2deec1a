"""The rollout's metrics: where it stands, what was compared, what the guard found, and who rolled back."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from assignments import checks
from assignments.models import Assignment
from assignments.telemetry import counter_store
from assignments.telemetry.metrics import collector
from rollout.control import steering, switches
from rollout.flags import bucketing, resolution
from rollout.models import Audit, Change, Comparison, ForcedPlanner, GuardRun, Position, StoredBatch
from rollout.policy.guardrails import RAILS
from tests.rollout.evidence.test_measuring import compared

pytestmark = pytest.mark.django_db(transaction=True)

Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(autouse=True)
def _production(settings: Any) -> None:
    settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT": "production"}


def scraped() -> Series:
    collector.COLLECTOR.forget()
    text = generate_latest(collector.REGISTRY).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(series: Series, name: str, **label_values: str) -> float:
    return series[name, frozenset(label_values.items())]


def stages(series: Series) -> dict[str, float]:
    return {dict(values)["stage"]: found for (name, values), found in series.items() if name == "rollout_stage"}


def standing(stage: str, percent: int = 0, *, paused: bool = False) -> Position:
    return Position.objects.create(
        environment="production", stage=stage, percent=percent, since=datetime.now(UTC), paused=paused
    )


def test_before_the_ladder_begins_it_stands_nowhere() -> None:
    found = scraped()
    assert value(found, "assignment_collector_up", collector="rollout") == 1
    assert stages(found) == dict.fromkeys(["off", "shadow", "canary-10", "canary-50", "full"], 0)
    assert value(found, "rollout_percent") == value(found, "rollout_held") == value(found, "rollout_killed") == 0
    assert value(found, "rollout_last_comparison_timestamp_seconds") == 0
    assert value(found, "rollout_guard_last_run_timestamp_seconds") == 0


def test_the_stage_is_the_one_with_a_one() -> None:
    standing("canary-10", 10, paused=True)
    Position.objects.create(environment="staging", stage="full", percent=100, since=datetime.now(UTC))
    found = scraped()
    assert stages(found) == {"off": 0, "shadow": 0, "canary-10": 1, "canary-50": 0, "full": 0}
    assert value(found, "rollout_percent") == 10
    assert value(found, "rollout_held") == 1


def test_a_stage_that_the_settings_no_longer_know_is_another_one() -> None:
    standing("canary-33", 33)
    assert stages(scraped())["other"] == 1


def test_flags_are_what_they_come_to(settings: Any) -> None:
    switches.set_switch(resolution.SHADOW_SWITCH, active=True, actor="test", reason="test")
    found = scraped()
    assert value(found, "rollout_flag", flag="shadow") == 1
    assert value(found, "rollout_flag", flag="v3") == 0
    settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT_VARIABLES": {"ASSIGNMENT_PIPELINE_KILL": "1"}}
    found = scraped()
    assert value(found, "rollout_killed") == 1
    assert value(found, "rollout_flag", flag="shadow") == 0


def test_comparisons_are_counted_by_verdict_and_never_fewer_when_they_are_pruned() -> None:
    now = datetime.now(UTC)
    old = now - timedelta(days=100)
    compared("same_tables", 3, recorded_at=old, compared_at=old)
    compared("worse", 2, recorded_at=old, compared_at=old)
    compared("same_tables", 1, recorded_at=now, compared_at=now)
    compared("", 4, recorded_at=now - timedelta(seconds=600))
    for _ in range(2):
        found = scraped()
        assert value(found, "rollout_comparisons_total", verdict="same_tables") == 4
        assert value(found, "rollout_comparisons_total", verdict="worse") == 2
        assert value(found, "rollout_comparisons_total", verdict="unsafe") == 0
        assert value(found, "rollout_comparisons_waiting") == 4
        assert value(found, "rollout_comparisons_oldest_waiting_age_seconds") == pytest.approx(600, abs=60)
        assert value(found, "rollout_last_comparison_timestamp_seconds") == pytest.approx(now.timestamp(), abs=1)
        call_command("rollout", "prune")
        assert Comparison.objects.exclude(verdict="").count() == 1


def test_decisions_wait_for_their_audit_until_a_guard_run_has_made_it() -> None:
    now = datetime.now(UTC)
    for attempts, age, audited_at in ((3, 600, None), (2, 60, None), (7, 6000, now)):
        StoredBatch.objects.create(
            key=uuid4(),
            restaurant_ref="1",
            service_date=now.date(),
            floor_version="1",
            content={},
            attempts=attempts,
            refusals=0,
            at=now - timedelta(seconds=age),
            audited_at=audited_at,
        )
    found = scraped()
    assert value(found, "rollout_audits_waiting") == 5
    assert value(found, "rollout_audits_oldest_waiting_age_seconds") == pytest.approx(600, abs=60)
    StoredBatch.objects.update(audited_at=now)
    found = scraped()
    assert value(found, "rollout_audits_waiting") == value(found, "rollout_audits_oldest_waiting_age_seconds") == 0
    assert value(found, "rollout_audits_failed") == 0
    of = {"restaurant_ref": "1", "service_date": now.date(), "booking_ref": "B", "is_refusal": False, "decided_at": now}
    for attempt, error, audited_at in ((1, "KeyError", now), (2, "", now), (3, "KeyError", now - timedelta(days=2))):
        Audit.objects.create(attempt=attempt, error=error, audited_at=audited_at, **of)
    assert value(scraped(), "rollout_audits_failed") == 1


def test_comparisons_that_are_not_in_the_totals_are_not_pruned(monkeypatch: Any) -> None:
    now = datetime.now(UTC)
    old = now - timedelta(days=100)
    compared("same_tables", 3, recorded_at=old, compared_at=old)
    monkeypatch.setattr(counter_store, "compact", lambda *keys: False)
    call_command("rollout", "prune")
    assert Comparison.objects.count() == 3


def test_breaches_are_those_of_the_last_look_within_an_hour() -> None:
    now = datetime.now(UTC)
    GuardRun.objects.create(environment="production", stage="full", breaches=[{"rail": "review"}])
    GuardRun.objects.create(environment="staging", stage="full", breaches=[{"rail": "errors"}])
    GuardRun.objects.create(environment="production", stage="full", breaches=[{"rail": "lost"}, {"rail": "bygone"}])
    found = scraped()
    rails = {dict(values)["rail"]: each for (name, values), each in found.items() if name == "rollout_guard_breaches"}
    assert {rail for rail, each in rails.items() if each} == {"lost"}
    assert rails.keys() == set(RAILS)
    assert value(found, "rollout_guard_last_run_timestamp_seconds") == pytest.approx(now.timestamp(), abs=300)
    GuardRun.objects.update(at=now - timedelta(hours=2))
    assert value(scraped(), "rollout_guard_breaches", rail="lost") == 0


def test_rollbacks_are_steps_down_the_ladder_by_guard_or_person() -> None:
    for before, after, actor in (
        ("", "off", "user:1"),
        ("off", "shadow", "user:1"),
        ("shadow", "canary-10", "command:ops"),
        ("canary-10", "shadow", "guard"),
        ("shadow", "canary-10", "user:1"),
        ("canary-10", "off", "user:1"),
        ("off", "shadow", "user:1"),
    ):
        Change.objects.create(
            environment="production", kind="stage", subject=after, before=before, after=after, actor=actor, reason="x"
        )
    Change.objects.create(
        environment="production", kind="forced_planner", subject="R1", before="v3", after="", actor="user:1"
    )
    found = scraped()
    assert value(found, "rollout_rollbacks_total", by="guard") == 1
    assert value(found, "rollout_rollbacks_total", by="person") == 1


@pytest.mark.legacy_planner
def test_a_real_rollback_is_counted() -> None:
    steering.begin(actor="test", reason="test")
    switches.set_switch(resolution.SHADOW_SWITCH, active=True, actor="test", reason="test")
    Position.objects.update(stage="shadow")
    steering.roll_back(actor="user:1", reason="test", to="off")
    assert value(scraped(), "rollout_rollbacks_total", by="person") == 1


@pytest.mark.legacy_planner
def test_the_legacy_planner_has_its_own_series() -> None:
    found = scraped()
    assert value(found, "assignment_outcomes_total", planner="legacy", outcome="confirmed", reason="") == 0
    assert value(found, "assignment_decision_seconds_count", planner="legacy") == 0


def waiting(restaurant_ref: str, minutes: int, planner: str = "") -> None:
    now = datetime.now(UTC)
    Assignment.objects.bulk_create(
        [
            Assignment(
                booking_ref=f"{restaurant_ref}:{minutes}:{planner}",
                restaurant_ref=restaurant_ref,
                service_date=now.date(),
                starts_at=now + timedelta(hours=3),
                party=2,
                planner=planner,
                due_at=now - timedelta(minutes=minutes),
                requested_at=now,
            )
        ]
    )


def v3_waits() -> float:
    return value(scraped(), "rollout_v3_oldest_due_age_seconds") / 60


@pytest.mark.legacy_planner
def test_only_what_v3_would_decide_waits_for_v3() -> None:
    inside = next(ref for ref in map(str, range(1000)) if bucketing.is_in_share(ref, 10))
    outside = next(ref for ref in map(str, range(1000)) if not bucketing.is_in_share(ref, 10))
    waiting(outside, 50)
    waiting(inside, 40, planner="legacy")
    waiting(inside, 30)
    waiting(inside, 20)
    assert v3_waits() == 0
    switches.set_switch(resolution.V3_SWITCH, active=True, actor="test", reason="test")
    assert v3_waits() == pytest.approx(50, abs=1)
    position = standing("canary-10", 10)
    assert v3_waits() == pytest.approx(30, abs=1)
    ForcedPlanner.objects.create(restaurant_ref=outside, planner="v3")
    assert v3_waits() == pytest.approx(50, abs=1)
    ForcedPlanner.objects.create(restaurant_ref=inside, planner="legacy")
    ForcedPlanner.objects.filter(restaurant_ref=outside).delete()
    assert v3_waits() == 0
    position.delete()
    switches.set_switch(resolution.V3_SWITCH, active=False, actor="test", reason="test")
    switches.set_switch(resolution.SHADOW_SWITCH, active=True, actor="test", reason="test")
    assert v3_waits() == 0


def test_without_a_legacy_planner_all_that_is_due_waits_for_v3(settings: Any) -> None:
    settings.ROLLOUT = {**settings.ROLLOUT, "LEGACY_PLANNER": ""}
    switches.set_switch(resolution.V3_SWITCH, active=True, actor="test", reason="test")
    standing("off", 0)
    waiting("R1", 30, planner="legacy")
    assert v3_waits() == pytest.approx(30, abs=1)


def test_the_number_of_queries_does_not_grow() -> None:
    counts = []
    for number in (5, 50):
        compared("same_tables", number, compared_at=datetime.now(UTC))
        compared("", number)
        collector.COLLECTOR.forget()
        with CaptureQueriesContext(connection) as captured:
            scraped()
        counts.append(len([each for each in captured.captured_queries if "rollout_" in each["sql"]]))
    assert counts[0] == counts[1] <= 4, counts


def test_evidence_that_gates_look_back_at_is_not_forgotten(settings: Any) -> None:
    settings.ROLLOUT = {**settings.ROLLOUT, "EVIDENCE_DAYS": 400}
    (found,) = checks.check_retention(None)
    assert found.id == "assignments.E007"
    assert found.msg == (
        "ASSIGNMENTS['ATTEMPT_DAYS'] is 365, but ROLLOUT['EVIDENCE_DAYS'] needs attempts of the last 400 days."
    )
