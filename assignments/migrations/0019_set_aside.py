"""What cannot be delivered or decided is set aside, and no host's transaction waits for long.

Messages are numbered for each booking, and an attempt is stored before it is made. So is a batch, before it is decided.
"""

import uuid

import django.contrib.postgres.fields
from django.db import migrations, models

import assignments.models.moment

NUMBER_MESSAGES = """
CREATE FUNCTION assignments_number_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.subject = '' THEN
        NEW.subject := CASE WHEN NEW.booking_ref <> '' THEN NEW.booking_ref
                            ELSE 'restaurant:' || coalesce(NEW.payload->>'restaurant_ref', '') END;
    END IF;
    IF NEW.number = 0 THEN
        -- Whoever writes two messages of one booking at a time has locked its row, or its restaurant.
        SELECT coalesce(max(number), 0) + 1 INTO NEW.number
          FROM assignments_outboxmessage WHERE subject = NEW.subject AND number > 0;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER outbox_number BEFORE INSERT ON assignments_outboxmessage
    FOR EACH ROW EXECUTE FUNCTION assignments_number_message();
"""

DO_NOT_NUMBER_MESSAGES = """
DROP TRIGGER outbox_number ON assignments_outboxmessage;
DROP FUNCTION assignments_number_message();
"""

NAME_SUBJECTS = """
UPDATE assignments_outboxmessage
   SET subject = CASE WHEN booking_ref <> '' THEN booking_ref
                      ELSE 'restaurant:' || coalesce(payload->>'restaurant_ref', '') END
 WHERE delivered_at IS NULL
"""
"""What waits is delivered in order; what was delivered already needs no subject."""

LOCK = """
CREATE FUNCTION assignments_lock(keys text[], shared integer, patience text) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    before text := current_setting('lock_timeout');
BEGIN
    BEGIN
        PERFORM set_config('lock_timeout', patience, true);
        FOR position IN 1..cardinality(keys) LOOP
            IF position <= shared THEN
                PERFORM pg_advisory_xact_lock_shared(hashtextextended(keys[position], 0));
            ELSE
                PERFORM pg_advisory_xact_lock(hashtextextended(keys[position], 0));
            END IF;
        END LOOP;
    EXCEPTION WHEN lock_not_available THEN
        RETURN NULL;
    END;
    PERFORM set_config('lock_timeout', before, true);
    RETURN clock_timestamp() + assignments_clock_offset();
END $$;
"""
"""Locks in a transaction that is not ours: it is as it was, whether the locks could be had or not (then: null)."""


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0018_release"),
    ]

    operations = [
        migrations.AddField("outboxmessage", "subject", models.TextField(db_default="", default="", editable=False)),
        migrations.AddField(
            "outboxmessage",
            "number",
            models.IntegerField(
                db_default=0,
                default=0,
                help_text="Number among the messages of its booking. 0: stored by an earlier release.",
                verbose_name="number",
            ),
        ),
        migrations.AddField(
            "outboxmessage",
            "deaths",
            models.IntegerField(
                db_default=0,
                default=0,
                help_text="Attempts during which the delivering process ended.",
                verbose_name="deaths",
            ),
        ),
        migrations.AddField("outboxmessage", "claimed_by", models.UUIDField(blank=True, editable=False, null=True)),
        migrations.AddField(
            "outboxmessage",
            "failed_since",
            models.DateTimeField(blank=True, help_text="Time of its first failed attempt.", null=True),
        ),
        migrations.AddField(
            "outboxmessage",
            "set_aside_at",
            models.DateTimeField(blank=True, help_text="Time from which it is not tried any more.", null=True),
        ),
        migrations.AddField("hostmark", "cancels", models.BooleanField(db_default=False, default=False)),
        migrations.AddField(
            "assignment",
            "deaths",
            models.IntegerField(
                db_default=0,
                default=0,
                editable=False,
                help_text="How often the process ended that was deciding it, since it was last decided.",
                verbose_name="deaths",
            ),
        ),
        migrations.CreateModel(
            name="BatchMark",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("run", models.UUIDField()),
                ("restaurant_ref", models.TextField()),
                ("service_date", models.DateField()),
                ("booking_refs", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ("created_at", models.DateTimeField(db_default=assignments.models.moment.DatabaseNow())),
            ],
            options={
                "verbose_name": "batch mark",
                "verbose_name_plural": "batch marks",
                "ordering": ["created_at", "id"],
            },
        ),
        migrations.RunSQL(
            "ALTER TABLE assignments_batchmark ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE assignments_batchmark DISABLE ROW LEVEL SECURITY",
        ),
        migrations.RunSQL(LOCK, "DROP FUNCTION assignments_lock(text[], integer, text)"),
        migrations.RunSQL(NAME_SUBJECTS, migrations.RunSQL.noop),
        migrations.RunSQL(NUMBER_MESSAGES, DO_NOT_NUMBER_MESSAGES),
        migrations.RemoveIndex("outboxmessage", "outbox_waiting"),
        migrations.AddIndex(
            "outboxmessage",
            models.Index(
                fields=["due_at", "id"],
                condition=models.Q(delivered_at__isnull=True, set_aside_at__isnull=True),
                name="outbox_due",
            ),
        ),
        migrations.AddIndex(
            "outboxmessage",
            models.Index(
                fields=["subject", "id"],
                condition=models.Q(delivered_at__isnull=True, set_aside_at__isnull=True),
                name="outbox_in_order",
            ),
        ),
        migrations.AddIndex(
            "outboxmessage",
            models.Index(
                fields=["id"],
                condition=models.Q(delivered_at__isnull=True, set_aside_at__isnull=False),
                name="outbox_set_aside",
            ),
        ),
        migrations.AddConstraint(
            "outboxmessage",
            models.UniqueConstraint(
                fields=["subject", "number"], condition=models.Q(number__gt=0), name="outbox_numbered_once"
            ),
        ),
    ]
