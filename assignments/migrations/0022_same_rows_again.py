"""The histories accept an UPDATE that changes nothing, so that the same rows can be loaded a second time."""

from django.db import migrations

FUNCTIONS = {
    "assignments_history_is_append_only": ("assignments_statetransition", "booking", "booking_ref"),
    "assignments_seatings_are_append_only": ("assignments_seatingchange", "booking", "booking_ref"),
}
UNCHANGED = """    IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
"""


def _function(name: str, *, unchanged: str) -> str:
    table, row, column = FUNCTIONS[name]
    return f"""
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
{unchanged}    RAISE EXCEPTION '{table} is append-only: % refused for {row} %', TG_OP, OLD.{column}
        USING ERRCODE = 'restrict_violation';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("assignments", "0021_bounded_numbers")]

    operations = [
        migrations.RunSQL(_function(name, unchanged=UNCHANGED), _function(name, unchanged="")) for name in FUNCTIONS
    ]
