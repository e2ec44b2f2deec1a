"""Planning attempts: the record that explains a decision later."""

import uuid
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.models.insertion import NewRow
from assignments.models.moment import DatabaseNow


class Attempt(models.Model):
    """One attempt of a planner to seat a booking.

    ``decision_ms``: planning time in milliseconds, without the database. ``decision``: the ranked plans with the parts
    of their scores, and the number of table combinations ruled out by reason. ``snapshot_hash`` identifies the
    planner's input. ``batch``: the key of the planned batch, if the router keeps it.
    """

    assignment = models.ForeignKey("assignments.Assignment", on_delete=models.CASCADE, related_name="tries")
    booking_ref = models.TextField()
    number = models.IntegerField()
    planner = models.TextField()
    trigger = models.TextField(help_text=_("Trigger: cron, inline or staff."))
    outcome = models.TextField(help_text=_("confirmed, retry, manual_review or failed."))
    reason = models.TextField(blank=True)
    detail = models.TextField(blank=True)
    strategy = models.TextField(blank=True)
    table_refs = ArrayField(models.TextField(), default=list, blank=True)
    decision = models.JSONField(default=dict)
    snapshot_hash = models.TextField(blank=True)
    decision_ms = models.FloatField(default=0)
    correlation_id = models.UUIDField()
    release = models.TextField(
        blank=True, default="", db_default="", help_text=_("The release of the process that decided. Empty: unknown.")
    )
    batch = models.UUIDField(null=True, help_text=_("The bookings that were planned together. Empty: not kept."))
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["assignment", "id"]
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        indexes = [
            models.Index(fields=["booking_ref", "at"], name="attempt_booking"),
            models.Index(fields=["at"], name="attempt_at"),
            models.Index(fields=["correlation_id"], name="attempt_correlation"),
            models.Index(fields=["batch"], condition=models.Q(batch__isnull=False), name="attempt_batch"),
        ]

    def __str__(self) -> str:
        return f"{self.booking_ref} #{self.number} by {self.planner}: {self.outcome}"


class NewAttempt(NewRow, frozen=True, kw_only=True):
    """An attempt that is not stored yet."""

    model: ClassVar[type[models.Model]] = Attempt

    assignment_id: int
    booking_ref: str
    number: int
    planner: str
    trigger: str
    outcome: str
    reason: str
    detail: str
    strategy: str
    table_refs: tuple[str, ...]
    decision: dict[str, Any]
    snapshot_hash: str
    decision_ms: float
    correlation_id: uuid.UUID
    release: str
    batch: uuid.UUID | None
