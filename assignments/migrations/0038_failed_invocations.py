"""Invocations that failed without leaving an attempt are counted, and runs tell their release and memory."""

from django.db import migrations, models

import assignments.models.moment


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0037_who_knows_wishes"),
    ]

    operations = [
        migrations.CreateModel(
            name="FailedInvocation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("planner", models.TextField()),
                ("error", models.TextField(help_text="What went wrong, by type; never a message.")),
                ("unstored", models.IntegerField(default=0)),
                ("correlation_id", models.UUIDField()),
                ("release", models.TextField(blank=True, db_default="", default="")),
                ("at", models.DateTimeField(db_default=assignments.models.moment.DatabaseNow())),
            ],
            options={
                "verbose_name": "failed invocation",
                "verbose_name_plural": "failed invocations",
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["at"], name="failedinvocation_at")],
            },
        ),
        migrations.AddField(
            model_name="run",
            name="release",
            field=models.TextField(blank=True, db_default="", default="", help_text="The release of the process."),
        ),
        migrations.AddField(
            model_name="run",
            name="memory_begun_mb",
            field=models.FloatField(help_text="Memory of the process as it began. Empty: unknown.", null=True),
        ),
        migrations.AddField(
            model_name="run",
            name="memory_mb",
            field=models.FloatField(help_text="Memory of the process after its last pass. Empty: unknown.", null=True),
        ),
        migrations.RunSQL(
            "ALTER TABLE assignments_failedinvocation ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE assignments_failedinvocation DISABLE ROW LEVEL SECURITY",
        ),
    ]
