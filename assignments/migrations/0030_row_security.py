"""Row level security for newer tables, as the others have it."""

from django.db import migrations

TABLES = (
    "assignments_optimizedevening",
    "assignments_pacinglimit",
    "assignments_queuedparty",
    "assignments_zonepriority",
)


class Migration(migrations.Migration):
    dependencies = [("assignments", "0029_floor_plan")]

    operations = [
        migrations.RunSQL(
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY", f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
        )
        for table in TABLES
    ]
