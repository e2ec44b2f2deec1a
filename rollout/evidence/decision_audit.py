"""Auditing each decision of V3 once, by its stored batch, and asking the legacy planner about the same situation.

The guard calls this. It reads and judges in a READ ONLY transaction, so that neither the audit nor a planner that it
asks can change anything, and then writes its own rows. Parallel runs may judge a batch twice, but only one writes.

Batches that raise are audited again in halves, down to single decisions, after all the others. So a decision that
cannot be audited does not block any other. Once it has waited for IN_TIME, it gets an audit with the error; each run
handles several of these.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

from django.db import DatabaseError, transaction
from django.db.models import Case, Max, Value, When

from assignments import conf as assignments_conf
from assignments.concurrency import transactions
from assignments.concurrency.sql import rows
from assignments.error_logging import log_error
from assignments.integration.host import HostBooking
from assignments.integration.project_host import configured
from assignments.models import Attempt
from assignments.models.moment import DatabaseNow
from assignments.outcome import Kind
from assignments.planning.floor import Floor
from assignments.planning.snapshot import Snapshot
from rollout import conf
from rollout.evidence import untold
from rollout.models import Audit, FloorRecord, StoredBatch
from rollout.policy.batch_audit import Judgement, judge
from rollout.policy.measurements import Seatings
from rollout.policy.seating_audit import Flaw
from rollout.policy.verdict import Verdict, compare_with_a_sound_control
from rollout.shadow import stored_batches
from rollout.shadow.candidate import v3
from rollout.shadow.days import Judge
from rollout.shadow.recorder import keep_floors
from rollout.shadow.serialization import UNREADABLE, decision_to_json, floor_from_json

logger = logging.getLogger("rollout.audit")

CHUNK = 50
"""Batches that are judged together, at most."""
DECISIONS_TOGETHER = 250
"""Once so many decisions are judged together, no further batch is added to them."""
SECONDS = 20.0
"""After so long no further batches are begun: the guard waits for the audit before it measures."""
SECONDS_FOR_FAILED = 40.0
"""How much longer those are looked into that raised: long enough to get to several decisions that do."""
STATEMENT_TIMEOUT_MS = 10_000
LEAST_STATEMENT_TIMEOUT_MS = 1_000
IN_TIME = timedelta(minutes=15)
"""How long a decision may wait for its audit before it holds up a promotion: cron runs the guard every few minutes."""
FOR_LONG = timedelta(hours=12)
"""After so long at most GIVEN_UP_TOGETHER decisions get an audit with an error at once if one of them raises.

