"""Retention: deletes old events, attempts, runs, delivered outbox messages, idle breakers, stale marks,
old actions by staff, and what is kept of evenings that are over, in chunks.

Their counts remain in the totals: rows are deleted only after they were added to them. Transitions are never deleted.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import timedelta

from django.db import connection

from assignments import conf
from assignments.concurrency import circuit_breaker, transactions
from assignments.telemetry import counter_store, run_log

CHUNK = 5000
LIMITS = transactions.Limits(statement=300_000, lock=30_000)
"""Of a transaction that deletes a chunk: nobody waits for what it deletes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """Counts of rows deleted so far, or to be deleted."""

    events: int = 0
    attempts: int = 0
    runs: int = 0
    outbox_messages: int = 0
    breakers: int = 0
    marks: int = 0
    staff_actions: int = 0
    frozen_evenings: int = 0
    optimized_evenings: int = 0
    evening_optima: int = 0
    queued_parties: int = 0
    failed_invocations: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)

    @property
    def total(self) -> int:
        return sum(asdict(self).values())


class StillNeededError(ValueError):
    """Rows to be deleted are still needed."""


_needs: dict[str, Callable[[], float]] = {}


def require_attempts(name: str, days: Callable[[], float]) -> None:
    """Require attempts to be kept for this many days. ``name`` appears in the error. Call it in an app's ``ready``."""
    _needs[name] = days


def check() -> None:
    """Raise StillNeededError if ATTEMPT_DAYS is less than required."""
    kept = conf.settings().ATTEMPT_DAYS
    for name, days in _needs.items():
        if kept < days():
            problem = f"{conf.NAME}['ATTEMPT_DAYS'] is {kept}, but {name} needs attempts of the last {days():g} days."
            raise StillNeededError(problem)


def count() -> Pruned:
    """Count what ``prune`` would delete. Raises StillNeededError."""
    check()
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(old.count for old in _OLD.values()), _days())
        return Pruned(**dict(zip(_OLD, cursor.fetchone(), strict=True)))


def prune() -> Iterator[Pruned]:
    """Delete old rows, one chunk per transaction, and yield the counts so far after each.

    Updates the totals first. Parallel runs share the work. Raises StillNeededError.
    """
    check()
    counter_store.compact()
    pruned = Pruned()
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_UP, {"seconds": run_log.GIVEN_UP_AFTER.total_seconds()})
    for name, old in _OLD.items():
        deleted = CHUNK
        while deleted == CHUNK:
            with transactions.atomic(limits=LIMITS), connection.cursor() as cursor:
                cursor.execute(old.delete, {**_days(), "limit": CHUNK})
                deleted = cursor.rowcount
            pruned = replace(pruned, **{name: getattr(pruned, name) + deleted})
            if deleted:
                yield pruned
    yield pruned


@dataclass(frozen=True, kw_only=True, slots=True)
class _Old:
    """Old rows of a table.

    ``source``: the source of totals that must include them first. ``key``: the primary key's column.
    """

    table: str
    moment: str
    condition: str
    source: str = ""
    key: str = "id"

    @property
    def count(self) -> str:
        return f"(SELECT count(*) FROM {self.table} WHERE {self.condition})"  # noqa: S608

    @property
    def delete(self) -> str:
        return _DELETE.format(
            table=self.table,
            key=self.key,
            moment=self.moment,
            condition=self.condition,
            is_counted=_IS_COUNTED.format(moment=self.moment, source=self.source) if self.source else "TRUE",
        )


def _days() -> dict[str, float]:
    settings = conf.settings()
    return {
        "event_days": settings.EVENT_DAYS,
        "attempt_days": settings.ATTEMPT_DAYS,
        "run_days": settings.RUN_DAYS,
        "outbox_days": settings.OUTBOX_DAYS,
        "breaker_days": circuit_breaker.FORGOTTEN_AFTER / timedelta(days=1),
    }


