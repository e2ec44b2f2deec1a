"""What the pages and metrics look for, by index. Concurrently: bookings go on while years of rows are read."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("assignments", "0005_observability")]

    operations = [
        AddIndexConcurrently(
            model_name="attempt",
            index=models.Index(fields=["correlation_id"], name="attempt_correlation"),
        ),
        AddIndexConcurrently(
            model_name="event",
            index=models.Index(fields=["severity", "at"], name="event_severity"),
        ),
        AddIndexConcurrently(
            model_name="event",
            index=models.Index(fields=["correlation_id"], name="event_correlation"),
        ),
        AddIndexConcurrently(
            model_name="event",
            index=models.Index(fields=["stored_at"], name="event_stored"),
        ),
        AddIndexConcurrently(
            model_name="allocation",
            index=models.Index(fields=["ends_at"], name="allocation_ends"),
        ),
        AddIndexConcurrently(
            model_name="statetransition",
            index=models.Index(fields=["correlation_id"], name="statetransition_correlation"),
        ),
    ]
