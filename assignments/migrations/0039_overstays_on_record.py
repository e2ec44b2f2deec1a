"""The history of seatings has each stay that runs into the next booking's time, and how long it is, so that it can be undone."""

from importlib import import_module

from django.db import migrations

_record = import_module("assignments.migrations.0033_former_promise")._record  # noqa: SLF001
_FOUND = "WHERE promised.booking_ref = seating.booking_ref;\n"
_CHANGED = """\
    ELSIF happened = 'changed' THEN
        facts := jsonb_build_object('overstays_until', seating.overstays_until);
"""


def _with_overstays() -> str:
    function = str(_record(keeps_facts=True))
    assert function.count(_FOUND) == 1, function
    return function.replace(_FOUND, _FOUND + _CHANGED)


def _trigger(*further: str) -> str:
    compared = [
        "OLD.kind <> NEW.kind",
        "OLD.blocked <> NEW.blocked",
        "OLD.starts_at <> NEW.starts_at",
        "OLD.ends_at <> NEW.ends_at",
        "OLD.ended_at IS DISTINCT FROM NEW.ended_at",
        *further,
    ]
    return f"""
DROP TRIGGER allocation_recorded_on_update ON assignments_allocation;
CREATE TRIGGER allocation_recorded_on_update AFTER UPDATE ON assignments_allocation
    FOR EACH ROW WHEN (NEW.kind = 'seating' AND ({" OR ".join(compared)}))
    EXECUTE FUNCTION assignments_record_seating();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0038_failed_invocations"),
    ]

    operations = [
        migrations.RunSQL(_with_overstays(), str(_record(keeps_facts=True))),
        migrations.RunSQL(_trigger("OLD.overstays_until IS DISTINCT FROM NEW.overstays_until"), _trigger()),
    ]
