"""Moments in lists, each by a clock that is named: UTC's above its column, or a restaurant's beside it."""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any

from django.contrib import admin
from django.db.models import Model


def recorded(column: str, description: Any, *, seconds: bool = False) -> Callable[[Any], str]:
    """A column of a list, for when something was recorded, in UTC: ``description`` has to say so. It can be sorted by."""

    @admin.display(description=description, ordering=column)
    def moment(row: Model) -> str:
        at = getattr(row, column)
        return f"{at.astimezone(UTC):{'%Y-%m-%d %H:%M:%S' if seconds else '%Y-%m-%d %H:%M'}}" if at is not None else "-"

    moment.__name__ = column  # What the list calls the column in its HTML.
    return moment


def local(moment: datetime, zone: tzinfo) -> str:
    """To the minute, by a restaurant's clock, and it says which: when guests come."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"
