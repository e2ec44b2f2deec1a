"""Dumping the database, so that two runs on the same evening can be compared row by row."""

from typing import Any

from django.apps import apps
from django.db import connection

from example import models
from rollout.models import Comparison, DayComparison, FloorRecord

VOLATILE = frozenset(
    {
        *("at", "created_at", "updated_at", "due_at", "requested_at", "expires_at", "stored_at", "modified", "created"),
        *("correlation_id", "transaction_id", "decision_ms", "token", "snapshot_hash", "note", "active"),
    }
)
"""Columns that differ between runs by nature: times, random ids, the switch's own value."""
APPS = frozenset({"assignments", "rollout", "example", "waffle"})


def contents() -> dict[str, list[dict[str, Any]]]:
    """Return by model the rows of every table of APPS except comparisons, without VOLATILE columns."""
    found = {}
    for model in apps.get_models(include_auto_created=True):
        if model in {Comparison, DayComparison, FloorRecord} or model._meta.app_label not in APPS:
            continue
        rows = model._default_manager.order_by("pk").values()
        found[model._meta.label] = [
            {key: _without_times(row[key]) for key in row if key not in VOLATILE} for row in rows
        ]
    return found


def _without_times(value: Any) -> Any:
    """Return the value without timings and random ids."""
    if not isinstance(value, dict):
        return value
    return {key: each for key, each in value.items() if key not in VOLATILE and not key.endswith(("_ms", "_seconds"))}


def differences(one: dict[str, list[dict[str, Any]]], other: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the tables whose rows differ."""
    return sorted(label for label in one.keys() | other.keys() if one.get(label) != other.get(label))


def start_over() -> None:
    """Reset the database to the same bookings with the same keys, unplanned. Only for databases that nobody else uses."""
    names = ", ".join(
        connection.ops.quote_name(model._meta.db_table)
        for model in apps.get_models()
        if model._meta.app_label in {"assignments", "rollout"} and model not in {Comparison, DayComparison, FloorRecord}
    )
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {names}, example_booking_tables RESTART IDENTITY CASCADE")
    models.Booking.objects.update(status=models.Booking.Status.PENDING)
