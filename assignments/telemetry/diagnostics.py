"""Diagnostics for the Health page, as values: the vitals from ``health``, and details.

Each part is one query with a timeout, so that the page opens even if the database is slow. Parts that fail are listed.
"""

import json
import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import django
from django.apps import apps
from django.core import checks
from django.core.checks.registry import registry
from django.db import connection, models, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Coalesce
from django.utils.dateparse import parse_datetime

from assignments import conf
from assignments.concurrency import transactions
from assignments.concurrency.circuit_breaker import STATE, State, name_for
from assignments.concurrency.sql import dicts, rows
from assignments.error_logging import log_error
from assignments.models import EveningOptimum, Run
from assignments.models.moment import DatabaseNow, process_now
from assignments.outcome import CoordinatorReason
from assignments.telemetry import health, run_log
from assignments.telemetry.health import Vitals
from assignments.telemetry.invariants import LOST, OVERLAPS, STAY_HOURS
from assignments.telemetry.metrics.counters import WAITED

logger = logging.getLogger("assignments.condition")

STATEMENT_TIMEOUT_MS = 2000
LISTED = 20
"""Maximum rows in each list."""
HOURS = 24
RECENT = timedelta(days=1)
"""Time for which errors and losses are reported. A worker's counts cover its whole life, which may be weeks."""

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Backlog:
    """Waiting bookings. ``later``: for the next attempt. ``review``: for staff, the oldest since ``review_since``."""

    later: int
    review: int
    review_since: datetime | None
    server_version: str
    dropped_events: int
    """Events lost by runs with a loss within ``RECENT``, counted over the whole of each run."""
    dropped_at: datetime | None
    """Time of the last loss, or None if there was none within ``RECENT``."""
    messages_set_aside: int
    poisonous: int
    """Bookings in review that ended the processes which decided them."""
    review_soon: int = 0
    """Bookings in review that start within ``RECENT``."""
    first_starts_at: datetime | None = None
    """When the first booking in review starts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """A process with ``--watch``. ``is_alive``: it had a heartbeat within ``CRON_SECONDS``."""

    run: Run
    seen_at: datetime
    is_alive: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenBreaker:
    """A restaurant's circuit breaker with failures.

    ``is_half_open``: the next booking decides whether it closes. ``is_quiet``: the same, but without bookings for a
    long time.
    """

    restaurant_ref: str
    failures: int
    opened_until: datetime | None
    state: State

    @property
    def is_open(self) -> bool:
        return self.state is State.OPEN

    @property
    def is_half_open(self) -> bool:
        return self.state is State.HALF_OPEN

    @property
    def is_quiet(self) -> bool:
        return self.state is State.QUIET


@dataclass(frozen=True, kw_only=True, slots=True)
class Hour:
    """Decisions of one hour. Milliseconds: planning time. Seconds: from a booking's request to its first tables. None:
    no data.

    ``confirmed`` to ``failed`` count attempts.
    """

    begins: datetime
    confirmed: int
    retry: int
    manual_review: int
    failed: int
    decision_ms_p95: float | None
    wait_seconds_p50: float | None
    wait_seconds_p95: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Integrity:
    """Violated invariants: see ``assignments.telemetry.invariants``."""

    overlaps: int
    lost: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """Versions of the software here. ``pending``: migrations not applied, or None if unknown."""

    app: str
    django: str
    python: str
    postgresql: str
    pending: Sequence[str] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """The diagnostics. A part that failed is None and listed in ``not_measured`` with the error's type."""

    vitals: Vitals | None
    backlog: Backlog | None
    runs: Sequence[Run] | None
    workers: Sequence[Worker] | None
    breakers: Sequence[OpenBreaker] | None
    hours: Sequence[Hour] | None
    integrity: Integrity | None
    optima: Sequence[EveningOptimum] | None
    versions: Versions
    findings: Sequence[checks.CheckMessage]
    not_measured: Mapping[str, str] = field(default_factory=dict)

    @property
    def worker_versions(self) -> Sequence[str]:
        """Return the versions of live workers and of this process."""
        alive = {worker.run.version for worker in self.workers or () if worker.is_alive}
        return sorted({*alive, self.versions.app} - {""})


