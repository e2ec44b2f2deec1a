"""No status: who has a table is seated, and who has cancelled has the moment in a column."""
