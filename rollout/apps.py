"""The Django app ``rollout``."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RolloutConfig(AppConfig):
    name = "rollout"
    label = "rollout"
    verbose_name = _("Rollout")

    def ready(self) -> None:
        from rollout import checks, events  # noqa: F401  (registers checks and event types)
