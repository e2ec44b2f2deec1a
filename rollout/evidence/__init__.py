"""Measuring what gates and guardrails judge, from comparisons and live decisions."""
