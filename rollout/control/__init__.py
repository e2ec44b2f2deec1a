"""Everything that changes the rollout: promoting, rolling back, switches, the guard, and the log of changes."""
