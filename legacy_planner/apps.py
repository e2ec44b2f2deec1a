"""The Django app ``legacy_planner``."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LegacyPlannerConfig(AppConfig):
    name = "legacy_planner"
    label = "legacy_planner"
    verbose_name = _("Legacy planner")
    default_auto_field = "django.db.models.BigAutoField"
    brings_planner = True
    """By this the rollout finds it among the installed apps."""

    def ready(self) -> None:
        from legacy_planner import events, wording  # noqa: F401  (registers event types, and words)
