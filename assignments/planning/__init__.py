"""The planning core: frozen values in, a decision with its reasons out.

Nothing in here imports Django, reads a clock, or does I/O; import-linter holds it to that.
Times are aware datetimes, durations are minutes, table sizes are seats, parties are covers.
"""
