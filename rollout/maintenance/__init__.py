"""Deleting old comparisons."""
