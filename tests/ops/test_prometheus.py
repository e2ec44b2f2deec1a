"""A real Prometheus scrapes the running example: what rules and dashboards ask for is there."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from assignments.models import Breaker
from example.models import Restaurant
from rollout import flags, switches
from tests.example import processes
from tests.ops import dashboards, expressions, prometheus, website
from tests.ops.prometheus import Prometheus
from tests.ops.rules import rules

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.legacy_planner]


@pytest.fixture
def decided(restaurant: Restaurant) -> Restaurant:
    """The real evening, by the old planner with V3 in its shadow."""
    for switch, active in ((flags.V3_SWITCH, False), (flags.SHADOW_SWITCH, True)):
        switches.set_switch(switch, active=active, actor="test", reason="test")
    for command in (("run_coordinator",), ("rollout", "compare", "--limit", "20")):
        code, _out, error = processes.run(*command, TEST_EVENTS="stored")
        assert code == 0, error
    return restaurant


@pytest.fixture
def scraped(decided: Restaurant) -> Iterator[Prometheus]:
    """A server that has scraped twice and evaluated its rules since, so that rates have what they need."""
    with website.running() as target, prometheus.serving(target, factor=60) as server:
        server.wait_for("count_over_time(assignment_collector_up[1m]) > 2")
        server.wait_for("count_over_time(assignment:unsuccessful:ratio6h[1m]) > 1")
        yield server


def test_every_expression_of_rules_and_dashboards_returns_data(scraped: Prometheus) -> None:
    asked = {rule.expression for rule in rules()} | {query.expression for query in dashboards.queries()}
    silent = [
        selector
        for selector in sorted({each for expression in asked for each in expressions.selectors(expression)})
        if not scraped.query(selector)
    ]
    assert silent == []
    for expression in asked:
        scraped.query(expression)
    recorded = [rule.name for rule in rules() if not rule.is_alert]
    assert [name for name in recorded if not scraped.query(name)] == []
    drawn = {query.title: scraped.query(query.expression) for query in dashboards.queries()}
    assert [title for title, samples in drawn.items() if not samples] == []
    assert [each.value for each in scraped.query('assignment_outcomes_total{planner="legacy", outcome="confirmed"}')] > [0]
    assert sum(each.value for each in scraped.query("rollout_comparisons_total")) == 20
    assert scraped.query("scalar(assignment_overlaps + assignment_lost_bookings)")[0].value == 0


def test_a_query_that_asks_for_nothing_or_for_nonsense_is_found_out(scraped: Prometheus) -> None:
    assert scraped.query("assignment_overlap") == []
    with pytest.raises(AssertionError, match="parse error"):
        scraped.query("sum by (assignment_overlaps")


def test_alerts_fire_within_seconds_where_a_minute_is_a_second(decided: Restaurant) -> None:
    Breaker.objects.create(name=f"coordinator:{decided.pk}", failures=5, opened_until=Now() - timedelta(minutes=1))
    with website.running() as target, prometheus.serving(target, factor=60) as server:
        breaker = server.wait_for_alert("AssignmentBreakerOpen")
        server.wait_for_alert("AssignmentNoSuccessfulRun")
        firing = server.firing()
    assert breaker["labels"] == {
        "alertname": "AssignmentBreakerOpen",
        "component": "assignment.coordinator",
        "environment": "production",
        "severity": "page",
    }
    assert breaker["annotations"]["runbook_url"] == "https://booking.example/docs/alerts.md#assignmentbreakeropen"
    assert not firing & {"AssignmentOverlap", "AssignmentLostBooking", "AssignmentCollectorDown", "RolloutGuardBreached"}
