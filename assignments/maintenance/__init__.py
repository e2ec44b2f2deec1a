"""Upkeep that cron runs: reconciling with the host, delivering the outbox, deleting old rows."""
