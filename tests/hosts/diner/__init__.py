"""Slots, party and table as texts to choose from, and no model of tables."""
