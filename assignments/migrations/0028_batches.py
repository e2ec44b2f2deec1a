"""An attempt names the batch that it was part of."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0027_pacing_and_needs"),
    ]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="batch",
            field=models.UUIDField(help_text="The bookings that were planned together. Empty: not kept.", null=True),
        ),
        migrations.AddIndex(
            model_name="attempt",
            index=models.Index(condition=models.Q(("batch__isnull", False)), fields=["batch"], name="attempt_batch"),
        ),
    ]
