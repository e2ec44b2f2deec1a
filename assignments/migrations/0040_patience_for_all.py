"""In the caller's transaction, one patience for all locks together: an edit that touches two days waits no longer."""

from django.db import migrations

LOCK = """
CREATE OR REPLACE FUNCTION assignments_lock(keys text[], shared integer, patience text)
RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    before text := current_setting('lock_timeout');
    until timestamptz := clock_timestamp() + patience::integer * interval '1 ms';
BEGIN
    BEGIN
        FOR position IN 1..cardinality(keys) LOOP
            PERFORM set_config('lock_timeout', %s, true);
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
# 0 would be no limit.
WHAT_IS_LEFT = "greatest(1, ceil(extract(epoch FROM until - clock_timestamp()) * 1000))::integer::text"


class Migration(migrations.Migration):
    dependencies = [("assignments", "0039_overstays_on_record")]

    operations = [migrations.RunSQL(LOCK % WHAT_IS_LEFT, LOCK % "patience")]
