"""A single venue with a date and a time."""
