"""Quarantine: finding a booking that kills the process that decides it, and sending it to staff.

Before its transaction a batch leaves a mark, which the commit deletes. A mark that remains while nobody has the day
belongs to a process that died. Its bookings are then decided alone, each with its own mark, those with most deaths
last. A booking with ``MOST_DEATHS`` deaths goes to review, without a call to the host. What a pass does beside planning
leaves a mark for each booking, too.
"""

import logging
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.db import DatabaseError, connection
from django.db.models import Case, Exists, F, Q, When
from django.db.models.functions import Least

from assignments.concurrency import locks, transactions
from assignments.coordination.invocation import DayResult, Invocation, Record, Try
from assignments.integration.planners import V3
from assignments.integration.project_host import configured
from assignments.lifecycle import waiting
from assignments.lifecycle.settlement import Settlement
from assignments.models import Assignment, BatchMark, State
from assignments.models.moment import DatabaseNow
from assignments.models.prepared import prepared_cursor
from assignments.outcome import CoordinatorReason, Noop, noop

logger = logging.getLogger("assignments.quarantine")

MOST_DEATHS = 2
"""The first may be another's fault, that of its batch; the second is its own: it was decided alone."""
LEFT_ALONE_SECONDS = 10
"""Age from which a mark of another run counts: until then its process may be about to begin its transaction."""

_LEAVE = """
INSERT INTO assignments_batchmark (id, run, restaurant_ref, service_date, booking_refs)
VALUES (%s, %s, %s, %s, %s::text[])
"""


@dataclass(kw_only=True)
class _Process:
    """What this process decides now: its run, and the marks that its threads have left and still need."""

    run: uuid.UUID = field(default_factory=uuid.uuid4)
    live: set[uuid.UUID] = field(default_factory=set)


_process = _Process()


def continue_run(run: uuid.UUID) -> None:
    """Work for this run, so that marks that it left earlier are known to belong to a dead process."""
    _process.run = run


def _begin_anew() -> None:
    """Take a run of its own: the child of a fork would otherwise take its living siblings for dead."""
    global _process  # noqa: PLW0603
    _process = _Process()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


@contextmanager
def marked(restaurant_ref: str, service_date: date, booking_refs: Sequence[str]) -> Iterator[uuid.UUID]:
    """Leave a mark for these bookings, and delete it afterwards if nothing was committed. It stays if the process dies.

    ``locks.try_enter`` deletes it in the transaction. One query.
    """
    mark = uuid.uuid4()
    _process.live.add(mark)
    try:
        with prepared_cursor() as cursor:
            cursor.execute(_LEAVE, [mark, _process.run, restaurant_ref, service_date, list(booking_refs)])
        yield mark
    except Exception:
        take_back(mark)
        raise
    finally:
        _process.live.discard(mark)


def take_back(mark: uuid.UUID) -> bool:
    """Delete the mark of this process. Returns False if another process took this one for dead and deleted it."""
    with suppress(DatabaseError), connection.cursor() as cursor:
        cursor.execute("DELETE FROM assignments_batchmark WHERE id = %s", [mark])
        return bool(cursor.rowcount > 0)
    return True


@contextmanager
def alone(booking_ref: str) -> Iterator[bool]:
    """Do something with one booking beside planning it, with a mark of its own. Three queries more.

    Yields whether it may be done: a booking at which processes keep ending is left to staff.
    """
    known = Assignment.objects.of(booking_ref)
    is_left = Exists(BatchMark.objects.filter(booking_refs__contains=[booking_ref]))
    row: Any = known.annotate(is_left=is_left).first()
    if row is not None and row.is_left:
        note_deaths()
        row = known.first()
    if row is None:
        yield True
        return
    if is_culprit(row):
        _leave_to_staff(booking_ref)
        yield False
        return
    with marked(row.restaurant_ref, row.service_date, [booking_ref]) as mark:
        yield True
        if not take_back(mark):
            take_back_death([booking_ref])


def note_deaths() -> int:
    """Count a death for the bookings of each mark that a dead process left. Return the number of marks.

    The bookings are due at once, even if a planner died between its two transactions.
    """
    old = Q(created_at__lt=DatabaseNow() - timedelta(seconds=LEFT_ALONE_SECONDS))
    left = list(BatchMark.objects.filter(old | Q(run=_process.run)).exclude(pk__in=_process.live))
    return sum(transactions.run(lambda mark=mark: _note_death(mark)) for mark in left)  # type: ignore[misc]


