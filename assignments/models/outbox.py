"""The transactional outbox: messages to the host, stored in the same transaction as the change."""

from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.models.insertion import NewRow
from assignments.models.moment import DatabaseNow


class OutboxMessage(models.Model):
    """A message to the host, such as ``booking.assignment_state.<state>``; delivered at least once, oldest first.

    ``booking_ref``: empty if the message is about a restaurant, as ``closure.<what>`` is. ``subject``: the booking or
    the restaurant, whose messages are kept in order. ``number`` counts the messages of a subject from 1; a trigger sets
    both. ``claimed_by``: the run that is delivering it; if that dies, the claim stays until ``due_at`` and then counts
    as a death. A message that was set aside waits for staff, and delays no other.
    """

    topic = models.TextField()
    booking_ref = models.TextField()
    subject = models.TextField(default="", db_default="", editable=False)
    number = models.IntegerField(
        default=0,
        db_default=0,
        verbose_name=_("number"),
        help_text=_("Number among the messages of its booking. 0: stored by an earlier release."),
    )
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=DatabaseNow())
    delivered_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(db_default=DatabaseNow())
    attempts = models.IntegerField(default=0)
    deaths = models.IntegerField(
        default=0,
        db_default=0,
        verbose_name=_("deaths"),
        help_text=_("Attempts during which the delivering process died."),
    )
    claimed_by = models.UUIDField(null=True, blank=True, editable=False)
    failed_since = models.DateTimeField(null=True, blank=True, help_text=_("Time of its first failed attempt."))
    set_aside_at = models.DateTimeField(null=True, blank=True, help_text=_("Time from which it is not tried any more."))
    last_error = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["id"]
        verbose_name = _("outbox message")
        verbose_name_plural = _("outbox messages")
        indexes = [
            models.Index(
                fields=["due_at", "id"],
                condition=models.Q(delivered_at__isnull=True, set_aside_at__isnull=True),
                name="outbox_due",
            ),
            models.Index(
                fields=["subject", "id"],
                condition=models.Q(delivered_at__isnull=True, set_aside_at__isnull=True),
                name="outbox_in_order",
            ),
            models.Index(
                fields=["id"],
                condition=models.Q(delivered_at__isnull=True, set_aside_at__isnull=False),
                name="outbox_set_aside",
            ),
            models.Index(fields=["booking_ref"], name="outbox_booking"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["subject", "number"], condition=models.Q(number__gt=0), name="outbox_numbered_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.booking_ref}"


class NewMessage(NewRow, frozen=True, kw_only=True):
    """A message that is not stored yet."""

    model: ClassVar[type[models.Model]] = OutboxMessage

    topic: str
    booking_ref: str
    payload: dict[str, Any]
    attempts: int = 0
    last_error: str = ""
