"""The history of seatings keeps what was promised with them, and no earlier release writes a wish over a promise.

While a release is deployed, processes of the one before work beside it. Those of before 0031 know no columns for what a
guest asks for instead: they write it in place of what was promised.
"""

from importlib import import_module

from django.db import migrations, models

_FACTS = ("restaurant_ref", "service_date", "service_rule", "starts_at", "asked_until", "party", "zone_ref", "needs")
_INSERT = "    INSERT INTO assignments_seatingchange\n"
_COLUMNS = "previous_stage, stage, transaction_id)"
_VALUES = "'', '', txid_current());"


def _record(*, keeps_facts: bool) -> str:
    """The trigger's function as 0024 left it, and with what was promised."""
    loaded = import_module("assignments.migrations.0024_loaded_rows")
    function = loaded._unless_loading(loaded.RECORDING[0], "NULL")  # noqa: SLF001
    if not keeps_facts:
        return str(function)
    facts = ", ".join(f"'{name}', promised.{name}" for name in _FACTS)
    found = f"""\
    IF happened IN ('freed', 'ended') THEN
        SELECT jsonb_build_object({facts}, 'despite', seating.despite, 'overridden_by', seating.overridden_by,
                                  'overstays_until', seating.overstays_until)
          INTO facts FROM assignments_assignment AS promised WHERE promised.booking_ref = seating.booking_ref;
    END IF;
"""
    for old, new in (
        ("    happened text;\n", "    happened text;\n    facts jsonb;\n"),
        (_INSERT, found + _INSERT),
        (_COLUMNS, _COLUMNS.replace(")", ", facts)")),
        (_VALUES, _VALUES.replace("txid_current()", "txid_current(), facts")),
    ):
        assert old in function, old
        function = function.replace(old, new)
    return str(function)


_PROMISED = ("restaurant_ref", "starts_at", "asked_until", "party", "zone_ref", "needs")
_ASKED = (
    "asked_restaurant_ref",
    "asked_date",
    "asked_starts_at",
    "asked_ends_at",
    "asked_party",
    "asked_zone_ref",
    "asked_needs",
)


def _row(names: tuple[str, ...], of: str) -> str:
    return "(" + ", ".join(f"{of}.{name}" for name in names) + ")"


_IS_SAME_PROMISE = f"{_row(_PROMISED, 'NEW')} IS NOT DISTINCT FROM {_row(_PROMISED, 'OLD')}"
_IS_SAME_WISH = (
    f"{_row((*_ASKED, 'wish_settled'), 'NEW')} IS NOT DISTINCT FROM {_row((*_ASKED, 'wish_settled'), 'OLD')}"
)
_FORGET = "\n".join(f"        NEW.{name} := NULL;" for name in _ASKED) + "\n        NEW.wish_settled := false;"

KEEP_PROMISE = f"""
CREATE FUNCTION assignments_keep_promise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'manual_review' THEN
        -- What it asks for was written over what was promised.
        IF NEW.stage <> 'seated' AND OLD.state IN ('confirmed', 'manual_review') AND NOT ({_IS_SAME_PROMISE})
            AND NEW.reason IN ('edit_unmet', 'tables_changed_by_host')
            AND EXISTS (SELECT FROM assignments_allocation
                         WHERE booking_ref = NEW.booking_ref AND kind = 'seating' AND ended_at IS NULL) THEN
            NEW.asked_restaurant_ref := NEW.restaurant_ref;
            NEW.asked_date := NEW.service_date;
            NEW.asked_starts_at := NEW.starts_at;
            NEW.asked_ends_at := NEW.asked_until;
            NEW.asked_party := NEW.party;
            NEW.asked_zone_ref := NEW.zone_ref;
            NEW.asked_needs := NEW.needs;
            NEW.wish_settled := false;
            {" ".join(f"NEW.{name} := OLD.{name};" for name in _FACTS)}
            IF ({", ".join(f"NEW.{name}" for name in _PROMISED)})
                IS NOT DISTINCT FROM (NEW.asked_restaurant_ref, NEW.asked_starts_at, NEW.asked_ends_at, NEW.asked_party,
                                      NEW.asked_zone_ref, NEW.asked_needs) THEN
{_FORGET}
            END IF;
        END IF;
    ELSIF NEW.asked_starts_at IS NULL THEN
        RETURN NEW;
    ELSIF NEW.state = 'confirmed' AND NEW.reason = 'edit_rejected' AND ({_IS_SAME_PROMISE}) THEN
        NEW.wish_settled := true;
    ELSIF NEW.state = 'confirmed' AND NEW.stage NOT IN ('left', 'no_show')
        AND (OLD.state = 'manual_review' AND NOT NEW.wish_settled OR NOT ({_IS_SAME_PROMISE})) THEN
        -- It was granted, or withdrawn.
{_FORGET}
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER assignment_keeps_promise BEFORE UPDATE ON assignments_assignment
    FOR EACH ROW WHEN (NEW.state IN ('confirmed', 'manual_review') AND NEW.version <> OLD.version
                       AND {_IS_SAME_WISH}
                       AND current_setting('assignments.loading', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION assignments_keep_promise();
"""
"""Who knows the columns changes them with what was promised: an update that leaves them alone comes from an earlier release."""

DROP_KEEP_PROMISE = """
DROP TRIGGER assignment_keeps_promise ON assignments_assignment;
DROP FUNCTION assignments_keep_promise();
"""

WISHES_ASIDE = (
    import_module("assignments.migrations.0031_asked_instead")
    .WISHES_ASIDE.replace(
        "asked_needs = assignment.needs,",
        "asked_needs = assignment.needs,\n       wish_settled = assignment.state = 'confirmed',",
    )
    .replace(
        "   AND assignment.stage <> 'seated'",
        "   AND assignment.asked_starts_at IS NULL AND assignment.stage <> 'seated'",
    )
)
"""Once more, for rows that an earlier release has written since 0031."""


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0032_wish_settled"),
    ]

    operations = [
        migrations.AddField(
            model_name="seatingchange",
            name="facts",
            field=models.JSONField(
                help_text="What was promised with a seating that was given up, and how. Null: nothing, or not recorded.",
                null=True,
            ),
        ),
        migrations.RunSQL(_record(keeps_facts=True), _record(keeps_facts=False)),
        migrations.RunSQL(WISHES_ASIDE, migrations.RunSQL.noop),
        migrations.RunSQL(KEEP_PROMISE, DROP_KEEP_PROMISE),
    ]
