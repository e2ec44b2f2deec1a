"""Maintenance: reconciliation with the host, outbox delivery, deletion of old rows, and what helps to write a host class."""
