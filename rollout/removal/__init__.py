"""The end of the old planner: whether an environment can do without it, and everything that goes with it."""
