"""What each evening could seat at best, for pages and reports."""

from django.db import migrations, models

import assignments.models.moment


class Migration(migrations.Migration):
    dependencies = [("assignments", "0033_former_promise")]

    operations = [
        migrations.CreateModel(
            name="EveningOptimum",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("restaurant_ref", models.TextField()),
                ("service_date", models.DateField()),
                ("seated", models.IntegerField()),
                ("waiting", models.IntegerField()),
                ("possible", models.IntegerField()),
                ("possible_in_any_order", models.IntegerField()),
                (
                    "is_proven",
                    models.BooleanField(help_text="Whether the solver proved that so many can be seated, and no more."),
                ),
                ("examined_at", models.DateTimeField(db_default=assignments.models.moment.DatabaseNow())),
            ],
            options={
                "verbose_name": "optimum of an evening",
                "verbose_name_plural": "optima of evenings",
                "ordering": ["service_date", "restaurant_ref"],
                "indexes": [models.Index(fields=["service_date"], name="eveningoptimum_date")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("restaurant_ref", "service_date"), name="eveningoptimum_one_per_evening"
                    )
                ],
            },
        ),
        migrations.RunSQL(
            "ALTER TABLE assignments_eveningoptimum ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE assignments_eveningoptimum DISABLE ROW LEVEL SECURITY",
        ),
    ]
