"""The planning core: turns immutable input into a decision with reasons.

It does not import Django, read a clock or do I/O; import-linter enforces this.
Times are aware datetimes, durations are minutes, table sizes are seats, parties are covers.
"""
