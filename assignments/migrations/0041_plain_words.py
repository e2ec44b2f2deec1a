"""Help texts and names in plainer words. Nothing changes in the database."""

import django.contrib.postgres.fields
import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0040_patience_for_all"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="tableplace",
            options={
                "ordering": ["restaurant_ref", "table_ref"],
                "verbose_name": "table position",
                "verbose_name_plural": "table positions",
            },
        ),
        migrations.AlterField(
            model_name="assignment",
            name="deaths",
            field=models.IntegerField(
                db_default=0,
                default=0,
                editable=False,
                help_text="How often the process that was deciding it has died since the last decision.",
                verbose_name="deaths",
            ),
        ),
        migrations.AlterField(
            model_name="assignment",
            name="wake_at",
            field=models.DateTimeField(
                blank=True,
                help_text="Time at which a table may have become free for it; empty once that has been tried.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="assignment",
            name="wakes",
            field=models.IntegerField(
                db_default=0, default=0, help_text="Number of these attempts that seated nobody."
            ),
        ),
        migrations.AlterField(
            model_name="assignment",
            name="wishes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(),
                blank=True,
                db_default=[],
                default=list,
                help_text="Features that its tables should have if possible.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="eveningoptimum",
            name="is_proven",
            field=models.BooleanField(help_text="Whether the solver proved that this many can be seated, and no more."),
        ),
        migrations.AlterField(
            model_name="outboxmessage",
            name="deaths",
            field=models.IntegerField(
                db_default=0,
                default=0,
                help_text="Attempts during which the delivering process died.",
                verbose_name="deaths",
            ),
        ),
        migrations.AlterField(
            model_name="queuedparty",
            name="actor",
            field=models.TextField(help_text="Who added it to the queue."),
        ),
        migrations.AlterField(
            model_name="run",
            name="dropped_at",
            field=models.DateTimeField(
                blank=True, help_text="Time at which a loss of events was last found.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="run",
            name="memory_begun_mb",
            field=models.FloatField(help_text="Memory of the process when it started. Empty: unknown.", null=True),
        ),
        migrations.AlterField(
            model_name="servicehours",
            name="early_minutes",
            field=models.PositiveSmallIntegerField(
                default=0,
                help_text="How many minutes before the start guests may come.",
                validators=[django.core.validators.MaxValueValidator(1440)],
            ),
        ),
        migrations.AlterField(
            model_name="servicehours",
            name="late_minutes",
            field=models.PositiveSmallIntegerField(
                default=0,
                help_text="How many minutes after the end guests may still come. Needs “allow overrun”.",
                validators=[django.core.validators.MaxValueValidator(1440)],
            ),
        ),
        migrations.AlterField(
            model_name="tabledetails",
            name="features",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(),
                blank=True,
                db_default=[],
                default=list,
                help_text="What guests may need or want, separated by commas: window, step-free.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="tabledetails",
            name="priority",
            field=models.SmallIntegerField(
                blank=True,
                help_text="Tables with a higher priority are preferred. Empty: the zone's priority, or else 0.",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(-1000),
                    django.core.validators.MaxValueValidator(1000),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="zonepriority",
            name="priority",
            field=models.SmallIntegerField(
                help_text="Zones with a higher priority are preferred.",
                validators=[
                    django.core.validators.MinValueValidator(-1000),
                    django.core.validators.MaxValueValidator(1000),
                ],
            ),
        ),
    ]
