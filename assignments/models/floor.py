"""Floor data that the host's tables do not have: zones, adjacency, joins, service periods, turn times; and where they stand.

Edited in the admin, and read by ``ModelHost`` only. Refs are text without foreign keys into the host's schema.
"""

from collections.abc import Collection

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.planning.floor import (
    A_DAY_OF_MINUTES,
    MOST_JOINS,
    MOST_PRIORITY,
    MOST_SEATS,
    takes_guests_too_long,
)
from assignments.planning.natural_order import natural_key
from assignments.planning.timezone import time_zone


def validate_timezone(name: str) -> None:
    try:
        time_zone(name)
    except ValueError as error:
        raise ValidationError(_("%(name)s is not a time zone."), params={"name": name}) from error


A_NUMBER_OF_SEATS = [MinValueValidator(1), MaxValueValidator(MOST_SEATS)]
A_BUFFER = [MaxValueValidator(A_DAY_OF_MINUTES)]
A_TURN_TIME = [MinValueValidator(1), MaxValueValidator(A_DAY_OF_MINUTES)]


A_PRIORITY = [MinValueValidator(-MOST_PRIORITY), MaxValueValidator(MOST_PRIORITY)]


class VenueSettings(models.Model):
    """A restaurant's time zone."""

    restaurant_ref = models.TextField(unique=True)
    timezone = models.TextField(default="UTC", validators=[validate_timezone])

    class Meta:
        verbose_name = _("venue settings")
        verbose_name_plural = _("venue settings")

    def __str__(self) -> str:
        return self.restaurant_ref


class TableDetails(models.Model):
    """A table's zone and party sizes, if the host does not have them."""

    restaurant_ref = models.TextField()
    table_ref = models.TextField()
    zone = models.TextField(blank=True, default="")
    min_party = models.PositiveIntegerField(null=True, blank=True, validators=A_NUMBER_OF_SEATS)
    max_party = models.PositiveIntegerField(null=True, blank=True, validators=A_NUMBER_OF_SEATS)
    features = ArrayField(
        models.TextField(),
        default=list,
        db_default=[],
        blank=True,
        help_text=_("What guests may need or want, separated by commas: window, step-free."),
    )
    priority = models.SmallIntegerField(
        null=True,
        blank=True,
        validators=A_PRIORITY,
        help_text=_("Tables with a higher priority are preferred. Empty: the zone's priority, or else 0."),
    )

    class Meta:
        ordering = ["restaurant_ref", "table_ref"]
        verbose_name = _("table details")
        verbose_name_plural = _("table details")
        constraints = [
            models.UniqueConstraint(fields=["restaurant_ref", "table_ref"], name="tabledetails_once"),
        ]

    def __str__(self) -> str:
        return self.table_ref

    def clean(self) -> None:
        if self.min_party and self.max_party and self.min_party > self.max_party:
            raise ValidationError({"max_party": _("The maximum party is smaller than the minimum.")})


class TablePlace(models.Model):
    """A table's position and shape on the floor plan. Without one, the table is drawn with its zone.

    ``x`` and ``y``: the centre, in centimetres of a plan that is ``PLAN_WIDTH`` wide.
    """

    PLAN_WIDTH = 1200
    PLAN_HEIGHT = 8000
    """The most that a plan may be high."""

    class Shape(models.TextChoices):
        SQUARE = "square", _("square")
        ROUND = "round", _("round")
        LONG = "long", _("long")
        TALL = "tall", _("tall")

    restaurant_ref = models.TextField()
    table_ref = models.TextField()
    x = models.PositiveSmallIntegerField(validators=[MaxValueValidator(PLAN_WIDTH)])
    y = models.PositiveSmallIntegerField(validators=[MaxValueValidator(PLAN_HEIGHT)])
    shape = models.TextField(choices=Shape.choices, default=Shape.SQUARE)

    class Meta:
        ordering = ["restaurant_ref", "table_ref"]
        verbose_name = _("table position")
        verbose_name_plural = _("table positions")
        constraints = [models.UniqueConstraint(fields=["restaurant_ref", "table_ref"], name="tableplace_once")]

    def __str__(self) -> str:
        return self.table_ref


