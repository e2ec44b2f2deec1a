"""Whether two bookings can exchange their tables in the host's own rows."""

from collections.abc import Iterator
from typing import Any

from assignments import conf
from assignments.integration.model_host import ModelHost
from assignments.integration.model_host.writing import is_immediate


def obstacle_to_swaps(host: Any = None) -> str:
    """Return what makes swaps impossible in the host's rows, as a sentence; empty if nothing does.

    ``host``: by default the project's. A host may say by an attribute ``can_swap`` whether swaps are possible.
    Otherwise a ``ModelHost`` is inspected: during a swap both bookings have the same table for a moment, and a required
    table cannot be cleared first.
    """
    host = host or conf.load(conf.settings().HOST)
    says = getattr(host, "can_swap", None)
    if says is not None:
        return "" if says else "The host says so (can_swap)."
    if not isinstance(host, ModelHost) or not host.tables_field:
        return ""
    field: Any = host.bookings_table._meta.get_field(host.tables_field)
    if field.many_to_many or getattr(field, "null", True):
        return ""
    name = next(_unique_at_once(field), "")
    return f"{host.booking_model}.{field.name} is required, and {name} is checked at once." if name else ""


def _unique_at_once(field: Any) -> Iterator[str]:
    """Yield the names of unique constraints over the field that PostgreSQL checks row by row."""
    meta = field.model._meta
    if field.unique:
        yield f"its uniqueness ({type(field).__name__})"
    yield from (f"unique_together {names}" for names in meta.unique_together if field.name in names)
    for constraint in meta.constraints:
        if is_immediate(constraint, field):
            yield f"the constraint {constraint.name}"
