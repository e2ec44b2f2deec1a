"""Proxy models that give admin pages without a table their place in the index and their permissions."""

from typing import ClassVar

from django.utils.translation import gettext_lazy as _

from assignments.models.allocation import Allocation
from assignments.models.assignment import Assignment
from assignments.models.run import Run


class ReviewItem(Assignment):
    """A booking that needs a decision by staff."""

    class Meta:
        proxy = True
        verbose_name = _("booking in review")
        verbose_name_plural = _("review queue")
        default_permissions: ClassVar[tuple[str, ...]] = ("view",)
        permissions = [
            ("assign", _("Can assign tables by hand, and undo it")),
            ("retry", _("Can have a booking tried again")),
            ("reject", _("Can reject a booking")),
        ]


class ServiceDay(Allocation):
    """A restaurant's tables over one day."""

    class Meta:
        proxy = True
        verbose_name = _("service day")
        verbose_name_plural = _("service timeline")
        default_permissions: ClassVar[tuple[str, ...]] = ("view",)
        permissions = [("view_guests", _("Can see names, phones and notes of guests"))]


class Health(Run):
    """The Health page of the coordinator."""

    class Meta:
        proxy = True
        verbose_name = _("health")
        verbose_name_plural = _("health")
        default_permissions: ClassVar[tuple[str, ...]] = ("view",)
