"""Opening hours that bind, and limits of parties that count because somebody has set them."""

import django.core.validators
from django.db import migrations, models
from django.db.migrations.state import StateApps


def forget_default_limit(apps: StateApps, _editor: object) -> None:
    """A join's least party was 1 by default. Nobody has said that of it."""
    apps.get_model("assignments", "ListedJoin").objects.filter(min_party=1).update(min_party=None)


def restore_default_limit(apps: StateApps, _editor: object) -> None:
    apps.get_model("assignments", "ListedJoin").objects.filter(min_party=None).update(min_party=1)


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0010_promises"),
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
        migrations.RunPython(forget_default_limit, restore_default_limit),
    ]
