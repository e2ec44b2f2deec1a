"""Measuring: the facts that gates and guardrails look at, from the database.

A constant number of queries, whatever the number of bookings, and a few for each restaurant that V3 decided for (at most
``decided.RESTAURANTS``). All of it sees one moment, in a transaction that is rolled back; each statement is limited in time.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.db import connection, transaction

from assignments.planners import V3
from rollout import conf, decided, flags
from rollout.drift import drift
from rollout.facts import COVERAGE, Comparisons, Facts
from rollout.ladder import UnknownStageError
from rollout.models import Change, Position
from rollout.queries import percentiles, rows

STATEMENT_TIMEOUT_MS = 20_000
LARGE_PARTY = 6
"""Covers from which a party counts as large."""


def measure(position: Position, *, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS) -> Facts:
    """Everything that the gates of the position's stage ask for."""
    with one_moment(statement_timeout_ms) as now:
        window_start = max(now - timedelta(days=conf.settings().EVIDENCE_DAYS), _evidence_since(position))
        live_since = max(window_start, position.since)
        valid, expired = _explanations(now)
        return _facts(
            position,
            now,
            since=window_start,
            live_since=live_since,
            earlier=window_start,
            comparisons=_comparisons(now, window_start, live_since),
            coverage=_coverage(window_start),
            explanations_valid=valid,
            explanations_expired=expired,
        )


def measure_live(position: Position, *, minutes: float) -> Facts:
    """What V3 did in the last minutes, since the stage began at the earliest: all that the guardrails ask for."""
    with one_moment() as now:
        since = max(now - timedelta(minutes=minutes), position.since)
        return _facts(position, now, since=since, live_since=since, earlier=None)


@contextmanager
def one_moment(statement_timeout_ms: int = STATEMENT_TIMEOUT_MS) -> Iterator[datetime]:
    """Queries that all see the same moment, where nobody has a transaction open already; the database's time."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        with connection.cursor() as cursor:
            if is_outermost:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT set_config('statement_timeout', %s, true), now()", [str(statement_timeout_ms)])
            now = cursor.fetchone()[1]
        yield now
        # Nothing was written; this gives the caller's transaction its own timeout back.
        transaction.set_rollback(True)


def _facts(
    position: Position,
    now: datetime,
    *,
    since: datetime,
    live_since: datetime,
    earlier: datetime | None,
    **more: Any,
) -> Facts:
    v3, seatings = decided.decisions(live_since)
    seated, bookings, reference = decided.reference(now, live_since, earlier)
    overlaps, lost = _integrity(now)
    return Facts(
        environment=position.environment,
        stage=position.stage,
        now=now,
        stage_since=position.since,
        since=since,
        v3=v3,
        seatings=seatings,
        reference_seated=seated,
        reference_bookings=bookings,
        reference=reference,
        overlaps=overlaps,
        lost=lost,
        drift=drift_of(position, flags.read()),
        **more,
    )


def drift_of(position: Position, as_they_are: flags.Flags) -> str:
    """How the flags differ from what the position's stage asks for, in a sentence; empty when they do not. No query."""
    try:
        stage = conf.current_ladder().stage(position.stage)
    except UnknownStageError as error:
        return str(error)
    return drift(stage, position.percent, as_they_are)


def _evidence_since(position: Position) -> datetime:
    """Evidence from before V3 last left the bottom stage, or was rolled back by the guard, is about another V3."""
    bottom = conf.current_ladder().bottom.key
    fresh_starts = Change.objects.filter(environment=position.environment, kind=Change.Kind.STAGE)
    last = fresh_starts.filter(before__in=["", bottom]) | fresh_starts.filter(actor="guard")
    return last.order_by("-id").values_list("at", flat=True).first() or position.since


# Comparisons


def _comparisons(now: datetime, since: datetime, live_since: datetime) -> Comparisons:
    verdicts, unexplained = Counter[str](), Counter[str]()
    asked_twice = repeated = timed = 0
    for verdict, count, explained, asked, same, with_time in rows(_VERDICTS, since=since, now=now):
        verdicts[verdict] = count
        unexplained[verdict] = count - explained
        asked_twice, repeated, timed = asked_twice + asked, repeated + same, timed + with_time
    ((expected, compared, waiting),) = rows(
        _COMPLETE, since=live_since, sample=_sample_limit(), others=decided.NOT_THE_OLD_PLANNER
    )
    p95, p99 = percentiles(_CANDIDATE_MS, timed, since=since)
    return Comparisons(
        total=verdicts.total(),
        waiting=waiting,
        verdicts=dict(verdicts),
        unexplained=dict(+unexplained),
        expected=expected,
        compared_live=compared,
        asked_twice=asked_twice,
        repeated=repeated,
        p95=p95,
        p99=p99,
    )


# A replay that was run again counts once, as it was the last time.
LATEST = """
SELECT DISTINCT ON (booking_ref, snapshot_hash)
       id, restaurant_ref, verdict, error, control_repeats, candidate_ms, origin, recorded_at
  FROM rollout_comparison
 WHERE recorded_at >= %(since)s AND verdict <> ''
 ORDER BY booking_ref, snapshot_hash, id DESC
"""

