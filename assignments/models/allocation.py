"""The ledger: which table is occupied when, and by which booking. A PostgreSQL constraint prevents overlaps."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, BigIntegerRangeField, DateTimeRangeField, RangeOperators
from django.contrib.postgres.indexes import GistIndex
from django.db import models
from django.db.models import F, Func, Q, Value
from django.utils.translation import gettext_lazy as _

from assignments.models.insertion import NewRow
from assignments.models.moment import DatabaseNow

NO_OVERLAP_CONSTRAINT = "allocation_no_overlap"

NOT_WHILE_CLOSED = "allocation_not_while_closed"
"""What the trigger that keeps seatings out of closures names as its constraint."""


class TableKey(Func):
    """Hash of refs as a range, ``int8range(h, h, '[]')``, so that GiST works without the btree_gist extension.

    Several refs, such as a restaurant's and a table's, are hashed together. If two keys had the same 64-bit hash, a
    valid seating could be refused, but no double booking could happen.
    """

    function = "int8range"
    arg_joiner = " || chr(31) || "
    template = "%(function)s(hashtextextended(%(expressions)s, 0), hashtextextended(%(expressions)s, 0), '[]')"
    output_field = BigIntegerRangeField()

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        sql, params = super().as_sql(*args, **kwargs)
        return sql, [*params, *params]  # The template contains the expression twice.


class AllocationQuerySet(models.QuerySet["Allocation"]):
    def at(self, restaurant_ref: str) -> AllocationQuerySet:
        """Filter by restaurant. With a range of ``blocked`` this uses the index ``allocation_occupancy``."""
        return self.alias(restaurant_key=TableKey(F("restaurant_ref"))).filter(
            restaurant_key__overlap=TableKey(Value(restaurant_ref)), restaurant_ref=restaurant_ref
        )

    def current(self) -> AllocationQuerySet:
        """Filter seatings whose guests have not left the table."""
        return self.filter(kind=Allocation.Kind.SEATING, ended_at__isnull=True)


class Allocation(models.Model):
    """One table, occupied for one time range. Table refs are unique within their restaurant.

    ``blocked`` is ``[blocked_from, blocked_until)`` in UTC, including buffers. The seating is
    ``starts_at``..``ends_at``. A *hold* reserves the table until ``expires_at``. A *seating* reserves it without a
    limit. Neither may begin at a closed table, unless ``overridden_by`` names the actor that overrides the closure.

    A booking's seatings are its promise. ``party`` and ``zone_ref``: those for which it was made. ``ended_at``: set
    once the guests have left this table; the row stays as a record of the past. ``overstays_until``: set while the
    guests stay longer than the table is theirs.
    """

    class Kind(models.TextChoices):
        HOLD = "hold", _("hold")
        SEATING = "seating", _("seating")

    restaurant_ref = models.TextField()
    table_ref = models.TextField()
    booking_ref = models.TextField()
    kind = models.TextField(choices=Kind.choices)
    blocked = DateTimeRangeField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    token = models.UUIDField(null=True, blank=True, help_text=_("Identifies a hold, which may cover several tables."))
    planner = models.TextField(blank=True, default="")
    party = models.IntegerField(null=True, blank=True, help_text=_("Covers promised a seat. Null: not recorded."))
    zone_ref = models.TextField(  # noqa: DJ001  (null and empty differ)
        null=True, blank=True, help_text=_("Zone promised. Null: not recorded; empty: none.")
    )
    despite = ArrayField(
        models.TextField(),
        default=list,
        db_default=[],
        blank=True,
        help_text=_("Rules that staff passed over for this seating."),
    )
    ended_at = models.DateTimeField(
        null=True, blank=True, help_text=_("Time at which its guests left the table; empty while it is theirs.")
    )
    overstays_until = models.DateTimeField(
        null=True, blank=True, help_text=_("End of a stay that runs into the next booking at this table.")
    )
    overridden_by = models.TextField(
        blank=True, default="", db_default="", help_text=_("Who seated the booking although the table is closed.")
    )
    created_at = models.DateTimeField(db_default=DatabaseNow())

    objects = AllocationQuerySet.as_manager()

    class Meta:
        ordering = ["starts_at", "table_ref"]
        verbose_name = _("allocation")
        verbose_name_plural = _("allocations")
        constraints = [
            ExclusionConstraint(
                name=NO_OVERLAP_CONSTRAINT,
                index_type="GIST",
                expressions=[
                    (TableKey(F("restaurant_ref"), F("table_ref")), RangeOperators.OVERLAPS),
                    ("blocked", RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(
                condition=Q(kind="hold", expires_at__isnull=False, token__isnull=False)
                | Q(kind="seating", expires_at__isnull=True),
                name="allocation_only_holds_expire",
            ),
            models.CheckConstraint(condition=~Q(booking_ref=""), name="allocation_has_a_booking"),
            models.CheckConstraint(
                condition=Q(kind="seating") | Q(ended_at__isnull=True, overstays_until__isnull=True),
                name="allocation_only_seatings_end",
            ),
            models.UniqueConstraint(
                fields=["booking_ref", "restaurant_ref", "table_ref"],
                condition=Q(kind="seating", ended_at__isnull=True),
                name="allocation_one_current_seating",
            ),
            models.CheckConstraint(
                condition=Q(blocked__isempty=False, blocked__lower_inf=False, blocked__upper_inf=False),
                name="allocation_blocked_bounded",
            ),
        ]
        indexes = [
            models.Index(fields=["booking_ref"], name="allocation_booking"),
            models.Index(fields=["restaurant_ref", "starts_at"], name="allocation_evening"),
            GistIndex(TableKey(F("restaurant_ref")), F("blocked"), name="allocation_occupancy"),
            models.Index(fields=["expires_at"], condition=Q(kind="hold"), name="allocation_expiring"),
            models.Index(fields=["ends_at"], name="allocation_ends"),
        ]

    def __str__(self) -> str:
        return f"{self.table_ref} {self.starts_at:%Y-%m-%d %H:%M} {self.kind} {self.booking_ref}".rstrip()

    @property
    def buffer_after(self) -> timedelta:
        """Return the time for which the table is blocked after its guests have left."""
        return timedelta(0) if self.overstays_until else self.blocked.upper - self.ends_at

    @property
    def stays_until(self) -> datetime:
        """Return when its guests will leave, which may be after the table is theirs."""
        return self.overstays_until or self.ends_at


class NewAllocation(NewRow, frozen=True, kw_only=True):
    """An allocation that is not stored yet. ``blocked``: see ``insertion.blocked_range``."""

    model: ClassVar[type[models.Model]] = Allocation

    restaurant_ref: str
    table_ref: str
    booking_ref: str
    kind: str
    blocked: str
    starts_at: datetime
    ends_at: datetime
    expires_at: datetime | None = None
    token: uuid.UUID | None = None
    planner: str
    party: int | None
    zone_ref: str | None
    despite: tuple[str, ...]
    overridden_by: str
