"""Prepares the removal of the legacy planner: readiness of an environment, and every place to change."""
