"""Times as texts, an end as a time, and a constraint against two parties at one table."""
