"""How often gates and guardrails are wrong, and how fast they find faults: ``make power``."""
