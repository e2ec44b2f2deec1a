"""No update of a seating grows over a closure either, unless the row names who overrode it.

Until now the trigger saw new rows and other tables only. What a seating had before it still has, and what is over stays on
record.
"""

from importlib import import_module

from django.db import migrations

_FUNCTION = """
CREATE OR REPLACE FUNCTION assignments_not_while_closed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    since timestamptz := greatest(NEW.starts_at, lower(NEW.blocked));
    until timestamptz := least(coalesce(NEW.overstays_until, NEW.ends_at), upper(NEW.blocked));
BEGIN
    IF NEW.ended_at IS NOT NULL THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF lower(NEW.blocked) < lower(OLD.blocked) THEN  -- Guests come early.
            since := lower(NEW.blocked);
        END IF;
        IF OLD.ended_at IS NULL AND OLD.overridden_by = ''
            AND (OLD.kind, OLD.restaurant_ref, OLD.table_ref) = (NEW.kind, NEW.restaurant_ref, NEW.table_ref)
            AND since >= greatest(OLD.starts_at, lower(OLD.blocked))
            AND until <= least(coalesce(OLD.overstays_until, OLD.ends_at), upper(OLD.blocked)) THEN
            RETURN NEW;
        END IF;
    END IF;
    IF EXISTS (SELECT FROM assignments_closure AS closure
                WHERE closure.restaurant_ref = NEW.restaurant_ref AND closure.lifted_at IS NULL
                  AND (closure.table_refs = '{}' OR NEW.table_ref = ANY (closure.table_refs))
                  AND closure.starts_at < until
                  AND (closure.ends_at IS NULL OR closure.ends_at > since)) THEN
        RAISE EXCEPTION 'table % is closed when booking % would sit there', NEW.table_ref, NEW.booking_ref
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'allocation_not_while_closed';
    END IF;
    RETURN NEW;
END $$;
"""
_TRIGGER = """
DROP TRIGGER allocation_not_while_closed ON assignments_allocation;
CREATE TRIGGER allocation_not_while_closed
    BEFORE INSERT OR UPDATE OF kind, table_ref, restaurant_ref, starts_at, ends_at, blocked, ended_at, overstays_until,
                               overridden_by ON assignments_allocation
    FOR EACH ROW WHEN (NEW.overridden_by = '' AND NEW.kind IN ('hold', 'seating'))
    EXECUTE FUNCTION assignments_not_while_closed();
"""

NOT_WHILE_CLOSED = (
    import_module("assignments.migrations.0024_loaded_rows")._unless_loading(_FUNCTION, "NEW") + _TRIGGER  # noqa: SLF001
)

_BEFORE = import_module("assignments.migrations.0031_asked_instead").NOT_WHILE_CLOSED.replace(
    "SINCE", "greatest(NEW.starts_at, lower(NEW.blocked))"
)
_TRIGGER_BEFORE = import_module("assignments.migrations.0012_closures").NOT_WHILE_CLOSED.partition("CREATE TRIGGER")[2]

NOT_WHILE_CLOSED_BEFORE = f"""
{_BEFORE}
DROP TRIGGER allocation_not_while_closed ON assignments_allocation;
CREATE TRIGGER{_TRIGGER_BEFORE}
"""


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0034_evening_optimum"),
    ]

    operations = [
        migrations.RunSQL(NOT_WHILE_CLOSED, NOT_WHILE_CLOSED_BEFORE),
    ]
