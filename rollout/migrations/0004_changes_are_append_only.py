"""The record of changes cannot be rewritten; and row level security for the new tables."""

from django.db import migrations

TABLES = [
    "rollout_change",
    "rollout_comparisontally",
    "rollout_explanation",
    "rollout_guardrun",
    "rollout_pin",
    "rollout_position",
]

APPEND_ONLY = """
CREATE FUNCTION rollout_change_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rollout_change is append-only: % refused for change %', TG_OP, OLD.id
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER change_append_only
    BEFORE UPDATE OR DELETE ON rollout_change
    FOR EACH ROW EXECUTE FUNCTION rollout_change_is_append_only();
"""

DROP_APPEND_ONLY = """
DROP TRIGGER change_append_only ON rollout_change;
DROP FUNCTION rollout_change_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("rollout", "0003_ladder")]

    operations = [
        migrations.RunSQL(APPEND_ONLY, DROP_APPEND_ONLY),
        migrations.RunSQL(
            [f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY" for table in TABLES],
            [f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY" for table in TABLES],
        ),
    ]
