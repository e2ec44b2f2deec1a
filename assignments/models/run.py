"""Runs of the coordinator: who worked, when, and what came of it. What cron did is known by this alone."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Run(models.Model):
    """One process of ``run_coordinator``: one pass from cron, or pass after pass with ``--watch``.

    ``worker`` is ``host:pid``. ``succeeded_at``: when a pass last decided what was due, single errors or not
    (``telemetry.run_log.Pass.has_succeeded``); ``failed_passes`` counts those with an error, too. A watching worker is alive
    as long as ``last_pass_at`` moves. ``outcomes`` counts by kind. All counts are over all passes, which may be those of
    weeks: ``failed_at`` and ``dropped_at`` say when errors and losses were last added. Seconds are wall time.
    """

    worker = models.TextField()
    version = models.TextField(blank=True, default="", help_text=_("Of this app, as installed where it ran."))
    watches = models.BooleanField(default=False)
    started_at = models.DateTimeField(db_default=Now())
    last_pass_at = models.DateTimeField(null=True, blank=True)
    succeeded_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    passes = models.IntegerField(default=0)
    failed_passes = models.IntegerField(default=0, help_text=_("Passes that met an unexpected error, or broke off."))
    taken_in = models.IntegerField(default=0, help_text=_("Bookings that were new."))
    outcomes = models.JSONField(default=dict)
    contended = models.IntegerField(default=0, help_text=_("Restaurant-days that somebody else was at."))
    breaker_open = models.IntegerField(default=0, help_text=_("Restaurant-days left alone after repeated errors."))
    unexpected = models.IntegerField(default=0, help_text=_("Unexpected errors."))
    failed_at = models.DateTimeField(null=True, blank=True, help_text=_("When it last met an unexpected error."))
    dropped_events = models.IntegerField(default=0)
    dropped_at = models.DateTimeField(null=True, blank=True, help_text=_("When it last found that events were lost."))
    seconds = models.FloatField(default=0)
    error = models.TextField(blank=True, default="", help_text=_("The last error, by type; never a message."))

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
