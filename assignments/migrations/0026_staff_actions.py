"""What staff did on the evening's page: so that each form acts once, and others see who did what."""

import uuid

import django.contrib.postgres.fields
from django.db import migrations, models

import assignments.models.moment


class Migration(migrations.Migration):
    dependencies = [("assignments", "0025_optimized_evening")]

    operations = [
        migrations.CreateModel(
            name="StaffAction",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("actor", models.TextField()),
                ("what", models.TextField()),
                ("restaurant_ref", models.TextField()),
                ("service_date", models.DateField()),
                ("booking_ref", models.TextField(blank=True, default="")),
                (
                    "table_refs",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), blank=True, default=list, size=None
                    ),
                ),
                ("at", models.DateTimeField(db_default=assignments.models.moment.DatabaseNow())),
            ],
            options={
                "verbose_name": "action by staff",
                "verbose_name_plural": "actions by staff",
                "ordering": ["-at"],
                "default_permissions": (),
                "indexes": [models.Index(fields=["restaurant_ref", "service_date", "at"], name="staffaction_evening")],
            },
        ),
        migrations.RunSQL(
            "ALTER TABLE assignments_staffaction ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE assignments_staffaction DISABLE ROW LEVEL SECURITY",
        ),
    ]
