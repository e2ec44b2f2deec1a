"""Who plans a booking: the switches, and what they mean. Goes when the migration is over."""
