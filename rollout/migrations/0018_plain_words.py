"""Frozen batches are called stored batches, except in the database. Nothing changes there."""

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
    ]
