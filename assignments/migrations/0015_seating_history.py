"""The history of seatings and stages: the database writes it, so that no change of either is without a trace."""

import django.contrib.postgres.fields.ranges
from django.db import migrations, models

import assignments.models.moment
from assignments.models.append_only import append_only

APPEND_ONLY, DROP_APPEND_ONLY = append_only(
    "assignments_seatingchange",
    function="assignments_seatings_are_append_only",
    trigger="seatingchange_append_only",
    row="booking",
    column="booking_ref",
)

RECORD = """
CREATE FUNCTION assignments_record_seating() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    seating assignments_allocation%ROWTYPE;
    happened text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        seating := OLD;
        happened := 'freed';
    ELSE
        seating := NEW;
        happened := CASE
            WHEN TG_OP = 'INSERT' OR OLD.kind <> 'seating' THEN 'seated'
            WHEN NEW.ended_at IS NOT NULL AND OLD.ended_at IS NULL THEN 'ended'
            ELSE 'changed'
        END;
    END IF;
    INSERT INTO assignments_seatingchange
           (booking_ref, restaurant_ref, what, seating_id, table_ref, starts_at, ends_at, blocked, party, planner,
            previous_stage, stage, transaction_id)
    VALUES (seating.booking_ref, seating.restaurant_ref, happened, seating.id, seating.table_ref, seating.starts_at,
            seating.ends_at, seating.blocked, seating.party, seating.planner, '', '', txid_current());
    RETURN NULL;
END $$;
CREATE TRIGGER allocation_recorded_on_insert AFTER INSERT ON assignments_allocation
    FOR EACH ROW WHEN (NEW.kind = 'seating') EXECUTE FUNCTION assignments_record_seating();
CREATE TRIGGER allocation_recorded_on_delete AFTER DELETE ON assignments_allocation
    FOR EACH ROW WHEN (OLD.kind = 'seating') EXECUTE FUNCTION assignments_record_seating();
CREATE TRIGGER allocation_recorded_on_update AFTER UPDATE ON assignments_allocation
    FOR EACH ROW WHEN (NEW.kind = 'seating' AND (
        OLD.kind <> NEW.kind OR OLD.blocked <> NEW.blocked OR OLD.starts_at <> NEW.starts_at
        OR OLD.ends_at <> NEW.ends_at OR OLD.ended_at IS DISTINCT FROM NEW.ended_at))
    EXECUTE FUNCTION assignments_record_seating();

CREATE FUNCTION assignments_record_stage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO assignments_seatingchange
           (booking_ref, restaurant_ref, what, table_ref, planner, previous_stage, stage, transaction_id)
    VALUES (NEW.booking_ref, NEW.restaurant_ref, 'stage', '', NEW.planner, OLD.stage, NEW.stage, txid_current());
    RETURN NULL;
END $$;
CREATE TRIGGER assignment_stage_recorded AFTER UPDATE ON assignments_assignment
    FOR EACH ROW WHEN (OLD.stage <> NEW.stage) EXECUTE FUNCTION assignments_record_stage();
"""

DROP_RECORD = """
DROP TRIGGER assignment_stage_recorded ON assignments_assignment;
DROP FUNCTION assignments_record_stage();
DROP TRIGGER allocation_recorded_on_update ON assignments_allocation;
DROP TRIGGER allocation_recorded_on_delete ON assignments_allocation;
DROP TRIGGER allocation_recorded_on_insert ON assignments_allocation;
DROP FUNCTION assignments_record_seating();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0014_living_evening"),
    ]

    operations = [
        migrations.CreateModel(
            name="SeatingChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("booking_ref", models.TextField()),
                ("restaurant_ref", models.TextField()),
                (
                    "what",
                    models.TextField(
                        choices=[
                            ("seated", "seated"),
                            ("changed", "changed"),
                            ("ended", "ended"),
                            ("freed", "freed"),
                            ("stage", "stage"),
                        ]
                    ),
                ),
                ("seating_id", models.BigIntegerField(null=True)),
                ("table_ref", models.TextField(blank=True)),
                ("starts_at", models.DateTimeField(null=True)),
                ("ends_at", models.DateTimeField(null=True)),
                ("blocked", django.contrib.postgres.fields.ranges.DateTimeRangeField(null=True)),
                ("party", models.IntegerField(null=True)),
                ("planner", models.TextField(blank=True)),
                ("previous_stage", models.TextField(blank=True)),
                ("stage", models.TextField(blank=True)),
                ("transaction_id", models.BigIntegerField()),
                ("at", models.DateTimeField(db_default=assignments.models.moment.DatabaseNow())),
            ],
            options={
                "verbose_name": "seating change",
                "verbose_name_plural": "seating changes",
                "ordering": ["id"],
                "indexes": [models.Index(fields=["booking_ref", "id"], name="seatingchange_booking")],
            },
        ),
        # In two steps: a column that is added with a default that changes would have every row written anew.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    [
                        "ALTER TABLE assignments_statetransition ADD COLUMN transaction_id bigint",
                        "ALTER TABLE assignments_statetransition ALTER COLUMN transaction_id SET DEFAULT txid_current()",
                    ],
                    "ALTER TABLE assignments_statetransition DROP COLUMN transaction_id",
                )
            ],
            state_operations=[
                migrations.AddField(
                    model_name="statetransition",
                    name="transaction_id",
                    field=models.BigIntegerField(
                        db_default=assignments.models.moment.TransactionId(),
                        help_text="Number of the transaction, as in the history of seatings.",
                        null=True,
                    ),
                )
            ],
        ),
        migrations.RunSQL(APPEND_ONLY, DROP_APPEND_ONLY),
        migrations.RunSQL(RECORD, DROP_RECORD),
        migrations.RunSQL(
            "ALTER TABLE assignments_seatingchange ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE assignments_seatingchange DISABLE ROW LEVEL SECURITY",
        ),
    ]
