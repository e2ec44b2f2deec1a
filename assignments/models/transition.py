"""The append-only history of assignment states."""

import msgspec
from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.models.moment import DatabaseNow, TransactionId


class NewTransition(msgspec.Struct, frozen=True, kw_only=True):
    """A transition that is not stored yet. Its fields are columns of StateTransition."""

    assignment_id: int
    booking_ref: str
    version: int
    name: str
    source: str
    target: str
    planner: str
    actor: str
    reason: str
    detail: str


class StateTransition(models.Model):
    """A transition. A database trigger prevents updates and deletes.

    ``version``: the assignment's version after the transition. It is unique per assignment, so of two concurrent
    writers one fails.
    """

    assignment = models.ForeignKey(
        "assignments.Assignment",
        on_delete=models.DO_NOTHING,
        related_name="transitions",
        db_index=False,  # The unique constraint has an index that begins with it.
    )
    booking_ref = models.TextField()
    version = models.IntegerField()
    name = models.TextField()
    source = models.TextField()
    target = models.TextField()
    planner = models.TextField(blank=True)
    actor = models.TextField(help_text=_("A planner, 'host' or 'staff:<user id>'."))
    reason = models.TextField(blank=True)
    detail = models.TextField(blank=True)
    correlation_id = models.UUIDField(
        null=True, help_text=_("Identifies the invocation, also on its attempts, events and log lines.")
    )
    transaction_id = models.BigIntegerField(
        null=True, db_default=TransactionId(), help_text=_("Number of the transaction, as in the history of seatings.")
    )
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["assignment", "version"]
        verbose_name = _("state transition")
        verbose_name_plural = _("state transitions")
        constraints = [
            models.UniqueConstraint(fields=["assignment", "version"], name="statetransition_one_per_version"),
        ]
        indexes = [
            models.Index(fields=["booking_ref"], name="statetransition_booking"),
            models.Index(fields=["at"], name="statetransition_at"),
            models.Index(fields=["correlation_id"], name="statetransition_correlation"),
        ]

    def __str__(self) -> str:
        return f"{self.booking_ref} v{self.version}: {self.source} -> {self.target}"
