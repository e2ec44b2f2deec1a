"""Marks: bookings that the host has written, until this app has followed."""

import uuid

from django.db import models

from assignments.models.moment import DatabaseNow


class HostMark(models.Model):
    """A booking that was saved or deleted in the host. Stored in the host's transaction, deleted once it was followed.

    It does not describe the change: what the host shows when the mark is followed decides. ``stamp`` is new with each
    write, so that the mark of a later write is not deleted. ``cancels``: the host cancelled the booking by a call,
    whatever it shows.
    """

    booking_ref = models.TextField(primary_key=True)
    stamp = models.UUIDField(default=uuid.uuid4)
    created_at = models.DateTimeField(db_default=DatabaseNow())
    due_at = models.DateTimeField(db_default=DatabaseNow())
    attempts = models.IntegerField(default=0)
    last_error = models.TextField(blank=True, default="")
    cancels = models.BooleanField(default=False, db_default=False)

    class Meta:
        ordering = ["created_at", "booking_ref"]
        verbose_name = "host mark"
        verbose_name_plural = "host marks"

    def __str__(self) -> str:
        return self.booking_ref
