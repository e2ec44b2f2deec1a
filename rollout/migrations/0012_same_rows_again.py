"""The record of changes and the comparisons accept an UPDATE that changes nothing, so that the same rows can be loaded again."""

from importlib import import_module

from django.db import migrations

UNCHANGED = "    IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN\n        RETURN NEW;\n    END IF;\n"


def _function(module: str, name: str) -> str:
    """The function that an earlier migration made, without its trigger."""
    text: str = getattr(import_module(f"rollout.migrations.{module}"), name)
    return text.partition("CREATE TRIGGER")[0].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


def _also_unchanged(function: str) -> str:
    head, begin, body = function.partition("BEGIN\n")
    return head + begin + UNCHANGED + body


FUNCTIONS = [
    _function("0004_changes_are_append_only", "APPEND_ONLY"),
    _function("0009_release", "WRITTEN_ONCE"),
    _function("0011_days", "APPEND_ONLY"),
]


class Migration(migrations.Migration):
    dependencies = [("rollout", "0011_days")]

    operations = [migrations.RunSQL(_also_unchanged(each), each) for each in FUNCTIONS]
