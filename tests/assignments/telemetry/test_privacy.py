"""Names, mails and phones of guests are sent through everything, and found nowhere."""

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import prometheus_client
import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from assignments import api, conf
from assignments.concurrency import transactions
from assignments.coordination import dispatch
from assignments.exceptions import TablesRefusedError
from assignments.models import Assignment, Attempt, Event, OutboxMessage
from assignments.signals import handed_back, state_changed
from assignments.telemetry import background_writer, events
from assignments.telemetry.event_catalogue import COORDINATOR
from assignments.telemetry.log_formatters import CorrelationFilter, JsonFormatter, PlaceOnlyFormatter
from assignments.telemetry.metrics.collector import COLLECTOR, REGISTRY
from example import models
from example.host import ExampleHost
from rollout.control import switches
from rollout.flags import resolution
from rollout.models import Comparison
from rollout.shadow import recorder
from tests.example.conftest import load

pytestmark = pytest.mark.django_db(transaction=True)

CANARIES = ("Canary Quillfeather", "canary@quillfeather.test", "+44 7700 900123")
SAID = " ".join(CANARIES)
"""What a careless project puts into the message of an exception."""

FORMATTERS = {"json": JsonFormatter(), "text": PlaceOnlyFormatter(), "whatever a project uses": logging.Formatter()}


class CanaryError(RuntimeError):
    """Its message names a guest."""

    def __init__(self) -> None:
        super().__init__(SAID)


class CanaryHost(ExampleHost):
    """Raises, naming the guest, wherever a host is called: for each third booking, until told otherwise."""

    fails = True

    def _fail(self, refs: Sequence[str]) -> None:
        if self.fails and any(int(ref) % 3 == 0 for ref in refs):
            raise CanaryError

    def on_confirmed(self, seatings: Any) -> None:
        self._fail([each.booking_ref for each in seatings])
        super().on_confirmed(seatings)

    def on_review(self, reasons: Any) -> None:
        self._fail(list(reasons))
        super().on_review(reasons)

    def on_released(self, booking_refs: Any) -> None:
        super().on_released(booking_refs)

    def deliver(self, message: Any) -> None:
        """It raises for others: of a booking that has failed so far there is nothing to tell."""
        if self.fails and int(message.booking_ref) % 3 == 1:
            raise CanaryError


class CanarySink:
    """Stores nothing, and says why."""

    def write(self, batch: Sequence[events.EventRecord]) -> None:
        raise CanaryError


class Everything(logging.Handler):
    """All that is logged, as each of the formatters writes it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.addFilter(CorrelationFilter())
        self.texts = {name: io.StringIO() for name in FORMATTERS}

    def emit(self, record: logging.LogRecord) -> None:
        for name, formatter in FORMATTERS.items():
            self.texts[name].write(formatter.format(record) + "\n")


@pytest.fixture
def logged() -> Iterator[Everything]:
    """Every logger at DEBUG, Django's own among them."""
    handler, root = Everything(), logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in sorted(logging.root.manager.loggerDict))]
    before = [(each, each.level, each.propagate, each.disabled) for each in loggers]
    for each in loggers:
        each.setLevel(logging.DEBUG)
        each.propagate, each.disabled = True, False
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    for each, level, propagate, disabled in before:
        each.setLevel(level)
        each.propagate, each.disabled = propagate, disabled


def _receiver(**kwargs: Any) -> None:
    raise CanaryError