However many raise, the others' rates are behind by a day at most.
"""
GIVEN_UP_TOGETHER = 16
_REFUSALS_FIRST = Case(When(refusals__gt=0, then=Value(0)), default=Value(1))


def run(limit: int | None = None, *, seconds: float = SECONDS) -> int:
    """Audit waiting batches, those with refusals first, then the oldest. Return the number of decisions audited.

    Audits about ``limit`` decisions at most (by default AUDITED_PER_RUN), because a batch is audited as a whole. After
    ``seconds`` nothing more is begun, except for batches that raised. Raises the database's error if it cannot be
    reached.
    """
    limit = conf.settings().AUDITED_PER_RUN if limit is None else limit
    begun, tried, failed = 0, dict[UUID, int](), list[tuple[datetime, _Chunk, Exception]]()
    until = monotonic() + seconds
    while begun < limit and monotonic() < until:
        waiting = StoredBatch.objects.filter(audited_at=None).exclude(key__in=tried)
        found = list(waiting.order_by(_REFUSALS_FIRST, "at").values_list("key", "attempts", "at")[:CHUNK])
        chosen: dict[UUID, int] = {}
        oldest = []
        enough = min(limit, begun + DECISIONS_TOGETHER)
        for key, attempts, at in found:
            if begun >= enough:
                break
            chosen[key] = attempts
            oldest.append(at)
            begun += attempts
        if not chosen:
            break
        tried |= chosen
        chunk = _Chunk(list(chosen))
        error = _raised(chunk, STATEMENT_TIMEOUT_MS)
        if error is not None:
            log_error(logger, error, "%d batches could not be audited together", len(chosen))
            failed.append((min(oldest), chunk, error))
    until = monotonic() + SECONDS_FOR_FAILED
    for number, (_oldest, chunk, error) in enumerate(sorted(failed, key=lambda each: each[0])):
        if number == 0 or monotonic() < until:
            _take_apart(chunk, error, until)
    left = StoredBatch.objects.filter(key__in=tried, audited_at=None).values_list("key", flat=True) if tried else ()
    return begun - sum(tried[key] for key in left)


def _raised(chunk: "_Chunk", timeout_ms: int) -> Exception | None:
    """Audit a chunk, and return the error that it raises, if any."""
    try:
        chunk.audit(timeout_ms)
    except Exception as error:
        if transactions.is_database_away(error):
            raise  # The decisions are not to blame.
        return error
    return None


def _take_apart(chunk: "_Chunk", error: Exception, until: float, timeout_ms: int = STATEMENT_TIMEOUT_MS) -> None:
    """Audit the halves of a chunk that raised, and give up single decisions that raise.

    The first half is audited even if the time is up, so that each run makes progress. Statements of a half get half of
    the time, so that finding the decision that never ends takes little longer than the first try.
    """
    halves = () if chunk.is_given_up_together() else chunk.halves()
    if not halves:
        chunk.give_up(error, timeout_ms)
    shorter = max(timeout_ms // 2, LEAST_STATEMENT_TIMEOUT_MS)
    for number, half in enumerate(halves):
        if number == 0 or monotonic() < until:
            problem = _raised(half, shorter)
            if problem is not None:
                _take_apart(half, problem, until, shorter)


@dataclass
class _Chunk:
    """Some batches, or some decisions of one batch, which are judged and then written together."""

    keys: Sequence[UUID]
    attempts: Sequence[int] | None = None
    """The ids of the attempts; None: all of the batches."""
    asks_host: bool = True
    _is_read: bool = False
    """Whether the batches themselves could be read and judged, so that something else has raised."""
    _judgements: dict[UUID, "_Judged"] = field(default_factory=dict)
    """What halves need not judge again."""
    _floors: dict[str, Floor] = field(default_factory=dict)
    _embedded: dict[str, Floor] = field(default_factory=dict)
    _latest: set[int] = field(default_factory=set)
    """The latest attempts at the bookings: what was decided before that, the host need not say."""
    _told_others: set[str] = field(default_factory=set)

    def audit(self, timeout_ms: int) -> None:
        with transactions.read_only(limits=transactions.Limits(statement=timeout_ms, lock=timeout_ms)):
            found = self._judged()
            transaction.set_rollback(True)
        self._write(found, timeout_ms)

    def _write(self, found: Mapping[UUID, Sequence[Audit]], timeout_ms: int) -> None:
        with transactions.atomic(limits=transactions.Limits(statement=timeout_ms, lock=timeout_ms)):
            mine = StoredBatch.objects.filter(key__in=found, audited_at=None).order_by("key")
            keys = list(mine.select_for_update(skip_locked=True).values_list("key", flat=True))
            keep_floors(self._embedded.values())
            # Another run may have written some of them in the meantime.
            there = set(_audited_of(keys))
            audits = [audit for key in keys for audit in found[key] if audit.attempt not in there]
            Audit.objects.bulk_create(audits, batch_size=500)
            whole = keys if self.attempts is None else [key for key in keys if not self._waiting_of(key)]
            StoredBatch.objects.filter(key__in=whole).update(audited_at=DatabaseNow())

    def halves(self) -> Sequence["_Chunk"]:
        """Return two halves of the batches, or of the single batch's decisions; empty if it cannot be divided."""
        if len(self.keys) > 1:
            middle = len(self.keys) // 2
            return [self._part(self.keys[:middle]), self._part(self.keys[middle:])]
        if not self._is_read:
            return ()
        if self.attempts is None:
            attempts = self._waiting_of(self.keys[0])
            return [self._part(self.keys, attempts)] if len(attempts) == 1 else self._split(attempts)
        return self._split(self.attempts)

    def _split(self, attempts: Sequence[int]) -> Sequence["_Chunk"]:
        middle = len(attempts) // 2
        return [self._part(self.keys, half) for half in (attempts[:middle], attempts[middle:])] if middle else []

    def _part(self, keys: Sequence[UUID], attempts: Sequence[int] | None = None, *, asks_host: bool = True) -> "_Chunk":
        return _Chunk(keys, attempts, asks_host=asks_host, _judgements=self._judgements)

    def is_given_up_together(self) -> bool:
        """Return whether these are few decisions that have all waited too long to be divided any further."""
        batches = StoredBatch.objects.filter(key__in=self.keys, audited_at=None)
        if batches.exclude(at__lt=DatabaseNow() - FOR_LONG).exists():
            return False
        waiting = self.attempts or [each for key in self.keys for each in self._waiting_of(key)]
        return len(waiting) <= GIVEN_UP_TOGETHER

    def give_up(self, error: Exception, timeout_ms: int) -> None:
        """Write that these decisions could not be audited, if their batches have waited long enough.

        Before that, audit them without the host, which may be what raises: everything except ``untold`` can be judged
        without it.
        """
        late = StoredBatch.objects.filter(key__in=self.keys, audited_at=None, at__lt=DatabaseNow() - IN_TIME)
        batches = list(late.defer("content", "floor"))
        if not batches:
            return
        if self._is_read and self.asks_host:
            problem = _raised(self._part(self.keys, self.attempts, asks_host=False), timeout_ms)
            if problem is None:
                return
            error = problem
        found = {}
        for batch in batches:
            log_error(logger, error, "Decisions of batch %s cannot be audited", batch.key)
            waiting = self._waiting_of(batch.key) if self.attempts is None else self.attempts
            attempts = Attempt.objects.filter(pk__in=waiting).defer("decision")
            found[batch.key] = [_audit_of(batch, each, type(error).__name__) for each in attempts]
        self._embedded = {}
        self._write(found, timeout_ms)

    def _waiting_of(self, key: UUID) -> list[int]:
        """Return the ids of a batch's attempts without an audit."""
        attempts = Attempt.objects.filter(batch=key).order_by("id").values_list("pk", flat=True)
        there = set(_audited_of([key]))
        return [pk for pk in attempts if pk not in there]

    def _judged(self) -> Mapping[UUID, Sequence[Audit]]:
        """Return the rows to write, by batch."""
        batches = list(StoredBatch.objects.filter(key__in=self.keys))
        self._read_floors(batches)
        for batch in batches:
            self._judgement(batch)
        self._is_read = True
        attempts: dict[UUID, list[Attempt]] = {batch.key: [] for batch in batches}
        of_batches = Attempt.objects.filter(batch__in=attempts).defer("decision").order_by("id")
        there = set(_audited_of(self.keys))
        for attempt in of_batches if self.attempts is None else of_batches.filter(pk__in=self.attempts):
            assert attempt.batch is not None
            if attempt.pk not in there:
                attempts[attempt.batch].append(attempt)
        host = configured()
        seated = {each.booking_ref for own in attempts.values() for each in own if each.outcome == Kind.CONFIRMED}
        is_asked = self.asks_host and bool(seated) and host.tracks_confirmation
        bookings = host.bookings(sorted(seated)) if is_asked else {}
        latest = Attempt.objects.filter(booking_ref__in=bookings).values("booking_ref").annotate(last=Max("pk"))
        self._latest = set(latest.values_list("last", flat=True)) if bookings else set()
        self._told_others = untold.told_others(bookings, host)
        return {batch.key: self._of(batch, attempts[batch.key], bookings) for batch in batches}

    def _read_floors(self, batches: Sequence[StoredBatch]) -> None:
        stored = {batch.floor_version: batch.floor for batch in batches if batch.floor is not None}
        named = {batch.floor_version for batch in batches} - stored.keys()
        records = FloorRecord.objects.filter(version__in=named).values_list("version", "content") if named else ()
        for version, content in (*stored.items(), *records):
            try:
                self._floors[version] = floor_from_json(content)
            except UNREADABLE as error:
                log_error(logger, error, "Floor %s could not be read", version)
            else:
                if version in stored:
                    self._embedded[version] = self._floors[version]

    def _of(
        self, batch: StoredBatch, attempts: Sequence[Attempt], bookings: Mapping[str, HostBooking]
    ) -> Sequence[Audit]:
        error, judged, read = self._judgement(batch)
        found, movers = [], stored_batches.movers_of(batch.content) if read else {}
        for attempt in attempts:
            about = judged.get(attempt.booking_ref)
            audit = _audit_of(batch, attempt, error or ("" if about else "not_in_the_batch"))
            if about is not None and read is not None:
                ref = attempt.booking_ref
                is_otherwise = not audit.is_refusal and read.is_written_otherwise(ref, movers.get(ref, ()))
                audit.flaws = sorted(about.flaws | ({Flaw.WRITTEN_OTHERWISE} if is_otherwise else set()))
                is_seated = bool(read.decisions[ref].plans)  # By the planner, whatever became of it.
                audit.wrong_refusal = about.wrong_refusal or (audit.is_refusal and is_seated)
                audit.avoidable_by_moves = about.avoidable_by_moves
                audit.avoidable_join, audit.oversized = about.avoidable_join, about.oversized
                booking = bookings.get(attempt.booking_ref)
                if booking is not None and not audit.is_refusal and attempt.pk in self._latest:
                    audit.untold = untold.is_untold(booking, about.beside.request, ref in self._told_others)
                _ask_the_legacy_planner(audit, about, read)
            found.append(audit)
        return found

    def _judgement(self, batch: StoredBatch) -> "_Judged":
        """Return the audit's result for a batch: an error or judgements by booking, and the batch."""
        if batch.key not in self._judgements:
            error, judged, read = "", dict[str, Judgement](), None
            try:
                read = stored_batches.read(batch.content, self._floors[batch.floor_version])
                judged = dict(_judge(read, stored_batches.movers_of(batch.content)))
            except DatabaseError:
                raise
            except Exception as problem:  # noqa: BLE001  (what a stored batch makes the code raise is not known beforehand)
                log_error(logger, problem, "Batch %s could not be audited", batch.key)
                error = type(problem).__name__
            self._judgements[batch.key] = (error, judged, read)
        return self._judgements[batch.key]


