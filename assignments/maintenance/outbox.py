"""Delivering the transactional outbox to the host.

An attempt is committed before the host is called, and its result afterwards. So an accepted message is delivered again
only if this process dies in between, and a message that kills the process shows by its attempts.
"""

import logging
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Case, Exists, F, OuterRef, QuerySet, When

from assignments.concurrency import transactions
from assignments.error_logging import log_error
from assignments.integration.host import Message
from assignments.integration.project_host import DELIVERY_SECONDS, configured
from assignments.lifecycle import set_aside
from assignments.models import OutboxMessage
from assignments.models.moment import DatabaseNow
from assignments.telemetry import correlation

logger = logging.getLogger("assignments.outbox")

BATCH = 50
FIRST_DELAY_SECONDS = 5
LONGEST_DELAY_SECONDS = 60
LEASE_SECONDS = 15
"""How long an attempt may take. One that has no result by then counts as a death of its process."""
MOST_DEATHS = 3
"""Deaths of a process after which a message is set aside."""
MOST_FAILURES = 20
"""Failures after which a message is set aside if others of its topic were delivered meanwhile."""
LONGEST_OUTAGE = timedelta(hours=24)
PROCESS_DIED = "ProcessDied"
"""What ``last_error`` says of an attempt without a result."""

_CLAIM = """
UPDATE assignments_outboxmessage AS message
   SET claimed_by = %(run)s, attempts = attempts + 1, due_at = assignments_now() + %(lease)s * interval '1 second'
 WHERE id = %(id)s AND claimed_by IS NULL AND due_at <= %(due_before)s
   AND delivered_at IS NULL AND set_aside_at IS NULL
   AND NOT EXISTS (SELECT FROM assignments_outboxmessage AS earlier
                    WHERE earlier.subject = message.subject AND earlier.id < message.id
                      AND earlier.delivered_at IS NULL AND earlier.set_aside_at IS NULL)
RETURNING *
"""
_DELIVERED = """
UPDATE assignments_outboxmessage
   SET delivered_at = assignments_now(), claimed_by = NULL, failed_since = NULL
 WHERE id = %(id)s AND claimed_by = %(run)s AND attempts = %(attempts)s AND delivered_at IS NULL
"""
"""In SQL since each message needs both: to put them together takes longer than to run them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """Message counts of a run. ``set_aside``: all messages that wait for staff."""

    delivered: int
    refused: int
    waiting: int
    set_aside: int = 0


def deliver(
    *,
    limit: int = 1000,
    run: uuid.UUID | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    progressed: Callable[[], None] = lambda: None,
) -> Delivery:
    """Pass at most ``limit`` due messages to ``Host.deliver``, oldest first. Parallel runs share the work.

    Delivery is at least once: a message is delivered when the host has returned and our commit has succeeded. If the
    host raises, the message is retried after 5 s, doubling up to a minute, for 24 hours. Messages of one booking keep their
    order: later ones wait, those of other bookings do not. The first success makes all messages due that failed before.

    ``run``: the id of the run; attempts that an earlier process of the same run left without a result count as deaths
    at once. ``progressed``: called before each message.
    """
    run = run or uuid.uuid4()
    _note_deaths(run)
    started = transactions.database_now()
    due_before, has_delivered = started, False
    delivered = refused = 0
    while delivered + refused < limit and not should_stop():
        batch = list(_due(due_before)[: min(BATCH, limit - delivered - refused)].values_list("pk", flat=True))
        for pk in batch:
            if should_stop():
                break
            progressed()
            message = _claimed(pk, run, due_before)
            if message is None:
                continue
            if not _is_delivered(message, run):
                refused += 1
                continue
            delivered += 1
            if not has_delivered:
                has_delivered, due_before = True, _end_outage(started) or due_before
        if not batch:
            break
    return Delivery(
        delivered=delivered,
        refused=refused,
        waiting=_waiting().count(),
        set_aside=set_aside.messages().count(),
    )


def _waiting() -> QuerySet[OutboxMessage]:
    return OutboxMessage.objects.filter(delivered_at__isnull=True, set_aside_at__isnull=True)


def _due(due_before: datetime) -> QuerySet[OutboxMessage]:
    """Return the due messages that have no earlier message of the same booking or restaurant before them."""
    earlier = _waiting().filter(subject=OuterRef("subject"), id__lt=OuterRef("id"))
    return _waiting().filter(~Exists(earlier), claimed_by__isnull=True, due_at__lte=due_before).order_by("due_at", "id")


def _claimed(pk: int, run: uuid.UUID, due_before: datetime) -> OutboxMessage | None:
    """Commit that the message is tried now, and return it; None if another process tries it. One query."""
    given = {"id": pk, "run": run, "due_before": due_before, "lease": LEASE_SECONDS}
    return next(iter(OutboxMessage.objects.raw(_CLAIM, given)), None)


def _is_delivered(message: OutboxMessage, run: uuid.UUID) -> bool:
    """Deliver the message, and commit the result unless another process has taken it over. Return whether it succeeded."""
    error = _tell(message)
    # A stale process changes no row.
    if error is None:
        with connection.cursor() as cursor:
            cursor.execute(_DELIVERED, {"id": message.pk, "run": run, "attempts": message.attempts})
        return True
    ours = OutboxMessage.objects.filter(
        pk=message.pk, claimed_by=run, attempts=message.attempts, delivered_at__isnull=True
    )
    failures = max(message.attempts - message.deaths, 1)
    delay = min(FIRST_DELAY_SECONDS * 2 ** min(failures - 1, 10), LONGEST_DELAY_SECONDS)
    ours.update(
        claimed_by=None,
        last_error=type(error).__name__,
        failed_since=message.failed_since or DatabaseNow(),
        due_at=DatabaseNow() + timedelta(seconds=delay),
        set_aside_at=DatabaseNow() if _is_hopeless(message, failures) else None,
    )
    return False


def _tell(message: OutboxMessage) -> BaseException | None:
    """Call the host in a transaction without our locks. Return the error that it raised, if any."""
    try:
        with correlation.scope(_correlation_id(message), booking_ref=message.booking_ref), _delivering():
            configured().deliver(
                Message(
                    id=message.pk,
                    number=message.number,
                    topic=message.topic,
                    booking_ref=message.booking_ref,
                    payload=message.payload,
                    created_at=message.created_at,
                )
            )
            transactions.require_intact()  # Else nothing that the host has written would be stored.
            transactions.guard_commit_hooks()
    except (Exception, SystemExit, GeneratorExit) as error:
        # Before the database is asked again: only the type, never the message.
        if isinstance(error, Exception) and transactions.is_database_away(error):
            raise
        log_error(logger, error, "Message %d was not delivered", message.pk, level=logging.WARNING)
        return error
    return None


def _delivering() -> AbstractContextManager[None]:
    """Return a transaction in which the host may wait for others, such as a mail server, for the time of a delivery."""
    return transactions.atomic(limits=transactions.Limits(idle=round(DELIVERY_SECONDS * 1000) + 1000))


def _is_hopeless(message: OutboxMessage, failures: int) -> bool:
    """Return whether the message failed for a day, or often while others of its topic were delivered."""
    if message.failed_since is None:
        return False
    if transactions.database_now() - message.failed_since >= LONGEST_OUTAGE:
        return True
    return (
        failures >= MOST_FAILURES
        and OutboxMessage.objects.filter(topic=message.topic, delivered_at__gt=message.failed_since).exists()
    )


def _end_outage(started: datetime) -> datetime | None:
    """Make all messages due that failed before this run. Return up to when messages are due now, if there were any."""
    failed = _waiting().filter(claimed_by__isnull=True, failed_since__lt=started, due_at__gt=started)
    return transactions.database_now() if failed.update(due_at=started) else None


def _note_deaths(run: uuid.UUID) -> None:
    """Count attempts without a result, whose process is dead. The first one causes no delay."""
    unfinished = _waiting().filter(claimed_by__isnull=False)
    died = unfinished.filter(due_at__lte=DatabaseNow()) | unfinished.filter(claimed_by=run)
    died.update(
        claimed_by=None,
        deaths=F("deaths") + 1,
        last_error=PROCESS_DIED,
        due_at=Case(
            When(deaths=0, then=DatabaseNow()),
            default=DatabaseNow() + timedelta(seconds=FIRST_DELAY_SECONDS),
        ),
        set_aside_at=Case(When(deaths__gte=MOST_DEATHS - 1, then=DatabaseNow())),
    )


def _correlation_id(message: OutboxMessage) -> uuid.UUID | None:
    """Return the id of the invocation that the message reports, or None for messages from before these ids."""
    stored = message.payload.get("correlation_id")
    return uuid.UUID(stored) if stored else None
