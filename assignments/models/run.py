"""Runs of the coordinator. For runs from cron this is the only record."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.models.moment import DatabaseNow


class Run(models.Model):
    """A process of ``run_coordinator``: one pass from cron, or repeated passes with ``--watch``.

    ``worker`` is ``host:pid``. ``succeeded_at``: when a pass last decided the due bookings, even with single errors
    (``telemetry.run_log.Pass.has_succeeded``). ``failed_passes`` also counts those with single errors. A worker with
    ``--watch`` is alive as long as ``last_pass_at`` advances. ``outcomes`` counts by kind. All counts cover all passes,
    which may span weeks; ``failed_at`` and ``dropped_at`` are the times of the last error and loss. Seconds are wall
    time.
    """

    worker = models.TextField()
    version = models.TextField(blank=True, default="", help_text=_("Version of this app in the process."))
    watches = models.BooleanField(default=False)
    started_at = models.DateTimeField(db_default=DatabaseNow())
    last_pass_at = models.DateTimeField(null=True, blank=True)
    succeeded_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    passes = models.IntegerField(default=0)
    failed_passes = models.IntegerField(default=0, help_text=_("Passes with an unexpected error, or aborted."))
    taken_in = models.IntegerField(default=0, help_text=_("New bookings."))
    unseen = models.IntegerField(
        default=0, db_default=0, help_text=_("Bookings that had started and could not be taken in by the last pass.")
    )
    outcomes = models.JSONField(default=dict)
    contended = models.IntegerField(default=0, help_text=_("Restaurant-days that another worker had locked."))
    breaker_open = models.IntegerField(default=0, help_text=_("Restaurant-days skipped after repeated errors."))
    unexpected = models.IntegerField(default=0, help_text=_("Unexpected errors."))
    failed_at = models.DateTimeField(null=True, blank=True, help_text=_("Time of the last unexpected error."))
    dropped_events = models.IntegerField(default=0)
    dropped_at = models.DateTimeField(
        null=True, blank=True, help_text=_("Time at which a loss of events was last found.")
    )
    seconds = models.FloatField(default=0)
    release = models.TextField(blank=True, default="", db_default="", help_text=_("The release of the process."))
    memory_begun_mb = models.FloatField(
        null=True, help_text=_("Memory of the process when it started. Empty: unknown.")
    )
    memory_mb = models.FloatField(null=True, help_text=_("Memory of the process after its last pass. Empty: unknown."))
    error = models.TextField(blank=True, default="", help_text=_("Type of the last error; never its message."))

    class Meta:
        ordering = ["-id"]
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        indexes = [
            models.Index(fields=["started_at"], name="run_started"),
            models.Index(fields=["succeeded_at"], name="run_succeeded"),
            models.Index(fields=["ended_at"], name="run_ended"),
        ]

    def __str__(self) -> str:
        return f"{self.worker} {self.started_at:%Y-%m-%d %H:%M:%S}"
