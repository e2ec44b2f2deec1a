"""Measuring the facts for gates and guardrails from the database.

The number of queries does not depend on the number of bookings, plus a few for each restaurant for which V3 decided (at
most ``live_decisions.RESTAURANTS``). All queries see one moment, in a transaction that is rolled back, and each
statement has a time limit.

Long because all of its queries are made in one statement and share its beginnings.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.db import connection, transaction

from assignments.concurrency import transactions
from assignments.integration import release
from assignments.integration.planners import V3
from rollout import conf
from rollout.evidence import decision_audit, dropped, live_decisions, stage_audit, unsettled
from rollout.evidence.sql import at_once, percentiles
from rollout.flags import bucketing, resolution
from rollout.flags.drift import drift
from rollout.flags.resolution import Flags
from rollout.models import Position
from rollout.policy.confidence import MINIMUM
from rollout.policy.guardrails import window_error
from rollout.policy.ladder import UnknownStageError
from rollout.policy.measurements import (
    COVERAGE,
    LARGE_PARTY,
    WAIVED_ONE_OF,
    WAIVED_TOGETHER,
    Comparisons,
    Days,
    Facts,
    Percentile,
)
from rollout.policy.verdict import Verdict
from rollout.shadow.recorder import RECORDED_DAYS

STATEMENT_TIMEOUT_MS = 20_000
UNKNOWN = "-"
"""All restaurants of comparisons that have no bookings here: a file may name any, so they count as one."""
WORK_MEMORY = "64MB"
"""So much a sort may take: a hundred thousand comparisons are then sorted without files."""


def measure(
    position: Position,
    *,
    as_they_are: Flags | None = None,
    now: datetime | None = None,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
) -> Facts:
    """Measure everything that the gates of the position's stage need.

    ``as_they_are``: the flags, if already read. ``now``: the moment of the caller's ``one_moment``; without it, this opens
    its own.
    """
    if now is None:
        with one_moment(statement_timeout_ms) as moment:
            return measure(position, as_they_are=as_they_are, now=moment)
    ladder = conf.current_ladder()
    counted = at_once(
        {
            **_LIVE,
            **_GATED,
            "audits": decision_audit.audited(_LIVE_SINCE, _LIVE_SINCE),
            "overdue": decision_audit.OVERDUE,
            **unsettled.QUERIES,
        },
        common=f"{_BOUNDS}{_JUDGED}{_LATEST}, {unsettled.LOOKED}",
        oldest=now - timedelta(days=conf.settings().EVIDENCE_DAYS),
        beginnings=["", ladder.bottom.key],
        stage_since=stage_since(position, now),
        releases=position.counted_for(release.running()),
        now=now,
        yesterday=now - timedelta(days=1),
        sample=_sample_limit(),
        farthest=RECORDED_DAYS,
        large=LARGE_PARTY,
        **{**unsettled.parameters(position.environment), **live_decisions.PARAMETERS},
    )
    (bounds,) = counted["bounds"]
    since, live_since = datetime.fromisoformat(bounds["since"]), datetime.fromisoformat(bounds["live_since"])
    verdicts = counted["verdicts"]
    found = percentiles(
        _MILLISECONDS,
        {
            "candidate": sum(row["timed"] for row in verdicts),
            "v3": counted["outcomes"][0]["timed"],
        },
        since=since,
        live_since=live_since,
        planner=V3,
        releases=position.counted_for(release.running()),
    )
    (seen,), (changed,), (waivers,) = counted["seen"], counted["changed"], counted["waivers"]
    return _facts(
        position,
        now,
        since=since,
        live_since=live_since,
        counted=counted,
        percentiles=found["v3"],
        as_they_are=as_they_are or resolution.read(),
        judges=any("no_worse" in stage.gates for stage in ladder.stages if stage.key == position.stage),
        comparisons=_comparisons(
            verdicts,
            {**counted["complete"][0], **counted["booked"][0]},
            found["candidate"],
            counted["others"][0]["others"],
        ),
        days=Days(**counted["days"][0]),
        coverage=dict(zip(COVERAGE, (*seen.values(), *changed.values()), strict=True)),
        stage_seatings=decision_audit.seatings_of(counted["audits"][0]),
        unsettled=unsettled.of(counted).seatings,
        unaudited=counted["overdue"][0]["decisions"],
        waivers_valid=waivers["valid"],
        waivers_expired=waivers["expired"],
    )


def measure_live(position: Position, *, minutes: float) -> Facts:
    """Measure everything that the guardrails need: V3's decisions in the current window, and in the whole stage."""
    with one_moment() as now:
        began = max(position.since, position.release_since or position.since)
        since, window = window_at(began, now, minutes=minutes)
        releases = position.counted_for(release.running())
        has_legacy = bool(conf.settings().LEGACY_PLANNER)
        counted = at_once(
            {
                **_LIVE,
                "stage": live_decisions.attempts("%(began)s"),
                "windows": stage_audit.WINDOWS,
                "audits": decision_audit.audited("%(began)s"),
                "overdue": decision_audit.OVERDUE,
                "workers": _WORKERS,
                "given_up": dropped.GIVEN_UP,
                **unsettled.QUERIES,
            },
            common=f"{_BOUNDS_GIVEN}, {unsettled.LOOKED}",
            stage=position.stage,
            window=window,
            window_minutes=minutes,
            share_limit=bucketing.share_limit(position.percent if has_legacy else bucketing.EVERYBODY),
            since=since,
            began=began,
            now=now,
            yesterday=now - timedelta(days=1),
            releases=releases,
            **{**unsettled.parameters(position.environment), **live_decisions.PARAMETERS},
        )
        (stage,) = counted["stage"]
        timed = {"candidate": 0, "v3": counted["outcomes"][0]["timed"]}
        of_stage = {"candidate": 0, "v3": stage["timed"]}
        common: dict[str, Any] = {"since": since, "planner": V3, "releases": releases}
        found = percentiles(_MILLISECONDS, timed, error=window_error(window), live_since=since, **common)
        p95, p99 = percentiles(_MILLISECONDS, of_stage, live_since=began, **common)["v3"]
        facts = _facts(
            position,
            now,
            since=since,
            live_since=since,
            counted=counted,
            percentiles=found["v3"],
            as_they_are=resolution.read(),
            judges=True,
            window=window,
        )
        seatings = replace(facts.seatings, dropped=dropped.count(counted["given_up"]))
        audits = decision_audit.seatings_of(counted["audits"][0])
        left = unsettled.of(counted)
        by_window = stage_audit.added_up(counted["windows"], window, seatings)
        has_audits = audits.checked + audits.refusals + audits.unsafe + audits.unjudged
        return replace(
            facts,
            seatings=seatings,
            stage_seatings=replace(audits, dropped=by_window.dropped) if has_audits else by_window,
            stage_v3=replace(
                stage_audit.outcomes(counted["windows"], window, facts.v3),
                attempts=stage["attempts"],
                errors=stage["errors"],
                p95=p95,
                p99=p99,
            ),
            waits_minutes=counted["workers"][0]["waits_minutes"],
            memory_growth_mb=counted["workers"][0]["memory_growth_mb"],
            unsettled=left.seatings,
            unsafe_audits=left.audits,
            unaudited=counted["overdue"][0]["decisions"],
        )


