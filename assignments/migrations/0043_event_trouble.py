"""Events by severity only where it is trouble: nearly all of them are not, and they are written most.

Concurrently: bookings go on while years of rows are read.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("assignments", "0042_fewer_indexes")]

    operations = [
        AddIndexConcurrently(
            model_name="event",
            index=models.Index(
                condition=models.Q(("severity", "info"), _negated=True), fields=["severity", "at"], name="event_trouble"
            ),
        ),
        RemoveIndexConcurrently(model_name="event", name="event_severity"),
    ]
