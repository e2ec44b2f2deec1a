"""A booking API: several restaurants, a start and an end, and a table that every reservation must have."""
