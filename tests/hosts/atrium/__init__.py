"""UUIDs as keys, and a table's number that is no foreign key."""
