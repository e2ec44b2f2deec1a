"""Closures: when tables, a zone or the whole restaurant cannot be used, and who closed them."""

from __future__ import annotations

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q
from django.utils.translation import gettext_lazy as _

from assignments.models.moment import DatabaseNow
from assignments.planning.natural_order import natural_key


class ClosureQuerySet(models.QuerySet["Closure"]):
    def not_lifted(self) -> ClosureQuerySet:
        """Filter closures that have not been lifted."""
        return self.filter(lifted_at__isnull=True)

    def during(self, start: datetime, until: datetime) -> ClosureQuerySet:
        """Filter closures that overlap ``[start, until)``."""
        return self.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=start), starts_at__lt=until)


class Closure(models.Model):
    """Tables that cannot be used over ``[starts_at, ends_at)``; without an end until the closure is lifted.

    ``table_refs``: the tables at the time of writing, those of the zone if ``zone_ref`` is set; empty for the whole
    restaurant. Closures may overlap. A lifted closure is kept, and closes nothing.
    """

    restaurant_ref = models.TextField()
    table_refs = ArrayField(models.TextField(), default=list, blank=True)
    zone_ref = models.TextField(blank=True, default="")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True, help_text=_("Empty: until further notice."))
    reason = models.TextField(blank=True, default="", help_text=_("For staff. Do not name a guest."))
    author = models.TextField(default="host")
    created_at = models.DateTimeField(db_default=DatabaseNow())
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.TextField(blank=True, default="")
    version = models.PositiveIntegerField(default=0)

    objects = ClosureQuerySet.as_manager()

    class Meta:
        ordering = ["starts_at", "id"]
        verbose_name = _("closure")
        verbose_name_plural = _("closures")
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")), name="closure_ends_after_its_start"
            ),
            models.CheckConstraint(
                condition=Q(zone_ref="") | ~Q(table_refs=[]), name="closure_of_a_zone_names_its_tables"
            ),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True, lifted_by="") | Q(lifted_at__isnull=False),
                name="closure_lifted_by_whom",
            ),
        ]
        indexes = [
            models.Index(
                fields=["restaurant_ref", "starts_at"], condition=Q(lifted_at__isnull=True), name="closure_standing"
            )
        ]

    def __str__(self) -> str:
        end = f"{self.ends_at:%Y-%m-%d %H:%M}" if self.ends_at else "..."
        return f"{self.restaurant_ref} {self.what} {self.starts_at:%Y-%m-%d %H:%M} - {end}"

    @property
    def is_whole_restaurant(self) -> bool:
        """Return whether every table is closed."""
        return not self.table_refs

    @property
    def what(self) -> str:
        """The zone, the tables, or an asterisk for the whole restaurant."""
        return self.zone_ref or " + ".join(sorted(self.table_refs, key=natural_key)) or "*"


class TimeRange(Func):
    """``tstzrange(start, end)``: without a bound where there is no end."""

    function = "tstzrange"
