"""A real Prometheus scrapes the running example: what rules and dashboards ask for is there."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from assignments.models import Breaker
from example.models import Booking, Restaurant
from rollout.control import switches
from rollout.flags import resolution
from tests.example import processes
from tests.ops import dashboards, expressions, prometheus, website
from tests.ops.rules import rules

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.legacy_planner]

BOOKINGS = 20


@pytest.fixture
def decided(restaurant: Restaurant) -> Restaurant:
    """Some bookings of the real evening, decided by the legacy planner with V3 in its shadow."""
    Booking.objects.filter(pk__in=list(Booking.objects.order_by("pk").values_list("pk", flat=True)[BOOKINGS:])).delete()
    for switch, active in ((resolution.V3_SWITCH, False), (resolution.SHADOW_SWITCH, True)):
        switches.set_switch(switch, active=active, actor="test", reason="test")
    for command in (("run_coordinator",), ("rollout", "compare")):
        code, _out, error = processes.run(*command, TEST_EVENTS="stored")
        assert code == 0, error
    return restaurant


def test_every_expression_returns_data_and_alerts_fire_within_seconds_where_a_minute_is_a_second(
    decided: Restaurant,
) -> None:
    asked = {rule.expression for rule in rules()} | {query.expression for query in dashboards.queries()}
    selectors = sorted({each for expression in asked for each in expressions.selectors(expression)})
    recorded = [rule.name for rule in rules() if not rule.is_alert]
    Breaker.objects.create(name=f"coordinator:{decided.pk}", failures=5, opened_until=Now() - timedelta(minutes=1))
    with website.running() as target, prometheus.serving(target, factor=60) as server:
        # Rates want two scrapes, and rules of rules two evaluations.
        server.wait_for("count_over_time(assignment_collector_up[1m]) > 2")
        server.wait_for("count_over_time(assignment:unsuccessful:ratio6h[1m]) > 1")
        assert [each for each in [*selectors, *recorded] if not server.query(each)] == []
        assert [each for each in dashboards.queries() if not server.query(each.expression)] == []
        for rule in rules():
            server.query(rule.expression)
        ((confirmed, events, compared, faults),) = zip(
            server.query('sum(assignment_outcomes_total{planner="legacy", outcome="confirmed"})'),
            server.query('sum(assignment_events_total{type="auto_assign.succeeded"})'),
            server.query("sum(rollout_comparisons_total)"),
            server.query("sum(assignment_overlaps + assignment_lost_bookings)"),
            strict=True,
        )
        # A query for nothing or of nonsense would be found out.
        assert server.query("assignment_overlap") == []
        with pytest.raises(AssertionError, match="parse error"):
            server.query("sum by (assignment_overlaps")
        breaker = server.wait_for_alert("AssignmentBreakerOpen")
        server.wait_for_alert("AssignmentNoSuccessfulRun")
        firing = server.firing()
    assert confirmed.value == events.value > 0
    assert compared.value >= BOOKINGS
    assert faults.value == 0
    assert breaker["labels"] == {
        "alertname": "AssignmentBreakerOpen",
        "component": "assignment.coordinator",
        "environment": "production",
        "severity": "page",
    }
    assert breaker["annotations"]["runbook_url"] == "https://booking.example/docs/alerts.md#assignmentbreakeropen"
    assert not firing & {
        "AssignmentOverlap",
        "AssignmentLostBooking",
        "AssignmentCollectorDown",
        "RolloutGuardBreached",
    }
