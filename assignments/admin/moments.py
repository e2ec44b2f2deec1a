"""Dates and times for staff, as their language writes them. Clocks have 24 hours everywhere."""

from datetime import date, datetime, tzinfo

from django.utils.formats import date_format
from django.utils.translation import pgettext


def long_day(day: date) -> str:
    """Write a day with its weekday: Sunday 29 November 2026."""
    return date_format(day, pgettext("format of a day with its weekday", "l j F Y"))


def short_day(day: date) -> str:
    """Write a day: 29 Nov 2026."""
    return date_format(day, pgettext("format of a day", "j M Y"))


def moment(at: datetime, zone: tzinfo) -> str:
    """Write a day and a time by a restaurant's clock: 29 Nov 2026, 18:30."""
    local = at.astimezone(zone)
    return f"{short_day(local)}, {local:%H:%M}"
