"""The rollout in the admin: the Rollout page, waffle's switches with the same audit log, and the records."""

from rollout.admin import (
    first_page,  # noqa: F401  (registers its panel)
    health,
    links,  # noqa: F401  (registers its link)
)
from rollout.admin.comparisons import ComparisonAdmin
from rollout.admin.log_admins import ChangeAdmin, ComparisonTallyAdmin, ForcedPlannerAdmin, GuardRunAdmin, WaiverAdmin
from rollout.admin.page import RolloutAdmin
from rollout.admin.switches import SwitchAdmin

__all__ = [
    "ChangeAdmin",
    "ComparisonAdmin",
    "ComparisonTallyAdmin",
    "ForcedPlannerAdmin",
    "GuardRunAdmin",
    "RolloutAdmin",
    "SwitchAdmin",
    "WaiverAdmin",
    "health",
]
