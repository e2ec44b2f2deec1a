"""Dates and times for staff, as their language writes them. Clocks have 24 hours everywhere."""

from datetime import date, datetime, tzinfo
from functools import lru_cache

from django.utils.formats import date_format
from django.utils.translation import get_language, pgettext


def long_day(day: date) -> str:
    """Write a day with its weekday: Sunday 29 November 2026."""
    return date_format(day, pgettext("format of a day with its weekday", "l j F Y"))


def short_day(day: date) -> str:
    """Write a day: 29 Nov 2026."""
    return _short_day(day.year, day.month, day.day, get_language())


@lru_cache(maxsize=1000)  # A page has hundreds of moments, on very few days.
def _short_day(year: int, month: int, day: int, _language: str) -> str:
    return date_format(date(year, month, day), pgettext("format of a day", "j M Y"))


def long_moment(at: datetime) -> str:
    """Write a day with its weekday, and a time, as they stand: Sunday 29 November 2026, 18:30."""
    return f"{long_day(at)}, {at:%H:%M}"


def weekday_moment(at: datetime) -> str:
    """Write a weekday, a day of this year, and a time, as they stand: Sun 29 Nov 18:30."""
    day = date_format(at, pgettext("format of a day of this year with its weekday", "D j M"))
    return f"{day} {at:%H:%M}"


def moment(at: datetime, zone: tzinfo, precision: str = "minutes") -> str:
    """Write a day and a time by a restaurant's clock: 29 Nov 2026, 18:30. ``precision``: also seconds, or milliseconds."""
    return local_moment(at.astimezone(zone), precision)


def local_moment(at: datetime, precision: str = "minutes") -> str:
    """Write a day and a time in the zone that they have: 29 Nov 2026, 18:30."""
    return f"{short_day(at)}, {at.replace(tzinfo=None).time().isoformat(precision)}"
