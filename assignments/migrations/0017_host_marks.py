"""Marks: bookings that the host has written, until this app has followed."""

import uuid

from django.db import migrations, models

import assignments.models.moment


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0016_floors_seen"),
    ]

    operations = [
        migrations.CreateModel(
            name="HostMark",
            fields=[
                ("booking_ref", models.TextField(primary_key=True, serialize=False)),
                ("stamp", models.UUIDField(default=uuid.uuid4)),
                ("created_at", models.DateTimeField(db_default=assignments.models.moment.DatabaseNow())),
                ("due_at", models.DateTimeField(db_default=assignments.models.moment.DatabaseNow())),
                ("attempts", models.IntegerField(default=0)),
                ("last_error", models.TextField(blank=True, default="")),
            ],
            options={
                "verbose_name": "host mark",
                "verbose_name_plural": "host marks",
                "ordering": ["created_at", "booking_ref"],
            },
        ),
        migrations.RunSQL(
            "ALTER TABLE assignments_hostmark ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE assignments_hostmark DISABLE ROW LEVEL SECURITY",
        ),
    ]
