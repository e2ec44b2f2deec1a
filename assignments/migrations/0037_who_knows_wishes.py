"""The triggers that mend what earlier releases write leave alone what a release writes that knows the columns for wishes.

Whether an update comes from an earlier release does not show in the row: while staff decide about other tables, a booking
may be promised another time or party, and ask for nothing else before or after. So the app says who writes:
``Assignment.objects.persist`` sets a variable for its transaction, before it updates a row.
"""

from importlib import import_module

from django.db import migrations

_KEEP_PROMISE = import_module("assignments.migrations.0033_former_promise").KEEP_PROMISE
_TAKE_UP = import_module("assignments.migrations.0036_wishes_of_earlier_releases").TAKE_UP
_BEGIN = "LANGUAGE plpgsql AS $$\nBEGIN\n"
_UNLESS_KNOWN = """\
    IF current_setting('assignments.knows_wishes', true) = 'on' THEN
        RETURN NEW;
    END IF;
"""


def _function(created: str, *, asks: bool) -> str:
    """The function alone, which is replaced without a lock on the table. ``asks``: whether it asks who writes."""
    function = created[: created.index("CREATE TRIGGER")].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
    assert _BEGIN in function
    return function.replace(_BEGIN, _BEGIN + _UNLESS_KNOWN) if asks else function


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0036_wishes_of_earlier_releases"),
    ]

    operations = [
        migrations.RunSQL(_function(created, asks=True), _function(created, asks=False))
        for created in (_KEEP_PROMISE, _TAKE_UP)
    ]
