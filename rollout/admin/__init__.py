"""The rollout in the admin: one page that steers it, waffle's switches under the same audit, and what was recorded."""

from rollout.admin import (
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
