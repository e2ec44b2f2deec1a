"""Messages are numbered for each booking, tried in the open, and set aside when they cannot be delivered."""

from django.db import migrations, models

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


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0017_host_marks"),
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
