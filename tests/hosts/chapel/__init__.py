"""A one-to-one to the table, which is refused; with a foreign key it works."""
