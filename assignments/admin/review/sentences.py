"""Texts of the review queue: tables, reasons against them, and changes in the meantime."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from assignments.lifecycle.staff_decisions import REJECTED, Undo
from assignments.models import State, StateTransition
from assignments.outcome import Change, Kind, Noop, Outcome
from assignments.planning.floor import Floor
from assignments.staff import labels

_MEANWHILE: Mapping[str, Any] = {
    REJECTED: gettext_lazy("Nothing was changed: %(who)s rejected the booking at %(when)s."),
    Undo.ASSIGNMENT: gettext_lazy("Nothing was changed: %(who)s undid the assignment at %(when)s."),
    Undo.REJECTION: gettext_lazy("Nothing was changed: %(who)s undid the rejection at %(when)s."),
    State.CONFIRMED: gettext_lazy("Nothing was changed: %(who)s assigned tables at %(when)s."),
    State.CANCELLED: gettext_lazy("Nothing was changed: the booking was cancelled at %(when)s."),
    State.ASSIGNMENT_PENDING: gettext_lazy("Nothing was changed: %(who)s requested a retry at %(when)s."),
    State.MANUAL_REVIEW: gettext_lazy(
        "Nothing was changed: %(who)s retried the booking at %(when)s, and it is back in review."
    ),
}


def shares(breakdown: Mapping[str, float]) -> list[tuple[str, str]]:
    """Return the parts of a score, largest share first."""
    largest_first = sorted(breakdown.items(), key=lambda each: (-each[1], each[0]))
    return [(labels.strategy(name), f"{share:.1f}") for name, share in largest_first]


def tables(table_refs: Sequence[str], floor: Floor | None) -> str:
    """Name tables as staff know them."""
    names = labels.Words(floor).tables(table_refs)
    return ngettext("table %(tables)s", "tables %(tables)s", len(table_refs)) % {"tables": names}


def zone(zone_ref: str | None, floor: Floor | None) -> str:
    """Name a zone as staff know it."""
    return (floor.zone_names if floor else {}).get(zone_ref or "", zone_ref or "")


def meanwhile(changes: Sequence[StateTransition], *, who: Mapping[str, str], when: str) -> str:
    """Describe what changed since a user opened the form."""
    if not changes:
        return _("Nothing was changed: the booking changed while you were editing. This is its current state.")
    last = changes[-1]
    undone = next((row.reason for row in changes if row.name == "reopen" and row.reason in set(Undo)), "")
    sentence = _MEANWHILE.get(undone) or _MEANWHILE.get(last.reason) or _MEANWHILE.get(last.target)
    if sentence is None:
        sentence = _("Nothing was changed: %(who)s changed the booking at %(when)s.")
    return str(sentence) % {"who": who[last.actor], "when": when}


def tried_again(outcome: Outcome, label: str, floor: Floor | None) -> str:
    """Describe the outcome of a retry."""
    values = {"booking": label, "why": labels.reason(outcome.reason)}
    match outcome.kind:
        case Kind.CONFIRMED:
            return _("%(booking)s was retried and is assigned to %(tables)s.") % {
                **values,
                "tables": tables(outcome.table_refs, floor),
            }
        case Kind.MANUAL_REVIEW:
            return _("%(booking)s was retried and is back in review: %(why)s") % values
        case Kind.FAILED:
            return _("%(booking)s was retried and failed: %(why)s") % values
        case Kind.NOOP if outcome.reason == Noop.PIPELINE_DISABLED:
            return _("%(booking)s is waiting for a retry, but no planner is active for it.") % values
        case Kind.RETRY if outcome.delay_seconds:
            return _("%(booking)s was retried without success: %(why)s More attempts will follow.") % values
    return _("The next run will retry %(booking)s.") % values


_SETTLED: Mapping[Change, Any] = {
    Change.KEPT: gettext_lazy("%(booking)s was retried and keeps its tables."),
    Change.MOVED: gettext_lazy("%(booking)s was retried and has other tables now."),
    Change.RESTORED: gettext_lazy("%(booking)s was retried and keeps its tables."),
    Change.CANCELLED: gettext_lazy("%(booking)s no longer needs a table."),
}


def settled(change: Change, label: str) -> str:
    """Describe the outcome of a retry of a booking that has tables."""
    still = _("%(booking)s was retried and is back in review. It keeps the tables that it has.")
    return str(_SETTLED.get(change, still)) % {"booking": label}


def passed(booking_labels: Sequence[str]) -> str:
    """Name the earlier bookings that could have had the tables that staff gave to another."""
    return ngettext(
        "%(bookings)s asked earlier and could have had these tables.",
        "These asked earlier and could have had these tables: %(bookings)s.",
        len(booking_labels),
    ) % {"bookings": ", ".join(booking_labels)}
