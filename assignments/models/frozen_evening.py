"""Frozen evenings: service days on which V3 no longer moves bookings."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.models.moment import DatabaseNow


class FrozenEvening(models.Model):
    """A restaurant's service day whose confirmed parties keep their tables: V3 moves none of them."""

    restaurant_ref = models.TextField()
    service_date = models.DateField()
    actor = models.TextField(help_text=_("Who froze it."))
    frozen_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["service_date", "restaurant_ref"]
        verbose_name = _("frozen evening")
        verbose_name_plural = _("frozen evenings")
        constraints = [models.UniqueConstraint(fields=["restaurant_ref", "service_date"], name="evening_frozen_once")]

    def __str__(self) -> str:
        return f"{self.restaurant_ref} {self.service_date}"