def window_at(began: datetime, now: datetime, *, minutes: float) -> tuple[datetime, int]:
    """Return the start of the guard's current window, and its number since the stage began, from 1.

    A window has a fixed start and is used until it is twice ``minutes`` long; the next one starts halfway through, so
    that every decision is in some window for at least ``minutes``.
    """
    length = timedelta(minutes=minutes)
    number = max(1, (now - began) // length)
    return began + (number - 1) * length, number


def stage_since(position: Position, now: datetime) -> datetime:
    """Return when this release came to the position's stage; ``now`` if that is not recorded."""
    if not position.knows(release.running()):
        return now
    return max(position.since, position.release_since or position.since)


@contextmanager
def one_moment(statement_timeout_ms: int = STATEMENT_TIMEOUT_MS) -> Iterator[datetime]:
    """Let all queries see the same moment, unless a transaction is already open; yield the database's time."""
    is_outermost = not connection.in_atomic_block
    with transactions.atomic():
        with connection.cursor() as cursor:
            level = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;" if is_outermost else ""
            idle = f"{transactions.SETS_IDLE_TIMEOUT}{transactions.THINKING_TIMEOUT_MS};"
            # One round trip: without parameters, several statements can be sent at once in every driver mode.
            cursor.execute(
                f"{level} SET LOCAL statement_timeout = {int(statement_timeout_ms)};"
                f"SET LOCAL lock_timeout = {int(statement_timeout_ms)}; {idle if is_outermost else ''}"
                f"SET LOCAL work_mem = '{WORK_MEMORY}'; SELECT assignments_now()"
            )
            while cursor.nextset():
                pass
            ((now,),) = cursor.fetchall()
        yield now
        # Nothing was written; this restores the caller's timeout.
        transaction.set_rollback(True)


def _facts(
    position: Position,
    now: datetime,
    *,
    since: datetime,
    live_since: datetime,
    counted: Mapping[str, Sequence[Mapping[str, Any]]],
    percentiles: tuple[Percentile, Percentile],
    as_they_are: Flags,
    judges: bool,
    **more: Any,
) -> Facts:
    running = release.running()
    v3, seatings = live_decisions.decisions(
        live_since, counted["outcomes"][0], percentiles, releases=position.counted_for(running)
    )
    reference = live_decisions.reference(
        counted["meanwhile"][0], counted["before"][0], since=since, live_since=live_since, now=now, judges=judges
    )
    (integrity,) = counted["integrity"]
    return Facts(
        environment=position.environment,
        stage=position.stage,
        now=now,
        stage_since=stage_since(position, now),
        since=since,
        release=running,
        v3=v3,
        seatings=seatings,
        reference_seated=reference.seated,
        reference_bookings=reference.bookings,
        reference_infeasible=reference.infeasible,
        reference=reference.where,
        overlaps=integrity["overlaps"],
        lost=integrity["without_tables"] + integrity["unconfirmed"],
        drift=drift_of(position, as_they_are),
        **more,
    )


def drift_of(position: Position, as_they_are: resolution.Flags) -> str:
    """Say how the flags differ from the position's stage; empty if they do not. No query."""
    try:
        stage = conf.current_ladder().stage(position.stage)
    except UnknownStageError as error:
        return str(error)
    return drift(stage, position.percent, as_they_are)


# Start of the evidence: what is older than V3's last exit from the bottom stage, or the guard's last rollback, is stale.
# What is older than this stage says nothing about V3's decisions in it.
_BOUNDS = """
WITH began AS (
     SELECT greatest(%(oldest)s, coalesce(
                (SELECT at FROM rollout_change
                  WHERE environment = %(environment)s AND kind = 'stage'
                    AND (before = ANY(%(beginnings)s) OR actor = 'guard')
                  ORDER BY id DESC LIMIT 1), %(stage_since)s)) AS since),
     bounds AS MATERIALIZED (SELECT since, greatest(since, %(stage_since)s) AS live_since FROM began)
"""

_BOUNDS_GIVEN = "WITH bounds AS MATERIALIZED (SELECT %(since)s AS since, %(since)s AS live_since)"

_SINCE = "(SELECT since FROM bounds)"
_LIVE_SINCE = "(SELECT live_since FROM bounds)"

# The rows are wide because of their snapshots, so they are read once for all queries.
_JUDGED = f""",
     judged AS MATERIALIZED (
     SELECT id, restaurant_ref, booking_ref, verdict, error, control_repeats, candidate_ms, origin, recorded_at, release,
            service_date, peak, party, joined, content_digest
       FROM rollout_comparison WHERE recorded_at >= {_SINCE} AND verdict <> '')
"""  # noqa: S608


# Comparisons


def _comparisons(
    rows: Sequence[Mapping[str, Any]],
    complete: Mapping[str, Any],
    percentiles: tuple[Percentile, Percentile],
    others: int,
) -> Comparisons:
    verdicts, not_waived = Counter[str](), Counter[str]()
    totals, better, worse = Counter[str](), Counter[str](), Counter[str]()
    known = set(complete["restaurants"])
    for row in rows:
        counted = row["found"] - row["waived"]
        restaurant_ref = row["restaurant_ref"] if not known or row["restaurant_ref"] in known else UNKNOWN
        verdicts[row["verdict"]] += row["found"]
        not_waived[row["verdict"]] += counted
        totals[restaurant_ref] += row["found"]
        better[restaurant_ref] += counted if row["verdict"] in {Verdict.BETTER, Verdict.ONLY_V3_SEATS} else 0
        worse[restaurant_ref] += counted if row["verdict"] in {Verdict.WORSE, Verdict.ONLY_LEGACY_SEATS} else 0
    return Comparisons(
        total=verdicts.total(),
        waiting=complete["waiting"],
        verdicts=dict(verdicts),
        not_waived=dict(+not_waived),
        over_ceiling=sum(row["over_ceiling"] for row in rows),
        expected=complete["expected"],
        compared_live=complete["compared"],
        asked_twice=sum(row["asked_twice"] for row in rows),
        repeated=sum(row["repeated"] for row in rows),
        p95=percentiles[0],
        p99=percentiles[1],
        others=others,
        restaurants=len(totals),
        largest=max(totals.values(), default=0),
        with_bookings=len(known),
        differing={ref: (better[ref], worse[ref]) for ref in totals if better[ref] + worse[ref] >= MINIMUM},
    )


def latest(since: str, releases: str = "", source: str = "rollout_comparison") -> str:
    """Return SQL for the decisions to count since ``since``: the final one of each booking.

    ``releases``: SQL for the releases that count; by default all. ``source``: a relation with the columns of
    comparisons.

    Decisions of shadow mode and of backtests do not replace each other. An unsafe decision, and in shadow mode an
    error, counts whatever follows, because a retry does not take it back. Fed decisions that differ only in names count
    once.
    """
    of_these = f"AND release = ANY({releases})" if releases else ""
    columns = "id, restaurant_ref, verdict, error, control_repeats, candidate_ms, origin, recorded_at"
    return f"""
  WITH final AS (
       SELECT DISTINCT ON (origin, restaurant_ref, booking_ref) {columns}, content_digest
         FROM {source} AS comparison
        WHERE recorded_at >= {since} AND verdict <> '' {of_these}
        ORDER BY origin, restaurant_ref, booking_ref, (verdict = 'unsafe') DESC,
                 (origin = 'shadow' AND verdict = 'v3_error') DESC, id DESC)
SELECT {columns} FROM final WHERE content_digest = ''
 UNION ALL
(SELECT DISTINCT ON (content_digest) {columns} FROM final WHERE content_digest <> ''
  ORDER BY content_digest, (verdict = 'unsafe') DESC, id DESC)
"""  # noqa: S608  (text of our own)


COUNTED = "%(releases)s"
LATEST = latest("%(since)s", COUNTED)
"""Those that count for the running release."""

_LATEST = f"""
     , latest AS MATERIALIZED ({latest(_SINCE, COUNTED, "judged")})
"""

# The first of a waiver's comparisons are waived, up to its ceiling, and up to the one that all waivers share. What no waiver
# is about is not looked at for one.
_VERDICTS = f"""
  WITH placed AS (
       SELECT latest.id, latest.restaurant_ref, latest.verdict, waiver.at_most,
              row_number() OVER (PARTITION BY waiver.id ORDER BY latest.id) AS place
         FROM latest
        CROSS JOIN LATERAL (
              SELECT known.id, known.at_most
                FROM rollout_waiver AS known
                JOIN rollout_comparison AS whole ON whole.id = latest.id
               WHERE known.verdict = latest.verdict AND known.withdrawn_at IS NULL AND known.expires_at > %(now)s
                 AND known.restaurant_ref IN ('', latest.restaurant_ref)
                 AND (known.refusal = '' OR known.refusal = coalesce(whole.candidate #>> '{{refusal,0}}',
                                                                     whole.control #>> '{{refusal,0}}'))
               ORDER BY known.restaurant_ref = '', known.refusal = '', known.id
               LIMIT 1) AS waiver
        WHERE latest.verdict IN (SELECT verdict FROM rollout_waiver
                                  WHERE withdrawn_at IS NULL AND expires_at > %(now)s)),
       waived AS (
       SELECT restaurant_ref, verdict, count(*) FILTER (WHERE number <= ceiling) AS waived,
              count(*) FILTER (WHERE number > ceiling) AS over_ceiling
         FROM (SELECT placed.*, row_number() OVER (ORDER BY id) AS number,
                      greatest({WAIVED_TOGETHER}, (SELECT count(*) FROM latest) / {WAIVED_ONE_OF}) AS ceiling
                 FROM placed WHERE place <= at_most) AS covered
        GROUP BY restaurant_ref, verdict)
SELECT counted.*, coalesce(waived.waived, 0) AS waived, coalesce(waived.over_ceiling, 0) AS over_ceiling
  FROM (SELECT restaurant_ref, verdict, count(*) AS found,
               count(control_repeats) AS asked_twice, count(*) FILTER (WHERE control_repeats) AS repeated,
               count(candidate_ms) FILTER (WHERE error = '') AS timed
          FROM latest GROUP BY restaurant_ref, verdict) AS counted
  LEFT JOIN waived USING (restaurant_ref, verdict)
"""  # noqa: S608  (text of our own)

_MILLISECONDS = f"""
SELECT 'candidate', percentile_disc(%(fractions_candidate)s::float[]) WITHIN GROUP (ORDER BY candidate_ms)
  FROM ({LATEST}) AS latest
 WHERE error = '' AND candidate_ms IS NOT NULL AND cardinality(%(fractions_candidate)s::float[]) > 0
 UNION ALL
SELECT 'v3', percentile_disc(%(fractions_v3)s::float[]) WITHIN GROUP (ORDER BY decision_ms)
  FROM assignments_attempt
 WHERE planner = %(planner)s AND at >= %(live_since)s AND decision_ms > 0 AND release = ANY(%(releases)s)
   AND cardinality(%(fractions_v3)s::float[]) > 0
"""  # noqa: S608

# Each decision of the legacy planner since the stage began that shadow records (``recorder.is_sampled``, and
# ``is_within_reason``), if it was not compared with another release, as may happen while one is deployed.
_COMPLETE = f"""
SELECT count(*) FILTER (WHERE kept.is_compared OR kept.is_with_another IS NOT TRUE) AS expected,
       count(*) FILTER (WHERE kept.is_compared) AS compared,
       count(*) FILTER (WHERE NOT kept.is_compared AND NOT kept.is_with_another) AS waiting
  FROM assignments_attempt AS tried
  JOIN assignments_assignment AS assignment ON assignment.id = tried.assignment_id
  LEFT JOIN LATERAL (
       SELECT bool_or(verdict <> '' AND release = ANY(%(releases)s)) AS is_compared,
              bool_or(verdict <> '' AND release <> ALL(%(releases)s)) AS is_with_another
         FROM rollout_comparison AS comparison
        WHERE comparison.booking_ref = tried.booking_ref AND comparison.snapshot_hash = tried.snapshot_hash
          AND comparison.origin = 'shadow') AS kept ON true
 WHERE tried.at >= {_LIVE_SINCE} AND tried.planner <> ALL(%(others)s) AND tried.snapshot_hash <> ''
   AND assignment.starts_at < tried.at + %(farthest)s * interval '1 day'
   AND (%(sample)s = ''
        OR substr(encode(sha256(convert_to('shadow:' || tried.booking_ref, 'UTF8')), 'hex'), 1, 16) COLLATE "C"
           < %(sample)s)
"""  # noqa: S608


def _sample_limit() -> str:
    """Return the sample's limit as the first 16 hexadecimal digits of a hash; "" if the sample contains everything."""
    sample = conf.settings().SHADOW_SAMPLE
    return "" if sample >= 1 else f"{ceil(sample * 2**64):016x}"


_SEEN = """
SELECT count(DISTINCT (restaurant_ref, service_date)) FILTER (WHERE peak) AS peaks,
       count(DISTINCT booking_ref) FILTER (WHERE party >= %(large)s) AS large_parties,
       count(DISTINCT booking_ref) FILTER (WHERE joined) AS joins
  FROM judged
 WHERE (peak OR joined OR party >= %(large)s) AND id IN (SELECT id FROM latest)
"""

_OTHERS = "SELECT count(*) AS others FROM judged WHERE release <> ALL(%(releases)s)"

_BOOKED = f"""
SELECT coalesce(array_agg(DISTINCT restaurant_ref), '{{}}') AS restaurants
  FROM assignments_assignment WHERE starts_at >= {_SINCE}
"""  # noqa: S608

# A day counts once, by its last comparison, but what was unsafe or refused in any of them stays so.
_DAYS = f"""
SELECT count(*) AS compared, count(*) FILTER (WHERE unsafe) AS unsafe, count(*) FILTER (WHERE failed) AS errors,
       coalesce(sum(refused), 0) AS refused, coalesce(sum(moved), 0) AS moved, count(*) FILTER (WHERE paired) AS paired,
       count(*) FILTER (WHERE paired AND (seated, covers) > (control_seated, control_covers)) AS better,
       count(*) FILTER (WHERE paired AND (seated, covers) < (control_seated, control_covers)) AS worse,
       coalesce(sum(seated) FILTER (WHERE paired), 0) AS seated,
       coalesce(sum(control_seated) FILTER (WHERE paired), 0) AS control_seated
  FROM (SELECT bool_or(candidate_unsafe > 0) AS unsafe, bool_or(error <> '') AS failed, max(candidate_refused) AS refused,
               (array_agg(candidate_moved ORDER BY id DESC))[1] AS moved,
               (array_agg(candidate_seated ORDER BY id DESC))[1] AS seated,
               (array_agg(candidate_covers ORDER BY id DESC))[1] AS covers,
               (array_agg(control_seated ORDER BY id DESC))[1] AS control_seated,
               (array_agg(control_covers ORDER BY id DESC))[1] AS control_covers,
               (array_agg(candidate_seated + control_seated IS NOT NULL ORDER BY id DESC))[1] AS paired
          FROM rollout_daycomparison
         WHERE recorded_at >= {_SINCE} AND environment = %(environment)s AND release = ANY(%(releases)s)
         GROUP BY restaurant_ref, service_date) AS day
"""  # noqa: S608

_CHANGED = f"""
SELECT count(*) FILTER (WHERE reason IN ('booking_changed', 'edit_unmet')) AS edits,
       count(*) FILTER (WHERE name = 'cancel') AS cancellations
  FROM assignments_statetransition
 WHERE at >= {_SINCE}
"""  # noqa: S608

_WAIVERS = """
SELECT count(*) FILTER (WHERE expires_at > %(now)s) AS valid, count(*) FILTER (WHERE expires_at <= %(now)s) AS expired
  FROM rollout_waiver
 WHERE withdrawn_at IS NULL
"""

# Integrity


# Seatings that overlap another one's time at the same table, and V3's bookings that are confirmed but have no tables, or
# have tables but are neither confirmed nor with staff: whose edit cannot be met keeps the tables until staff decide. Uses
# only the ledger's rows, independently of its constraint.
_INTEGRITY = """
SELECT (SELECT count(*)
          FROM (SELECT lower(blocked) < max(upper(blocked)) OVER (
                           PARTITION BY restaurant_ref, table_ref ORDER BY lower(blocked), id
                           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS is_overlap
                  FROM assignments_allocation WHERE upper(blocked) > %(yesterday)s) AS taken
         WHERE is_overlap) AS overlaps,
       (SELECT count(*)
          FROM assignments_assignment AS assignment
         WHERE assignment.state = 'confirmed' AND assignment.planner = %(planner)s
           AND assignment.starts_at > %(yesterday)s
           AND NOT EXISTS (SELECT FROM assignments_allocation AS seated
                            WHERE seated.booking_ref = assignment.booking_ref AND seated.kind = 'seating'))
       AS without_tables,
       (SELECT count(DISTINCT seated.booking_ref)
          FROM assignments_allocation AS seated
         WHERE seated.kind = 'seating' AND seated.planner = %(planner)s AND seated.starts_at > %(yesterday)s
           AND seated.ended_at IS NULL
           AND NOT EXISTS (SELECT FROM assignments_assignment AS assignment
                            WHERE assignment.booking_ref = seated.booking_ref
                              AND assignment.state IN ('confirmed', 'manual_review')))
       AS unconfirmed
"""

# A booking that is due waits only while passes succeed: without a worker nobody decides, whichever planner it is. A booking
# that no planner has claimed is V3's where V3 decides.
_WORKERS = f"""
SELECT coalesce(greatest(0, extract(epoch FROM (
           SELECT max(succeeded_at) FROM assignments_run WHERE succeeded_at >= %(since)s) - (
           SELECT min(due_at) FROM assignments_assignment
            WHERE due_at < %(now)s AND starts_at > %(now)s
              AND (planner = %(planner)s OR planner = '' AND {bucketing.decides_in_sql("restaurant_ref")}))) / 60), 0)::float
       AS waits_minutes,
       coalesce((SELECT max(memory_mb - memory_begun_mb) FROM assignments_run
                  WHERE (ended_at IS NULL OR ended_at >= %(since)s) AND last_pass_at >= %(since)s
                    AND release = ANY(%(releases)s)), 0)::float AS memory_growth_mb
"""  # noqa: S608

_LIVE = {
    "outcomes": live_decisions.outcomes(_LIVE_SINCE),
    "meanwhile": live_decisions.of_the_legacy_planner(_LIVE_SINCE, "%(now)s"),
    "before": live_decisions.of_the_legacy_planner(_SINCE, _LIVE_SINCE),
    "integrity": _INTEGRITY,
}
"""Queries for gates and guardrails."""

_GATED = {
    "bounds": "SELECT since, live_since FROM bounds",
    "verdicts": _VERDICTS,
    "complete": _COMPLETE,
    "seen": _SEEN,
    "others": _OTHERS,
    "booked": _BOOKED,
    "days": _DAYS,
    "changed": _CHANGED,
    "waivers": _WAIVERS,
}
"""Further queries for gates alone."""
