"""An assignment says whether anything is to be decided about what its guest asks for instead."""

from django.db import migrations, models

SETTLED = """
UPDATE assignments_assignment AS assignment
   SET wish_settled = true
 WHERE asked_starts_at IS NOT NULL
   AND NOT (state = 'manual_review' AND reason IN ('edit_unmet', 'tables_changed_by_host'))
   AND (stage IN ('seated', 'left')
        OR 'edit_rejected' = (SELECT reason FROM assignments_statetransition AS decided
                               WHERE decided.assignment_id = assignment.id
                                 AND reason IN ('edit_unmet', 'tables_changed_by_host', 'edit_rejected')
                               ORDER BY version DESC LIMIT 1))
"""
"""What the history says: staff decided last, or the guests sat down."""


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0031_asked_instead"),
    ]

    operations = [
        migrations.AddField(
            model_name="assignment",
            name="wish_settled",
            field=models.BooleanField(
                db_default=False,
                default=False,
                editable=False,
                help_text="Whether nothing more is to be decided about what the guest asks for instead.",
            ),
        ),
        migrations.AddIndex(
            model_name="assignment",
            index=models.Index(
                condition=models.Q(("asked_date__isnull", False)),
                fields=["asked_restaurant_ref", "asked_date"],
                name="assignment_asked_day",
            ),
        ),
        migrations.RunSQL(SETTLED, migrations.RunSQL.noop),
    ]
