"""Delivering the transactional outbox to the host."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef

from assignments.concurrency import transactions
from assignments.integration.host import Message
from assignments.integration.project_host import configured
from assignments.models import OutboxMessage
from assignments.models.moment import DatabaseNow
from assignments.telemetry import correlation

BATCH = 50
FIRST_DELAY_SECONDS = 5
LONGEST_DELAY_SECONDS = 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """Message counts of a run."""

    delivered: int
    refused: int
    waiting: int


def deliver(*, limit: int = 1000) -> Delivery:
    """Pass at most ``limit`` due messages to ``Host.deliver``, oldest first. Parallel runs share the work.

    Delivery is at least once: a message is delivered when the host has returned and our commit has succeeded. If the
    host raises, the message is retried after 5 s, doubling up to an hour. Messages of one booking keep their order:
    later ones wait, those of other bookings do not.
    """
    earlier = OutboxMessage.objects.filter(
        booking_ref=OuterRef("booking_ref"), delivered_at__isnull=True, id__lt=OuterRef("id")
    )
    delivered = refused = 0
    due_before = transactions.database_now()
    while delivered + refused < limit:
        with transaction.atomic():
            batch = list(
                OutboxMessage.objects.filter(~Exists(earlier), delivered_at__isnull=True, due_at__lte=due_before)
                .order_by("id")
                .select_for_update(skip_locked=True)[: min(BATCH, limit - delivered - refused)]
            )
            accepted = [message.pk for message in batch if _accepted(message)]
            OutboxMessage.objects.filter(pk__in=accepted).update(delivered_at=DatabaseNow(), attempts=F("attempts") + 1)
            transactions.guard_commit_hooks()
        delivered += len(accepted)
        refused += len(batch) - len(accepted)
        if not batch:
            break
    waiting = OutboxMessage.objects.filter(delivered_at__isnull=True).count()
    return Delivery(delivered=delivered, refused=refused, waiting=waiting)


def _accepted(message: OutboxMessage) -> bool:
    try:
        # A failed query of the host must not break the batch.
        with correlation.scope(_correlation_id(message), booking_ref=message.booking_ref), transaction.atomic():
            configured().deliver(
                Message(
                    id=message.pk,
                    topic=message.topic,
                    booking_ref=message.booking_ref,
                    payload=message.payload,
                    created_at=message.created_at,
                )
            )
    except Exception as error:  # noqa: BLE001  (stored with the message, and retried)
        delay = min(FIRST_DELAY_SECONDS * 2**message.attempts, LONGEST_DELAY_SECONDS)
        OutboxMessage.objects.filter(pk=message.pk).update(
            attempts=F("attempts") + 1,
            last_error=type(error).__name__,
            due_at=DatabaseNow() + timedelta(seconds=delay),
        )
        return False
    return True


def _correlation_id(message: OutboxMessage) -> uuid.UUID | None:
    """Return the id of the invocation that the message reports, or None for messages from before these ids."""
    stored = message.payload.get("correlation_id")
    return uuid.UUID(stored) if stored else None