def run() -> Condition:
    """Run all diagnostics. About nine queries."""
    parts = _Parts()
    found: dict[str, Any] = parts.measured(
        vitals=health.vitals,
        backlog=_backlog,
        runs=_runs,
        lists=_lists,
        integrity=_integrity,
        hours=_hours,
        pending=_pending,
    )
    pending, backlog = found.pop("pending"), found["backlog"]
    latest, workers = found.pop("runs") or (None, None)
    breakers, optima = found.pop("lists") or (None, None)
    return Condition(
        **found,
        runs=latest,
        workers=workers,
        breakers=breakers,
        optima=optima,
        versions=Versions(
            app=run_log.version(),
            django=django.get_version(),
            python=platform.python_version(),
            postgresql=backlog.server_version if backlog else "",
            pending=pending,
        ),
        findings=_findings(),
        not_measured=parts.errors,
    )


class _Parts:
    """Measures parts in one transaction, with a new one after each failure."""

    def __init__(self) -> None:
        self.errors: dict[str, str] = {}

    def measured(self, **parts: Callable[[], Any]) -> dict[str, Any]:
        found: dict[str, Any] = dict.fromkeys(parts)
        waiting = list(parts)
        while waiting:
            try:
                with transactions.atomic():
                    transactions.limit_statements(STATEMENT_TIMEOUT_MS)
                    while waiting:
                        found[waiting[0]] = parts[waiting[0]]()
                        waiting.pop(0)
                    # Nothing was written. This restores the timeout of a surrounding transaction.
                    transaction.set_rollback(True)
            except Exception as error:  # noqa: BLE001  (named by type: the page must open)
                part = waiting.pop(0)
                self.errors[part] = type(error).__name__
                log_error(logger, error, "The Health page could not measure %s", part)
        return found


def _backlog() -> Backlog:
    (row,) = dicts(_BACKLOG, recent=RECENT)
    return Backlog(**row)


_BACKLOG = """
SELECT (SELECT count(*) FROM assignments_assignment WHERE due_at > assignments_now()) AS later,
       review.bookings AS review, review.since AS review_since, review.soon AS review_soon,
       review.first_starts_at,
       (SELECT count(*) FROM assignments_outboxmessage WHERE delivered_at IS NULL AND set_aside_at IS NOT NULL)
           AS messages_set_aside,
       review.poisonous,
       coalesce(lossy.events, 0) AS dropped_events, lossy.at AS dropped_at,
       current_setting('server_version') AS server_version
  FROM (SELECT count(*) AS bookings, min(updated_at) AS since, count(*) FILTER (WHERE reason = 'poisonous') AS poisonous,
               count(*) FILTER (WHERE starts_at < assignments_now() + %(recent)s) AS soon,
               min(starts_at) AS first_starts_at
          FROM assignments_assignment WHERE state = 'manual_review' AND starts_at > assignments_now()) AS review,
       (SELECT sum(dropped_events) AS events, max(dropped_at) AS at
          FROM assignments_run WHERE dropped_at > assignments_now() - %(recent)s) AS lossy
"""


def _runs() -> tuple[Sequence[Run], Sequence[Worker]]:
    """Return the latest runs, latest first, and the workers that have not ended, live ones first.

    Each kind has its own query, so that many dead workers do not hide the live ones.
    """
    now = DatabaseNow()
    seen = Run.objects.annotate(seen_at=Coalesce("last_pass_at", "started_at")).order_by("-seen_at", "-id")
    watching = seen.filter(watches=True, ended_at__isnull=True)
    alive_since = now - timedelta(seconds=conf.settings().CRON_SECONDS)
    kinds = {
        "latest": seen.order_by("-id"),
        "alive": watching.filter(seen_at__gt=alive_since),
        "silent": watching.filter(seen_at__lte=alive_since, seen_at__gt=now - run_log.GIVEN_UP_AFTER),
    }
    latest, *others = [found.annotate(kind=models.Value(kind))[:LISTED] for kind, found in kinds.items()]
    found = sorted(latest.union(*others, all=True).order_by(), key=lambda run: -run.pk)
    workers = [
        Worker(run=run, seen_at=run.seen_at, is_alive=run.kind == "alive") for run in found if run.kind != "latest"
    ]
    return [run for run in found if run.kind == "latest"], sorted(workers, key=lambda worker: not worker.is_alive)