_OLD = {
    "events": _Old(
        table="assignments_event",
        moment="stored_at",
        condition="stored_at < assignments_now() - %(event_days)s * interval '1 day'",
        source="assignments.event",
    ),
    "attempts": _Old(
        table="assignments_attempt",
        moment="at",
        condition="""
            at < assignments_now() - %(attempt_days)s * interval '1 day'
            AND EXISTS (SELECT FROM assignments_assignment AS assignment
                         WHERE assignment.id = assignment_id AND assignment.due_at IS NULL
                           AND assignment.starts_at < assignments_now() - %(attempt_days)s * interval '1 day')""",
        source="assignments.attempt",
    ),
    "runs": _Old(
        table="assignments_run",
        moment="ended_at",
        # The last success is kept, because health endpoints and alerts need its age.
        condition="""
            ended_at < assignments_now() - %(run_days)s * interval '1 day'
            AND succeeded_at IS DISTINCT FROM (SELECT max(succeeded_at) FROM assignments_run)""",
        source="assignments.run",
    ),
    "outbox_messages": _Old(
        table="assignments_outboxmessage",
        moment="id",
        # The last one of an upcoming booking is kept, because the next one is numbered after it.
        condition="""
            delivered_at < assignments_now() - %(outbox_days)s * interval '1 day'
            AND (number = 0
                 OR EXISTS (SELECT FROM assignments_outboxmessage AS later
                             WHERE later.subject = assignments_outboxmessage.subject
                               AND later.number > assignments_outboxmessage.number)
                 OR booking_ref <> '' AND NOT EXISTS (
                     SELECT FROM assignments_assignment AS assignment
                      WHERE assignment.booking_ref = assignments_outboxmessage.booking_ref
                        AND assignment.starts_at > assignments_now() - %(outbox_days)s * interval '1 day'))""",
    ),
    "breakers": _Old(
        table="assignments_breaker",
        key="name",
        moment="updated_at",
        # A success changes updated_at only, and a breaker may stay open for more than a day.
        condition="""
            updated_at < assignments_now() - %(breaker_days)s * interval '1 day'
            AND coalesce(opened_until < assignments_now() - %(breaker_days)s * interval '1 day', TRUE)""",
    ),
    # They could not be followed for that long, and reconciliation has checked these bookings since.
    "marks": _Old(
        table="assignments_hostmark",
        key="booking_ref",
        moment="created_at",
        condition="created_at < assignments_now() - %(outbox_days)s * interval '1 day'",
    ),
    # A form is sent again within minutes, and a printed sheet belongs to one evening.
    "staff_actions": _Old(
        table="assignments_staffaction",
        moment="at",
        condition="at < assignments_now() - %(outbox_days)s * interval '1 day'",
    ),
    # Guests of a past evening are not moved.
    "frozen_evenings": _Old(
        table="assignments_frozenevening",
        moment="frozen_at",
        condition="service_date < (assignments_now() - %(outbox_days)s * interval '1 day')::date",
    ),
    "optimized_evenings": _Old(
        table="assignments_optimizedevening",
        moment="optimized_at",
        condition="optimized_at < assignments_now() - %(attempt_days)s * interval '1 day'",
    ),
    "evening_optima": _Old(
        table="assignments_eveningoptimum",
        moment="examined_at",
        condition="service_date < (assignments_now() - %(attempt_days)s * interval '1 day')::date",
    ),
    "queued_parties": _Old(
        table="assignments_queuedparty",
        moment="joined_at",
        condition="joined_at < assignments_now() - %(outbox_days)s * interval '1 day'",
    ),
    "failed_invocations": _Old(
        table="assignments_failedinvocation",
        moment="at",
        condition="at < assignments_now() - %(attempt_days)s * interval '1 day'",
    ),
}

_DELETE = """
DELETE FROM {table}
 WHERE {key} IN (SELECT {key} FROM {table} WHERE {condition} AND {is_counted}
               ORDER BY {moment} LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""

_IS_COUNTED = "{moment} < (SELECT until FROM assignments_folded WHERE source = '{source}')"

_GIVE_UP = """
UPDATE assignments_run SET ended_at = assignments_now()
 WHERE ended_at IS NULL AND coalesce(last_pass_at, started_at) < assignments_now() - %(seconds)s * interval '1 second'
"""
