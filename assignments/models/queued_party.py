"""The queue at the door: parties without a booking that wait for a table."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.models.moment import DatabaseNow


class QueuedParty(models.Model):
    """A party that waits at the door. ``left_at``: it was seated (as ``booking_ref``), or went away."""

    restaurant_ref = models.TextField()
    party = models.PositiveIntegerField(validators=[MinValueValidator(1)], help_text=_("Covers."))
    needs = ArrayField(models.TextField(), default=list, blank=True)
    joined_at = models.DateTimeField(db_default=DatabaseNow())
    left_at = models.DateTimeField(null=True, blank=True)
    booking_ref = models.TextField(blank=True, default="")
    actor = models.TextField(help_text=_("Who added it to the queue."))

    class Meta:
        ordering = ["joined_at", "id"]
        verbose_name = _("queued party")
        verbose_name_plural = _("queued parties")
        indexes = [
            models.Index(
                fields=["restaurant_ref", "joined_at"],
                condition=models.Q(left_at__isnull=True),
                name="queuedparty_waiting",
            )
        ]

    def __str__(self) -> str:
        return f"{self.restaurant_ref} {self.party}"
