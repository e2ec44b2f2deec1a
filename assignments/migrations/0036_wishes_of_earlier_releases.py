"""An earlier release that cancels a booking, or plans it anew, leaves no wish behind.

Nothing is promised then, so what is asked for counts (``Assignment.take_up_wish``). Releases of before 0031 know no columns
for it: while one of them still runs beside this one, the rows of such bookings kept a wish that nobody decides about.
"""

from importlib import import_module

from django.db import migrations

_former = import_module("assignments.migrations.0033_former_promise")
_IS_SAME_PROMISE, _IS_SAME_WISH = _former._IS_SAME_PROMISE, _former._IS_SAME_WISH  # noqa: SLF001
_FORGET = _former._FORGET  # noqa: SLF001
_ASKED = {
    "restaurant_ref": "NEW.asked_restaurant_ref",
    "service_date": "NEW.asked_date",
    "starts_at": "NEW.asked_starts_at",
    "asked_until": "NEW.asked_ends_at",
    "party": "coalesce(NEW.asked_party, NEW.party)",
    "zone_ref": "NEW.asked_zone_ref",
    "needs": "coalesce(NEW.asked_needs, '{}')",
}

TAKE_UP = f"""
CREATE FUNCTION assignments_take_up_wish() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- It has written what is asked for itself where it plans the booking anew.
    IF {_IS_SAME_PROMISE} THEN
        {" ".join(f"NEW.{name} := {value};" for name, value in _ASKED.items())}
    END IF;
{_FORGET}
    RETURN NEW;
END $$;
CREATE TRIGGER assignment_takes_up_wish BEFORE UPDATE ON assignments_assignment
    FOR EACH ROW WHEN (OLD.state IN ('confirmed', 'manual_review') AND NEW.state NOT IN ('confirmed', 'manual_review')
                       AND OLD.asked_starts_at IS NOT NULL AND {_IS_SAME_WISH}
                       AND current_setting('assignments.loading', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION assignments_take_up_wish();
"""

DROP_TAKE_UP = """
DROP TRIGGER assignment_takes_up_wish ON assignments_assignment;
DROP FUNCTION assignments_take_up_wish();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0035_closed_for_updates"),
    ]

    operations = [migrations.RunSQL(TAKE_UP, DROP_TAKE_UP)]
