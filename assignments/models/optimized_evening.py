"""Evenings that the optimizer has changed: its problems and its answers."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.models.moment import DatabaseNow


class OptimizedEvening(models.Model):
    """One stored answer of the optimizer. ``problem`` and ``answer`` have everything that a replay needs to check it."""

    restaurant_ref = models.TextField()
    service_date = models.DateField()
    optimized_at = models.DateTimeField(db_default=DatabaseNow())
    snapshot_hash = models.TextField()
    release = models.TextField(blank=True, default="")
    problem = models.JSONField()
    answer = models.JSONField()

    class Meta:
        ordering = ["-optimized_at", "-id"]
        verbose_name = _("optimized evening")
        verbose_name_plural = _("optimized evenings")
        indexes = [models.Index(fields=["restaurant_ref", "service_date"], name="optimizedevening_day")]

    def __str__(self) -> str:
        return f"{self.restaurant_ref} {self.service_date}"
