"""Fewer indexes for what every decision writes: those for searches by prefix, and one that another begins with.

Django makes two for each text column with ``db_index``. What is kept is only renamed, so nothing is built anew.
"""

import django.db.models.deletion
from django.db import migrations, models

KEPT = {
    "assignments_statetransition_booking_ref_41ea702b": "statetransition_booking",
    "assignments_allocation_booking_ref_6adc206b": "allocation_booking",
}
DROPPED = {
    "assignments_statetransition_booking_ref_41ea702b_like": "assignments_statetransition (booking_ref text_pattern_ops)",
    "assignments_allocation_booking_ref_6adc206b_like": "assignments_allocation (booking_ref text_pattern_ops)",
    "assignments_statetransition_assignment_id_88b5f7dc": "assignments_statetransition (assignment_id)",
}
FORTH = (
    *(f'ALTER INDEX "{before}" RENAME TO "{now}"' for before, now in KEPT.items()),
    *(f'DROP INDEX "{name}"' for name in DROPPED),
)
BACK = (
    *(f'ALTER INDEX "{now}" RENAME TO "{before}"' for before, now in KEPT.items()),
    *(f'CREATE INDEX "{name}" ON {columns}' for name, columns in DROPPED.items()),
)


class Migration(migrations.Migration):
    dependencies = [("assignments", "0041_plain_words")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORTH, BACK)],
            state_operations=[
                migrations.AlterField(
                    model_name="statetransition",
                    name="assignment",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="transitions",
                        to="assignments.assignment",
                    ),
                ),
                migrations.AlterField(model_name="statetransition", name="booking_ref", field=models.TextField()),
                migrations.AddIndex(
                    model_name="statetransition",
                    index=models.Index(fields=["booking_ref"], name="statetransition_booking"),
                ),
                migrations.AlterField(model_name="allocation", name="booking_ref", field=models.TextField()),
                migrations.AddIndex(
                    model_name="allocation",
                    index=models.Index(fields=["booking_ref"], name="allocation_booking"),
                ),
            ],
        ),
    ]
