"""The calendar: the services of a date, by calendar entries or else by its weekday."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, time

from assignments.planning.floor import EVERY_WEEKDAY, Floor, ServicePeriod, TurnTime


def periods_on(floor: Floor, day: date) -> Sequence[ServicePeriod]:
    """Return the service periods that start on the local date ``day``.

    Of several entries for a date the shortest one applies, then the one that starts last, then the one that closes.
    """
    periods = usual_periods_on(floor, day)
    for entry in floor.calendar:  # From the longest to the shortest.
        if entry.covers(day):
            replaced = {period.key for period in entry.services}
            others = () if entry.closes else (period for period in periods if period.key not in replaced)
            periods = (*others, *entry.services)
    return periods


def usual_periods_on(floor: Floor, day: date) -> Sequence[ServicePeriod]:
    """Return the service periods that the weekday of ``day`` has without the calendar."""
    return tuple(period for period in floor.services if day.weekday() in period.weekdays)


def is_closed(floor: Floor, day: date) -> bool:
    """Return whether the calendar closes a date on which something would have been served."""
    return bool(floor.calendar) and bool(usual_periods_on(floor, day)) and not periods_on(floor, day)


def special_period(usual: ServicePeriod, *, starts: time, ends: time, turn_minutes: int | None = None) -> ServicePeriod:
    """Return a service for the dates of an entry: the usual one with other hours and, if given, a single turn time."""
    turns = usual.turn_times
    if turn_minutes is not None:
        turns = (TurnTime(max_party=turns[-1].max_party, minutes=turn_minutes),)
    return replace(usual, starts=starts, ends=ends, turn_times=turns, weekdays=EVERY_WEEKDAY)
