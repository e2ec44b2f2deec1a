"""Totals are exact: seconds added up as floats come to less now and then, which a counter must not."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0007_run_moments"),
    ]

    operations = [
        migrations.AlterField(
            model_name="total",
            name="value",
            field=models.DecimalField(decimal_places=9, default=0, max_digits=30),
        ),
    ]
