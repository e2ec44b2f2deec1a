"""Stored observability events."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.models.moment import DatabaseNow


class Event(models.Model):
    """An event, for dashboards and diagnosis. Never contains personal data; ``context`` is allow-listed."""

    class Severity(models.TextChoices):
        INFO = "info", _("info")
        WARNING = "warning", _("warning")
        ERROR = "error", _("error")

    source = models.TextField()
    type = models.TextField()
    severity = models.TextField(choices=Severity.choices)
    booking_ref = models.TextField(blank=True, default="")
    restaurant_ref = models.TextField(blank=True, default="")
    context = models.JSONField(default=dict)
    correlation_id = models.UUIDField(null=True, blank=True)
    at = models.DateTimeField(help_text=_("Time of the event, which may be before it was stored."))
    stored_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["-id"]
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [
            models.Index(fields=["source", "type", "at"], name="event_type"),
            models.Index(fields=["booking_ref", "at"], name="event_booking"),
            models.Index(fields=["at"], name="event_at"),
            models.Index(fields=["severity", "at"], name="event_severity"),
            models.Index(fields=["correlation_id"], name="event_correlation"),
            models.Index(fields=["stored_at"], name="event_stored"),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.type} {self.booking_ref}".rstrip()
