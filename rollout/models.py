"""What shadow mode keeps: the floors and snapshots that were decided on, both decisions, and the verdict."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from rollout.verdict import Verdict


class FloorRecord(models.Model):
    """A floor as it was, by its version: many snapshots share it."""

    version = models.TextField(primary_key=True)
    restaurant_ref = models.TextField()
    content = models.JSONField()
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("floor record")
        verbose_name_plural = _("floor records")

    def __str__(self) -> str:
        return f"{self.restaurant_ref} {self.version}"


class Comparison(models.Model):
    """One decision of the old planner, and what V3 would have decided on the same snapshot.

    Kept with the snapshot, so that any planner can be asked again. ``verdict`` is empty until V3 has been asked
    (``manage.py rollout compare``). Timings are milliseconds of planning alone. ``control_repeats``: the old planner,
    asked twice, gave the same tables.
    """

    booking_ref = models.TextField()
    restaurant_ref = models.TextField()
    floor = models.ForeignKey(FloorRecord, on_delete=models.PROTECT, related_name="+")
    snapshot = models.JSONField()
    snapshot_hash = models.TextField()
    control = models.JSONField()
    control_ms = models.FloatField()
    control_repeats = models.BooleanField(null=True)
    candidate = models.JSONField(null=True)
    candidate_ms = models.FloatField(null=True)
    verdict = models.TextField(blank=True, default="", choices=[(each.value, each.value) for each in Verdict])
    error = models.TextField(blank=True, default="", help_text=_("What went wrong with V3, by type; never a message."))
    recorded_at = models.DateTimeField(db_default=Now())
    compared_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("comparison")
        verbose_name_plural = _("comparisons")
        indexes = [
            models.Index(fields=["id"], condition=models.Q(verdict=""), name="comparison_waiting"),
            models.Index(fields=["verdict", "recorded_at"], name="comparison_verdict"),
            models.Index(fields=["booking_ref"], name="comparison_booking"),
        ]

    def __str__(self) -> str:
        return f"{self.booking_ref}: {self.verdict or 'waiting'}"
