"""The Django app ``legacy_planner``."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LegacyPlannerConfig(AppConfig):
    name = "legacy_planner"
    label = "legacy_planner"
    verbose_name = _("Legacy planner")

    def ready(self) -> None:
        from legacy_planner import events, wording  # noqa: F401  (registers event types, and words)
