"""Each attempt says which release decided it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0017_host_marks"),
    ]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="release",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text="The release of the process that decided. Empty: unknown.",
            ),
        ),
    ]
