"""The Django app ``assignments``."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AssignmentsConfig(AppConfig):
    name = "assignments"
    label = "assignments"
    verbose_name = _("Table assignments")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from assignments import checks  # noqa: F401  (registers the system checks)
        from assignments.maintenance import host_signals
        from assignments.telemetry import counter_store
        from assignments.telemetry.metrics import collector, counters, samples

        counter_store.register(*counters.SOURCES)
        collector.COLLECTOR.register("assignments", samples.gather)
        host_signals.connect()
