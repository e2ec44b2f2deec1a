"""Smaller indexes for events, which are written most: times by page ranges, and severities only of trouble.

Concurrently: bookings go on while years of rows are read.
"""

import django.contrib.postgres.indexes
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("assignments", "0042_fewer_indexes")]

    operations = [
        AddIndexConcurrently(
            model_name="event",
            index=django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=["at"], name="event_at_range"),
        ),
        AddIndexConcurrently(
            model_name="event",
            index=models.Index(
                condition=models.Q(("severity", "info"), _negated=True), fields=["severity", "at"], name="event_trouble"
            ),
        ),
        RemoveIndexConcurrently(model_name="event", name="event_at"),
        RemoveIndexConcurrently(model_name="event", name="event_severity"),
    ]
