"""Frozen batches are called stored batches, and help texts say it in plainer words. Nothing changes in the database."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rollout", "0017_deleted_is_counted")]

    operations = [
        migrations.AlterModelTable(name="frozenbatch", table="rollout_frozenbatch"),
        migrations.RenameModel(old_name="FrozenBatch", new_name="StoredBatch"),
        migrations.AlterModelOptions(
            name="storedbatch",
            options={
                "ordering": ["-at"],
                "verbose_name": "stored batch",
                "verbose_name_plural": "stored batches",
            },
        ),
        migrations.AlterField(
            model_name="comparison",
            name="peak",
            field=models.BooleanField(default=False, help_text="At least half of the tables were taken at its start."),
        ),
        migrations.AlterField(
            model_name="position",
            name="cool_down_until",
            field=models.DateTimeField(
                blank=True, help_text="After a breach: no promotion before this time.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="position",
            name="release_since",
            field=models.DateTimeField(blank=True, help_text="When it began, if later than the stage.", null=True),
        ),
        migrations.AlterField(
            model_name="waiver",
            name="at_most",
            field=models.PositiveIntegerField(
                db_default=20, default=20, help_text="Maximum number of comparisons that it covers."
            ),
        ),
    ]
