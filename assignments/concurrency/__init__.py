"""Retried transactions, advisory locks and circuit breakers."""
