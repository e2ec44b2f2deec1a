"""The demo's incidents: each really happens, and is seen where the command says that it is."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from example import demo, incident
from example.incident import Incident, Report
from tests.example import processes

pytestmark = pytest.mark.django_db(transaction=True)

SEEN = {
    Incident.BREAKER: {
        "/admin/assignments/health/": ["is open after 5 failures", "ProgrammingError"],
        "/admin/assignments/event/": ["coordinator.error"],
        "/admin/assignments/serviceday/": ["Corner House", "0 bookings, 0 covers", "assignment pending"],
    },
    Incident.STUCK: {
        "/admin/assignments/health/": ["The last success was 3 hours", "58 the oldest for"],
        "/admin/rollout/position/": ["assignment_pipeline_v3 on switch"],
        "/admin/assignments/serviceday/": ["0 bookings, 0 covers", "created"],
    },
    Incident.REGRESSION: {
        "/admin/rollout/position/": ["78 of 78 seatings break a rule of the floor: kept_too_short 78", "Cooling down"],
        "/admin/assignments/event/": ["rollout.guard_breached"],
        "/admin/assignments/serviceday/": ["Corner House", "78 bookings"],
    },
}
"""What is read on the pages, by incident and path."""


@pytest.fixture
def seeded(settings: Any, request: Any) -> Iterator[Report]:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "EVENT_SINKS": ("assignments.events.DatabaseSink",)}
    source = demo.moved_to_coming_day(demo.REAL_EVENING.read_text(), datetime.now(UTC).date())
    yield incident.seed(request.param, source)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP FUNCTION IF EXISTS {incident.TRIGGER} CASCADE")


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


@pytest.mark.legacy_planner
@pytest.mark.parametrize("seeded", list(Incident), indirect=True)
def test_it_is_seen_on_the_pages_that_it_names(seeded: Report, admin_client: Client) -> None:
    told = {look.page.partition("?")[0]: look.page for look in seeded.look}
    assert told.keys() == SEEN[seeded.incident].keys()
    for path, texts in SEEN[seeded.incident].items():
        text = text_of(admin_client, told[path])
        assert [each for each in texts if each not in text] == [], f"{path}: {text}"


@pytest.mark.parametrize("seeded", list(Incident), indirect=True)
def test_nobody_is_seated_twice_or_lost_by_it(seeded: Report) -> None:
    assert demo.count_overlaps() == demo.count_lost() == 0


def test_the_command_says_what_to_look_at_and_to_do(transactional_db: None) -> None:
    try:
        code, out, err = processes.run("demo", "--incident", "stuck", "--json")
    finally:
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{connection.settings_dict["NAME"]}_demo" WITH (FORCE)')
    assert code == 0, err
    said = json.loads(out)
    assert said["incident"] == "stuck"
    assert said["do"]
    assert [look["page"] for look in said["look"] if not look["page"].startswith("/admin/")] == []


def test_an_incident_that_nobody_knows_is_named(transactional_db: None) -> None:
    code, _out, err = processes.run("demo", "--incident", "fire")
    assert code == 2
    assert "'fire'" in err
