"""Pruning old comparisons; totals by kind are kept, and metrics keep counting them."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection

from assignments.concurrency import transactions
from assignments.concurrency.sql import rows
from assignments.maintenance import retention
from assignments.telemetry import counter_store
from rollout import conf, metrics

CHUNK = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """Counts of the rows that were deleted, or would be."""

    comparisons: int = 0
    floors: int = 0
    guard_runs: int = 0
    days: int = 0
    batches: int = 0
    audits: int = 0


class EvidenceNeededError(ValueError):
    """Raised when pruning would delete evidence that gates need."""


def count(days: int) -> Pruned:
    """Count what ``prune`` would delete, including floors that no comparison would need. Raises EvidenceNeededError."""
    _check(days)
    names = ("comparisons", "floors", "guard_runs", "days", "batches", "audits")
    (found,) = rows(_COUNT, days=days, batch_days=conf.settings().BATCH_DAYS)
    return Pruned(**dict(zip(names, found, strict=True)))


def prune(days: int) -> Iterator[Pruned]:
    """Delete data older than ``days``, a chunk per transaction; yield the totals so far after each.

    Comparisons are first added to the metrics' totals. Those that still wait for V3 stay, as do guard runs with a
    breach. Stored batches are deleted after BATCH_DAYS, unaudited ones after ``days``. Triggers count what is deleted:
    comparisons into ``ComparisonTally``, days into ``DayTally``, audits and unaudited decisions into ``AuditTally``.
    Raises EvidenceNeededError.
    """
    _check(days)
    counter_store.compact(metrics.COMPARISON.key)
    comparisons = 0
    while True:
        deleted = _chunk(_COMPARISONS, days=days)
        comparisons += deleted
        if deleted:
            yield Pruned(comparisons=comparisons)
        if deleted < CHUNK:
            break
    compared_days = _in_chunks(_DAYS, days=days)
    batches = _in_chunks(_BATCHES, days=days, batch_days=conf.settings().BATCH_DAYS)
    audits = _in_chunks(_AUDITS, days=days)
    with transactions.atomic(limits=retention.LIMITS), connection.cursor() as cursor:
        cursor.execute("SET LOCAL rollout.pruning = 'on'")
        cursor.execute(_FLOORS, {"days": days})
        floors = cursor.rowcount
        cursor.execute(_GUARD_RUNS, {"days": days})
        yield Pruned(
            comparisons=comparisons,
            floors=floors,
            guard_runs=cursor.rowcount,
            days=compared_days,
            batches=batches,
            audits=audits,
        )


def _in_chunks(query: str, **parameters: int) -> int:
    """Delete a chunk per transaction; return how many were deleted."""
    deleted = 0
    while True:
        found = _chunk(query, **parameters)
        deleted += found
        if found < CHUNK:
            return deleted


def _chunk(query: str, **parameters: int) -> int:
    with transactions.atomic(limits=retention.LIMITS), connection.cursor() as cursor:
        cursor.execute("SET LOCAL rollout.pruning = 'on'")  # Nobody else may delete these.
        cursor.execute(query, {**parameters, "limit": CHUNK})
        return int(cursor.rowcount)


def _check(days: int) -> None:
    needed = conf.settings().EVIDENCE_DAYS
    if days < needed:
        raise EvidenceNeededError(
            f"Gates need {needed} days of evidence (EVIDENCE_DAYS); pruning after {days} days would delete some of it."
        )


_COMPARISONS = """
DELETE FROM rollout_comparison
 WHERE id IN (SELECT id FROM rollout_comparison
               WHERE recorded_at < assignments_now() - %(days)s * interval '1 day' AND verdict <> ''
                 AND (compared_at IS NULL
                      OR compared_at < (SELECT until FROM assignments_folded WHERE source = 'rollout.comparison'))
               ORDER BY recorded_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""

_DAYS = """
DELETE FROM rollout_daycomparison
 WHERE id IN (SELECT id FROM rollout_daycomparison
               WHERE recorded_at < assignments_now() - %(days)s * interval '1 day'
               ORDER BY recorded_at LIMIT %(limit)s)
"""

_FLOORS = """
DELETE FROM rollout_floorrecord AS floor
 WHERE recorded_at < assignments_now() - %(days)s * interval '1 day'
   AND NOT EXISTS (SELECT FROM rollout_comparison AS comparison WHERE comparison.floor_id = floor.version)
   AND NOT EXISTS (SELECT FROM rollout_daycomparison AS day WHERE day.floor_id = floor.version)
   AND NOT EXISTS (SELECT FROM rollout_frozenbatch AS batch WHERE batch.floor_version = floor.version)
"""

_BATCHES = """
DELETE FROM rollout_frozenbatch
 WHERE key IN (SELECT key FROM rollout_frozenbatch
                WHERE at < assignments_now() - %(batch_days)s * interval '1 day'
                  AND (audited_at IS NOT NULL OR at < assignments_now() - %(days)s * interval '1 day')
                ORDER BY at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""

_AUDITS = """
DELETE FROM rollout_audit
 WHERE id IN (SELECT id FROM rollout_audit
               WHERE decided_at < assignments_now() - %(days)s * interval '1 day'
               ORDER BY decided_at LIMIT %(limit)s)
"""

_GUARD_RUNS = """
DELETE FROM rollout_guardrun WHERE at < assignments_now() - %(days)s * interval '1 day' AND breaches = '[]'
"""

_COUNT = """
WITH old AS (SELECT assignments_now() - %(days)s * interval '1 day' AS moment)
SELECT (SELECT count(*) FROM rollout_comparison, old WHERE recorded_at < moment AND verdict <> ''),
       (SELECT count(*) FROM rollout_floorrecord AS floor, old
         WHERE floor.recorded_at < moment
           AND NOT EXISTS (SELECT FROM rollout_comparison AS comparison
                            WHERE comparison.floor_id = floor.version
                              AND (comparison.recorded_at >= moment OR comparison.verdict = ''))
           AND NOT EXISTS (SELECT FROM rollout_daycomparison AS day
                            WHERE day.floor_id = floor.version AND day.recorded_at >= moment)
           AND NOT EXISTS (SELECT FROM rollout_frozenbatch AS batch
                            WHERE batch.floor_version = floor.version
                              AND (batch.at >= assignments_now() - %(batch_days)s * interval '1 day'
                                   OR (batch.audited_at IS NULL AND batch.at >= moment)))),
       (SELECT count(*) FROM rollout_guardrun, old WHERE at < moment AND breaches = '[]'),
       (SELECT count(*) FROM rollout_daycomparison, old WHERE recorded_at < moment),
       (SELECT count(*) FROM rollout_frozenbatch, old
         WHERE at < assignments_now() - %(batch_days)s * interval '1 day' AND (audited_at IS NOT NULL OR at < moment)),
       (SELECT count(*) FROM rollout_audit, old WHERE decided_at < moment)
"""
