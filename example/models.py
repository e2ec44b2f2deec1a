"""A small booking project: restaurants, their floors and services, and their bookings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.concurrency import clock
from assignments.planning.features import LONGEST_FEATURE
from assignments.planning.floor import A_DAY_OF_MINUTES, MOST_PRIORITY, MOST_SEATS, takes_guests_too_long
from assignments.planning.natural_order import natural_key
from assignments.planning.timezone import time_zone

A_NUMBER_OF_SEATS = [MinValueValidator(1), MaxValueValidator(MOST_SEATS)]
A_PRIORITY = [MinValueValidator(-MOST_PRIORITY), MaxValueValidator(MOST_PRIORITY)]


def validate_timezone(name: str) -> None:
    try:
        time_zone(name)
    except ValueError as error:
        raise ValidationError(_("%(name)s is no time zone."), params={"name": name}) from error


def booked_now() -> datetime:
    """Return the time at which a booking is made, by the clock that tests and the demo can move."""
    return clock.now()


def refuse_limits_beyond_seats(place: Table | TableJoin) -> None:
    """Raise ValidationError for a least and a largest party that no table, or join of tables, can have."""
    if place.max_party is not None and place.min_party is not None and place.max_party < place.min_party:
        raise ValidationError({"max_party": _("The largest party is smaller than the smallest one.")})
    for name in ("min_party", "max_party"):
        if place.seats is not None and (getattr(place, name) or 0) > place.seats:
            raise ValidationError({name: _("There are fewer seats.")})


class Restaurant(models.Model):
    name = models.CharField(max_length=200)
    reference = models.CharField(
        max_length=200,
        unique=True,
        null=True,
        blank=True,
        help_text=_("The restaurant's name in files, if it is not its own name."),
    )
    """None where nobody has given one: what was only a name must not be taken for somebody else's reference."""
    timezone = models.CharField(max_length=64, default="Europe/London", validators=[validate_timezone])
    calendar_of_file = ArrayField(models.BigIntegerField(), default=list, blank=True, editable=False)
    """Ids of the calendar entries that a file made. The others are somebody's own."""
    pacing_of_file = ArrayField(models.BigIntegerField(), default=list, db_default=[], blank=True, editable=False)
    """Ids of the pacing limits that a file made."""
    tables_kept = ArrayField(models.BigIntegerField(), default=list, db_default=[], blank=True, editable=False)
    """Ids of the tables that are no longer in the file, and that were put out of service because bookings had them."""

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["name"],
                condition=models.Q(reference__isnull=True),
                name="restaurant_name_once_without_reference",
                violation_error_message=_(
                    "Another restaurant has this name, and no reference either: give one of them."
                ),
            )
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.clean()
        super().save(*args, **kwargs)

    def clean(self) -> None:
        self.reference = self.reference or None


class Zone(models.Model):
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE, related_name="zones")
    name = models.CharField(max_length=100)

    class Meta:
        ordering = ["restaurant", "name"]
        constraints = [models.UniqueConstraint(fields=["restaurant", "name"], name="zone_once_a_restaurant")]

    def __str__(self) -> str:
        return self.name


class Table(models.Model):
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE, related_name="tables")
    code = models.CharField(max_length=20)
    zone = models.ForeignKey(Zone, on_delete=models.PROTECT, related_name="tables")
    seats = models.PositiveIntegerField(validators=A_NUMBER_OF_SEATS)
    min_party = models.PositiveIntegerField(null=True, blank=True, validators=A_NUMBER_OF_SEATS)
    max_party = models.PositiveIntegerField(null=True, blank=True, validators=A_NUMBER_OF_SEATS)
    active = models.BooleanField(default=True)
    priority = models.SmallIntegerField(
        default=0, db_default=0, validators=A_PRIORITY, help_text=_("Tables with a higher priority are assigned first.")
    )
    features = ArrayField(
        models.CharField(max_length=LONGEST_FEATURE),
        default=list,
        db_default=[],
        blank=True,
        help_text=_("What guests may need or want, separated by commas: window, step-free."),
    )

    class Meta:
        ordering = ["restaurant", "code"]
        constraints = [models.UniqueConstraint(fields=["restaurant", "code"], name="table_once_a_restaurant")]

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        refuse_limits_beyond_seats(self)


class TableAdjacency(models.Model):
    """Two tables of one zone that may be pushed together."""

    first = models.ForeignKey(Table, on_delete=models.CASCADE, related_name="+")
    second = models.ForeignKey(Table, on_delete=models.CASCADE, related_name="+")

    class Meta:
        verbose_name_plural = "table adjacencies"
        constraints = [
            models.UniqueConstraint(fields=["first", "second"], name="adjacency_once"),
            models.CheckConstraint(condition=~models.Q(first=models.F("second")), name="adjacency_of_two"),
        ]

    def __str__(self) -> str:
        return " + ".join(sorted((self.first.code, self.second.code), key=natural_key))

    def clean(self) -> None:
        if self.first_id and self.second_id and self.first.zone_id != self.second.zone_id:
            raise ValidationError(_("Tables of different zones cannot be adjacent."))


