"""Closures get a table of their own, and the calendar one. Until now a closed table was an allocation without a booking.

A trigger keeps seatings and holds out of closures, by the same SQLSTATE as the constraint against overlaps, so that whoever
is refused plans again. Back: overlapping closures of a table become one, those of a whole restaurant are lost.
"""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import assignments.models.moment

TO_CLOSURES = """
INSERT INTO assignments_closure
       (restaurant_ref, table_refs, zone_ref, starts_at, ends_at, reason, author, created_at, lifted_by, version)
SELECT restaurant_ref, ARRAY[table_ref], '', starts_at, ends_at, '', 'host', created_at, '', 0
  FROM assignments_allocation WHERE kind = 'closure' ORDER BY id;
DELETE FROM assignments_allocation WHERE kind = 'closure';
"""

TO_ALLOCATIONS = """
INSERT INTO assignments_allocation
       (restaurant_ref, table_ref, booking_ref, kind, blocked, starts_at, ends_at, planner, overridden_by)
SELECT restaurant_ref, table_ref, '', 'closure', span, lower(span), upper(span), '', ''
  FROM (SELECT restaurant_ref, table_ref,
               unnest(range_agg(tstzrange(starts_at, coalesce(ends_at, starts_at + interval '10 years')))) AS span
          FROM assignments_closure CROSS JOIN unnest(table_refs) AS closed(table_ref)
         WHERE lifted_at IS NULL
         GROUP BY restaurant_ref, table_ref) AS merged
    ON CONFLICT DO NOTHING;
"""

NOT_WHILE_CLOSED = """
CREATE FUNCTION assignments_not_while_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM assignments_closure AS closure
                WHERE closure.restaurant_ref = NEW.restaurant_ref AND closure.lifted_at IS NULL
                  AND (closure.table_refs = '{}' OR NEW.table_ref = ANY (closure.table_refs))
                  AND closure.starts_at < NEW.ends_at
                  AND (closure.ends_at IS NULL OR closure.ends_at > NEW.starts_at)) THEN
        RAISE EXCEPTION 'table % is closed when booking % would sit there', NEW.table_ref, NEW.booking_ref
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'allocation_not_while_closed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER allocation_not_while_closed
    BEFORE INSERT OR UPDATE OF kind, table_ref ON assignments_allocation
    FOR EACH ROW WHEN (NEW.overridden_by = '' AND NEW.kind IN ('hold', 'seating'))
    EXECUTE FUNCTION assignments_not_while_closed();
"""

DROP_NOT_WHILE_CLOSED = """
DROP TRIGGER allocation_not_while_closed ON assignments_allocation;
DROP FUNCTION assignments_not_while_closed();
"""

