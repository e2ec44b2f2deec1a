"""What V3 was given is kept for each batch, and each of its decisions is audited once."""

import django.contrib.postgres.fields
from django.db import migrations, models

import assignments.models.moment

APPEND_ONLY = """
CREATE FUNCTION rollout_audit_is_written_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF current_setting('rollout.pruning', true) IS DISTINCT FROM 'on' THEN
            RAISE EXCEPTION '%: DELETE refused: only manage.py rollout prune deletes, and counts', TG_TABLE_NAME
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '%: UPDATE refused: it is written once', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_written_once
    BEFORE UPDATE OR DELETE ON rollout_audit
    FOR EACH ROW EXECUTE FUNCTION rollout_audit_is_written_once();
CREATE TRIGGER frozenbatch_kept
    BEFORE DELETE ON rollout_frozenbatch
    FOR EACH ROW EXECUTE FUNCTION rollout_audit_is_written_once();
CREATE TRIGGER frozenbatch_written_once
    BEFORE UPDATE ON rollout_frozenbatch
    FOR EACH ROW WHEN (
        OLD.audited_at IS NOT NULL OR NEW.audited_at IS NULL OR OLD.key <> NEW.key OR OLD.content <> NEW.content
        OR OLD.floor IS DISTINCT FROM NEW.floor OR OLD.release <> NEW.release OR OLD.at <> NEW.at)
    EXECUTE FUNCTION rollout_audit_is_written_once();
ALTER TABLE rollout_frozenbatch ENABLE ROW LEVEL SECURITY;
ALTER TABLE rollout_audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE rollout_audittally ENABLE ROW LEVEL SECURITY;
"""
REWRITABLE = """
DROP TRIGGER audit_written_once ON rollout_audit;
DROP TRIGGER frozenbatch_kept ON rollout_frozenbatch;
DROP TRIGGER frozenbatch_written_once ON rollout_frozenbatch;
DROP FUNCTION rollout_audit_is_written_once();
ALTER TABLE rollout_frozenbatch DISABLE ROW LEVEL SECURITY;
ALTER TABLE rollout_audit DISABLE ROW LEVEL SECURITY;
ALTER TABLE rollout_audittally DISABLE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("rollout", "0012_same_rows_again"),
    ]

    operations = [
        migrations.CreateModel(
            name="Audit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("attempt", models.BigIntegerField(help_text="The id of the attempt.", unique=True)),
                ("booking_ref", models.TextField()),
                ("restaurant_ref", models.TextField()),
                ("service_date", models.DateField()),
                (
                    "release",
                    models.TextField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="The release of the process that decided. Empty: unknown.",
                    ),
                ),
                ("is_refusal", models.BooleanField()),
                (
                    "flaws",
                    django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None),
                ),
                ("wrong_refusal", models.BooleanField(default=False)),
                ("avoidable_by_moves", models.BooleanField(default=False)),
                ("avoidable_join", models.BooleanField(default=False)),
                ("oversized", models.BooleanField(default=False)),
                ("untold", models.BooleanField(default=False)),
                (
                    "verdict",
                    models.TextField(
                        blank=True,
                        choices=[
                            ("same_tables", "same_tables"),
                            ("equivalent", "equivalent"),
                            ("better", "better"),
                            ("worse", "worse"),
                            ("only_v3_seats", "only_v3_seats"),
                            ("only_legacy_seats", "only_legacy_seats"),
                            ("both_refuse", "both_refuse"),
                            ("v3_error", "v3_error"),
                            ("unsafe", "unsafe"),
                        ],
                        default="",
                    ),
                ),
                ("control", models.JSONField(null=True)),
                (
                    "error",
                    models.TextField(blank=True, default="", help_text="What went wrong, by type; never a message."),
                ),
                ("decided_at", models.DateTimeField()),
                ("audited_at", models.DateTimeField(db_default=assignments.models.moment.DatabaseNow())),
            ],
            options={
                "verbose_name": "audit",
                "verbose_name_plural": "audits",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["decided_at"], name="audit_decided"),
                    models.Index(fields=["booking_ref"], name="audit_booking"),
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditTally",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(help_text="The day of the decision, UTC.")),
                ("restaurant_ref", models.TextField()),
                ("decisions", models.IntegerField()),
                ("refusals", models.IntegerField(default=0)),
                ("unsafe", models.IntegerField(default=0)),
                ("wrong_refusals", models.IntegerField(default=0)),
                ("avoidable_by_moves", models.IntegerField(default=0)),
                ("worse", models.IntegerField(default=0)),
            ],
            options={
                "verbose_name": "audit tally",
                "verbose_name_plural": "audit tallies",
                "ordering": ["-day", "restaurant_ref"],
                "constraints": [models.UniqueConstraint(fields=("day", "restaurant_ref"), name="audittally_one_a_day")],
            },
        ),
        migrations.CreateModel(
            name="FrozenBatch",
            fields=[
                ("key", models.UUIDField(primary_key=True, serialize=False)),
                ("restaurant_ref", models.TextField()),
                ("service_date", models.DateField()),
                ("floor_version", models.TextField()),
                ("floor", models.JSONField(null=True)),
                ("content", models.JSONField()),
                ("attempts", models.IntegerField()),
                ("refusals", models.IntegerField()),
                (
                    "release",
                    models.TextField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="The release of the process that decided. Empty: unknown.",
                    ),
                ),
                ("at", models.DateTimeField(db_default=assignments.models.moment.DatabaseNow())),
                ("audited_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "frozen batch",
                "verbose_name_plural": "frozen batches",
                "ordering": ["-at"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("audited_at__isnull", True)), fields=["at"], name="frozenbatch_waiting"
                    ),
                    models.Index(fields=["at"], name="frozenbatch_at"),
                ],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, REWRITABLE),
    ]
