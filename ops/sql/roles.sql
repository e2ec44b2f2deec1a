-- Two roles besides the one that migrates: assignments_runner for the site, cron and workers; assignments_metrics, which only reads.
-- Run it as the owner of the tables (the role that runs `manage.py migrate`), after each migrate; it may be repeated:
--     psql "$MIGRATING_DATABASE_URL" -v ON_ERROR_STOP=1 --single-transaction -f ops/sql/roles.sql
-- Creating roles needs CREATEROLE; where an administrator has made them, the rest does not. They are in the current schema.
-- Both are groups without a login: GRANT assignments_runner TO booking_site;

DO $$
DECLARE
    name text;
    kind text;
    place text := quote_ident(current_schema());
BEGIN
    FOREACH name IN ARRAY ARRAY['assignments_runner', 'assignments_metrics'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', place, name);
    END LOOP;

    -- The runner works with all tables of the project, the bookings among them. It owns none, so it cannot
    -- disable a trigger; and it may truncate none.
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO assignments_runner', place);
    EXECUTE format('GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA %s TO assignments_runner', place);

    -- History is added to and read. What has been migrated is changed by migrations alone.
    FOREACH kind IN ARRAY ARRAY[
        'assignments_statetransition', 'assignments_seatingchange', 'rollout_change', 'django_migrations'
    ] LOOP
        IF to_regclass(place || '.' || kind) IS NOT NULL THEN
            EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %s.%I FROM assignments_runner', place, kind);
        END IF;
    END LOOP;
    -- What was found is written once; manage.py rollout prune deletes it, and counts.
    FOREACH kind IN ARRAY ARRAY['rollout_audit', 'rollout_daycomparison'] LOOP
        IF to_regclass(place || '.' || kind) IS NOT NULL THEN
            EXECUTE format('REVOKE UPDATE, TRUNCATE ON %s.%I FROM assignments_runner', place, kind);
        END IF;
    END LOOP;
    EXECUTE format('REVOKE INSERT ON %s.django_migrations FROM assignments_runner', place);

    -- Our tables have row level security, which shows a role nothing without a policy. They hold references and no names,
    -- so all of them may be read for metrics; the project's own may not.
    FOR kind IN
        SELECT tablename FROM pg_tables
         WHERE schemaname = current_schema() AND (tablename LIKE 'assignments\_%' OR tablename LIKE 'rollout\_%')
    LOOP
        EXECUTE format('GRANT SELECT ON %s.%I TO assignments_metrics', place, kind);
        EXECUTE format('DROP POLICY IF EXISTS assignments_runner ON %s.%I', place, kind);
        EXECUTE format('DROP POLICY IF EXISTS assignments_metrics ON %s.%I', place, kind);
        EXECUTE format(
            'CREATE POLICY assignments_runner ON %s.%I TO assignments_runner USING (true) WITH CHECK (true)', place, kind
        );
        EXECUTE format('CREATE POLICY assignments_metrics ON %s.%I FOR SELECT TO assignments_metrics USING (true)', place, kind);
    END LOOP;
END $$;
