"""What evening files say of tables, bookings and pacing; and a restaurant without a reference has none, not its name.

The release before writes rows while this is in already, so that the new columns have defaults in the database.
"""

from typing import Any

import django.contrib.postgres.fields
import django.core.validators
from django.db import migrations, models
from django.db.migrations.state import StateApps
from django.db.models import F


def forget_names(apps: StateApps, _editor: object) -> None:
    """A reference that is the name was made of it, so that another restaurant may have it as its own."""
    apps.get_model("example", "Restaurant").objects.filter(reference=F("name")).update(reference=None)


def remember_names(apps: StateApps, _editor: object) -> None:
    restaurants = apps.get_model("example", "Restaurant").objects
    taken = set(restaurants.exclude(reference=None).values_list("reference", flat=True))
    for restaurant in restaurants.filter(reference=None).order_by("pk"):
        restaurant.reference = (
            restaurant.name if restaurant.name not in taken else f"{restaurant.name} ({restaurant.pk})"
        )
        taken.add(restaurant.reference)
        restaurant.save(update_fields=["reference"])


def features(help_text: str) -> "django.contrib.postgres.fields.ArrayField[Any, Any]":
    return django.contrib.postgres.fields.ArrayField(
        base_field=models.CharField(max_length=60),
        blank=True,
        db_default=[],
        default=list,
        help_text=help_text,
        size=None,
    )


def keys() -> "django.contrib.postgres.fields.ArrayField[Any, Any]":
    return django.contrib.postgres.fields.ArrayField(
        base_field=models.BigIntegerField(), blank=True, db_default=[], default=list, editable=False, size=None
    )


class Migration(migrations.Migration):
    dependencies = [("example", "0008_guest_phone")]

    operations = [
        migrations.AddField("booking", "needs", features("Features that the table must have, with commas between.")),
        migrations.AddField(
            "booking", "wishes", features("Features that the table had better have, with commas between.")
        ),
        migrations.AddField(
            "booking", "of_file", models.JSONField(blank=True, db_default={}, default=dict, editable=False)
        ),
        migrations.AddField("restaurant", "pacing_of_file", keys()),
        migrations.AddField("restaurant", "tables_kept", keys()),
        migrations.AddField(
            "table", "features", features("What guests may need or wish, with commas between: window, step-free.")
        ),
        migrations.AddField(
            "table",
            "priority",
            models.SmallIntegerField(
                db_default=0,
                default=0,
                help_text="Tables with a higher one are given first.",
                validators=[
                    django.core.validators.MinValueValidator(-1000),
                    django.core.validators.MaxValueValidator(1000),
                ],
            ),
        ),
        migrations.AlterField(
            "restaurant",
            "reference",
            models.CharField(
                blank=True,
                help_text="What files call the restaurant. Empty: its name.",
                max_length=200,
                null=True,
                unique=True,
            ),
        ),
        migrations.RunPython(forget_names, remember_names, elidable=False),
        migrations.AddConstraint(
            "restaurant",
            models.UniqueConstraint(
                condition=models.Q(("reference__isnull", True)),
                fields=("name",),
                name="restaurant_name_once_without_reference",
                violation_error_message=(
                    "Another restaurant has this name, and no reference either: give one of them."
                ),
            ),
        ),
    ]
