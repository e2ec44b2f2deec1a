"""The end of the legacy planner: whether an environment can do without it, and everything that goes with it."""
