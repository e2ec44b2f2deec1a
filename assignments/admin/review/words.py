"""What the review queue says in words: why tables lost, why others are good, what happened meanwhile."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from assignments import wording
from assignments.host import Host
from assignments.models import State, StateTransition
from assignments.outcome import Kind, Noop, Outcome
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason, Refusal
from assignments.review import REJECTED, Undo

_LOST: Mapping[str, Any] = {
    Reason.TOO_FEW_SEATS: ngettext_lazy("%(count)s has too few seats.", "%(count)s have too few seats.", "count"),
    Reason.TOO_MANY_SPARE_SEATS: ngettext_lazy(
        "%(count)s would leave too many seats empty.", "%(count)s would leave too many seats empty.", "count"
    ),
    Reason.PARTY_OUTSIDE_TABLE_LIMITS: ngettext_lazy(
        "%(count)s does not take parties of this size.", "%(count)s do not take parties of this size.", "count"
    ),
    Reason.WRONG_ZONE: ngettext_lazy(
        "%(count)s is not in the zone that was asked for.", "%(count)s are not in the zone that was asked for.", "count"
    ),
    Reason.TABLE_TAKEN: ngettext_lazy(
        "%(count)s would fit, but is taken.", "%(count)s would fit, but are taken.", "count"
    ),
    Reason.MORE_TABLES_THAN_NEEDED: ngettext_lazy(
        "%(count)s is more tables than needed.", "%(count)s are more tables than needed.", "count"
    ),
}

_STRENGTHS: Mapping[str, Any] = {
    "optimal_fit": gettext_lazy("wastes few seats and little time"),
    "adjacency": gettext_lazy("few tables, close together"),
    "zone_preference": gettext_lazy("its zone has much room left"),
    "load_balancing": gettext_lazy("leaves scarce tables free"),
    "historical_success": gettext_lazy("bookings there have gone well"),
}
_LABELS: Mapping[str, Any] = {
    "optimal_fit": gettext_lazy("Fit"),
    "adjacency": gettext_lazy("Closeness"),
    "zone_preference": gettext_lazy("Room in the zone"),
    "load_balancing": gettext_lazy("Scarce tables kept"),
    "historical_success": gettext_lazy("Past seatings"),
}

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


def lost(rejected: Mapping[str, int]) -> list[str]:
    """How many tables and joins lost for which reason, the most first; reasons unknown here as they are."""
    most_first = sorted(rejected.items(), key=lambda each: (-each[1], each[0]))
    return [
        str(_LOST[reason] % {"count": count})
        if reason in _LOST
        else _("%(count)s: %(reason)s") % {"count": count, "reason": wording.reason(reason)}
        for reason, count in most_first
    ]


def strength(strategy: str) -> str:
    """What speaks for a plan most."""
    return str(_STRENGTHS.get(strategy, strategy.replace("_", " ")))


def shares(breakdown: Mapping[str, float]) -> list[tuple[str, str]]:
    """What a score is made of, the largest share first."""
    largest_first = sorted(breakdown.items(), key=lambda each: (-each[1], each[0]))
    return [(str(_LABELS.get(name, name.replace("_", " "))), f"{share:.1f}") for name, share in largest_first]


def refused(refusals: Sequence[Refusal], host: Host) -> list[str]:
    """Every reason against tables; who has them by the host's label."""
    return [refusal.detail for refusal in refusals]


def tables(table_refs: Sequence[str], floor: Floor | None) -> str:
    """Tables as staff know them."""
    known = floor.table_by_ref if floor else {}
    named = [known[ref].name if ref in known else ref for ref in table_refs]
    return ngettext("table %(tables)s", "tables %(tables)s", len(named)) % {"tables": " + ".join(named)}


def zone(zone_ref: str | None, floor: Floor | None) -> str:
    """A zone as staff know it, where the floor says."""
    return getattr(floor, "zone_names", {}).get(zone_ref, zone_ref) or ""


def meanwhile(changes: Sequence[StateTransition], *, who: Mapping[str, str], when: str) -> str:
    """What somebody is told whose form was older than the booking."""
    if not changes:
        return _("Nothing was done: the booking was changed meanwhile. This is how it is now.")
    last = changes[-1]
    undone = next((row.reason for row in changes if row.name == "reopen" and row.reason in set(Undo)), "")
    sentence = _MEANWHILE.get(undone) or _MEANWHILE.get(last.reason) or _MEANWHILE.get(last.target)
    if sentence is None:
        sentence = _("Nothing was done: the booking was changed meanwhile, at %(when)s, by %(who)s.")
    return str(sentence) % {"who": who.get(last.actor, last.actor), "when": when}


def tried_again(outcome: Outcome, label: str, floor: Floor | None) -> str:
    """What came of trying a booking again."""
    values = {"booking": label, "why": wording.reason(outcome.reason)}
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
