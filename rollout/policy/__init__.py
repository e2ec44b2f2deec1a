"""The rules of the rollout: ladder, gates, guardrails, verdicts, confidence bounds. They do no I/O."""
