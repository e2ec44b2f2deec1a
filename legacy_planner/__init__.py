"""The legacy planner, which owns confirmations until V3 takes over. Deleted once it has."""
