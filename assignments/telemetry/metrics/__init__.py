"""Metrics for Prometheus: counters and states from the database, and metrics of long-running processes."""
