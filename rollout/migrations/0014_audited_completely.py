"""A batch is audited once all of its decisions are, nothing is dated ahead, and what was not audited is counted."""

from django.db import migrations, models

WRITTEN_ONCE = """
DROP TRIGGER frozenbatch_kept ON rollout_frozenbatch;
DROP TRIGGER frozenbatch_written_once ON rollout_frozenbatch;
CREATE FUNCTION rollout_frozenbatch_is_written_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF current_setting('rollout.pruning', true) IS DISTINCT FROM 'on' THEN
            RAISE EXCEPTION 'rollout_frozenbatch: DELETE refused: only manage.py rollout prune deletes, and counts'
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.at > assignments_now() + interval '5 minutes' THEN
            RAISE EXCEPTION 'rollout_frozenbatch: a batch cannot be dated ahead (%)', NEW.at
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    IF OLD.audited_at IS NOT NULL OR NEW.audited_at IS NULL
            OR to_jsonb(NEW) - 'audited_at' <> to_jsonb(OLD) - 'audited_at' THEN
        RAISE EXCEPTION 'rollout_frozenbatch: UPDATE refused: it is written once'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF EXISTS (SELECT FROM assignments_attempt AS decided
                WHERE decided.batch = NEW.key
                  AND NOT EXISTS (SELECT FROM rollout_audit AS audit WHERE audit.attempt = decided.id)) THEN
        RAISE EXCEPTION 'rollout_frozenbatch: UPDATE refused: some of its decisions have no audit'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER frozenbatch_written_once
    BEFORE INSERT OR UPDATE OR DELETE ON rollout_frozenbatch
    FOR EACH ROW EXECUTE FUNCTION rollout_frozenbatch_is_written_once();
CREATE FUNCTION rollout_audit_is_not_dated_ahead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF greatest(NEW.decided_at, NEW.audited_at) > assignments_now() + interval '5 minutes' THEN
        RAISE EXCEPTION 'rollout_audit: an audit cannot be dated ahead (% and %)', NEW.decided_at, NEW.audited_at
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_not_dated_ahead
    BEFORE INSERT ON rollout_audit
    FOR EACH ROW EXECUTE FUNCTION rollout_audit_is_not_dated_ahead();
"""
AS_BEFORE = """
DROP TRIGGER audit_not_dated_ahead ON rollout_audit;
DROP FUNCTION rollout_audit_is_not_dated_ahead();
DROP TRIGGER frozenbatch_written_once ON rollout_frozenbatch;
DROP FUNCTION rollout_frozenbatch_is_written_once();
CREATE TRIGGER frozenbatch_kept
    BEFORE DELETE ON rollout_frozenbatch
    FOR EACH ROW EXECUTE FUNCTION rollout_audit_is_written_once();
CREATE TRIGGER frozenbatch_written_once
    BEFORE UPDATE ON rollout_frozenbatch
    FOR EACH ROW WHEN (
        OLD.audited_at IS NOT NULL OR NEW.audited_at IS NULL OR OLD.key <> NEW.key OR OLD.content <> NEW.content
        OR OLD.floor IS DISTINCT FROM NEW.floor OR OLD.release <> NEW.release OR OLD.at <> NEW.at)
    EXECUTE FUNCTION rollout_audit_is_written_once();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("rollout", "0013_audits"),
    ]

    operations = [
        migrations.AddField(
            model_name="audittally",
            name="unaudited",
            field=models.IntegerField(
                db_default=0, default=0, help_text="Decisions that were pruned without an audit."
            ),
        ),
        migrations.AddField(
            model_name="audittally",
            name="unjudged",
            field=models.IntegerField(db_default=0, default=0, help_text="Decisions whose audit failed."),
        ),
        migrations.AddIndex(
            model_name="audit",
            index=models.Index(fields=["audited_at"], name="audit_audited"),
        ),
        migrations.RunSQL(WRITTEN_ONCE, AS_BEFORE),
    ]
