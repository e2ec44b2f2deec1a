"""Statuses of a single capital letter."""
