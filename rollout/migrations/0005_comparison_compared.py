"""When something was compared last, without reading all comparisons. Concurrently: the table may be large and in use."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("rollout", "0004_changes_are_append_only")]

    operations = [
        AddIndexConcurrently(
            model_name="comparison",
            index=models.Index(fields=["compared_at"], name="comparison_compared"),
        ),
    ]
