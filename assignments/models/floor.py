"""What a host's own tables lack, kept here and edited in our admin: zones, adjacency, joins, services, turn times.

Only ``ModelHost`` reads these. Refs are text, as everywhere; nothing points into the host's schema.
"""

from collections.abc import Collection

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.planning.natural_order import natural_key
from assignments.planning.timezone import time_zone


def validate_timezone(name: str) -> None:
    try:
        time_zone(name)
    except ValueError as error:
        raise ValidationError(_("%(name)s is no time zone."), params={"name": name}) from error


class VenueSettings(models.Model):
    """One restaurant's clock, and how far outside its services a booking still belongs to one."""

    restaurant_ref = models.TextField(unique=True)
    timezone = models.TextField(default="UTC", validators=[validate_timezone])
    outside_service_minutes = models.PositiveIntegerField(default=120)

    class Meta:
        verbose_name = _("venue settings")
        verbose_name_plural = _("venue settings")

    def __str__(self) -> str:
        return self.restaurant_ref


class TableDetails(models.Model):
    """A table's zone and the parties it takes alone, where the host's table does not say."""

    restaurant_ref = models.TextField()
    table_ref = models.TextField(unique=True)
    zone = models.TextField(blank=True, default="")
    min_party = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    max_party = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])

    class Meta:
        ordering = ["restaurant_ref", "table_ref"]
        verbose_name = _("table details")
        verbose_name_plural = _("table details")

    def __str__(self) -> str:
        return self.table_ref

    def clean(self) -> None:
        if self.min_party and self.max_party and self.min_party > self.max_party:
            raise ValidationError({"max_party": _("The largest party is smaller than the smallest one.")})


class AdjacentTables(models.Model):
    """Two tables that may be pushed together."""

    restaurant_ref = models.TextField()
    first_table_ref = models.TextField()
    second_table_ref = models.TextField()

    class Meta:
        ordering = ["restaurant_ref", "first_table_ref", "second_table_ref"]
        verbose_name = _("adjacent tables")
        verbose_name_plural = _("adjacent tables")
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant_ref", "first_table_ref", "second_table_ref"], name="adjacenttables_once"
            ),
            models.CheckConstraint(
                condition=~models.Q(first_table_ref=models.F("second_table_ref")), name="adjacenttables_two"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.first_table_ref} + {self.second_table_ref}"

    def clean(self) -> None:
        if not self.first_table_ref or not self.second_table_ref:
            return  # Said already.
        if self.first_table_ref == self.second_table_ref:
            raise ValidationError({"second_table_ref": _("A table is not adjacent to itself: name another one.")})
        if AdjacentTables.objects.filter(
            restaurant_ref=self.restaurant_ref,
            first_table_ref=self.second_table_ref,
            second_table_ref=self.first_table_ref,
        ).exists():
            raise ValidationError({"second_table_ref": _("These two tables are adjacent already.")})

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        """Twice the same table is said once, by ``clean``."""
        if self.first_table_ref != self.second_table_ref:
            super().validate_constraints(exclude=exclude)


class ListedJoin(models.Model):
    """Tables that may be joined whatever their adjacency, with the seats that they have together."""

    restaurant_ref = models.TextField()
    table_refs = ArrayField(models.TextField())
    seats = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    min_party = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1)])
    max_party = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["restaurant_ref", "id"]
        verbose_name = _("listed join")
        verbose_name_plural = _("listed joins")

    def __str__(self) -> str:
        return f"{' + '.join(sorted(self.table_refs, key=natural_key))}: {self.seats}"

    def clean(self) -> None:
        refs = set(self.table_refs or [])
        if not refs:
            return  # Said already.
        if len(refs) < 2:
            raise ValidationError({"table_refs": _("A join needs at least two different tables.")})
        if self.max_party is not None and self.max_party < self.min_party:
            raise ValidationError({"max_party": _("The largest party is smaller than the smallest one.")})
        others = ListedJoin.objects.filter(restaurant_ref=self.restaurant_ref, table_refs__contains=list(refs))
        if any(set(join.table_refs) == refs for join in others.exclude(pk=self.pk)):
            raise ValidationError({"table_refs": _("This join is listed already.")})


class ServiceHours(models.Model):
    """A service such as dinner. ``ends`` at or before ``starts`` means past midnight."""

    restaurant_ref = models.TextField()
    key = models.SlugField(default="dinner")
    starts = models.TimeField()
    ends = models.TimeField()
    weekdays = ArrayField(
        models.PositiveSmallIntegerField(validators=[MaxValueValidator(6)]),
        default=list,
        blank=True,
        help_text=_("0 is Monday; empty for every day."),
    )
    allow_overrun = models.BooleanField(default=False)
    buffer_before_minutes = models.PositiveIntegerField(default=0)
    buffer_after_minutes = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["restaurant_ref", "starts"]
        verbose_name = _("service hours")
        verbose_name_plural = _("service hours")

    def __str__(self) -> str:
        return f"{self.restaurant_ref} {self.key}"


class TurnMinutes(models.Model):
    """Parties of up to ``max_party`` covers keep their table for ``minutes``."""

    service = models.ForeignKey(ServiceHours, on_delete=models.CASCADE, related_name="turns")
    max_party = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    minutes = models.PositiveIntegerField(validators=[MinValueValidator(1)])

    class Meta:
        ordering = ["service", "max_party"]
        verbose_name = _("turn time")
        verbose_name_plural = _("turn times")
        constraints = [models.UniqueConstraint(fields=["service", "max_party"], name="turnminutes_once")]

    def __str__(self) -> str:
        return f"{self.max_party}: {self.minutes}"
