"""Opening hours that bind, and limits of parties that count because somebody has set them."""

import django.core.validators
from django.db import migrations, models
from django.db.migrations.state import StateApps


def forget_default_limit(apps: StateApps, _editor: object) -> None:
    """A table's least party was 1 by default. Nobody has said that of it."""
    apps.get_model("example", "Table").objects.filter(min_party=1).update(min_party=None)


def restore_default_limit(apps: StateApps, _editor: object) -> None:
    apps.get_model("example", "Table").objects.filter(min_party=None).update(min_party=1)


class Migration(migrations.Migration):
    dependencies = [
        ("example", "0002_booked_now"),
    ]

    operations = [
        migrations.AddField(
            model_name="serviceperiod",
            name="early_minutes",
            field=models.PositiveSmallIntegerField(
                default=0,
                help_text="Guests may come so long before the start.",
                validators=[django.core.validators.MaxValueValidator(1440)],
            ),
        ),
        migrations.AddField(
            model_name="serviceperiod",
            name="late_minutes",
            field=models.PositiveSmallIntegerField(
                default=0,
                help_text="Guests may come so long after the end.",
                validators=[django.core.validators.MaxValueValidator(1440)],
            ),
        ),
        migrations.AlterField(
            model_name="table",
            name="max_party",
            field=models.PositiveIntegerField(
                blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)]
            ),
        ),
        migrations.AlterField(
            model_name="table",
            name="min_party",
            field=models.PositiveIntegerField(
                blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)]
            ),
        ),
        migrations.RunPython(forget_default_limit, restore_default_limit, elidable=False),
    ]