_Judged = tuple[str, Mapping[str, Judgement], stored_batches.PlannedBatch | None]


def _audit_of(batch: StoredBatch, attempt: Attempt, error: str) -> Audit:
    """Return an audit without a finding, or with the error that prevents one."""
    return Audit(
        attempt=attempt.pk,
        booking_ref=attempt.booking_ref,
        restaurant_ref=batch.restaurant_ref,
        service_date=batch.service_date,
        release=attempt.release,
        is_refusal=attempt.outcome != Kind.CONFIRMED,
        decided_at=attempt.at,
        error=error,
    )


def _audited_of(keys: Sequence[UUID]) -> Iterable[int]:
    """Return the ids of these batches' attempts that have an audit."""
    of_batches = Attempt.objects.filter(batch__in=keys).values("pk")
    return Audit.objects.filter(attempt__in=of_batches).values_list("attempt", flat=True)


def _judge(read: stored_batches.PlannedBatch, moved_for: Mapping[str, Sequence[str]]) -> Mapping[str, Judgement]:
    asking = {request.booking_ref: request for request in read.requests}
    before = read.before

    def again(refs: Sequence[str]) -> Any:
        return v3.together(
            [asking[ref] for ref in refs],
            floor=before.floor,
            occupied=before.occupied,
            now=before.now,
            rules=before.rules,
            success=before.success,
        )

    return judge(
        before,
        read.requests,
        read.decisions,
        movable=read.movable,
        moves=read.moves,
        moved_windows=read.moved_windows,
        moved_for=moved_for,
        fixed=read.fixed,
        again=again,
    )


