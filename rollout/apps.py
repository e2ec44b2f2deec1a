"""The Django app ``rollout``."""

from typing import Any

from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured
from django.db.models.signals import pre_migrate
from django.utils.translation import gettext_lazy as _


class RolloutConfig(AppConfig):
    name = "rollout"
    label = "rollout"
    verbose_name = _("Rollout")
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        """Import the models, once it is sure that they can be: without ``assignments`` they would raise a bare RuntimeError.

        Without ``waffle`` they can, and a check says that it is missing.
        """
        missing = [name for name in ("assignments", "waffle") if not apps.is_installed(name)]
        if "assignments" in missing:
            named = " and ".join(f'"{name}"' for name in missing)
            raise ImproperlyConfigured(f'INSTALLED_APPS has "rollout", which also needs {named}.')
        super().import_models()

    def ready(self) -> None:
        from assignments.integration import planners
        from assignments.maintenance import retention
        from assignments.signals import handed_back
        from rollout import checks, conf, events, metrics  # importing checks registers them

        handed_back.connect(events.announce_handed_back, dispatch_uid="rollout.events")

        metrics.register()
        planners.register_router(checks.ROUTER)
        retention.require_attempts(
            f"{conf.NAME}['EVIDENCE_DAYS']", lambda: 0 if conf.problems() else conf.settings().EVIDENCE_DAYS
        )

        # Sent for each app that has models; the first one is enough to refuse.
        pre_migrate.connect(_refuse_local_database, dispatch_uid="rollout.remote")


def _refuse_local_database(using: str, **kwargs: Any) -> None:
    """Refuse to migrate a database that the policy forbids, even with ``migrate --skip-checks``."""
    from django.conf import settings
    from django.core.management import CommandError

    from rollout import checks, conf

    problem = checks.objection_to_database(
        settings.DATABASES[using], conf.settings().ENVIRONMENT, local_reason=conf.settings().LOCAL_DATABASE_REASON
    )
    if problem:
        raise CommandError(problem, returncode=2)
