"""The Django app ``assignments``."""

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

try:  # Here, and not with the models: Django's own app for PostgreSQL, which comes later, would say less.
    import psycopg  # noqa: F401
except ImportError as missing:
    raise ImproperlyConfigured(
        f"assignments needs PostgreSQL and psycopg 3 (pip install 'psycopg[binary]'): {missing}"
    ) from missing


class AssignmentsConfig(AppConfig):
    name = "assignments"
    label = "assignments"
    verbose_name = _("Table assignments")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from assignments import checks  # noqa: F401  (registers the system checks)
        from assignments.integration import release
        from assignments.maintenance import host_signals, loading
        from assignments.telemetry import counter_store
        from assignments.telemetry.metrics import collector, counters, samples

        counter_store.register(*counters.SOURCES)
        collector.COLLECTOR.register("assignments", samples.gather)
        host_signals.connect()
        loading.connect()
        release.of_code()  # Now: a deploy may write other files while this process runs.
