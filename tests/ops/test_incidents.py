"""What the demo's incidents call somebody for: a real Prometheus scrapes the example in which one was seeded."""

from datetime import UTC, datetime

import pytest
from django.db import connection

from example import demo, incident
from example.incident import Incident
from tests.ops import prometheus, website

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.legacy_planner]


@pytest.mark.parametrize("kind", list(Incident))
def test_an_incident_fires_the_alerts_that_it_names(kind: Incident) -> None:
    try:
        source = demo.moved_to_coming_day(demo.REAL_EVENING.read_text(), datetime.now(UTC).date())
        named = {look.alert for look in incident.seed(kind, source).look if look.alert}
        assert named
        with website.running() as target, prometheus.serving(target, factor=60) as server:
            for name in sorted(named):
                server.wait_for_alert(name)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP FUNCTION IF EXISTS {incident.TRIGGER} CASCADE")
