"""One "now" that can be moved, and table refs that are unique within their restaurant."""

import django.contrib.postgres.constraints
from django.db import migrations, models

import assignments.models.allocation
import assignments.models.moment

CLOCK = """
CREATE FUNCTION assignments_clock_offset() RETURNS interval LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('assignments.clock_offset', true), ''), '0')::double precision * interval '1 second'
$$;
CREATE FUNCTION assignments_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT statement_timestamp() + coalesce(nullif(current_setting('assignments.clock_offset', true), ''), '0')::double precision
        * interval '1 second'
$$;
"""
DROP_CLOCK = """
DROP FUNCTION assignments_now();
DROP FUNCTION assignments_clock_offset();
"""

WHEN = [
    ("allocation", "created_at"),
    ("attempt", "at"),
    ("event", "stored_at"),
    ("outboxmessage", "created_at"),
    ("outboxmessage", "due_at"),
    ("run", "started_at"),
    ("statetransition", "at"),
]


class Migration(migrations.Migration):
    dependencies = [("assignments", "0010_promises")]

    operations = [
        migrations.RunSQL(CLOCK, DROP_CLOCK),
        *(
            migrations.AlterField(
                model_name=model,
                name=name,
                field=models.DateTimeField(db_default=assignments.models.moment.DatabaseNow()),
            )
            for model, name in WHEN
        ),
        migrations.AddField(
            model_name="run",
            name="unseen",
            field=models.IntegerField(
                default=0,
                db_default=0,
                help_text="Bookings that had started and could not be taken in by the last pass.",
            ),
        ),
        migrations.RemoveConstraint(model_name="allocation", name="allocation_no_overlap"),
        migrations.AddConstraint(
            model_name="allocation",
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(
                name="allocation_no_overlap",
                index_type="GIST",
                expressions=[
                    (
                        assignments.models.allocation.TableKey(models.F("restaurant_ref"), models.F("table_ref")),
                        "&&",
                    ),
                    ("blocked", "&&"),
                ],
            ),
        ),
        migrations.AlterField(model_name="tabledetails", name="table_ref", field=models.TextField()),
        migrations.AddConstraint(
            model_name="tabledetails",
            constraint=models.UniqueConstraint(fields=["restaurant_ref", "table_ref"], name="tabledetails_once"),
        ),
    ]
