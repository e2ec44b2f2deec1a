"""Events, metrics, run records, health and logs. Never blocks a decision."""
