"""Replays past evenings through both planners."""
