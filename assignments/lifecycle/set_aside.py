"""Messages that were set aside: staff decide whether they are tried again."""

from collections.abc import Collection

from django.db.models import QuerySet

from assignments.models import OutboxMessage
from assignments.models.moment import DatabaseNow


def messages() -> QuerySet[OutboxMessage]:
    """Return the messages that are no longer tried."""
    return OutboxMessage.objects.filter(delivered_at__isnull=True, set_aside_at__isnull=False)


def retry(ids: Collection[int]) -> int:
    """Make set-aside messages due again, with their attempts reset. Return how many of these had been set aside."""
    fresh = {"set_aside_at": None, "failed_since": None, "claimed_by": None, "deaths": 0, "attempts": 0}
    return messages().filter(pk__in=ids).update(due_at=DatabaseNow(), **fresh)
