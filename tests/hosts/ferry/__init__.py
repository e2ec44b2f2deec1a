"""Booleans instead of a status: accepted, and cancelled."""
