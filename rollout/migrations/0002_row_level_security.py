"""Row level security without policies, as for every table that a migration makes: API roles see nothing."""

from django.db import migrations

TABLES = ["rollout_comparison", "rollout_floorrecord"]


class Migration(migrations.Migration):
    dependencies = [("rollout", "0001_initial")]

    operations = [
        migrations.RunSQL(
            [f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY" for table in TABLES],
            [f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY" for table in TABLES],
        ),
    ]
