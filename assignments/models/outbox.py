"""The transactional outbox: messages to the host, stored in the same transaction as the change."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.models.moment import DatabaseNow


class OutboxMessage(models.Model):
    """A message to the host, such as ``booking.assignment_state.<state>``; delivered at least once, oldest first.

    ``booking_ref``: empty if the message is about a restaurant, as ``closure.<what>`` is.
    """

    topic = models.TextField()
    booking_ref = models.TextField()
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=DatabaseNow())
    delivered_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(db_default=DatabaseNow())
    attempts = models.IntegerField(default=0)
    last_error = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["id"]
        verbose_name = _("outbox message")
        verbose_name_plural = _("outbox messages")
        indexes = [
            models.Index(fields=["due_at", "id"], condition=models.Q(delivered_at__isnull=True), name="outbox_waiting"),
            models.Index(fields=["booking_ref"], name="outbox_booking"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.booking_ref}"
