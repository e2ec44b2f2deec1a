"""The floors that passes have seen, so that an edited one is noticed."""

from django.db import models


class FloorSeen(models.Model):
    """A restaurant's floor as the last pass saw it: its fingerprint, with that of the settings."""

    restaurant_ref = models.TextField(primary_key=True)
    fingerprint = models.TextField()

    class Meta:
        verbose_name = "floor seen"
        verbose_name_plural = "floors seen"

    def __str__(self) -> str:
        return f"{self.restaurant_ref}: {self.fingerprint}"
