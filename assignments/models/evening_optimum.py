"""The most that an evening's tables could seat, as the optimizer last found."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.models.moment import DatabaseNow


class EveningOptimum(models.Model):
    """The last answer about one evening, stored for pages and reports, which do not solve themselves.

    ``seated``: bookings with tables after the run. ``waiting``: bookings that waited before it. ``possible``: how many
    bookings the tables could seat at most, if all confirmed ones keep a seat and earlier requests go first.
    ``possible_in_any_order``: the same if waiting bookings may be seated in any order.
    """

    restaurant_ref = models.TextField()
    service_date = models.DateField()
    seated = models.IntegerField()
    waiting = models.IntegerField()
    possible = models.IntegerField()
    possible_in_any_order = models.IntegerField()
    is_proven = models.BooleanField(help_text=_("Whether the solver proved that this many can be seated, and no more."))
    examined_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["service_date", "restaurant_ref"]
        verbose_name = _("optimum of an evening")
        verbose_name_plural = _("optima of evenings")
        constraints = [
            models.UniqueConstraint(fields=["restaurant_ref", "service_date"], name="eveningoptimum_one_per_evening"),
        ]
        indexes = [models.Index(fields=["service_date"], name="eveningoptimum_date")]

    def __str__(self) -> str:
        return f"{self.restaurant_ref} {self.service_date}: {self.seated} of {self.possible}"
