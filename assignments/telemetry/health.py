"""The coordinator's current vitals, for health endpoints, metrics and the Health page. One query."""

from dataclasses import dataclass
from datetime import datetime

from assignments import conf
from assignments.concurrency.circuit_breaker import STATE, State
from assignments.concurrency.locks import PERMIT
from assignments.concurrency.sql import dicts

OUTBOX_COUNTED = 10_000
"""Maximum count of waiting outbox messages. Beyond it the exact number makes no difference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vitals:
    """The vitals at one moment, by the database clock. Ages are in seconds, 0 if nothing is waiting.

    ``last_success_at``: the last successful pass of ``run_coordinator``
    (``assignments.telemetry.run_log.Pass.has_succeeded``), or None. ``oldest_due_age_seconds``: how long the oldest due
    booking has been overdue. ``workers``: those with ``--watch`` and a heartbeat within ``CRON_SECONDS``.
    ``permits_in_use``: of the restaurant with the most permits in use; ``permits_limit``: per restaurant. Idle breakers
    (``concurrency.circuit_breaker``) do not count. ``marks_waiting``: changes in the host that are still to be followed.
    """

    now: datetime
    last_success_at: datetime | None
    due_bookings: int
    oldest_due_age_seconds: float
    workers: int
    breakers_open: int
    breakers_half_open: int
    outbox_waiting: int
    outbox_oldest_age_seconds: float
    permits_in_use: int
    permits_limit: int
    marks_waiting: int = 0
    marks_oldest_age_seconds: float = 0.0

    @property
    def last_success_age_seconds(self) -> float | None:
        """Return the seconds since the last success, or None."""
        if self.last_success_at is None:
            return None
        return max(0.0, (self.now - self.last_success_at).total_seconds())

    @property
    def cron_problem(self) -> str:
        """Return the problem with the runs as a sentence, or ""."""
        limit = conf.settings().CRON_SECONDS
        age = self.last_success_age_seconds
        if age is None:
            return "No run of run_coordinator has succeeded yet."
        if age > limit:
            return f"The last successful run was {age:.0f} s ago (limit: {limit} s)."
        if self.oldest_due_age_seconds > limit:
            return f"A booking has been due for {self.oldest_due_age_seconds:.0f} s (limit: {limit} s)."
        return ""


def vitals() -> Vitals:
    """Read the vitals.

    One query, bounded by the open items: due bookings and their restaurants, breakers, waiting messages.
    """
    settings = conf.settings()
    (row,) = dicts(
        _VITALS,
        alive_seconds=settings.CRON_SECONDS,
        outbox_counted=OUTBOX_COUNTED,
        permit=PERMIT,
        most_permits=conf.MOST_PERMITS,
    )
    return Vitals(permits_limit=settings.MAX_PARALLEL, **row)


# pg_locks has a 64-bit advisory key as two halves. Every permit's restaurant has an open booking, the one being
# decided.
_VITALS = f"""
WITH due AS (
     SELECT count(*) AS bookings, min(due_at) AS oldest
       FROM assignments_assignment WHERE due_at <= assignments_now()),
     breaker AS (
     SELECT count(*) FILTER (WHERE state = '{State.OPEN}') AS open,
            count(*) FILTER (WHERE state = '{State.HALF_OPEN}') AS half_open
       FROM (SELECT {STATE} AS state FROM assignments_breaker WHERE opened_until IS NOT NULL) AS breaker),
     outbox AS (
     SELECT count(*) AS waiting, min(created_at) AS oldest
       FROM (SELECT created_at FROM assignments_outboxmessage
              WHERE delivered_at IS NULL AND set_aside_at IS NULL ORDER BY due_at, id LIMIT %(outbox_counted)s) AS waiting),
     marks AS (
     SELECT count(*) AS waiting, min(created_at) AS oldest
       FROM (SELECT created_at FROM assignments_hostmark LIMIT %(outbox_counted)s) AS waiting),
     held AS MATERIALIZED (
     SELECT (classid::bigint << 32) | objid::bigint AS key
       FROM pg_locks
      WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
     restaurant AS (
     SELECT DISTINCT restaurant_ref AS ref
       FROM assignments_assignment WHERE due_at IS NOT NULL AND EXISTS (SELECT FROM held)),
     permits AS (
     SELECT count(*) AS taken
       FROM restaurant
      CROSS JOIN generate_series(1, %(most_permits)s) AS slot
       JOIN held ON held.key = hashtextextended(%(permit)s || restaurant.ref || ':' || slot, 0)
      GROUP BY restaurant.ref)
SELECT clock_timestamp() + assignments_clock_offset() AS now,
       (SELECT max(succeeded_at) FROM assignments_run) AS last_success_at,
       due.bookings AS due_bookings,
       coalesce(greatest(extract(epoch FROM assignments_now() - due.oldest), 0), 0)::float AS oldest_due_age_seconds,
       (SELECT count(*) FROM assignments_run
         WHERE watches AND ended_at IS NULL
           AND coalesce(last_pass_at, started_at) > assignments_now() - %(alive_seconds)s * interval '1 second') AS workers,
       breaker.open AS breakers_open,
       breaker.half_open AS breakers_half_open,
       outbox.waiting AS outbox_waiting,
       coalesce(greatest(extract(epoch FROM assignments_now() - outbox.oldest), 0), 0)::float AS outbox_oldest_age_seconds,
       marks.waiting AS marks_waiting,
       coalesce(greatest(extract(epoch FROM assignments_now() - marks.oldest), 0), 0)::float AS marks_oldest_age_seconds,
       coalesce((SELECT max(taken) FROM permits), 0) AS permits_in_use
  FROM due, breaker, outbox, marks
"""  # noqa: S608  (our own SQL)