def _ask_the_legacy_planner(audit: Audit, about: Judgement, read: stored_batches.PlannedBatch) -> None:
    """Compare with what the legacy planner decides on the same snapshot, if it is installed.

    Not done if parties were moved, because what was free at this booking's turn is not what is free after the moves.
    """
    asked = _legacy_judge()
    if asked is None or read.moves or any(decision.moved_from for decision in read.decisions.values()):
        return
    try:
        control = _asked(asked, about.beside)
        decision = read.decisions[audit.booking_ref]
        audit.verdict = Verdict.UNSAFE if about.flaws else compare_with_a_sound_control(about.beside, control, decision)
        audit.control = decision_to_json(control)
    except Exception as error:  # noqa: BLE001  (a planner may raise anything on a snapshot that it has not made)
        log_error(logger, error, "The legacy planner could not decide booking %s", audit.booking_ref)


def _asked(asked: Judge, snapshot: Snapshot) -> Any:
    with transactions.atomic():  # A savepoint, so that it cannot break the transaction.
        return asked(snapshot)


def _legacy_judge() -> Judge | None:
    path = conf.settings().LEGACY_PLANNER
    return getattr(assignments_conf.load(path), "judge", None) if path else None


def waiting() -> tuple[int, int]:
    """Count the decisions that wait for their audit, and the refusals among them."""
    ((decisions, refusals),) = rows(f"SELECT decisions, refusals FROM ({WAITING}) AS waiting")  # noqa: S608
    return decisions, refusals


