"""Rows that ``loaddata`` brings have their history with them: the triggers write none, and ask for no permission again.

``maintenance.loading`` says so to the database, for the transaction of the loading. And row level security for a newer table.
"""

from importlib import import_module

from django.db import migrations

# Only for whoever owns the table, and so could switch the trigger off.
LOADING = """\
    IF current_setting('assignments.loading', true) = 'on'
        AND pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'MEMBER') THEN
        RETURN {};
    END IF;
"""


def _functions(module: str, name: str) -> list[str]:
    """The functions that an earlier migration made, without its triggers."""
    text: str = getattr(import_module(f"assignments.migrations.{module}"), name)
    found = [f"CREATE OR REPLACE FUNCTION{each}" for each in text.split("CREATE FUNCTION")[1:]]
    return [each.partition("CREATE TRIGGER")[0] for each in found]


def _unless_loading(function: str, answer: str) -> str:
    head, begin, body = function.partition("BEGIN\n")
    return head + begin + LOADING.format(answer) + body


RECORDING = _functions("0015_seating_history", "RECORD")
CLOSED = _functions("0012_closures", "NOT_WHILE_CLOSED")


class Migration(migrations.Migration):
    dependencies = [("assignments", "0023_seatingchange_at")]

    operations = [
        *(migrations.RunSQL(_unless_loading(each, "NULL"), each) for each in RECORDING),
        *(migrations.RunSQL(_unless_loading(each, "NEW"), each) for each in CLOSED),
        migrations.RunSQL(
            "ALTER TABLE assignments_frozenevening ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE assignments_frozenevening DISABLE ROW LEVEL SECURITY",
        ),
    ]
