"""Recorded runs, totals for metrics, what links the records of one invocation, and the pages' permissions."""

import django.contrib.postgres.fields
import django.db.models.functions.datetime
from django.db import migrations, models

TABLES = ["assignments_folded", "assignments_run", "assignments_total"]


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0004_party_limits"),
    ]

    operations = [
        migrations.CreateModel(
            name="Folded",
            fields=[
                ("source", models.TextField(primary_key=True, serialize=False)),
                ("until", models.DateTimeField()),
            ],
            options={
                "verbose_name": "folded source",
                "verbose_name_plural": "folded sources",
            },
        ),
        migrations.CreateModel(
            name="Run",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("worker", models.TextField()),
                (
                    "version",
                    models.TextField(blank=True, default="", help_text="Of this app, as installed where it ran."),
                ),
                ("watches", models.BooleanField(default=False)),
                ("started_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("last_pass_at", models.DateTimeField(blank=True, null=True)),
                ("succeeded_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("passes", models.IntegerField(default=0)),
                (
                    "failed_passes",
                    models.IntegerField(default=0, help_text="Passes that met an unexpected error, or broke off."),
                ),
                ("taken_in", models.IntegerField(default=0, help_text="Bookings that were new.")),
                ("outcomes", models.JSONField(default=dict)),
                ("contended", models.IntegerField(default=0, help_text="Restaurant-days that somebody else was at.")),
                (
                    "breaker_open",
                    models.IntegerField(default=0, help_text="Restaurant-days left alone after repeated errors."),
                ),
                ("unexpected", models.IntegerField(default=0, help_text="Unexpected errors.")),
                ("dropped_events", models.IntegerField(default=0)),
                ("seconds", models.FloatField(default=0)),
                (
                    "error",
                    models.TextField(blank=True, default="", help_text="The last error, by type; never a message."),
                ),
            ],
            options={
                "verbose_name": "run",
                "verbose_name_plural": "runs",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Total",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.TextField()),
                (
                    "labels",
                    django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None),
                ),
                ("value", models.FloatField(default=0)),
            ],
            options={
                "verbose_name": "total",
                "verbose_name_plural": "totals",
                "ordering": ["name", "labels"],
            },
        ),
        migrations.CreateModel(
            name="ReviewItem",
            fields=[],
            options={
                "verbose_name": "booking in review",
                "verbose_name_plural": "review queue",
                "permissions": [
                    ("assign", "Can assign tables by hand, and undo it"),
                    ("retry", "Can have a booking tried again"),
                    ("reject", "Can reject a booking"),
                ],
                "proxy": True,
                "default_permissions": ("view",),
                "indexes": [],
                "constraints": [],
            },
            bases=("assignments.assignment",),
        ),
        migrations.CreateModel(
            name="ServiceDay",
            fields=[],
            options={
                "verbose_name": "service day",
                "verbose_name_plural": "service timeline",
                "proxy": True,
                "default_permissions": ("view",),
                "indexes": [],
                "constraints": [],
            },
            bases=("assignments.allocation",),
        ),
        migrations.AddField(
            model_name="statetransition",
            name="correlation_id",
            field=models.UUIDField(
                help_text="What one invocation did: the same on its attempts, events and log lines.", null=True
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["started_at"], name="run_started"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["succeeded_at"], name="run_succeeded"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["ended_at"], name="run_ended"),
        ),
        migrations.CreateModel(
            name="Health",
            fields=[],
            options={
                "verbose_name": "health",
                "verbose_name_plural": "health",
                "proxy": True,
                "default_permissions": ("view",),
                "indexes": [],
                "constraints": [],
            },
            bases=("assignments.run",),
        ),
        migrations.AddConstraint(
            model_name="total",
            constraint=models.UniqueConstraint(fields=("name", "labels"), name="total_one_per_labels"),
        ),
        migrations.RunSQL(
            [f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY" for table in TABLES],
            [f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY" for table in TABLES],
        ),
    ]
