"""What the database itself refuses: rewriting history, and states without history. And row level security.

* History rows cannot be updated or deleted.
* At commit, an assignment whose state changed must have the history row that says so: not even raw SQL changes a state
  without a trace.
* Row level security is enabled without policies, as Supabase asks for: its API roles see nothing. The tables' owner,
  with whom this app connects, is not restricted.
"""

from django.db import migrations

from assignments.models.append_only import append_only

TABLES = [
    "assignments_adjacenttables",
    "assignments_allocation",
    "assignments_assignment",
    "assignments_attempt",
    "assignments_breaker",
    "assignments_event",
    "assignments_listedjoin",
    "assignments_outboxmessage",
    "assignments_servicehours",
    "assignments_statetransition",
    "assignments_tabledetails",
    "assignments_turnminutes",
    "assignments_venuesettings",
]

APPEND_ONLY, DROP_APPEND_ONLY = append_only(
    "assignments_statetransition",
    function="assignments_history_is_append_only",
    trigger="statetransition_append_only",
    row="booking",
    column="booking_ref",
)

STATE_HAS_HISTORY = """
CREATE FUNCTION assignments_state_has_history() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before_version integer := CASE WHEN TG_OP = 'INSERT' THEN -1 ELSE OLD.version END;
    last_target text;
BEGIN
    SELECT target INTO last_target FROM assignments_statetransition
     WHERE assignment_id = NEW.id AND version > before_version AND version <= NEW.version
     ORDER BY version DESC LIMIT 1;
    IF last_target IS DISTINCT FROM NEW.state THEN
        RAISE EXCEPTION 'booking %: state % has no history', NEW.booking_ref, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'assignment_state_has_history';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER assignment_state_has_history_on_update
    AFTER UPDATE ON assignments_assignment DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION assignments_state_has_history();
CREATE CONSTRAINT TRIGGER assignment_state_has_history_on_insert
    AFTER INSERT ON assignments_assignment DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.state <> 'created')
    EXECUTE FUNCTION assignments_state_has_history();
"""

DROP_STATE_HAS_HISTORY = """
DROP TRIGGER assignment_state_has_history_on_update ON assignments_assignment;
DROP TRIGGER assignment_state_has_history_on_insert ON assignments_assignment;
DROP FUNCTION assignments_state_has_history();
"""


class Migration(migrations.Migration):
    dependencies = [("assignments", "0001_initial")]

    operations = [
        migrations.RunSQL(APPEND_ONLY, DROP_APPEND_ONLY),
        migrations.RunSQL(STATE_HAS_HISTORY, DROP_STATE_HAS_HISTORY),
        migrations.RunSQL(
            [f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY" for table in TABLES],
            [f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY" for table in TABLES],
        ),
    ]
