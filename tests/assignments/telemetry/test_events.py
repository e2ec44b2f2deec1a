"""Events: delivered after commit, never in the way, and never with personal data."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest
from django.db import connection

from assignments import conf
from assignments.outcome import Kind
from assignments.planning.text import Text
from assignments.telemetry import background_writer, events, process_metrics
from assignments.telemetry.background_writer import BackgroundWriter
from assignments.telemetry.event_catalogue import ALLOWED_CONTEXT, CATALOGUE, COORDINATOR


class HangingSink:
    release = threading.Event()

    def write(self, batch: Sequence[events.EventRecord]) -> None:
        self.release.wait(30)


class FailingSink:
    def write(self, batch: Sequence[events.EventRecord]) -> None:
        raise ConnectionError("the bus is down")


class EndingSink:
    def write(self, batch: Sequence[events.EventRecord]) -> None:
        raise SystemExit(1)


@pytest.fixture
def buffer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A buffer of its own, so that counts start at zero and a hanging thread hangs nobody else."""
    fresh = events.new_buffer()
    monkeypatch.setattr(events, "_buffer", fresh)
    HangingSink.release.clear()
    yield fresh
    HangingSink.release.set()


def configure(settings: Any, sink: str, size: int = 10_000) -> None:
    settings.ASSIGNMENTS = {"HOST": "a.b", "EVENT_SINKS": (sink,), "EVENT_BUFFER_SIZE": size}


def an_event(number: int = 0, **context: Any) -> events.EventRecord:
    return events.event(COORDINATOR, "coordinator.noop", booking_ref=f"B{number}", **context)


@pytest.mark.parametrize("sink", ["FailingSink", "EndingSink"])
def test_a_failing_sink_loses_events_and_counts_them(settings: Any, buffer: Any, sink: str) -> None:
    configure(settings, f"{__name__}.{sink}")
    events.emit_now(an_event())
    assert events.flush(5)
    assert events.counters()["dropped_failure"] == 1