@pytest.fixture
def evening(settings: Any, monkeypatch: Any, transactional_db: Any) -> Iterator[models.Restaurant]:
    """Twenty bookings of canaries, a host, receivers and a sink that name them in all they raise."""
    settings.ASSIGNMENTS = {
        **settings.ASSIGNMENTS,
        "HOST": f"{__name__}.CanaryHost",
        "EVENT_SINKS": (
            "assignments.telemetry.events.DatabaseSink",
            "assignments.telemetry.events.LoggingSink",
            f"{__name__}.CanarySink",
        ),
    }
    monkeypatch.setenv("DATABASE_NAME", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")
    restaurant = load("v3")
    keep = restaurant.bookings.order_by("start")[40:60]
    restaurant.bookings.exclude(pk__in=[booking.pk for booking in keep]).delete()
    models.Booking.objects.update(guest_name=f"{CANARIES[0]} {CANARIES[2]}", guest_email=CANARIES[1])
    for signal in (state_changed, handed_back):
        signal.connect(_receiver, dispatch_uid="canary")
    yield restaurant
    for signal in (state_changed, handed_back):
        signal.disconnect(dispatch_uid="canary")


def run(*arguments: str) -> None:
    """A command, which prints what it refuses with."""
    try:
        call_command(*arguments)
    except CommandError as error:
        print(error)  # noqa: T201


def work(restaurant: models.Restaurant) -> None:
    """Everything that can be done with a booking: from cron, inline, by staff, edited, cancelled, mended, told."""
    dispatch.register_new()
    for _ in range(2):
        list(dispatch.run_pass())
        Assignment.objects.open().update(due_at=transactions.database_now())
    host: CanaryHost = conf.load(conf.settings().HOST)
    refs = [str(pk) for pk in models.Booking.objects.order_by("pk").values_list("pk", flat=True)]
    host.fails = False
    seated = [ref for ref in refs if models.Booking.objects.get(pk=ref).tables.exists()]
    for what in (
        lambda: api.assign_now(booking_ref=refs[0]),
        lambda: api.release_tables(booking_ref=seated[0], actor="staff:7"),
        lambda: api.assign(booking_ref=seated[0], table_refs=["nowhere"], actor="staff:7"),
        lambda: api.booking_changed(booking_ref=seated[1]),
        lambda: api.booking_cancelled(booking_ref=seated[2]),
        lambda: api.explain(booking_ref=seated[3]),
    ):
        with contextlib.suppress(TablesRefusedError):
            what()
    host.fails = True
    run("deliver_outbox")
    models.Booking.objects.filter(pk=seated[4]).update(party=9)
    run("reconcile_assignments")
    # An app that puts into an event what no event may hold.
    malicious: dict[str, Any] = {
        "reason": "terminal_state",
        "guest_name": CANARIES[0],
        CANARIES[1]: "x",
        "phone": CANARIES[2],
    }
    events.emit_now(events.event(COORDINATOR, "coordinator.noop", booking_ref=refs[0], **malicious))
    events.flush(10)
    background_writer.flush_all(10)


def stored() -> str:
    """Every row of every table of the apps, as text; the host's own tables hold the guests, as they should."""
    rows = []
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            if model._meta.app_label in {"assignments", "rollout", "waffle"} and not model._meta.proxy:
                table = connection.ops.quote_name(model._meta.db_table)
                cursor.execute(f"SELECT to_jsonb(kept)::text FROM {table} AS kept")
                rows += [text for (text,) in cursor.fetchall()]
    return "\n".join(rows)


def found_in(text: str) -> list[str]:
    """Canaries of which even a part is in the text."""
    parts = (*CANARIES, "Quillfeather", "quillfeather", "7700 900123", "7700900123")
    return [part for part in parts if part in text]


def assert_clean(logged: Everything, capsys: Any) -> None:
    COLLECTOR.forget()
    from_database = prometheus_client.generate_latest(REGISTRY).decode()
    out = capsys.readouterr()
    text = {
        "stored": stored(),
        "printed": out.out + out.err,
        "metrics": prometheus_client.generate_latest().decode() + from_database,
        **{f"logged as {name}": kept.getvalue() for name, kept in logged.texts.items()},
    }
    assert {place: found for place, each in text.items() if (found := found_in(each))} == {}
    # It was not for want of anything to find.
    assert 'assignment_collector_up{collector="assignments"} 1.0' in from_database
    everything = text["logged as json"]
    for trace in ("CanaryError", "The signal receiver", "Event sink", "state_machine.transition"):
        assert trace in everything, trace
    assert OutboxMessage.objects.filter(last_error="CanaryError").exists()
    assert Attempt.objects.filter(detail="CanaryError").exists()


def test_v3_keeps_none_of_it(evening: models.Restaurant, logged: Everything, capsys: Any) -> None:
    work(evening)
    assert_clean(logged, capsys)
    assert Event.objects.filter(type="coordinator.error", context__error_type="CanaryError").exists()
    assert Event.objects.filter(type="coordinator.noop", context={"reason": "terminal_state"}).exists()


@pytest.mark.legacy_planner
@pytest.mark.parametrize("in_shadow", [False, True], ids=["alone", "v3 in its shadow"])
def test_the_legacy_planner_keeps_none_of_it(
    evening: models.Restaurant, logged: Everything, capsys: Any, in_shadow: bool
) -> None:
    switches.set_switch(resolution.V3_SWITCH, active=False, actor="test", reason="test")
    if in_shadow:
        switches.set_switch(resolution.SHADOW_SWITCH, active=True, actor="test", reason="test")
    work(evening)
    if in_shadow:
        assert recorder.flush()
        run("rollout", "compare")
        assert Comparison.objects.exclude(verdict="").exists()
    assert_clean(logged, capsys)


def test_a_page_that_fails_logs_the_type_alone(
    evening: models.Restaurant, logged: Everything, monkeypatch: Any, client: Client, django_user_model: Any
) -> None:
    """Django logs an error of a view with its message: how it is written is up to the formatter."""

    def fail(*args: Any, **kwargs: Any) -> None:
        raise CanaryError

    dispatch.register_new()
    monkeypatch.setattr("assignments.admin.assignment.page_of", fail)
    client.force_login(django_user_model.objects.create_superuser("admin", password="x"))
    client.raise_request_exception = False
    url = reverse("admin:assignments_assignment_change", args=[Assignment.objects.earliest("pk").pk])
    assert client.get(url).status_code == 500
    for name in ("json", "text"):
        text = logged.texts[name].getvalue()
        assert "CanaryError" in text
        assert found_in(text) == []