TABLES = ["assignments_calendarentry", "assignments_calendarservice", "assignments_closure"]


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0011_now"),
    ]

    operations = [
        migrations.CreateModel(
            name="CalendarEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("restaurant_ref", models.TextField()),
                ("first_date", models.DateField()),
                ("last_date", models.DateField()),
                (
                    "weekdays",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.PositiveSmallIntegerField(
                            validators=[django.core.validators.MaxValueValidator(6)]
                        ),
                        blank=True,
                        default=list,
                        help_text="0 is Monday; empty for every day.",
                        size=None,
                    ),
                ),
                ("closed", models.BooleanField(default=False, help_text="Nothing is served on these dates.")),
                ("note", models.TextField(blank=True, default="", help_text="For staff. Do not name a guest.")),
            ],
            options={
                "verbose_name": "calendar entry",
                "verbose_name_plural": "calendar entries",
                "ordering": ["restaurant_ref", "first_date", "id"],
            },
        ),
        migrations.CreateModel(
            name="CalendarService",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.SlugField(default="dinner")),
                ("starts", models.TimeField()),
                ("ends", models.TimeField()),
                (
                    "turn_minutes",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="For every party. Empty: the turn times of the usual service.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
            ],
            options={
                "verbose_name": "hours on these dates",
                "verbose_name_plural": "hours on these dates",
                "ordering": ["entry", "starts"],
            },
        ),
        migrations.CreateModel(
            name="Closure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("restaurant_ref", models.TextField()),
                (
                    "table_refs",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), blank=True, default=list, size=None
                    ),
                ),
                ("zone_ref", models.TextField(blank=True, default="")),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(blank=True, help_text="Empty: until further notice.", null=True)),
                ("reason", models.TextField(blank=True, default="", help_text="For staff. Do not name a guest.")),
                ("author", models.TextField(default="host")),
                ("created_at", models.DateTimeField(db_default=assignments.models.moment.DatabaseNow())),
                ("lifted_at", models.DateTimeField(blank=True, null=True)),
                ("lifted_by", models.TextField(blank=True, default="")),
                ("version", models.PositiveIntegerField(default=0)),
            ],
            options={
                "verbose_name": "closure",
                "verbose_name_plural": "closures",
                "ordering": ["starts_at", "id"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="allocation",
            name="allocation_only_holds_expire",
        ),
        migrations.RemoveConstraint(
            model_name="allocation",
            name="allocation_only_closures_have_no_booking",
        ),
        migrations.AddField(
            model_name="allocation",
            name="overridden_by",
            field=models.TextField(
                blank=True, db_default="", default="", help_text="Who seated the booking although the table is closed."
            ),
        ),
        migrations.AlterField(
            model_name="allocation",
            name="booking_ref",
            field=models.TextField(db_index=True),
        ),
        migrations.AlterField(
            model_name="allocation",
            name="kind",
            field=models.TextField(choices=[("hold", "hold"), ("seating", "seating")]),
        ),
        migrations.RunSQL(TO_CLOSURES, TO_ALLOCATIONS),
        migrations.AddConstraint(
            model_name="allocation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("expires_at__isnull", False), ("kind", "hold"), ("token__isnull", False)),
                    models.Q(("expires_at__isnull", True), ("kind", "seating")),
                    _connector="OR",
                ),
                name="allocation_only_holds_expire",
            ),
        ),
        migrations.AddConstraint(
            model_name="allocation",
            constraint=models.CheckConstraint(
                condition=models.Q(("booking_ref", ""), _negated=True), name="allocation_has_a_booking"
            ),
        ),
        migrations.AddConstraint(
            model_name="calendarentry",
            constraint=models.CheckConstraint(
                condition=models.Q(("last_date__gte", models.F("first_date"))), name="calendarentry_dates_in_order"
            ),
        ),
        migrations.AddField(
            model_name="calendarservice",
            name="entry",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="services", to="assignments.calendarentry"
            ),
        ),
        migrations.AddIndex(
            model_name="closure",
            index=models.Index(
                condition=models.Q(("lifted_at__isnull", True)),
                fields=["restaurant_ref", "starts_at"],
                name="closure_standing",
            ),
        ),
        migrations.AddConstraint(
            model_name="closure",
            constraint=models.CheckConstraint(
                condition=models.Q(("ends_at__isnull", True), ("ends_at__gt", models.F("starts_at")), _connector="OR"),
                name="closure_ends_after_its_start",
            ),
        ),
        migrations.AddConstraint(
            model_name="closure",
            constraint=models.CheckConstraint(
                condition=models.Q(("zone_ref", ""), models.Q(("table_refs", []), _negated=True), _connector="OR"),
                name="closure_of_a_zone_names_its_tables",
            ),
        ),
        migrations.AddConstraint(
            model_name="closure",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("lifted_at__isnull", True), ("lifted_by", "")),
                    ("lifted_at__isnull", False),
                    _connector="OR",
                ),
                name="closure_lifted_by_whom",
            ),
        ),
        migrations.AddConstraint(
            model_name="calendarservice",
            constraint=models.UniqueConstraint(fields=("entry", "key"), name="calendarservice_once"),
        ),
        migrations.RunSQL(NOT_WHILE_CLOSED, DROP_NOT_WHILE_CLOSED),
        migrations.RunSQL(
            [f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY" for table in TABLES],
            [f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY" for table in TABLES],
        ),
    ]