class ZonePriority(models.Model):
    """The priority of a zone's tables that have none of their own."""

    restaurant_ref = models.TextField()
    zone = models.TextField(help_text=_("The zone's ref, as the tables name it."))
    priority = models.SmallIntegerField(
        validators=A_PRIORITY, help_text=_("Zones with a higher priority are preferred.")
    )

    class Meta:
        ordering = ["restaurant_ref", "zone"]
        verbose_name = _("zone priority")
        verbose_name_plural = _("zone priorities")
        constraints = [models.UniqueConstraint(fields=["restaurant_ref", "zone"], name="zonepriority_once")]

    def __str__(self) -> str:
        return f"{self.zone}: {self.priority}"


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
        return " + ".join(sorted((self.first_table_ref, self.second_table_ref), key=natural_key))

    def clean(self) -> None:
        if not self.first_table_ref or not self.second_table_ref:
            return  # Reported already.
        if self.first_table_ref == self.second_table_ref:
            raise ValidationError({"second_table_ref": _("A table cannot be adjacent to itself. Choose another one.")})
        if AdjacentTables.objects.filter(
            restaurant_ref=self.restaurant_ref,
            first_table_ref=self.second_table_ref,
            second_table_ref=self.first_table_ref,
        ).exists():
            raise ValidationError({"second_table_ref": _("These tables are already listed as adjacent.")})

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        """Leave the error for twice the same table to ``clean``, so that it is reported once."""
        if self.first_table_ref != self.second_table_ref:
            super().validate_constraints(exclude=exclude)


class ListedJoin(models.Model):
    """Tables that may be joined regardless of adjacency, with their total seats."""

    restaurant_ref = models.TextField()
    table_refs = ArrayField(models.TextField())
    seats = models.PositiveIntegerField(validators=A_NUMBER_OF_SEATS)
    min_party = models.PositiveIntegerField(null=True, blank=True, validators=A_NUMBER_OF_SEATS)
    max_party = models.PositiveIntegerField(null=True, blank=True, validators=[MaxValueValidator(MOST_SEATS)])

    class Meta:
        ordering = ["restaurant_ref", "id"]
        verbose_name = _("listed join")
        verbose_name_plural = _("listed joins")

    def __str__(self) -> str:
        return f"{' + '.join(sorted(self.table_refs, key=natural_key))}: {self.seats}"

    def clean(self) -> None:
        refs = set(self.table_refs or [])
        if not refs:
            return  # Reported already.
        if len(refs) < 2:
            raise ValidationError({"table_refs": _("A join needs at least two different tables.")})
        if self.max_party is not None and self.min_party is not None and self.max_party < self.min_party:
            raise ValidationError({"max_party": _("The maximum party is smaller than the minimum.")})
        for name in ("min_party", "max_party"):
            if self.seats is not None and (getattr(self, name) or 0) > self.seats:
                raise ValidationError({name: _("It has only %(seats)s seats.") % {"seats": self.seats}})
        listed = ListedJoin.objects.filter(restaurant_ref=self.restaurant_ref).exclude(pk=self.pk)
        if listed.count() >= MOST_JOINS:
            problem = _("This restaurant lists %(count)s joins already, and no more can be planned.")
            raise ValidationError(problem % {"count": MOST_JOINS})
        others = ListedJoin.objects.filter(restaurant_ref=self.restaurant_ref, table_refs__contains=list(refs))
        if any(set(join.table_refs) == refs for join in others.exclude(pk=self.pk)):
            raise ValidationError({"table_refs": _("This join is already listed.")})


class ServiceHours(models.Model):
    """A service period such as dinner. If ``ends`` is not after ``starts``, it ends after midnight."""

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
    buffer_before_minutes = models.PositiveIntegerField(default=0, validators=A_BUFFER)
    buffer_after_minutes = models.PositiveIntegerField(default=0, validators=A_BUFFER)
    early_minutes = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(A_DAY_OF_MINUTES)],
        help_text=_("How many minutes before the start guests may come."),
    )
    late_minutes = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(A_DAY_OF_MINUTES)],
        help_text=_("How many minutes after the end guests may still come. Needs “allow overrun”."),
    )

    class Meta:
        ordering = ["restaurant_ref", "starts"]
        verbose_name = _("service hours")
        verbose_name_plural = _("service hours")

    def __str__(self) -> str:
        return f"{self.restaurant_ref} {self.key}"

    def clean(self) -> None:
        if self.late_minutes and not self.allow_overrun:
            problem = _("Guests who come after the end stay past it. Allow overruns, or set this to 0.")
            raise ValidationError({"late_minutes": problem})
        if self.starts and self.ends and takes_guests_too_long(self.starts, self.ends, self.late_minutes or 0):
            raise ValidationError({"late_minutes": _("By then it is the day after next. Enter fewer minutes.")})


class TurnMinutes(models.Model):
    """Turn time in ``minutes`` for parties of up to ``max_party`` covers."""

    service = models.ForeignKey(ServiceHours, on_delete=models.CASCADE, related_name="turns")
    max_party = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    minutes = models.PositiveIntegerField(validators=A_TURN_TIME)

    class Meta:
        ordering = ["service", "max_party"]
        verbose_name = _("turn time")
        verbose_name_plural = _("turn times")
        constraints = [models.UniqueConstraint(fields=["service", "max_party"], name="turnminutes_once")]

    def __str__(self) -> str:
        return f"{self.max_party}: {self.minutes}"
