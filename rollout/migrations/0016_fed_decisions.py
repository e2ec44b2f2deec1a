"""Fed decisions that say the same count once, and nothing of the last day is deleted, whatever a session has set."""

from importlib import import_module

from django.db import migrations, models

_again = import_module("rollout.migrations.0012_same_rows_again")
_COMPARISON, _DAY = (operation.sql for operation in _again.Migration.operations[1:])
_IS_PRUNING = "IF current_setting('rollout.pruning', true) IS DISTINCT FROM 'on' THEN"


def _function(text: str, name: str) -> str:
    """One of the functions that an earlier migration made."""
    begin = text.index(f"CREATE FUNCTION {name}()")
    end = text.index("END $$;", begin) + len("END $$;")
    return text[begin:end].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


def _keeps_the_last_day(function: str, moment: str) -> str:
    """A session may set the variable by mistake, or on purpose: what gates and rails still read stays all the same."""
    assert _IS_PRUNING in function
    young = f"OLD.{moment} > assignments_now() - interval '1 day'"
    return function.replace(_IS_PRUNING, _IS_PRUNING.replace(" THEN", f"\n                OR {young} THEN"))


FUNCTIONS = [
    (_COMPARISON, "recorded_at"),
    (_DAY, "recorded_at"),
    (
        _function(import_module("rollout.migrations.0013_audits").APPEND_ONLY, "rollout_audit_is_written_once"),
        "decided_at",
    ),
    (
        _function(
            import_module("rollout.migrations.0014_audited_completely").WRITTEN_ONCE,
            "rollout_frozenbatch_is_written_once",
        ),
        "at",
    ),
]


class Migration(migrations.Migration):
    dependencies = [
        ("rollout", "0015_floors_by_fingerprint"),
    ]

    operations = [
        migrations.AddField(
            model_name="comparison",
            name="content_digest",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text="A digest of what a backtest was given, whatever its names.",
            ),
        ),
        *(migrations.RunSQL(_keeps_the_last_day(function, moment), function) for function, moment in FUNCTIONS),
    ]
