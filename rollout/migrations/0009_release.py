"""Evidence belongs to a release; and what a comparison says is written once, and not dated ahead.

A trigger keeps comparisons from being rewritten: the verdict is set once, and DELETE is ``manage.py rollout prune``'s alone, which
counts what it deletes. Rows of before are not checked.
"""

import django.contrib.postgres.fields
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

# Five minutes: the recorder's clock may differ a little from that of the database.
WRITTEN_ONCE = """
CREATE FUNCTION rollout_comparison_is_written_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF current_setting('rollout.pruning', true) IS DISTINCT FROM 'on' THEN
            RAISE EXCEPTION 'rollout_comparison: DELETE refused for comparison %: only manage.py rollout prune deletes, and counts', OLD.id
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.verdict <> '' THEN
        RAISE EXCEPTION 'rollout_comparison: UPDATE refused for comparison %: it has its verdict', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF greatest(NEW.recorded_at, NEW.compared_at) > assignments_now() + interval '5 minutes' THEN
        RAISE EXCEPTION 'rollout_comparison: a comparison cannot be dated ahead (% and %)', NEW.recorded_at, NEW.compared_at
            USING ERRCODE = 'check_violation';
    END IF;
    IF (TG_OP = 'INSERT' OR NEW.service_date IS DISTINCT FROM OLD.service_date)
            AND NEW.service_date >= (NEW.recorded_at AT TIME ZONE 'UTC')::date + 365 THEN
        RAISE EXCEPTION 'rollout_comparison: the service date % is a year or more after % ', NEW.service_date, NEW.recorded_at
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER comparison_written_once
    BEFORE INSERT OR UPDATE OR DELETE ON rollout_comparison
    FOR EACH ROW EXECUTE FUNCTION rollout_comparison_is_written_once();
"""
REWRITABLE = """
DROP TRIGGER comparison_written_once ON rollout_comparison;
DROP FUNCTION rollout_comparison_is_written_once();
"""


class Migration(migrations.Migration):
    dependencies = [("rollout", "0008_now")]

    operations = [
        migrations.AddField(
            model_name="change",
            name="release",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text="The release of the process that made the change. Empty: unknown.",
            ),
        ),
        migrations.AddField(
            model_name="comparison",
            name="release",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text="The release of V3 that decided. Empty: none yet, or unknown.",
            ),
        ),
        migrations.AddField(
            model_name="guardrun",
            name="release",
            field=models.TextField(
                blank=True, db_default="", default="", help_text="The release that was measured. Empty: unknown."
            ),
        ),
        migrations.AddField(
            model_name="position",
            name="release",
            field=models.TextField(
                blank=True, db_default="", default="", help_text="The release that decides at this stage."
            ),
        ),
        migrations.AddField(
            model_name="position",
            name="release_since",
            field=models.DateTimeField(blank=True, help_text="Since when, if later than the stage began.", null=True),
        ),
        migrations.AddField(
            model_name="position",
            name="same",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(),
                blank=True,
                db_default=[],
                default=list,
                help_text="Releases declared to decide alike: their evidence counts for it.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="change",
            name="actor",
            field=models.TextField(help_text="'user:ID', 'command:LOGIN', 'guard', 'release', or 'unknown'."),
        ),
        migrations.AlterField(
            model_name="change",
            name="kind",
            field=models.TextField(
                choices=[
                    ("stage", "stage"),
                    ("switch", "switch"),
                    ("pause", "pause"),
                    ("resume", "resume"),
                    ("forced_planner", "forced planner"),
                    ("waiver", "waiver"),
                    ("release", "release"),
                ]
            ),
        ),
        migrations.AlterField(
            model_name="change",
            name="subject",
            field=models.TextField(help_text="The stage, switch, restaurant, waiver or release."),
        ),
        AddConstraintNotValid(
            model_name="comparison",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "verdict__in",
                        [
                            "",
                            "same_tables",
                            "equivalent",
                            "better",
                            "worse",
                            "only_v3_seats",
                            "only_legacy_seats",
                            "both_refuse",
                            "v3_error",
                            "unsafe",
                        ],
                    )
                ),
                name="comparison_known_verdict",
            ),
        ),
        migrations.RunSQL(WRITTEN_ONCE, REWRITABLE),
    ]