def _lists() -> tuple[Sequence[OpenBreaker], Sequence[EveningOptimum]]:
    """Return the breakers, and the optimum of upcoming evenings that the optimizer has examined.

    Both lists are short, and are read in one statement.
    """
    yesterday = (process_now() - RECENT).date()
    ((breakers, optima),) = rows(_LISTS, listed=LISTED, yesterday=yesterday)
    prefix = name_for("")
    return [
        OpenBreaker(
            restaurant_ref=row["name"].removeprefix(prefix),
            failures=row["failures"],
            opened_until=parse_datetime(row["opened_until"] or ""),
            state=State(row["state"]),
        )
        for row in json.loads(breakers)
    ], [_optimum(row) for row in json.loads(optima)]


def _optimum(row: Mapping[str, Any]) -> EveningOptimum:
    fields = EveningOptimum._meta.concrete_fields
    return EveningOptimum(**{each.attname: each.to_python(row[each.attname]) for each in fields})


_LISTS = f"""
SELECT (SELECT coalesce(json_agg(breaker), '[]')::text
          FROM (SELECT name, failures, opened_until, {STATE} AS state
                  FROM assignments_breaker WHERE failures > 0 OR opened_until IS NOT NULL
                 ORDER BY opened_until DESC NULLS LAST, name LIMIT %(listed)s) AS breaker),
       (SELECT coalesce(json_agg(optimum), '[]')::text
          FROM (SELECT * FROM assignments_eveningoptimum WHERE service_date >= %(yesterday)s
                 ORDER BY service_date, restaurant_ref LIMIT %(listed)s) AS optimum)
"""  # noqa: S608  (our own SQL)


def _hours() -> Sequence[Hour]:
    return [Hour(**row) for row in dicts(_HOURS, hours=HOURS, confirmed_by_host=CoordinatorReason.CONFIRMED_BY_HOST)]


_HOURS = f"""
WITH bounds AS (SELECT date_trunc('hour', assignments_now(), 'UTC') - (%(hours)s - 1) * interval '1 hour' AS since),
     decided AS (
     SELECT date_trunc('hour', at, 'UTC') AS begins,
            count(*) FILTER (WHERE outcome = 'confirmed') AS confirmed,
            count(*) FILTER (WHERE outcome = 'retry') AS retry,
            count(*) FILTER (WHERE outcome = 'manual_review') AS manual_review,
            count(*) FILTER (WHERE outcome = 'failed') AS failed,
            percentile_disc(0.95) WITHIN GROUP (ORDER BY decision_ms) FILTER (WHERE decision_ms > 0) AS decision_ms_p95
       FROM assignments_attempt WHERE at >= (SELECT since FROM bounds) GROUP BY 1),
     waited AS (
     SELECT date_trunc('hour', at, 'UTC') AS begins,
            percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY seconds) AS seconds
       FROM ({WAITED.format(rows="moved.at >= (SELECT since FROM bounds)")}) AS waited GROUP BY 1)
SELECT hour AS begins, coalesce(confirmed, 0) AS confirmed, coalesce(retry, 0) AS retry,
       coalesce(manual_review, 0) AS manual_review, coalesce(failed, 0) AS failed, decision_ms_p95,
       waited.seconds[1] AS wait_seconds_p50, waited.seconds[2] AS wait_seconds_p95
  FROM bounds, generate_series(since, assignments_now(), interval '1 hour') AS hour
  LEFT JOIN decided ON decided.begins = hour
  LEFT JOIN waited ON waited.begins = hour
 ORDER BY hour
"""  # noqa: S608


def _integrity() -> Integrity:
    (row,) = dicts(f"SELECT ({OVERLAPS}) AS overlaps, ({LOST}) AS lost", stay_hours=STAY_HOURS)
    return Integrity(**row)


def _pending() -> Sequence[str]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _backwards in plan]


def _findings() -> Sequence[checks.CheckMessage]:
    """Return the findings of this project's system checks without the database, most severe first.

    A project's checks are those tagged with the label of one of its apps. A check that raises becomes a finding.
    """
    ours = {config.label for config in apps.get_app_configs() if not config.name.startswith("django.")}
    found: list[checks.CheckMessage] = []
    for check in registry.get_checks():
        if not ours.intersection(check.tags):
            continue
        try:
            found += check(app_configs=None, databases=None)
        except Exception as error:  # noqa: BLE001  (told by type: the page must open)
            name = f"{check.__module__}.{getattr(check, '__name__', check)}"
            log_error(logger, error, "The system check %s failed", name)
            found.append(checks.Error(f"The system check {name} raised {type(error).__name__}.", id="assignments.E000"))
    return sorted((each for each in found if not each.is_silenced()), key=lambda each: (-each.level, each.id or ""))
