"""Maintenance from cron: reconciliation with the host, outbox delivery, deletion of old rows."""
