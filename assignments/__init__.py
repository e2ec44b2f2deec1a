"""Assigns restaurant tables to bookings. The public API is ``assignments.api``."""
