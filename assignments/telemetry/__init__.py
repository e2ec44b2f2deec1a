"""Events, metrics, run records, health and logs. None of these blocks a decision."""
