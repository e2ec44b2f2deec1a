"""A waiver has a ceiling, and a file is fed once for a release."""

from django.db import migrations, models

import assignments.models.moment


class Migration(migrations.Migration):
    dependencies = [
        ("rollout", "0009_release"),
    ]

    operations = [
        migrations.AddField(
            model_name="waiver",
            name="at_most",
            field=models.PositiveIntegerField(
                db_default=20, default=20, help_text="How many comparisons it covers at most."
            ),
        ),
        migrations.CreateModel(
            name="FedFile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.TextField()),
                (
                    "release",
                    models.TextField(
                        blank=True, db_default="", default="", help_text="The release whose decisions were kept."
                    ),
                ),
                ("comparisons", models.IntegerField(default=0)),
                ("at", models.DateTimeField(db_default=assignments.models.moment.DatabaseNow())),
            ],
            options={
                "verbose_name": "fed file",
                "verbose_name_plural": "fed files",
                "ordering": ["-id"],
                "constraints": [models.UniqueConstraint(fields=("digest", "release"), name="fedfile_once_a_release")],
            },
        ),
        migrations.RunSQL(
            "ALTER TABLE rollout_fedfile ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE rollout_fedfile DISABLE ROW LEVEL SECURITY",
        ),
    ]
