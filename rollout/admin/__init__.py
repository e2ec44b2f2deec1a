"""The rollout in the admin: the Rollout page, waffle's switches with the same audit log, and the records."""

from django.apps import apps

from rollout.admin import (
    first_page,  # noqa: F401  (registers its panel)
    health,
    links,  # noqa: F401  (registers its link)
)
from rollout.admin.comparisons import ComparisonAdmin
from rollout.admin.log_admins import ChangeAdmin, ComparisonTallyAdmin, ForcedPlannerAdmin, GuardRunAdmin, WaiverAdmin
from rollout.admin.page import RolloutAdmin

if apps.is_installed("waffle"):  # Without it, its admin cannot be imported; a check says that it is missing.
    from rollout.admin import switches  # noqa: F401  (registers waffle's page)

__all__ = [
    "ChangeAdmin",
    "ComparisonAdmin",
    "ComparisonTallyAdmin",
    "ForcedPlannerAdmin",
    "GuardRunAdmin",
    "RolloutAdmin",
    "WaiverAdmin",
    "health",
]
