"""A restaurant is recognised by its reference, which may be written in any script, and no longer by a slug of its name."""

import django.contrib.postgres.fields
import django.core.validators
from django.db import migrations, models
from django.db.migrations.state import StateApps
from django.utils.text import slugify


def name_restaurants(apps: StateApps, _editor: object) -> None:
    """The reference is the name, which is what a file without a ref says; the slug where two have the same name."""
    restaurants = list(apps.get_model("example", "Restaurant").objects.order_by("pk"))
    names = [restaurant.name for restaurant in restaurants]
    taken = {name for name in names if names.count(name) == 1}
    for restaurant in restaurants:
        reference = restaurant.name
        if names.count(reference) > 1:
            reference = restaurant.slug
            while reference in taken:
                reference += "-2"
            taken.add(reference)
        restaurant.reference = reference
        restaurant.save(update_fields=["reference"])


def make_slugs(apps: StateApps, _editor: object) -> None:
    taken: set[str] = set()
    for restaurant in apps.get_model("example", "Restaurant").objects.order_by("pk"):
        slug = slugify(restaurant.reference)[:180] or "restaurant"
        restaurant.slug = f"{slug}-{restaurant.pk}" if slug in taken else slug
        taken.add(restaurant.slug)
        restaurant.save(update_fields=["slug"])


class Migration(migrations.Migration):
    dependencies = [
        ("example", "0003_opening_hours"),
    ]

    operations = [
        migrations.AddField(
            model_name="restaurant",
            name="reference",
            field=models.CharField(max_length=200, null=True),
        ),
        migrations.AlterField(
            model_name="restaurant",
            name="slug",
            field=models.SlugField(max_length=200, null=True, unique=True),
        ),
        migrations.RunPython(name_restaurants, make_slugs, elidable=False),
        migrations.AlterField(
            model_name="restaurant",
            name="reference",
            field=models.CharField(
                blank=True, help_text="What files call the restaurant. Empty: its name.", max_length=200, unique=True
            ),
        ),
        migrations.RemoveField(
            model_name="restaurant",
            name="slug",
        ),
        migrations.AddField(
            model_name="restaurant",
            name="calendar_of_file",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(), blank=True, default=list, editable=False, size=None
            ),
        ),
        migrations.AddField(
            model_name="tablejoin",
            name="max_party",
            field=models.PositiveIntegerField(
                blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)]
            ),
        ),
        migrations.AddField(
            model_name="tablejoin",
            name="min_party",
            field=models.PositiveIntegerField(
                blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)]
            ),
        ),
    ]