def _note_death(mark: BatchMark) -> bool:
    if not locks.try_days(mark.restaurant_ref, [mark.service_date]):
        return False  # A process has the day; it may be the one that left the mark.
    deleted, _ = BatchMark.objects.filter(pk=mark.pk).delete()
    if not deleted:
        return False
    undecided = Q(due_at__isnull=False) | Q(wake_at__isnull=False)
    if len(mark.booking_refs) == 1:
        undecided |= Q(state__in=[State.CONFIRMED, State.MANUAL_REVIEW])  # See ``alone``.
    at_once = Case(When(due_at__isnull=False, then=Least("due_at", DatabaseNow())))
    Assignment.objects.filter(undecided, booking_ref__in=mark.booking_refs).update(
        deaths=F("deaths") + 1, due_at=at_once
    )
    logger.error(
        "A process ended while it decided %d bookings of restaurant %s on %s",
        len(mark.booking_refs),
        mark.restaurant_ref,
        mark.service_date,
    )
    return True


def take_back_death(booking_refs: Sequence[str]) -> None:
    """Take back a death that was counted because this process was wrongly taken for dead.

    It was only slow between leaving its mark and beginning its transaction.
    """
    rows = Assignment.objects.filter(booking_ref__in=booking_refs, deaths__gt=0)
    with suppress(DatabaseError):
        rows.update(deaths=F("deaths") - 1)


def groups(assignments: Sequence[Assignment]) -> list[list[Assignment]]:
    """Return the groups to decide together: first all without deaths, then each other booking alone, most deaths last."""
    innocent = [each for each in assignments if not each.deaths]
    suspects = sorted((each for each in assignments if each.deaths), key=lambda each: each.deaths)
    return [*([innocent] if innocent else []), *([each] for each in suspects)]


def is_culprit(assignment: Assignment) -> bool:
    return assignment.deaths >= MOST_DEATHS


def set_aside(assignment: Assignment, *, trigger: str) -> DayResult:
    """Send the booking to review. Only the outbox tells the host."""
    ref, place = assignment.booking_ref, (assignment.restaurant_ref, assignment.service_date)
    invocation = Invocation(trigger=trigger)

    def work(record: Record) -> DayResult:
        now = locks.lock_days([place])
        row = Assignment.objects.of(ref).claim().first()
        if row is not None and row.is_woken:
            waiting.let_sleep([row])
        if row is None or row.is_terminal or not is_culprit(row):
            return DayResult(outcomes=(noop(ref, Noop.LOCK_CONTENTION, planner=V3),))
        planner = row.planner or V3
        settlement = Settlement(
            host=configured(),
            planner=planner,
            actor=planner,
            trigger=trigger,
            now=now,
            correlation_id=invocation.correlation_id,
        )
        outcome = settlement.send_to_review(row, reason=CoordinatorReason.POISONOUS)
        settlement.write(tells_of_reviews=False)
        record.tries[ref] = Try(restaurant_ref=row.restaurant_ref, attempt=row.attempts)
        return DayResult(outcomes=(outcome,))

    try:
        return invocation.execute(lambda: invocation.transact(work))
    except Exception as error:
        if transactions.is_database_away(error) or not transactions.is_lost_race(error):
            raise
        return DayResult(outcomes=(noop(ref, Noop.LOCK_CONTENTION, planner=V3),))


def _leave_to_staff(booking_ref: str) -> None:
    """Send a confirmed booking to review, which keeps its tables. One in review stays there, and is not tried again."""

    def work() -> None:
        rows = Assignment.objects.of(booking_ref)
        now = locks.lock_days(rows.days())
        row = rows.claim().first()
        if row is None or not is_culprit(row):
            return
        if row.is_woken:
            waiting.let_sleep([row])
        if row.state == State.CONFIRMED:
            planner = row.planner or V3
            settlement = Settlement(host=configured(), planner=planner, actor=planner, trigger="cron", now=now)
            settlement.keep_for_review(row, reason=CoordinatorReason.POISONOUS)
            settlement.write(tells_of_reviews=False)

    try:
        transactions.run(work)
    except Exception as error:
        if transactions.is_database_away(error) or not transactions.is_lost_race(error):
            raise
