"""Datetime columns for lists, in UTC (named in the heading) or local time (named beside the value)."""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any

from django.contrib import admin
from django.db.models import Model

from assignments.staff import moments


def recorded(column: str, description: Any, *, seconds: bool = False) -> Callable[[Any], str]:
    """Return a sortable column in UTC. ``description`` has to name the time zone."""

    @admin.display(description=description, ordering=column)
    def moment(row: Model) -> str:
        at = getattr(row, column)
        return moments.moment(at, UTC, "seconds" if seconds else "minutes") if at is not None else "-"

    moment.__name__ = column  # The list uses this name in the column's CSS class.
    return moment


def local(at: datetime, zone: tzinfo) -> str:
    """Format a datetime to the minute in a restaurant's time zone, which is named."""
    return f"{moments.moment(at, zone)} {at.astimezone(zone):%Z}"
