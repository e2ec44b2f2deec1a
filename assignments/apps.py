"""The Django app ``assignments``."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AssignmentsConfig(AppConfig):
    name = "assignments"
    label = "assignments"
    verbose_name = _("Table assignments")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from assignments import checks, totals  # noqa: F401  (checks registers the system checks)
        from assignments.metrics import collector, counters, gathered

        totals.register(*counters.SOURCES)
        collector.COLLECTOR.register("assignments", gathered.gather)
