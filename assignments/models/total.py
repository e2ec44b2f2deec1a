"""Totals for Prometheus counters, kept after the rows they count are deleted."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _


class Total(models.Model):
    """A count since this app was installed. Only ``assignments.telemetry.counter_store`` writes it.

    ``name``: the metric. ``labels``: its label values, in the metric's order. ``value`` only grows and is exact;
    seconds are stored to the nanosecond.
    """

    name = models.TextField()
    labels = ArrayField(models.TextField(), default=list)
    value = models.DecimalField(max_digits=30, decimal_places=9, default=0)

    class Meta:
        ordering = ["name", "labels"]
        verbose_name = _("total")
        verbose_name_plural = _("totals")
        constraints = [models.UniqueConstraint(fields=["name", "labels"], name="total_one_per_labels")]

    def __str__(self) -> str:
        return f"{self.name}{self.labels}: {float(self.value):g}"


class Folded(models.Model):
    """The time until which a source's rows are included in the totals. Later rows are counted directly."""

    source = models.TextField(primary_key=True)
    until = models.DateTimeField()

    class Meta:
        verbose_name = _("folded source")
        verbose_name_plural = _("folded sources")

    def __str__(self) -> str:
        return f"{self.source} until {self.until:%Y-%m-%d %H:%M:%S}"
