"""The demo's incidents: each really happens, and is seen where the command says that it is."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from assignments.coordination import dispatch
from assignments.integration.evening_file import EveningFile
from assignments.models import Assignment, Breaker
from example import demo, evening, incident
from example.incident import Incident, Report
from example.models import Booking
from rollout import conf
from tests.docs.document import Step, run
from tests.example import processes
from tests.ops import prometheus, website
from tests.ops.prometheus import Target

pytestmark = pytest.mark.django_db(transaction=True)

SEEN = {
    Incident.BREAKER: {
        "/admin/assignments/health/": ["is open after 5 failures", "ProgrammingError"],
        "/admin/assignments/event/": ["coordinator.error"],
        "/admin/assignments/serviceday/": ["Corner House", "0 bookings, 0 covers", "assignment pending"],
    },
    Incident.STUCK: {
        "/admin/assignments/health/": ["Last success: 3 hours", "20 (oldest:"],
        "/admin/rollout/position/": ["assignment_pipeline_v3 on switch"],
        "/admin/assignments/serviceday/": ["0 bookings, 0 covers", "created"],
    },
    Incident.REGRESSION: {
        "/admin/rollout/position/": [
            "39 of 39 seatings break a rule of the floor: kept_too_short 39",
            "Promotion locked",
        ],
        "/admin/assignments/event/": ["rollout.guard_breached"],
        "/admin/assignments/serviceday/": ["Corner House", "39 bookings"],
    },
}
"""What is read on the pages, by incident and path."""


def a_third_of_the_evening() -> EveningFile:
    source = evening.parse_json_ahead(demo.REAL_EVENING.read_text(), datetime.now(UTC))
    return replace(source, bookings=source.bookings[::3])


def a_third_in(folder: Path) -> Path:
    """The same as a file."""
    path = folder / "evening.json"
    data = json.loads(demo.REAL_EVENING.read_text())
    path.write_text(json.dumps({**data, "bookings": data["bookings"][::3]}))
    return path


@pytest.fixture
def seeded(settings: Any, request: Any) -> Iterator[Report]:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "EVENT_SINKS": ("assignments.telemetry.events.DatabaseSink",)}
    yield incident.seed(request.param, a_third_of_the_evening())
    with connection.cursor() as cursor:
        cursor.execute(f"DROP FUNCTION IF EXISTS {incident.TRIGGER} CASCADE")


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


@pytest.mark.parametrize("seeded", list(Incident), indirect=True)
def test_it_is_seen_on_the_pages_that_it_names_and_over_once_everything_that_it_says_was_done(
    seeded: Report, admin_client: Client
) -> None:
    assert demo.count_overlaps() == demo.count_lost() == 0
    if conf.settings().LEGACY_PLANNER:
        assert_is_seen(seeded, admin_client)
    commands = [found.group() for line in seeded.do if (found := re.search(r"python manage\.py .*", line))]
    assert commands
    for command in commands:
        run(Step(place=seeded.incident, language="sh", text=command, promise="0"), TEST_EVENTS="stored")
    assert not Breaker.objects.exclude(opened_until=None).exists()
    late = Assignment.objects.filter(booking_ref__in=map(str, late_ones()))
    if seeded.incident is not Incident.REGRESSION:
        assert late.count() == incident.LATE
        states = set(late.values_list("state", flat=True))
        assert "confirmed" in states
        assert "created" not in states, "nobody has decided these"


def assert_is_seen(seeded: Report, admin_client: Client) -> None:
    told = {look.page.partition("?")[0]: look.page for look in seeded.look}
    assert told.keys() == SEEN[seeded.incident].keys()
    for path, texts in SEEN[seeded.incident].items():
        text = text_of(admin_client, told[path])
        assert [each for each in texts if each not in text] == [], f"{path}: {text}"


def late_ones() -> list[int]:
    return list(Booking.objects.filter(reference__contains="-late-").values_list("pk", flat=True))


@pytest.mark.parametrize("seeded", [Incident.REGRESSION], indirect=True)
def test_others_are_added_to_it_and_what_it_broke_is_mended_first(seeded: Report) -> None:
    source = a_third_of_the_evening()
    bookings = Booking.objects.count()
    incident.seed(Incident.BREAKER, source)
    assert Breaker.objects.filter(opened_until__isnull=False).count() == 1
    incident.seed(Incident.STUCK, source)
    assert Booking.objects.count() == bookings + 2 * incident.LATE
    assert not Breaker.objects.exists()
    assert dispatch.count_due() >= incident.LATE
    assert demo.count_overlaps() == demo.count_lost() == 0


def test_the_command_says_what_to_look_at_and_to_do(transactional_db: None, tmp_path: Path) -> None:
    name = f"{connection.settings_dict['NAME']}_demo"
    path = a_third_in(tmp_path)
    processes.copy_database(name)
    try:
        code, out, err = processes.run("demo", "--incident", "stuck", "--json", "--file", str(path), DATABASE_NAME=name)
    finally:
        processes.drop_database(name)
    assert code == 0, err
    said = json.loads(out)
    assert said["incident"] == "stuck"
    assert said["do"]
    assert [look["page"] for look in said["look"] if not look["page"].startswith("/admin/")] == []


def test_an_incident_that_nobody_knows_is_named(transactional_db: None) -> None:
    code, _out, err = processes.run_here("demo", "--incident", "fire")
    assert code == 2
    assert "'fire'" in err


class Place:
    """A database for incidents, and the example on it."""

    def __init__(self, kind: Incident) -> None:
        self.kind = kind
        self.name = f"{connection.settings_dict['NAME']}_{kind}"
        self._process: processes.Process | None = None

    def begin(self, incident: Incident, path: Path) -> None:
        """Seed an incident, on the evening of a file, in a process of its own."""
        arguments = ("demo", "--incident", incident, "--json", "--file", str(path))
        self._process = processes.start(*arguments, **self._variables(self.name))

    def report(self) -> dict[str, Any]:
        """What the command said, once it has ended."""
        assert self._process is not None
        out, error = self._process.communicate(timeout=120)
        assert self._process.returncode == 0, error
        return dict(json.loads(out))

    @contextmanager
    def running(self) -> Iterator[Target]:
        address = f"127.0.0.1:{prometheus.free_port()}"
        process = processes.start("runserver", "--noreload", "--skip-checks", address, **self._variables(self.name))
        try:
            prometheus.wait_for_answer(f"http://{address}/health/", process)
            yield Target(address=address, token=website.TOKEN, environment=self.kind.value)
        finally:
            process.terminate()
            process.communicate(timeout=20)

    def drop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        processes.drop_database(self.name)

    @staticmethod
    def _variables(name: str) -> dict[str, str]:
        return {"DATABASE_NAME": name, "TEST_EVENTS": "stored", **website.VARIABLES}


@pytest.fixture
def places(transactional_db: None) -> Iterator[dict[Incident, Place]]:
    """One for each incident."""
    places = {kind: Place(kind) for kind in Incident}
    for place in places.values():
        processes.copy_database(place.name)
    yield places
    for place in places.values():
        place.drop()


@pytest.mark.legacy_planner
def test_a_real_prometheus_has_the_metrics_and_fires_the_alerts_that_each_names(
    places: dict[Incident, Place], tmp_path: Path
) -> None:
    path = a_third_in(tmp_path)
    regression = places[Incident.REGRESSION]
    for kind, place in places.items():
        # A rollback is seen by who was there before it: another incident is there first.
        place.begin(Incident.STUCK if place is regression else kind, path)
    looks = {kind: place.report()["look"] for kind, place in places.items()}
    with ExitStack() as stack:
        targets = [stack.enter_context(place.running()) for place in places.values()]
        server = stack.enter_context(prometheus.serving(*targets, factor=60))
        server.wait_for(f"{of(GUARDS_ROLLBACKS, Incident.REGRESSION)} == 0")
        regression.begin(Incident.REGRESSION, path)
        looks[Incident.REGRESSION] = regression.report()["look"]
        for kind, look in looks.items():
            for alert in filter(None, (each["alert"] for each in look)):
                server.wait_for_alert(alert, environment=kind)
            for metric in filter(None, (each["metric"] for each in look)):
                server.wait_for(f"{of(metric, kind)} > 0")
        firing = server.firing()
    assert firing.isdisjoint({"AssignmentOverlap", "AssignmentLostBooking"})


GUARDS_ROLLBACKS = 'rollout_rollbacks_total{by="guard"}'


def of(metric: str, environment: str) -> str:
    """The metric, of this environment."""
    name, _brace, labels = metric.partition("{")
    return f'{name}{{environment="{environment}",{labels or "}"}'
