"""Tables as a many-to-many, an integer status, soft deletion, and neighbours on the tables."""
