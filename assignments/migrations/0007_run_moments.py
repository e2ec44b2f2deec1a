"""When a run last met an error, and last lost events: what it counts adds up over all its passes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0006_observability_indexes"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="dropped_at",
            field=models.DateTimeField(blank=True, help_text="When it last found that events were lost.", null=True),
        ),
        migrations.AddField(
            model_name="run",
            name="failed_at",
            field=models.DateTimeField(blank=True, help_text="When it last met an unexpected error.", null=True),
        ),
    ]