class TableJoin(models.Model):
    """Tables that seat more, or fewer, together than the sum of their seats."""

    tables = models.ManyToManyField(Table, related_name="joins")
    seats = models.PositiveIntegerField(validators=A_NUMBER_OF_SEATS)
    min_party = models.PositiveIntegerField(null=True, blank=True, validators=A_NUMBER_OF_SEATS)
    max_party = models.PositiveIntegerField(null=True, blank=True, validators=A_NUMBER_OF_SEATS)

    def __str__(self) -> str:
        return f"a join with {self.seats} seats"

    def clean(self) -> None:
        refuse_limits_beyond_seats(self)


class ServicePeriod(models.Model):
    """Lunch, dinner. ``end`` at or before ``start`` means past midnight."""

    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE, related_name="services")
    key = models.SlugField()
    start = models.TimeField()
    end = models.TimeField()
    weekdays = ArrayField(
        models.PositiveSmallIntegerField(validators=[MaxValueValidator(6)]),
        default=list,
        blank=True,
        help_text=_("0 is Monday; empty for every day."),
    )
    allow_overrun = models.BooleanField(default=False, help_text=_("Guests may stay past the end."))
    buffer_before_minutes = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(A_DAY_OF_MINUTES)])
    buffer_after_minutes = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(A_DAY_OF_MINUTES)])
    early_minutes = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(A_DAY_OF_MINUTES)],
        help_text=_("How many minutes before the start guests may come."),
    )
    late_minutes = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(A_DAY_OF_MINUTES)],
        help_text=_("How many minutes after the end guests may still come."),
    )

    class Meta:
        ordering = ["restaurant", "start"]
        constraints = [models.UniqueConstraint(fields=["restaurant", "key"], name="service_once_a_restaurant")]

    def __str__(self) -> str:
        return self.key

    def clean(self) -> None:
        if self.late_minutes and not self.allow_overrun:
            raise ValidationError({"late_minutes": _("Guests who come after the end stay past it: allow overruns.")})
        if self.start and self.end and takes_guests_too_long(self.start, self.end, self.late_minutes or 0):
            raise ValidationError({"late_minutes": _("By then it is the day after next. Enter fewer minutes.")})


class TurnTime(models.Model):
    """Parties of up to ``max_party`` keep their table for ``minutes``."""

    service = models.ForeignKey(ServicePeriod, on_delete=models.CASCADE, related_name="turn_times")
    max_party = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    minutes = models.PositiveIntegerField(validators=[MinValueValidator(1), MaxValueValidator(A_DAY_OF_MINUTES)])

    class Meta:
        ordering = ["service", "max_party"]
        constraints = [models.UniqueConstraint(fields=["service", "max_party"], name="turn_time_once")]

    def __str__(self) -> str:
        return f"up to {self.max_party}: {self.minutes} min"


class Booking(models.Model):
    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        CONFIRMED = "confirmed", _("confirmed")
        CANCELLED = "cancelled", _("cancelled")
        NO_SHOW = "no_show", _("no show")
        COMPLETED = "completed", _("completed")

    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE, related_name="bookings")
    reference = models.CharField(max_length=40)
    start = models.DateTimeField()
    end = models.DateTimeField(null=True, blank=True, help_text=_("Empty: the turn time decides."))
    party = models.PositiveIntegerField(validators=A_NUMBER_OF_SEATS, help_text=_("Covers."))
    zone = models.ForeignKey(
        Zone, null=True, blank=True, on_delete=models.SET_NULL, help_text=_("The guest insists on this zone.")
    )
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PENDING)
    needs = ArrayField(
        models.CharField(max_length=LONGEST_FEATURE),
        default=list,
        db_default=[],
        blank=True,
        help_text=_("Features that the table must have, separated by commas."),
    )
    wishes = ArrayField(
        models.CharField(max_length=LONGEST_FEATURE),
        default=list,
        db_default=[],
        blank=True,
        help_text=_("Features that the table should have if possible, separated by commas."),
    )
    of_file = models.JSONField(default=dict, db_default={}, blank=True, editable=False)
    """The end, needs and wishes that a file gave, as JSON: what it no longer gives is taken back, unless others set it."""
    tables = models.ManyToManyField(Table, blank=True, related_name="bookings")
    table_told = models.BooleanField(
        db_default=False, default=False, help_text=_("The guest has been told the table, so that it stays.")
    )
    guest_name = models.CharField(max_length=200, blank=True)
    guest_email = models.EmailField(blank=True)
    guest_phone = models.CharField(max_length=40, blank=True, db_default="")
    guest_notes = models.TextField(blank=True, db_default="", help_text=_("Allergies, a high chair, an anniversary."))
    created_at = models.DateTimeField(default=booked_now)

    class Meta:
        ordering = ["start", "reference"]
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "reference"], name="booking_once_a_restaurant"),
        ]
        indexes = [models.Index(fields=["status", "start"], name="booking_waiting")]

    def __str__(self) -> str:
        return f"{self.reference} ({self.party})"
