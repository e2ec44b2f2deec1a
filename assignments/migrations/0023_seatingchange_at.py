"""An index for what has changed since a moment: the guard asks for it with every run."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("assignments", "0022_same_rows_again")]

    operations = [
        AddIndexConcurrently(model_name="seatingchange", index=models.Index(fields=["at"], name="seatingchange_at")),
    ]
