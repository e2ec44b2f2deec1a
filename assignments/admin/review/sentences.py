"""What the review queue says in words of its own: tables, what speaks against them, and what happened meanwhile."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from assignments.lifecycle.staff_decisions import REJECTED, Undo
from assignments.models import State, StateTransition
from assignments.outcome import Kind, Noop, Outcome
from assignments.planning.floor import Floor
from assignments.staff import labels

_MEANWHILE: Mapping[str, Any] = {
    REJECTED: gettext_lazy("Nothing was done: %(who)s has rejected the booking meanwhile, at %(when)s."),
    Undo.ASSIGNMENT: gettext_lazy("Nothing was done: %(who)s has taken its tables back meanwhile, at %(when)s."),
    Undo.REJECTION: gettext_lazy("Nothing was done: %(who)s has taken its rejection back meanwhile, at %(when)s."),
    State.CONFIRMED: gettext_lazy("Nothing was done: %(who)s has given the booking tables meanwhile, at %(when)s."),
    State.CANCELLED: gettext_lazy("Nothing was done: the booking was cancelled meanwhile, at %(when)s."),
    State.ASSIGNMENT_PENDING: gettext_lazy("Nothing was done: %(who)s has had it tried again meanwhile, at %(when)s."),
    State.MANUAL_REVIEW: gettext_lazy(
        "Nothing was done: %(who)s has tried it meanwhile, at %(when)s, and it is here again."
    ),
}


def shares(breakdown: Mapping[str, float]) -> list[tuple[str, str]]:
    """What a score is made of, the largest share first."""
    largest_first = sorted(breakdown.items(), key=lambda each: (-each[1], each[0]))
    return [(labels.strategy(name), f"{share:.1f}") for name, share in largest_first]


def tables(table_refs: Sequence[str], floor: Floor | None) -> str:
    """Tables as staff know them."""
    names = labels.Words(floor).tables(table_refs)
    return ngettext("table %(tables)s", "tables %(tables)s", len(table_refs)) % {"tables": names}


def zone(zone_ref: str | None, floor: Floor | None) -> str:
    """A zone as staff know it."""
    return (floor.zone_names if floor else {}).get(zone_ref or "", zone_ref or "")


def meanwhile(changes: Sequence[StateTransition], *, who: Mapping[str, str], when: str) -> str:
    """What somebody is told whose form was older than the booking."""
    if not changes:
        return _("Nothing was done: the booking was changed meanwhile. This is how it is now.")
    last = changes[-1]
    undone = next((row.reason for row in changes if row.name == "reopen" and row.reason in set(Undo)), "")
    sentence = _MEANWHILE.get(undone) or _MEANWHILE.get(last.reason) or _MEANWHILE.get(last.target)
    if sentence is None:
        sentence = _("Nothing was done: the booking was changed meanwhile, at %(when)s, by %(who)s.")
    return str(sentence) % {"who": who[last.actor], "when": when}


def tried_again(outcome: Outcome, label: str, floor: Floor | None) -> str:
    """What came of trying a booking again."""
    values = {"booking": label, "why": labels.reason(outcome.reason)}
    match outcome.kind:
        case Kind.CONFIRMED:
            return _("%(booking)s was tried again and has %(tables)s.") % {
                **values,
                "tables": tables(outcome.table_refs, floor),
            }
        case Kind.MANUAL_REVIEW:
            return _("%(booking)s was tried again and is back here: %(why)s") % values
        case Kind.FAILED:
            return _("%(booking)s was tried again and failed: %(why)s") % values
        case Kind.NOOP if outcome.reason == Noop.PIPELINE_DISABLED:
            return _("%(booking)s waits to be tried again, but no planner is on duty for it.") % values
        case Kind.RETRY if outcome.delay_seconds:
            return _("%(booking)s was tried again without success: %(why)s It will be tried a few more times.") % values
    return _("%(booking)s will be tried again by the next run.") % values
