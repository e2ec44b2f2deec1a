"""The messages for staff when the booking project refuses their action."""

from django.utils.translation import gettext as _

from assignments.exceptions import TransitionRefusedError


def is_by_constraint(error: TransitionRefusedError) -> bool:
    """Return whether a constraint of the booking project has refused, not the state of the booking."""
    return "constraint" in error.context


def sentence(error: Exception) -> str:
    """Name the constraint, or the type of what was raised. Never its message, which may name a guest."""
    constraint = error.context.get("constraint") if isinstance(error, TransitionRefusedError) else ""
    return _("Nothing was changed: the booking project refused it (%(error)s).") % {
        "error": constraint or type(error.__cause__ or error).__name__
    }
