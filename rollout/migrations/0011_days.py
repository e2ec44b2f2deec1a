"""Whole days are compared, too: append-only, and pruned with their counts kept."""

import django.db.models.deletion
from django.db import migrations, models

import assignments.models.moment

APPEND_ONLY = """
CREATE FUNCTION rollout_daycomparison_is_written_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF current_setting('rollout.pruning', true) IS DISTINCT FROM 'on' THEN
            RAISE EXCEPTION 'rollout_daycomparison: DELETE refused for day %: only manage.py rollout prune deletes, and counts', OLD.id
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION 'rollout_daycomparison: UPDATE refused for day %: it is written once', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.recorded_at > assignments_now() + interval '5 minutes' THEN
        RAISE EXCEPTION 'rollout_daycomparison: a day cannot be dated ahead (%)', NEW.recorded_at
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.service_date >= (NEW.recorded_at AT TIME ZONE 'UTC')::date + 365 THEN
        RAISE EXCEPTION 'rollout_daycomparison: the service date % is a year or more after %', NEW.service_date, NEW.recorded_at
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER daycomparison_written_once
    BEFORE INSERT OR UPDATE OR DELETE ON rollout_daycomparison
    FOR EACH ROW EXECUTE FUNCTION rollout_daycomparison_is_written_once();
ALTER TABLE rollout_daycomparison ENABLE ROW LEVEL SECURITY;
ALTER TABLE rollout_daytally ENABLE ROW LEVEL SECURITY;
"""
REWRITABLE = """
DROP TRIGGER daycomparison_written_once ON rollout_daycomparison;
DROP FUNCTION rollout_daycomparison_is_written_once();
ALTER TABLE rollout_daycomparison DISABLE ROW LEVEL SECURITY;
ALTER TABLE rollout_daytally DISABLE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("rollout", "0010_audit"),
    ]

    operations = [
        migrations.CreateModel(
            name="DayComparison",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "origin",
                    models.TextField(choices=[("shadow", "shadow"), ("backtest", "backtest")], default="shadow"),
                ),
                ("environment", models.TextField()),
                (
                    "release",
                    models.TextField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="The release of V3 that decided. Empty: none yet, or unknown.",
                    ),
                ),
                ("restaurant_ref", models.TextField()),
                ("service_date", models.DateField()),
                ("content", models.JSONField()),
                ("bookings", models.IntegerField()),
                ("control_seated", models.IntegerField(null=True)),
                ("control_covers", models.IntegerField(null=True)),
                ("control_refused", models.IntegerField(null=True)),
                ("control_unsafe", models.IntegerField(null=True)),
                ("candidate_seated", models.IntegerField(null=True)),
                ("candidate_covers", models.IntegerField(null=True)),
                ("candidate_refused", models.IntegerField(null=True)),
                ("candidate_moved", models.IntegerField(null=True)),
                ("candidate_unsafe", models.IntegerField(null=True)),
                (
                    "flaws",
                    models.JSONField(default=dict, help_text="What was wrong with V3's seatings: how many, by kind."),
                ),
                (
                    "error",
                    models.TextField(
                        blank=True, default="", help_text="What went wrong with V3, by type; never a message."
                    ),
                ),
                ("recorded_at", models.DateTimeField(db_default=assignments.models.moment.DatabaseNow())),
            ],
            options={
                "verbose_name": "compared day",
                "verbose_name_plural": "compared days",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="DayTally",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("service_date", models.DateField()),
                ("restaurant_ref", models.TextField()),
                (
                    "origin",
                    models.TextField(choices=[("shadow", "shadow"), ("backtest", "backtest")], default="shadow"),
                ),
                ("comparisons", models.IntegerField()),
                ("worse", models.IntegerField(default=0)),
                ("unsafe", models.IntegerField(default=0)),
                ("errors", models.IntegerField(default=0)),
            ],
            options={
                "verbose_name": "day tally",
                "verbose_name_plural": "day tallies",
                "ordering": ["-service_date", "restaurant_ref"],
            },
        ),
        migrations.AddIndex(
            model_name="comparison",
            index=models.Index(fields=["service_date", "restaurant_ref"], name="comparison_day"),
        ),
        migrations.AddField(
            model_name="daycomparison",
            name="floor",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="rollout.floorrecord"
            ),
        ),
        migrations.AddConstraint(
            model_name="daytally",
            constraint=models.UniqueConstraint(
                fields=("service_date", "restaurant_ref", "origin"), name="daytally_one_a_day"
            ),
        ),
        migrations.AddIndex(
            model_name="daycomparison",
            index=models.Index(fields=["restaurant_ref", "service_date"], name="daycomparison_day"),
        ),
        migrations.AddIndex(
            model_name="daycomparison",
            index=models.Index(fields=["recorded_at"], name="daycomparison_recorded"),
        ),
        migrations.RunSQL(APPEND_ONLY, REWRITABLE),
    ]
