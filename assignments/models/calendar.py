"""The calendar: dates that are closed, or have other hours than usual."""

from collections.abc import Collection

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from assignments.planning.floor import A_DAY_OF_MINUTES, MOST_INTERVAL


class CalendarEntry(models.Model):
    """The dates ``first_date``..``last_date`` (those on ``weekdays``): closed, or with hours of their own.

    It is read by ``ModelHost`` only. A service of the entry replaces the usual one of the same key on these dates.
    """

    restaurant_ref = models.TextField()
    first_date = models.DateField()
    last_date = models.DateField()
    weekdays = ArrayField(
        models.PositiveSmallIntegerField(validators=[MaxValueValidator(6)]),
        default=list,
        blank=True,
        help_text=_("0 is Monday; empty for every day."),
    )
    closed = models.BooleanField(default=False, help_text=_("Nothing is served on these dates."))
    note = models.TextField(blank=True, default="", help_text=_("For staff. Do not name a guest."))

    class Meta:
        ordering = ["restaurant_ref", "first_date", "id"]
        verbose_name = _("calendar entry")
        verbose_name_plural = _("calendar entries")
        constraints = [
            models.CheckConstraint(condition=Q(last_date__gte=F("first_date")), name="calendarentry_dates_in_order")
        ]

    def __str__(self) -> str:
        return f"{self.restaurant_ref} {self.first_date} - {self.last_date}"

    def clean(self) -> None:
        if self.first_date and self.last_date and self.last_date < self.first_date:
            raise ValidationError({"last_date": _("The last date is before the first.")})

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        """Leave the error for dates in the wrong order to ``clean``, so that it is reported once."""
        if not (self.first_date and self.last_date and self.last_date < self.first_date):
            super().validate_constraints(exclude=exclude)


class PacingLimit(models.Model):
    """How many guests may come and be there at once, in a service and on the dates ``first_date``..``last_date``.

    Of several for a date the one with the shortest period applies. It is read only by ``ModelHost``.
    """

    restaurant_ref = models.TextField()
    service_key = models.SlugField(blank=True, default="", help_text=_("Such as “dinner”; empty for every service."))
    first_date = models.DateField(null=True, blank=True, help_text=_("Empty: always."))
    last_date = models.DateField(null=True, blank=True, help_text=_("Empty: without end."))
    weekdays = ArrayField(
        models.PositiveSmallIntegerField(validators=[MaxValueValidator(6)]),
        default=list,
        blank=True,
        help_text=_("0 is Monday; empty for every day."),
    )
    interval_minutes = models.PositiveSmallIntegerField(
        default=15, validators=[MinValueValidator(1), MaxValueValidator(MOST_INTERVAL)]
    )
    most_covers = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Covers that may come within an interval. Empty: no limit.")
    )
    most_parties = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Parties that may come within an interval. Empty: no limit.")
    )
    most_present = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Covers that may be there at the same time. Empty: no limit.")
    )

    class Meta:
        ordering = ["restaurant_ref", "id"]
        verbose_name = _("pacing limit")
        verbose_name_plural = _("pacing limits")
        constraints = [
            models.CheckConstraint(
                condition=Q(first_date__isnull=True) | Q(last_date__isnull=True) | Q(last_date__gte=F("first_date")),
                name="pacinglimit_dates_in_order",
            ),
            models.CheckConstraint(
                condition=Q(interval_minutes__gte=1, interval_minutes__lte=MOST_INTERVAL),
                name="pacinglimit_interval_possible",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.restaurant_ref} {self.service_key}".rstrip()

    def clean(self) -> None:
        if self.first_date and self.last_date and self.last_date < self.first_date:
            raise ValidationError({"last_date": _("The last date is before the first.")})

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        """Leave the error for dates in the wrong order to ``clean``, so that it is reported once."""
        if not (self.first_date and self.last_date and self.last_date < self.first_date):
            super().validate_constraints(exclude=exclude)


class CalendarService(models.Model):
    """Hours of a service on the dates of an entry. If ``ends`` is not after ``starts``, it ends after midnight."""

    entry = models.ForeignKey(CalendarEntry, on_delete=models.CASCADE, related_name="services")
    key = models.SlugField(default="dinner")
    starts = models.TimeField()
    ends = models.TimeField()
    turn_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(A_DAY_OF_MINUTES)],
        help_text=_("For every party. Empty: the turn times of the usual service."),
    )

    class Meta:
        ordering = ["entry", "starts"]
        verbose_name = _("hours on these dates")
        verbose_name_plural = _("hours on these dates")
        constraints = [models.UniqueConstraint(fields=["entry", "key"], name="calendarservice_once")]

    def __str__(self) -> str:
        return f"{self.key} {self.starts:%H:%M}-{self.ends:%H:%M}"
