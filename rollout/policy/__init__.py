"""The rules of the rollout, pure: ladder, gates, guardrails, verdicts, confidence bounds."""
