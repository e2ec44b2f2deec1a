"""The coordinator: selects the bookings to decide now, and decides them in one transaction."""
