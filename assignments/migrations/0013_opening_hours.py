"""Opening hours that bind, limits of parties that count because somebody has set them, and service days.

The index is built concurrently: bookings go on while years of rows are read.
"""

import django.core.validators
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.migrations.state import StateApps


def forget_default_limit(apps: StateApps, _editor: object) -> None:
    """A join's least party was 1 by default. Nobody has said that of it."""
    apps.get_model("assignments", "ListedJoin").objects.filter(min_party=1).update(min_party=None)


def restore_default_limit(apps: StateApps, _editor: object) -> None:
    apps.get_model("assignments", "ListedJoin").objects.filter(min_party=None).update(min_party=1)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("assignments", "0012_closures"),
    ]

    operations = [
        migrations.RemoveField(model_name="venuesettings", name="outside_service_minutes"),
        migrations.AddField(
            model_name="servicehours",
            name="early_minutes",
            field=models.PositiveSmallIntegerField(
                default=0,
                help_text="How long before the start guests may come.",
                validators=[django.core.validators.MaxValueValidator(1440)],
            ),
        ),
        migrations.AddField(
            model_name="servicehours",
            name="late_minutes",
            field=models.PositiveSmallIntegerField(
                default=0,
                help_text="How long after the end guests may still come. Needs “allow overrun”.",
                validators=[django.core.validators.MaxValueValidator(1440)],
            ),
        ),
        migrations.AlterField(
            model_name="listedjoin",
            name="min_party",
            field=models.PositiveIntegerField(
                blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)]
            ),
        ),
        migrations.RunPython(forget_default_limit, restore_default_limit, atomic=True),
        migrations.AlterField(
            model_name="assignment",
            name="service_date",
            field=models.DateField(help_text="Local date on which the booking's service starts."),
        ),
        # Rows that are there already get null, and an earlier release may still write more of them.
        migrations.AddField(
            model_name="assignment",
            name="service_rule",
            field=models.PositiveSmallIntegerField(editable=False, null=True),
        ),
        migrations.AlterField(
            model_name="assignment",
            name="service_rule",
            field=models.PositiveSmallIntegerField(
                default=1,
                editable=False,
                help_text="Rule of its service day. Null: local date of its start, as earlier releases stored it.",
                null=True,
            ),
        ),
        AddIndexConcurrently(
            model_name="assignment",
            index=models.Index(
                condition=models.Q(("service_rule__isnull", True)),
                fields=["starts_at"],
                name="assignment_by_calendar",
            ),
        ),
    ]
