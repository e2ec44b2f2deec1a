"""The one seam to the old planner. Loaded by the dotted path in ``ROLLOUT["LEGACY_PLANNER"]``; imported by nobody.

Removing the old planner is removing ``legacy_planner/``, this module, and their two settings lines.
"""

from legacy_planner.planner import LegacyPlanner

__all__ = ["LegacyPlanner"]
