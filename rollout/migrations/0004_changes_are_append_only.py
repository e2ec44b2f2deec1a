"""The record of changes cannot be rewritten; and row level security for the new tables."""

from django.db import migrations

from assignments.models.append_only import append_only

TABLES = [
    "rollout_change",
    "rollout_comparisontally",
    "rollout_explanation",
    "rollout_guardrun",
    "rollout_pin",
    "rollout_position",
]

APPEND_ONLY, DROP_APPEND_ONLY = append_only(
    "rollout_change",
    function="rollout_change_is_append_only",
    trigger="change_append_only",
    row="change",
    column="id",
)


class Migration(migrations.Migration):
    dependencies = [("rollout", "0003_ladder")]

    operations = [
        migrations.RunSQL(APPEND_ONLY, DROP_APPEND_ONLY),
        migrations.RunSQL(
            [f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY" for table in TABLES],
            [f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY" for table in TABLES],
        ),
    ]