WAITING = """
SELECT coalesce(sum(attempts), 0)::int AS decisions, coalesce(sum(refusals), 0)::int AS refusals
  FROM rollout_frozenbatch WHERE audited_at IS NULL
"""


OVERDUE = f"""
SELECT coalesce(sum(attempts), 0)::int AS decisions FROM rollout_frozenbatch
 WHERE audited_at IS NULL AND at < assignments_now() - interval '{IN_TIME.total_seconds()} seconds'
"""  # noqa: S608  (text of our own)
"""SQL for how many decisions, of whatever release, have waited too long for their audit."""


def audited(since: str, began: str = "%(began)s") -> str:
    """Return SQL that adds up the audits since ``since`` of a release at its stage. Each booking counts once.

    ``began``: SQL for when the stage began. The statement takes ``releases``. Batches with refusals are audited first,
    which would distort rates while others wait, so rates cover only decisions before the oldest waiting one. Unsafe
    ones count at once, whenever they were decided.
    """
    return f"""
WITH mine AS MATERIALIZED (
     SELECT audit.*,
            error = '' AND decided_at >= {began}
            AND decided_at < coalesce((SELECT min(at) FROM rollout_frozenbatch
                                        WHERE audited_at IS NULL AND at >= {began} AND release = ANY(%(releases)s)),
                                      'infinity') AS is_counted
       FROM rollout_audit AS audit
      WHERE audited_at >= {since} AND release = ANY(%(releases)s)),
     bookings AS (
     SELECT booking_ref, bool_or(NOT is_refusal) AS seated,
            bool_or(wrong_refusal) AS wrong, bool_or(avoidable_by_moves) AS moves,
            bool_or(avoidable_join) AS joins, bool_or(oversized) AS oversized, bool_or(untold) AS untold,
            (array_agg(verdict ORDER BY attempt DESC))[1] AS verdict
       FROM mine WHERE is_counted GROUP BY booking_ref)
SELECT count(*) FILTER (WHERE seated) AS checked,
       (SELECT count(DISTINCT booking_ref) FROM mine WHERE flaws <> '{{}}') AS unsafe,
       count(*) FILTER (WHERE joins) AS avoidable_joins, count(*) FILTER (WHERE oversized) AS oversized,
       count(*) FILTER (WHERE untold) AS untold, count(*) FILTER (WHERE NOT seated) AS refusals,
       count(*) FILTER (WHERE wrong) AS wrong_refusals,
       count(*) FILTER (WHERE moves AND NOT wrong) AS avoidable_by_moves,
       count(*) FILTER (WHERE verdict IN ('better', 'only_v3_seats')) AS better,
       count(*) FILTER (WHERE verdict = 'worse') AS worse,
       count(*) FILTER (WHERE verdict = 'only_legacy_seats') AS only_legacy,
       count(*) FILTER (WHERE verdict <> '') AS paired,
       (SELECT count(*) FROM mine WHERE error <> '' AND decided_at >= {began}) AS unjudged,
       (SELECT coalesce(jsonb_object_agg(flaw, times), '{{}}')
          FROM (SELECT flaw, count(*) AS times FROM mine CROSS JOIN unnest(flaws) AS flaw GROUP BY flaw) AS flaws)
       AS reasons
  FROM bookings
"""  # noqa: S608  (text of our own)


def seatings_of(row: Mapping[str, Any]) -> Seatings:
    """Return a row of ``audited`` as Seatings."""
    return Seatings(**row)
