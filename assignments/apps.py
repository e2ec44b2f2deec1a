"""The Django app ``assignments``."""

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _


class AssignmentsConfig(AppConfig):
    name = "assignments"
    label = "assignments"
    verbose_name = _("Table assignments")
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        """Import the models, once it is sure that they can be: without psycopg 3 they would raise a bare ImportError."""
        try:
            import psycopg  # noqa: F401
        except ImportError as error:
            problem = f"assignments needs PostgreSQL and psycopg 3 (pip install 'psycopg[binary]'): {error}"
            raise ImproperlyConfigured(problem) from error
        super().import_models()

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