_VERDICTS = f"""
SELECT latest.verdict, count(*), count(*) FILTER (WHERE explanation.explained),
       count(latest.control_repeats), count(*) FILTER (WHERE latest.control_repeats),
       count(latest.candidate_ms) FILTER (WHERE latest.error = '')
  FROM ({LATEST}) AS latest
  LEFT JOIN LATERAL (
       SELECT true AS explained
         FROM rollout_explanation AS known
         JOIN rollout_comparison AS whole ON whole.id = latest.id
        WHERE known.verdict = latest.verdict AND known.withdrawn_at IS NULL AND known.expires_at > %(now)s
          AND known.restaurant_ref IN ('', latest.restaurant_ref)
          AND (known.refusal = '' OR known.refusal = coalesce(whole.candidate #>> '{{refusal,0}}',
                                                              whole.control #>> '{{refusal,0}}'))
        LIMIT 1) AS explanation ON true
 GROUP BY latest.verdict
"""  # noqa: S608  (text of our own)

_CANDIDATE_MS = f"""
SELECT percentile_disc(%(fractions)s::float[]) WITHIN GROUP (ORDER BY candidate_ms)
  FROM ({LATEST}) AS latest
 WHERE error = '' AND candidate_ms IS NOT NULL
"""  # noqa: S608

# Each decision of the old planner since the stage began, as far as it is in the sample (see ``shadow.is_sampled``).
_COMPLETE = """
SELECT count(*), count(*) FILTER (WHERE kept.is_compared), count(*) FILTER (WHERE NOT kept.is_compared)
  FROM assignments_attempt AS tried
  LEFT JOIN LATERAL (
       SELECT bool_or(verdict <> '') AS is_compared
         FROM rollout_comparison AS comparison
        WHERE comparison.booking_ref = tried.booking_ref AND comparison.snapshot_hash = tried.snapshot_hash
          AND comparison.origin = 'shadow') AS kept ON true
 WHERE tried.at >= %(since)s AND tried.planner <> ALL(%(others)s) AND tried.snapshot_hash <> ''
   AND (%(sample)s = ''
        OR substr(encode(sha256(convert_to('shadow:' || tried.booking_ref, 'UTF8')), 'hex'), 1, 16) COLLATE "C"
           < %(sample)s)
"""


def _sample_limit() -> str:
    """The sample's limit as the first 16 hexadecimal digits of a hash; empty when all are in it."""
    sample = conf.settings().SHADOW_SAMPLE
    return "" if sample >= 1 else f"{ceil(sample * 2**64):016x}"


def _coverage(since: datetime) -> Mapping[str, int]:
    ((peak, large, joins),) = rows(_SEEN, since=since, large=LARGE_PARTY)
    ((edits, cancellations),) = rows(_CHANGED, since=since)
    return dict(zip(COVERAGE, (peak, large, joins, edits, cancellations), strict=True))


_SEEN = """
SELECT count(DISTINCT (restaurant_ref, service_date)) FILTER (WHERE peak),
       count(DISTINCT booking_ref) FILTER (WHERE party >= %(large)s), count(DISTINCT booking_ref) FILTER (WHERE joined)
  FROM rollout_comparison
 WHERE recorded_at >= %(since)s AND verdict <> ''
"""

_CHANGED = """
SELECT count(*) FILTER (WHERE reason = 'booking_changed'), count(*) FILTER (WHERE name = 'cancel')
  FROM assignments_statetransition
 WHERE at >= %(since)s
"""


def _explanations(now: datetime) -> tuple[int, int]:
    ((valid, expired),) = rows(
        "SELECT count(*) FILTER (WHERE expires_at > %(now)s), count(*) FILTER (WHERE expires_at <= %(now)s)"
        "  FROM rollout_explanation WHERE withdrawn_at IS NULL",
        now=now,
    )
    return valid, expired


# What must never be


def _integrity(now: datetime) -> tuple[int, int]:
    """Seatings that overlap another one's time at the same table, and V3's bookings that are confirmed but have no tables,
    or have tables but are not confirmed. From the ledger's rows alone, without what forbids it."""
    ((overlaps, lost, unconfirmed),) = rows(_INTEGRITY, planner=V3, since=now - timedelta(days=1))
    return overlaps, lost + unconfirmed


_INTEGRITY = """
SELECT (SELECT count(*)
          FROM (SELECT lower(blocked) < max(upper(blocked)) OVER (
                           PARTITION BY table_ref ORDER BY lower(blocked), id
                           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS is_overlap
                  FROM assignments_allocation WHERE upper(blocked) > %(since)s) AS taken
         WHERE is_overlap),
       (SELECT count(*)
          FROM assignments_assignment AS assignment
         WHERE assignment.state = 'confirmed' AND assignment.planner = %(planner)s
           AND assignment.starts_at > %(since)s
           AND NOT EXISTS (SELECT FROM assignments_allocation AS seated
                            WHERE seated.booking_ref = assignment.booking_ref AND seated.kind = 'seating')),
       (SELECT count(DISTINCT seated.booking_ref)
          FROM assignments_allocation AS seated
         WHERE seated.kind = 'seating' AND seated.planner = %(planner)s AND seated.starts_at > %(since)s
           AND NOT EXISTS (SELECT FROM assignments_assignment AS assignment
                            WHERE assignment.booking_ref = seated.booking_ref AND assignment.state = 'confirmed'))
"""
