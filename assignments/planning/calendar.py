"""The calendar: which services a date has, by its entries and otherwise by its weekday."""

from collections.abc import Sequence
from datetime import date

from assignments.planning.floor import Floor, ServicePeriod


def periods_on(floor: Floor, day: date) -> Sequence[ServicePeriod]:
    """Return the service periods that start on the local date ``day``.

    Of several entries for a date the shortest one rules, then the one that starts last, then the one that closes.
    """
    periods = {period.key: period for period in usual_periods_on(floor, day)}
    for entry in floor.calendar:  # From the longest to the shortest.
        if not entry.covers(day):
            continue
        if entry.closes:
            periods = {}
        else:
            periods |= {period.key: period for period in entry.services}
    return tuple(periods.values())


def usual_periods_on(floor: Floor, day: date) -> Sequence[ServicePeriod]:
    """Return the service periods that the weekday of ``day`` has without the calendar."""
    return tuple(period for period in floor.services if day.weekday() in period.weekdays)


def is_closed(floor: Floor, day: date) -> bool:
    """Return whether the calendar closes a date on which something would have been served."""
    return bool(floor.calendar) and bool(usual_periods_on(floor, day)) and not periods_on(floor, day)
