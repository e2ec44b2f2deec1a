"""Actions of staff on the evening's page: each form acts once, and others see who did what."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.models.moment import DatabaseNow


class StaffAction(models.Model):
    """A form of the evening's page that was carried out, stored in the transaction that carried it out.

    The key comes from the form: sent twice, it finds the row and does nothing. ``what`` is a code. ``booking_ref`` is
    empty if the action concerns no booking. Rows are pruned.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    actor = models.TextField()
    what = models.TextField()
    restaurant_ref = models.TextField()
    service_date = models.DateField()
    booking_ref = models.TextField(blank=True, default="")
    table_refs = ArrayField(models.TextField(), default=list, blank=True)
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["-at"]
        verbose_name = _("action by staff")
        verbose_name_plural = _("actions by staff")
        default_permissions = ()
        indexes = [models.Index(fields=["restaurant_ref", "service_date", "at"], name="staffaction_evening")]

    def __str__(self) -> str:
        return f"{self.what} {self.booking_ref} by {self.actor}"
