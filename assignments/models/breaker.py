"""The circuit breaker's state, in the database because cron runs share no memory."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.models.moment import UpdatedAtField


class Breaker(models.Model):
    """A circuit breaker. It has a row only after a first failure.

    Closed: ``opened_until`` is empty. Open: no attempts until then. Half open: that time has passed, and ``successes``
    counts towards closing it. Idle: it passed long ago (``concurrency.circuit_breaker.STATE``).
    """

    name = models.TextField(primary_key=True)
    failures = models.IntegerField(default=0)
    successes = models.IntegerField(default=0)
    opened_until = models.DateTimeField(null=True, blank=True)
    updated_at = UpdatedAtField()

    class Meta:
        ordering = ["name"]
        verbose_name = _("breaker")
        verbose_name_plural = _("breakers")

    def __str__(self) -> str:
        return f"{self.name}: {self.failures} failures"