def test_a_process_that_ends_writes_its_last_events() -> None:
    program = (
        "from assignments.telemetry.background_writer import BackgroundWriter\n"
        "writer = BackgroundWriter('test', lambda batch: print(*batch, flush=True) or True, size=lambda: 9)\n"
        "writer.append(['one', 'two'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "one two\n", done.stderr


def test_entries_wait_while_no_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where too many run, or while the process ends."""
    written: list[int] = []

    def write(batch: Sequence[int]) -> bool:
        written.extend(batch)
        return True

    writer = BackgroundWriter[int]("test", write, size=lambda: 9)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        writer.append([1])
        assert not writer.flush(0)
    writer.append([2])
    assert writer.flush(10)
    assert written == [1, 2]


def test_a_hanging_sink_holds_up_nobody_and_a_full_buffer_counts_what_it_drops(settings: Any, buffer: Any) -> None:
    configure(settings, f"{__name__}.HangingSink", size=10)
    events.emit_now(an_event())
    while len(buffer):  # until the thread hangs in the sink
        time.sleep(0.005)
    for number in range(25):
        events.emit_now(an_event(number))
    assert len(buffer) == 10
    assert events.counters()["dropped_overflow"] == 15
    assert events.flush(timeout_seconds=0.01) is False


def test_a_hanging_sink_costs_another_sink_nothing(settings: Any, buffer: Any) -> None:
    healthy = "assignments.telemetry.events.MemorySink"
    settings.ASSIGNMENTS = {"HOST": "a.b", "EVENT_SINKS": (f"{__name__}.HangingSink", healthy), "EVENT_BUFFER_SIZE": 10}
    events.MemorySink.events.clear()
    for number in range(30):
        events.emit_now(an_event(number))
        assert buffer._writer(healthy).flush(5)
    assert len(events.MemorySink.events) == 30
    assert events.counters()["dropped_overflow"] >= 10, "what the hanging one lost is counted"


def test_whoever_hears_of_lost_events_holds_up_nobody(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does (the metrics may write files) is done outside the lock that every decision needs."""
    heard: list[tuple[str, int]] = []
    elsewhere = ThreadPoolExecutor()

    def lost(cause: str, count: int) -> None:
        elsewhere.submit(fresh.counters).result(timeout=5)
        heard.append((cause, count))

    monkeypatch.setattr(process_metrics, "count_dropped_events", lost)
    fresh = events.new_buffer()
    monkeypatch.setattr(events, "_buffer", fresh)
    configure(settings, f"{__name__}.FailingSink", size=1)
    events.emit_now(an_event())
    assert events.flush(60)
    assert heard == [("failure", 1)]
    fresh.append([an_event(), an_event(), an_event()])
    assert ("overflow", 2) in heard
    assert events.flush(60)


def test_what_comes_within_a_moment_is_written_together_and_at_once_where_somebody_waits() -> None:
    written: list[list[int]] = []

    def write(batch: Sequence[int]) -> bool:
        written.append(list(batch))
        return True

    writer = BackgroundWriter[int]("test", write, size=lambda: 4, gather_seconds=60)
    for number in range(3):
        writer.append([number])
    assert written == []
    assert writer.flush(10)
    assert written == [[0, 1, 2]]
    writer.append([3, 4, 5, 6])  # There is no room for more.
    end = time.monotonic() + 10
    while len(written) < 2:
        assert time.monotonic() < end
        time.sleep(0.001)
    assert written[1] == [3, 4, 5, 6]


def test_a_context_keeps_allowed_keys_only(settings: Any, buffer: Any) -> None:
    configure(settings, "assignments.telemetry.events.MemorySink")
    record = an_event(reason="no_capacity", guest_name="Canary Guest", email="canary@example.test", phone="+44 1")
    assert record.context == {"reason": "no_capacity"}
    assert events.counters()["dropped_context_keys"] == 3


def test_a_context_is_bounded_and_keeps_its_small_values(settings: Any, buffer: Any) -> None:
    configure(settings, "assignments.telemetry.events.MemorySink")
    record = an_event(reason="no_capacity", detail="x" * 10_000)
    assert record.context == {"reason": "no_capacity"}


@pytest.mark.parametrize(
    "values",
    [
        {"detail": Text("Party of %(party)s.", {"party": 4}), "outcome": Kind.RETRY, "delay_seconds": 1.5},
        {"detail": Text("Table %(table)s.", {"table": "Caf\u00e9"}), "attempt": 2},
        {"table_refs": ("1", "2"), "service_date": date(2027, 1, 15)},
        {"detail": '"' * 2_000, "attempt": 1},
        {"detail": '"' * 2_100, "attempt": 1},
    ],
)
def test_a_context_has_the_values_that_it_has_as_json(settings: Any, buffer: Any, values: dict[str, Any]) -> None:
    configure(settings, "assignments.telemetry.events.MemorySink")
    context = an_event(**values).context
    assert context == {
        key: value for key, value in json.loads(json.dumps(values, default=str)).items() if len(str(value)) < 2_100
    }
    assert {type(value) for value in context.values()} <= {str, int, float, list}


def test_an_event_that_is_not_in_the_catalogue_is_a_programming_error() -> None:
    with pytest.raises(events.UnknownEventError, match=r"coordinator\.unheard_of"):
        events.event(COORDINATOR, "coordinator.unheard_of")


def test_every_catalogued_event_says_what_it_means_and_names_allowed_fields() -> None:
    for known in CATALOGUE.values():
        assert known.meaning
        assert known.severity in {"info", "warning", "error"}
        assert set(known.fields) <= ALLOWED_CONTEXT.keys()


@pytest.mark.django_db(transaction=True)
def test_the_database_sink_stores_events(settings: Any, buffer: Any) -> None:
    from assignments.models import Event

    configure(settings, "assignments.telemetry.events.DatabaseSink")
    conf.load.cache_clear()
    events.emit(an_event(7, reason="terminal_state"))
    assert events.flush(10)
    stored = Event.objects.get()
    assert (stored.booking_ref, stored.type, stored.context) == ("B7", "coordinator.noop", {"reason": "terminal_state"})


@pytest.mark.django_db
def test_a_test_that_is_rolled_back_leaves_no_events_to_the_next_one(settings: Any, buffer: Any) -> None:
    from assignments.models import Event

    configure(settings, "assignments.telemetry.events.DatabaseSink")
    conf.load.cache_clear()
    events.emit_now(an_event())
    assert events.flush(10)
    assert not Event.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_events_share_a_connection_which_is_closed_once_no_more_are_waited_for(settings: Any, buffer: Any) -> None:
    configure(settings, "assignments.telemetry.events.DatabaseSink")
    conf.load.cache_clear()
    used = []
    for number in (1, 2):
        events.emit(an_event(number))
        _wait_until_stored(number)
        used.append(_backends())
    assert used[0] == used[1]
    assert len(used[0]) == 1
    assert events.flush(10)
    _wait_until(lambda: not _backends())


@pytest.mark.django_db(transaction=True)
def test_events_are_stored_after_their_connection_was_lost(settings: Any, buffer: Any) -> None:
    from assignments.models import Event

    configure(settings, "assignments.telemetry.events.DatabaseSink")
    conf.load.cache_clear()
    events.emit(an_event(1))
    _wait_until_stored(1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [list(_backends())])
    events.emit(an_event(2))
    assert events.flush(10)
    assert set(Event.objects.values_list("booking_ref", flat=True)) == {"B1", "B2"}


def test_a_writer_closes_what_it_has_opened_when_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_writer, "KEPT_OPEN_SECONDS", 0.01)
    closed = threading.Event()
    writer = BackgroundWriter[int]("test", lambda batch: True, size=lambda: 9, close=closed.set)
    writer.append([1])
    assert closed.wait(10)
    assert writer.counters()["stored"] == 1


def _backends() -> set[int]:
    """The other sessions of this database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        return {pid for (pid,) in cursor.fetchall()}


def _wait_until_stored(number: int) -> None:
    _wait_until(lambda: events.counters().get("stored") == number)


def _wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)
