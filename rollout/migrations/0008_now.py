"""Records say when they were made by the clock that tests and demonstrations can move."""

from django.db import migrations, models

import assignments.models.moment

WHEN = [
    ("change", "at"),
    ("comparison", "recorded_at"),
    ("floorrecord", "recorded_at"),
    ("forcedplanner", "at"),
    ("guardrun", "at"),
    ("waiver", "created_at"),
]


class Migration(migrations.Migration):
    dependencies = [("rollout", "0007_plain_english"), ("assignments", "0011_now")]

    operations = [
        migrations.AlterField(
            model_name=model,
            name=name,
            field=models.DateTimeField(db_default=assignments.models.moment.DatabaseNow()),
        )
        for model, name in WHEN
    ]
