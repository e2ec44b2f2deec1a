"""Faults of every kind, on a PostgreSQL of their own that writes through to the disk: ``make chaos``."""
