"""Failed invocations: errors of V3 that no attempt tells of."""

from django.db import models

from assignments.models.moment import DatabaseNow


class FailedInvocation(models.Model):
    """An invocation of V3 that raised and left no attempt that tells of it.

    Either a batch raised although each of its bookings could be decided alone, or the failures of ``unstored`` bookings
    could not be stored. Written in a transaction of its own, after the invocation. Rows are pruned.
    """

    planner = models.TextField()
    error = models.TextField(help_text="What went wrong, by type; never a message.")
    unstored = models.IntegerField(default=0)
    correlation_id = models.UUIDField()
    release = models.TextField(blank=True, default="", db_default="")
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["-id"]
        verbose_name = "failed invocation"
        verbose_name_plural = "failed invocations"
        indexes = [models.Index(fields=["at"], name="failedinvocation_at")]

    def __str__(self) -> str:
        return f"{self.planner}: {self.error}"
