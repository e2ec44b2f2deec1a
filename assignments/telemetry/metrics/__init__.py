"""Metrics for Prometheus: counters and states from the database, and what long-running processes measure themselves."""
