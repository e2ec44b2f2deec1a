"""The append-only history of seatings and stages, written by the database itself."""

from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.models.moment import DatabaseNow


class SeatingChange(models.Model):
    """A change of a booking's seating, or of its guests' stage. Triggers write it, and prevent updates and deletes.

    ``transaction_id``: PostgreSQL's number of the transaction, equal for changes made together. For a stage the columns
    of the seating are empty, and vice versa. ``facts``: for a seating that ended or was freed, its overridden rules and
    the assignment's promise, both as they were before that transaction stored the assignment; for one that changed, how
    long its guests overstay.
    """

    class What(models.TextChoices):
        SEATED = "seated", _("seated")
        CHANGED = "changed", _("changed")
        ENDED = "ended", _("ended")
        FREED = "freed", _("freed")
        STAGE = "stage", _("stage")

    booking_ref = models.TextField()
    restaurant_ref = models.TextField()
    what = models.TextField(choices=What.choices)
    seating_id = models.BigIntegerField(null=True)
    table_ref = models.TextField(blank=True)
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    blocked = DateTimeRangeField(null=True)
    party = models.IntegerField(null=True)
    planner = models.TextField(blank=True)
    previous_stage = models.TextField(blank=True)
    stage = models.TextField(blank=True)
    facts = models.JSONField(
        null=True,
        help_text=_("What was promised with a seating that was given up, and how. Null: nothing, or not recorded."),
    )
    transaction_id = models.BigIntegerField()
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["id"]
        verbose_name = _("seating change")
        verbose_name_plural = _("seating changes")
        indexes = [
            models.Index(fields=["booking_ref", "id"], name="seatingchange_booking"),
            models.Index(fields=["at"], name="seatingchange_at"),
        ]

    def __str__(self) -> str:
        return f"{self.booking_ref}: {self.what} {self.table_ref or self.stage}"
