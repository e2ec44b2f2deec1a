"""Help texts in plainer words. Nothing changes in the database."""

import django.contrib.postgres.fields
import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("example", "0009_what_files_say"),
    ]

    operations = [
        migrations.AlterField(
            model_name="booking",
            name="needs",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=60),
                blank=True,
                db_default=[],
                default=list,
                help_text="Features that the table must have, separated by commas.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="booking",
            name="wishes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=60),
                blank=True,
                db_default=[],
                default=list,
                help_text="Features that the table should have if possible, separated by commas.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="restaurant",
            name="reference",
            field=models.CharField(
                blank=True,
                help_text="The restaurant's name in files, if it is not its own name.",
                max_length=200,
                null=True,
                unique=True,
            ),
        ),
        migrations.AlterField(
            model_name="serviceperiod",
            name="early_minutes",
            field=models.PositiveSmallIntegerField(
                default=0,
                help_text="How many minutes before the start guests may come.",
                validators=[django.core.validators.MaxValueValidator(1440)],
            ),
        ),
        migrations.AlterField(
            model_name="serviceperiod",
            name="late_minutes",
            field=models.PositiveSmallIntegerField(
                default=0,
                help_text="How many minutes after the end guests may still come.",
                validators=[django.core.validators.MaxValueValidator(1440)],
            ),
        ),
        migrations.AlterField(
            model_name="table",
            name="features",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=60),
                blank=True,
                db_default=[],
                default=list,
                help_text="What guests may need or want, separated by commas: window, step-free.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="table",
            name="priority",
            field=models.SmallIntegerField(
                db_default=0,
                default=0,
                help_text="Tables with a higher priority are assigned first.",
                validators=[
                    django.core.validators.MinValueValidator(-1000),
                    django.core.validators.MaxValueValidator(1000),
                ],
            ),
        ),
    ]
