"""Lists of rows in the order of ``natural_key``: table T2 before T10."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import Func, Model, TextField

from assignments.planning.natural_order import natural_key


class NaturalOrder(Func):
    """The sort key of a text, or of an array: its numbers, of up to 40 digits, count as numbers; case does not matter."""

    # chr(1) sorts a number before any other character, as natural_key does.
    template = (
        "regexp_replace(regexp_replace(lower((%(expressions)s)::text),"
        " '([0-9]+)', chr(1) || repeat('0', 40) || '\\1', 'g'),"
        " '[0-9]*([0-9]{40})', '\\1', 'g') COLLATE \"C\""
    )
    arity = 1
    output_field = TextField()


def natural_column(model: type[Model], column: str, by: str = "") -> Callable[[Any], str]:
    """Return a list's column of table names or refs, sorted naturally. ``by``: the text to sort by, if not the column."""
    field: Any = model._meta.get_field(column)

    @admin.display(description=field.verbose_name, ordering=NaturalOrder(by or column))
    def name(row: Model) -> str:
        value = getattr(row, column)
        return " + ".join(sorted(value, key=natural_key)) if isinstance(value, list) else str(value)

    name.__name__ = column  # The list uses this name in the column's CSS class.
    return name
