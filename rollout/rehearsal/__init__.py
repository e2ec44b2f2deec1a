"""Breaks V3 on purpose, in memory, and shows which gates and guardrails of the environment would catch it."""
