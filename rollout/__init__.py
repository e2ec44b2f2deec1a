"""Decides which planner plans a booking, by switches and stages. Remove it once the migration is complete."""
