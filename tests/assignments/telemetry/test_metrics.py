"""Metrics from the database: bounded in number and in cost, right, and never in the way of a scrape."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from assignments import api
from assignments.concurrency import clock
from assignments.concurrency.sql import rows
from assignments.coordination import dispatch
from assignments.models import Allocation, Assignment, Run
from assignments.outcome import Change
from assignments.planning.reasons import OVERRIDABLE
from assignments.telemetry import counter_store, process_metrics
from assignments.telemetry.invariants import SHARED_SOON, STAY_HOURS, UNSEATED_SOON
from assignments.telemetry.metrics import collector, counters, labels, samples
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import TheHost, run_all

pytestmark = pytest.mark.django_db(transaction=True)

Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(registry: Any = collector.REGISTRY) -> Series:
    """Every series of a scrape, by name and labels."""
    collector.COLLECTOR.forget()
    text = generate_latest(registry).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(series: Series, name: str, **label_values: str) -> float:
    return series[name, frozenset(label_values.items())]


def test_what_was_decided_is_counted_before_and_after_folding(host: TheHost, tonight: datetime) -> None:
    for number in range(6):
        host.book(f"B{number}", starts_at=tonight)
    run_all()
    for _ in range(2):
        found = scraped()
        assert value(found, "assignment_outcomes_total", planner="v3", outcome="confirmed", reason="") == 4
        assert value(found, "assignment_outcomes_total", planner="v3", outcome="retry", reason="no_capacity") == 2
        assert value(found, "assignment_transitions_total", from_state="assigned", to_state="confirmed") == 4
        assert value(found, "assignment_decision_seconds_count", planner="v3") == 6
        assert value(found, "assignment_wait_seconds_count") == 4
        assert value(found, "assignment_wait_seconds_bucket", le="10.0") == 4
        assert value(found, "assignment_bookings", state="confirmed") == 4
        assert value(found, "assignment_bookings", state="assignment_pending") == 2
        assert value(found, "assignment_overlaps") == value(found, "assignment_lost_bookings") == 0
        assert value(found, "assignment_outbox_waiting") == 4, "who waits for another try is told nothing"
        assert value(found, "assignment_collector_up", collector="assignments") == 1
        with connection.cursor() as cursor:
            cursor.execute("UPDATE assignments_attempt SET at = at - interval '1 day'")
        counter_store.compact()


def test_what_the_host_had_confirmed_by_itself_is_counted_by_that_reason(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight)
    api.request(booking_ref="B1")
    host.book("B1", starts_at=tonight, is_confirmed=True)
    api.assign_now(booking_ref="B1")
    counted = {"planner": "v3", "outcome": "manual_review", "reason": "confirmed_by_host"}
    assert value(scraped(), "assignment_outcomes_total", **counted) == 1


def test_what_staff_and_the_host_decide_is_counted_as_theirs(host: TheHost, tonight: datetime) -> None:
    for ref, number in (("B1", 1), ("B2", 2), ("B3", 3)):
        host.book(ref, starts_at=tonight + timedelta(days=number))
    api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:1")
    api.assign(booking_ref="B2", table_refs=["T1"], actor="staff:1", reason="the guest is a friend")
    api.adopt(booking_ref="B3", table_refs=["T1"])
    found = {
        label_values: times
        for (name, label_values), times in scraped().items()
        if name == "assignment_outcomes_total" and times
    }
    assert found == {
        frozenset({"planner": "manual", "outcome": "confirmed", "reason": reason}.items()): 1
        for reason in ("by_hand", "other", "confirmed_by_host")
    }


def test_cancelled_bookings_count_wherever_they_were(host: TheHost, tonight: datetime) -> None:
    for ref in ("B1", "B2"):
        host.book(ref, starts_at=tonight)
    api.request(booking_ref="B1")
    api.assign_now(booking_ref="B2")
    for ref in ("B1", "B2"):
        with transaction.atomic():
            api.booking_cancelled(booking_ref=ref)
    assert value(scraped(), "assignment_transitions_total", from_state="other", to_state="cancelled") == 2


def test_histograms_add_up(host: TheHost, tonight: datetime) -> None:
    for number in range(6):
        host.book(f"B{number}", starts_at=tonight)
    run_all()
    found = scraped()
    buckets = [
        value(found, "assignment_decision_seconds_bucket", planner="v3", le=le)
        for le in counters.le(counters.DECISION_BUCKETS)
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == value(found, "assignment_decision_seconds_count", planner="v3") == 6
    assert value(found, "assignment_decision_seconds_sum", planner="v3") > 0


def test_a_project_in_which_nothing_happened_yet_has_every_series_at_zero(host: TheHost) -> None:
    found = scraped()
    assert value(found, "assignment_outcomes_total", planner="v3", outcome="manual_review", reason="no_fit") == 0
    assert value(found, "assignment_runs_total", result="error") == 0
    assert value(found, "assignment_events_dropped_total") == 0
    assert value(found, "assignment_last_success_timestamp_seconds") == 0


def hostile(cursor: Any) -> None:
    """Whatever could be in these columns: 1,000 odd reasons, planners, types and restaurants, and every known value."""
    known_reasons = sorted({reason for _planner, _outcome, reason in labels.outcomes()} | {"odd", "", "unknown_table"})
    cursor.execute(
        """
        INSERT INTO assignments_assignment (booking_ref, restaurant_ref, service_date, starts_at, party, state, version,
               planner, attempts, due_at, reason, pinned_table_refs, requested_at, updated_at)
        SELECT 'B' || n, 'R' || n, current_date + 1, now() + interval '1 day', 2, 'created', 0, '', 0,
               now() - n * interval '1 second', 'odd' || n, '{}', now(), now() FROM generate_series(1, 1000) AS n"""
    )
    attempt = """
        INSERT INTO assignments_attempt (assignment_id, booking_ref, number, planner, trigger, outcome, reason, detail,
               strategy, table_refs, decision, snapshot_hash, decision_ms, correlation_id)
        SELECT (SELECT min(id) FROM assignments_assignment), 'B', 1, """
    rest = ", '', '', '{}', '{}', '', 7, gen_random_uuid() FROM "
    cursor.execute(
        attempt
        + "planner, 'cron', outcome, reason"
        + rest
        + "unnest(%s::text[]) AS planner, unnest(%s::text[]) AS outcome,"
        " unnest(%s::text[]) AS reason",
        [
            ["v3", "legacy", "manual", "", "x"],
            ["confirmed", "retry", "manual_review", "failed", "noop", "x"],
            known_reasons,
        ],
    )
    cursor.execute(attempt + "'p' || n % 7, 'cron', 'o' || n % 5, 'r' || n" + rest + "generate_series(1, 1000) AS n")
    states = [*Assignment.State.values, "odd", ""]
    cursor.execute(
        """
        INSERT INTO assignments_statetransition (assignment_id, booking_ref, version, name, source, target, planner, actor,
               reason, detail)
        SELECT (SELECT min(id) FROM assignments_assignment), 'B', row_number() OVER (), 'x', source, target, 'p', 'a',
               source || target, ''
          FROM unnest(%s::text[]) AS source, unnest(%s::text[]) AS target""",
        [states, states],
    )
    cursor.execute(
        """
        INSERT INTO assignments_event (source, type, severity, booking_ref, restaurant_ref, context, at)
        SELECT 's' || n %% 9, 't' || n, 'odd', 'B' || n, 'R' || n, '{}'::jsonb, now() FROM generate_series(1, 1000) AS n
         UNION ALL SELECT source, type, severity, '', '', '{}'::jsonb, now()
          FROM unnest(%s::text[], %s::text[]) AS known(source, type), unnest(%s::text[]) AS severity""",
        [
            [source for source, _type, _severity in counters.event_types()],
            [each for _source, each, _severity in counters.event_types()],
            ["info", "error", "odd"],
        ],
    )
    cursor.execute(
        "INSERT INTO assignments_breaker (name, failures, successes, opened_until, updated_at)"
        " SELECT 'coordinator:R' || n, 5, 0, now() + (n - 500) * interval '1 minute', now()"
        "  FROM generate_series(1, 1000) AS n"
    )
    cursor.execute(
        "INSERT INTO assignments_run (worker, version, watches, outcomes, passes, failed_passes, taken_in, contended,"
        " breaker_open, unexpected, dropped_events, seconds, error)"
        " SELECT 'w' || n, 'v' || n, true, '{}', 1, 0, 0, 0, 0, 0, 1, 1, 'E' || n FROM generate_series(1, 1000) AS n"
    )


def test_there_are_less_than_250_series_whatever_is_in_the_tables(host: TheHost, settings: Any) -> None:
    settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT": "production"}  # the longest ladder
    before = scraped()
    with connection.cursor() as cursor:
        hostile(cursor)
    for planner in ("v3", "legacy", "odd", ""):
        process_metrics.observe_decisions([_outcome(planner)])
    process_metrics.observe_pass(1.0)
    first = scraped()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE assignments_attempt SET at = at - interval '1 day'")
        cursor.execute("UPDATE assignments_event SET stored_at = stored_at - interval '1 day'")
    counter_store.compact()
    folded = scraped()
    assert value(folded, "assignment_collector_up", collector="assignments") == 1
    assert folded.keys() == first.keys()
    assert outcomes_of(folded) == outcomes_of(before), "a series that begins above 0 hides what it begins with"
    from_processes = {
        (name, label_values)
        for name, label_values in scraped(collector_of_processes())
        if name.startswith("assignment_process_")
    }
    series = {*folded, *from_processes}
    assert len(series) < 250, len(series)
    odd = re.compile(r"^(R\d|B\d|odd|[a-z]\d)")
    values = {label_value for _name, label_values in series for _label, label_value in label_values}
    assert not [each for each in values if odd.match(each) and not each.startswith("v3")]
    names = {label for _name, label_values in series for label, _value in label_values}
    assert not names & {"restaurant", "restaurant_ref", "booking", "booking_ref", "worker", "table"}
    assert value(folded, "assignment_outcomes_total", planner="other", outcome="other", reason="other") > 1000
    assert value(folded, "assignment_events_total", source="other", type="other", severity="other") == 1000


def outcomes_of(series: Series) -> set[frozenset[tuple[str, str]]]:
    return {label_values for name, label_values in series if name == "assignment_outcomes_total"}


def collector_of_processes() -> Any:
    from prometheus_client import REGISTRY

    return REGISTRY


def _outcome(planner: str) -> Any:
    from assignments.outcome import Kind, Outcome

    return Outcome(booking_ref="B1", kind=Kind.CONFIRMED, planner=planner, decision_ms=12.0)


@pytest.mark.parametrize("names", [collector.REGISTRY, "processes"], ids=["database", "processes"])
def test_names_have_base_units_and_counters_end_in_total(host: TheHost, names: Any) -> None:
    registry = collector_of_processes() if names == "processes" else names
    families = [
        family
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        if family.name.startswith(("assignment_", "rollout_"))
    ]
    assert families
    for family in families:
        assert not re.search(r"_(ms|milliseconds|minutes|hours|days|kb|mb|percentiles?)$", family.name), family.name
        assert family.documentation, family.name
        assert family.documentation.endswith("."), family.name
        if family.type == "counter":
            assert all(sample.name.endswith(("_total", "_created")) for sample in family.samples), family.name
        else:
            assert not family.name.endswith("_total"), family.name
        if family.type == "histogram":
            assert family.name.endswith("_seconds"), family.name


class TestIntegrity:
    """Overlaps and lost bookings are found by independent SQL, once what forbids them is gone."""

    @pytest.fixture(autouse=True)
    def _seated(self, host: TheHost, tonight: datetime) -> None:
        for ref in ("B1", "B2"):
            host.book(ref, starts_at=tonight)
        run_all()

    @pytest.fixture
    def lawless(self) -> Iterator[None]:
        """A transaction in which nothing is forbidden, and which is rolled back."""
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE assignments_allocation DROP CONSTRAINT allocation_no_overlap")
                cursor.execute("ALTER TABLE assignments_assignment DROP CONSTRAINT assignment_open_iff_due")
            yield
            transaction.set_rollback(True)

    def test_two_bookings_at_one_table_are_an_overlap(self, lawless: None) -> None:
        assert value(scraped(), "assignment_overlaps") == 0
        table_ref = Allocation.objects.get(booking_ref="B1").table_ref
        Allocation.objects.filter(booking_ref="B2").update(table_ref=table_ref)
        assert value(scraped(), "assignment_overlaps") == 1

    def test_bookings_that_have_ended_are_past_alarming_anybody(self, lawless: None) -> None:
        table_ref = Allocation.objects.get(booking_ref="B1").table_ref
        Allocation.objects.update(table_ref=table_ref, ends_at=datetime.now(UTC) - timedelta(hours=1))
        assert value(scraped(), "assignment_overlaps") == 0

    def test_an_expired_hold_overlaps_nobody(self, lawless: None) -> None:
        taken = Allocation.objects.get(booking_ref="B1")
        hold = Allocation(
            restaurant_ref="R1",
            table_ref=taken.table_ref,
            booking_ref="B3",
            kind="hold",
            blocked=taken.blocked,
            starts_at=taken.starts_at,
            ends_at=taken.ends_at,
            token="00000000-0000-0000-0000-000000000000",
            expires_at=datetime.now(UTC) + timedelta(minutes=5),
        )
        hold.save()
        assert value(scraped(), "assignment_overlaps") == 1
        Allocation.objects.filter(pk=hold.pk).update(expires_at=datetime.now(UTC) - timedelta(minutes=5))
        assert value(scraped(), "assignment_overlaps") == 0

    def test_a_confirmed_booking_without_a_table_is_lost(self, lawless: None) -> None:
        assert value(scraped(), "assignment_lost_bookings") == 0
        Allocation.objects.filter(booking_ref="B1").delete()
        assert value(scraped(), "assignment_lost_bookings") == 1
        Assignment.objects.update(starts_at=datetime.now(UTC) - timedelta(hours=2))
        assert value(scraped(), "assignment_lost_bookings") == 1, "its guests are still there"
        Assignment.objects.update(starts_at=datetime.now(UTC) - timedelta(days=2))
        assert value(scraped(), "assignment_lost_bookings") == 0

    def test_an_open_booking_that_is_never_due_is_lost(self, host: TheHost, tonight: datetime, lawless: None) -> None:
        host.book("B3", starts_at=tonight)
        api.request(booking_ref="B3")
        assert value(scraped(), "assignment_lost_bookings") == 0
        Assignment.objects.filter(booking_ref="B3").update(due_at=None)
        assert value(scraped(), "assignment_lost_bookings") == 1


def test_who_is_due_soon_without_a_table_and_whose_table_is_expected_twice_is_counted(
    host: TheHost, tonight: datetime
) -> None:
    """Both count for as long as they last, and from one or two hours before."""
    host.floors["R1"] = a_floor(tables=[a_table("T1")])
    for ref, start in (("B1", tonight), ("B2", tonight + timedelta(minutes=150)), ("W1", tonight)):
        host.book(ref, starts_at=start, party=2, ends_at=start + timedelta(minutes=90))
        api.request(booking_ref=ref)
    for ref in ("B1", "B2"):
        api.assign(booking_ref=ref, table_refs=["T1"], actor="staff:1", overriding=OVERRIDABLE)

    def counted(at: datetime) -> tuple[float, float]:
        with clock.at(at):
            ((unseated, shared),) = rows(f"SELECT ({UNSEATED_SOON}), ({SHARED_SOON})", stay_hours=STAY_HOURS)
        return unseated, shared

    with clock.at(tonight + timedelta(minutes=80)):
        assert (
            api.extend(booking_ref="B1", until=tonight + timedelta(minutes=180), actor="staff:1").change
            is Change.TO_STAFF
        )
    assert counted(tonight - timedelta(hours=2)) == (0, 0)
    assert counted(tonight - timedelta(minutes=50)) == (1, 0)  # W1, which waits.
    assert counted(tonight + timedelta(minutes=80)) == (0, 1)  # B2 begins in 70 minutes, and B1 stays.
    with clock.at(tonight + timedelta(minutes=90)):
        api.left(booking_ref="B1", actor="staff:1")
        list(dispatch.run_pass())
    assert counted(tonight + timedelta(minutes=95)) == (0, 0)
    found = scraped()
    assert value(found, "assignment_unseated_soon") == value(found, "assignment_tables_expected_twice") == 0


class TestFailure:
    def test_a_query_that_takes_too_long_gives_no_numbers_and_says_so(
        self, host: TheHost, settings: Any, monkeypatch: Any, caplog: Any
    ) -> None:
        usual = settings.ASSIGNMENTS
        assert value(scraped(), "assignment_due_bookings") == 0
        settings.ASSIGNMENTS = {**usual, "METRICS_TIMEOUT_MS": 50}
        monkeypatch.setattr(samples, "_STANDING", "SELECT pg_sleep(30)")
        with caplog.at_level(logging.WARNING, "assignments.metrics"):
            found = scraped()
        assert value(found, "assignment_collector_up", collector="assignments") == 0
        assert value(found, "assignment_collector_seconds", collector="assignments") < 20
        assert ("assignment_due_bookings", frozenset()) not in found, "no stale numbers, and no half of them"
        assert "could not be gathered: OperationalError" in caplog.text
        monkeypatch.undo()
        settings.ASSIGNMENTS = usual
        assert value(scraped(), "assignment_collector_up", collector="assignments") == 1

    def test_one_collector_that_fails_takes_no_other_with_it(self, host: TheHost, monkeypatch: Any) -> None:
        def broken() -> Iterator[Any]:
            raise ZeroDivisionError

        monkeypatch.setitem(collector.COLLECTOR._gatherers, "broken", collector._Gatherer(name="broken", gather=broken))
        found = scraped()
        assert value(found, "assignment_collector_up", collector="broken") == 0
        assert value(found, "assignment_collector_up", collector="assignments") == 1

    def test_a_collector_that_would_write_is_refused_by_the_database(self, host: TheHost, monkeypatch: Any) -> None:
        def writing() -> Iterator[Any]:
            Run.objects.create(worker="x")
            yield

        monkeypatch.setitem(
            collector.COLLECTOR._gatherers, "writing", collector._Gatherer(name="writing", gather=writing)
        )
        assert value(scraped(), "assignment_collector_up", collector="writing") == 0
        assert not Run.objects.exists()

    def test_a_callers_transaction_keeps_its_own_settings(self, host: TheHost) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', '1234', true)")
            scraped()
            cursor.execute("SELECT current_setting('statement_timeout')")
            assert cursor.fetchone() == ("1234ms",)
            Run.objects.create(worker="x")


class TestCost:
    def test_scrapes_share_an_answer_for_as_long_as_the_setting_says(self, host: TheHost, settings: Any) -> None:
        scraped()
        with CaptureQueriesContext(connection) as captured:
            generate_latest(collector.REGISTRY)
        assert len(captured) == 0
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "METRICS_CACHE_SECONDS": 0}
        scraped()
        with CaptureQueriesContext(connection) as captured:
            generate_latest(collector.REGISTRY)
        assert len(captured) > 0

    def test_the_number_of_queries_does_not_grow(self, host: TheHost, tonight: datetime) -> None:
        counts = []
        for last in (5, 50):
            for number in range(last):
                host.book(f"B{last}-{number}", starts_at=tonight)
            run_all()
            collector.COLLECTOR.forget()
            with CaptureQueriesContext(connection) as captured:
                generate_latest(collector.REGISTRY)
            counts.append(len(captured))
        assert counts[0] == counts[1] <= 18, counts

    def test_what_is_read_is_young_open_or_not_over_yet(self, host: TheHost) -> None:
        """1,000 bookings of the past, 10,000 old events and attempts: not one of their rows is read."""
        with connection.cursor() as cursor:
            _the_past(cursor)
            cursor.execute(
                "VACUUM ANALYZE"
            )  # What other tests deleted is still in the indexes, and would be counted here.
            counter_store.compact()
            plans: list[str] = []

            def explained(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
                if sql.lstrip().startswith(("SELECT", "WITH")) and "set_config" not in sql:
                    execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {sql}", params, many, context)
                    plans.extend(line for (line,) in context["cursor"].fetchall())
                return execute(sql, params, many, context)

            with connection.execute_wrapper(explained):
                found = scraped()
        events = {"source": "assignment.coordinator", "type": "coordinator.retry", "severity": "info"}
        assert value(found, "assignment_events_total", **events) == 10_000
        assert value(found, "assignment_outcomes_total", planner="v3", outcome="retry", reason="no_capacity") == 10_000
        assert plans
        scanned = [
            (line.strip(), int(match[1]))
            for line in plans
            if (match := re.search(r"(?:Seq|Index|Heap|Bitmap).* on .*rows=([\d]+)", line))
        ]
        assert max(rows for _line, rows in scanned) < 500, scanned
        big = ("assignments_event", "assignments_attempt", "assignments_statetransition", "assignments_allocation")
        assert not [line for line in plans if "Seq Scan" in line and any(table in line for table in big)]


def _the_past(cursor: Any) -> None:
    cursor.execute(
        """
        INSERT INTO assignments_assignment (booking_ref, restaurant_ref, service_date, starts_at, party, state, version,
               planner, attempts, due_at, reason, pinned_table_refs, requested_at, updated_at)
        SELECT 'B' || n, 'R' || n % 20, current_date - 30, now() - (1 + n % 300) * interval '1 day', 2, 'created', 0, 'v3',
               1, now() + interval '1 day', '', '{}', now() - interval '400 days', now() FROM generate_series(1, 1000) AS n;
        ALTER TABLE assignments_assignment DISABLE TRIGGER USER;
        UPDATE assignments_assignment SET state = 'confirmed', due_at = NULL;
        ALTER TABLE assignments_assignment ENABLE TRIGGER USER;
        INSERT INTO assignments_statetransition (assignment_id, booking_ref, version, name, source, target, planner, actor,
               reason, detail, at)
        SELECT id, booking_ref, step, 'confirm', 'assigned', 'confirmed', 'v3', 'v3', '', '', now() - interval '300 days'
          FROM assignments_assignment, generate_series(1, 4) AS step;
        INSERT INTO assignments_allocation (restaurant_ref, table_ref, booking_ref, kind, blocked, starts_at, ends_at,
               planner)
        SELECT restaurant_ref, 'T' || id, booking_ref, 'seating', tstzrange(starts_at, starts_at + interval '2 hours'),
               starts_at, starts_at + interval '2 hours', 'v3' FROM assignments_assignment;
        INSERT INTO assignments_attempt (assignment_id, booking_ref, number, planner, trigger, outcome, reason, detail,
               strategy, table_refs, decision, snapshot_hash, decision_ms, correlation_id, at)
        SELECT id, booking_ref, number, 'v3', 'cron', 'retry', 'no_capacity', '', '', '{}', '{}', '', 5, gen_random_uuid(),
               now() - interval '100 days' + number * interval '1 minute'
          FROM assignments_assignment, generate_series(1, 10) AS number;
        INSERT INTO assignments_event (source, type, severity, booking_ref, restaurant_ref, context, at, stored_at)
        SELECT 'assignment.coordinator', 'coordinator.retry', 'info', 'B' || n, '', '{}', now(),
               now() - interval '50 days' + n * interval '1 second' FROM generate_series(1, 10000) AS n;
        """
    )


class TestProcess:
    def test_decisions_are_observed(self, host: TheHost, tonight: datetime) -> None:
        def observed() -> float:
            found = scraped(collector_of_processes())
            return found.get(("assignment_process_decision_seconds_count", frozenset()), 0)

        before = observed()
        for number in range(3):
            host.book(f"B{number}", starts_at=tonight)
        run_all()
        assert observed() == before + 3
        host.book("B9", starts_at=tonight + timedelta(days=1))
        api.assign_now(booking_ref="B9")
        assert observed() == before + 4

    def test_a_decision_that_is_rolled_back_is_not_observed(
        self, host: TheHost, tonight: datetime, monkeypatch: Any
    ) -> None:
        seen: list[Any] = []
        monkeypatch.setattr(process_metrics, "observe_decisions", seen.extend)
        host.book("B1", starts_at=tonight)
        host.raises["on_confirmed"] = ValueError("no")
        dispatch.register_new()
        list(dispatch.run_pass())
        assert [outcome.kind for outcome in seen] == ["retry"]
        assert not connection.in_atomic_block

    def test_what_cannot_be_measured_is_logged_by_type_and_the_decision_stands(
        self, host: TheHost, tonight: datetime, monkeypatch: Any, caplog: Any
    ) -> None:
        broken = mock.Mock()
        broken.labels.side_effect = broken.observe.side_effect = OSError("No space left for Canary Guest")
        for name in ("DECISION_SECONDS", "PASS_SECONDS", "EVENTS_DROPPED"):
            monkeypatch.setattr(process_metrics, name, broken)
        host.book("B1", starts_at=tonight)
        assert api.assign_now(booking_ref="B1").kind == "confirmed"
        process_metrics.observe_pass(1.0)
        process_metrics.count_dropped_events("overflow", 1)
        said = [record.getMessage() for record in caplog.records if record.name == "assignments.metrics"]
        assert said == ["A metric of this process could not be recorded: OSError."] * 3
