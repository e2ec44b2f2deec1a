"""Totals that outlive the rows they were counted from: what a counter of Prometheus must never forget."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _


class Total(models.Model):
    """How often something happened since this app was installed. Only ``assignments.telemetry.counter_store`` writes it.

    ``name`` is a metric's, ``labels`` its labels' values in the metric's order. ``value`` only ever grows, and is
    exact: seconds are kept to the nanosecond.
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
    """Until when the rows of a source are in the totals; younger rows are counted as they are."""

    source = models.TextField(primary_key=True)
    until = models.DateTimeField()

    class Meta:
        verbose_name = _("folded source")
        verbose_name_plural = _("folded sources")

    def __str__(self) -> str:
        return f"{self.source} until {self.until:%Y-%m-%d %H:%M:%S}"
