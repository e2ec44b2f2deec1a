"""Transactions that are retried, advisory locks, circuit breakers."""
