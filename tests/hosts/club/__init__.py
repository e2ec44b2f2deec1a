"""A user model of its own, and adults and children instead of a party."""
