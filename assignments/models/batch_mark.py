"""Batch marks: bookings that a process is deciding, so that its death is noticed."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models

from assignments.models.moment import DatabaseNow


class BatchMark(models.Model):
    """Bookings of one restaurant-day that a run is deciding. Stored before the transaction, whose commit deletes it.

    A mark that remains while nobody has the day belongs to a process that died.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    run = models.UUIDField()
    restaurant_ref = models.TextField()
    service_date = models.DateField()
    booking_refs = ArrayField(models.TextField())
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["created_at", "id"]
        verbose_name = "batch mark"
        verbose_name_plural = "batch marks"

    def __str__(self) -> str:
        return f"{self.restaurant_ref} {self.service_date}"
