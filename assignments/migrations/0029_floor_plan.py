"""Where tables stand on the floor plan, and the permission to see guests."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("assignments", "0028_batches")]

    operations = [
        migrations.AlterModelOptions(
            name="serviceday",
            options={
                "default_permissions": ("view",),
                "permissions": [("view_guests", "Can see names, phones and notes of guests")],
                "verbose_name": "service day",
                "verbose_name_plural": "service timeline",
            },
        ),
        migrations.CreateModel(
            name="TablePlace",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("restaurant_ref", models.TextField()),
                ("table_ref", models.TextField()),
                (
                    "x",
                    models.PositiveSmallIntegerField(validators=[django.core.validators.MaxValueValidator(1200)]),
                ),
                (
                    "y",
                    models.PositiveSmallIntegerField(validators=[django.core.validators.MaxValueValidator(8000)]),
                ),
                (
                    "shape",
                    models.TextField(
                        choices=[("square", "square"), ("round", "round"), ("long", "long"), ("tall", "tall")],
                        default="square",
                    ),
                ),
            ],
            options={
                "verbose_name": "place of a table",
                "verbose_name_plural": "places of tables",
                "ordering": ["restaurant_ref", "table_ref"],
                "constraints": [
                    models.UniqueConstraint(fields=("restaurant_ref", "table_ref"), name="tableplace_once"),
                ],
            },
        ),
        migrations.RunSQL(
            "ALTER TABLE assignments_tableplace ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE assignments_tableplace DISABLE ROW LEVEL SECURITY",
        ),
    ]
