"""What is stored as codes and numbers, in words and in the reader's language: states, reasons, outcomes, decisions.

Codes, and the English sentences that planners leave in ``detail``, are for ever and the same for everybody; what staff read
is made from them here, when it is read. What the booking project said in its own words (why a request is malformed, what is
wrong with a floor) stays as it was said. A code that nobody here knows is shown as it is.
"""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from assignments.models import State
from assignments.outcome import CoordinatorReason, Kind, Noop
from assignments.planners import V3
from assignments.planning.reasons import Reason

_REASONS: Mapping[str, Any] = {
    Reason.INVALID_PARTY: gettext_lazy("The party has no number of covers that can be seated."),
    Reason.INVALID_START: gettext_lazy("The time is missing or no time for a dinner."),
    Reason.STARTS_IN_PAST: gettext_lazy("It should have started already."),
    Reason.START_TOO_NEAR: gettext_lazy("It starts too soon to be planned."),
    Reason.OUTSIDE_SERVICE: gettext_lazy("Nothing is served at that time."),
    Reason.SERVICE_OVERRUN: gettext_lazy("The party would sit past the end of the service."),
    Reason.NO_TABLES: gettext_lazy("The restaurant has no table in service."),
    Reason.PARTY_TOO_LARGE: gettext_lazy("The party is larger than any table or join."),
    Reason.NO_FIT: gettext_lazy("No table or join takes a party of this size there."),
    Reason.PINNED_TABLES_UNFIT: gettext_lazy("The pinned tables will not do."),
    Reason.NO_CAPACITY: gettext_lazy("Everything that fits the party is taken."),
    Reason.PINNED_TABLES_TAKEN: gettext_lazy("The pinned tables are taken."),
    Reason.UNKNOWN_TABLE: gettext_lazy("The restaurant has no such table."),
    Reason.TABLE_REPEATED: gettext_lazy("A table is named more than once."),
    Reason.TABLE_INACTIVE: gettext_lazy("A table is out of service."),
    Reason.TOO_FEW_SEATS: gettext_lazy("There are too few seats."),
    Reason.TOO_MANY_SPARE_SEATS: gettext_lazy("Too many seats would stay empty."),
    Reason.PARTY_OUTSIDE_TABLE_LIMITS: gettext_lazy("The tables do not take parties of this size."),
    Reason.TOO_MANY_TABLES: gettext_lazy("These are more tables than may be joined."),
    Reason.ZONES_DIFFER: gettext_lazy("The tables are in different zones."),
    Reason.NOT_ADJACENT: gettext_lazy("The tables do not stand next to each other."),
    Reason.WRONG_ZONE: gettext_lazy("The tables are not in the zone that was asked for."),
    Reason.TABLE_TAKEN: gettext_lazy("Somebody else has a table then."),
    Reason.MORE_TABLES_THAN_NEEDED: gettext_lazy("Fewer tables are enough."),
    CoordinatorReason.INVALID_BOOKING: gettext_lazy("The booking cannot be planned as it is."),
    CoordinatorReason.CONFIRMED_BY_HOST: gettext_lazy(
        "It was confirmed without this app, so it has no tables here: staff have to choose them."
    ),
    CoordinatorReason.CIRCUIT_OPEN: gettext_lazy("The restaurant is left alone for a while after repeated errors."),
    CoordinatorReason.BOOKING_BUSY: gettext_lazy("Somebody is editing the booking."),
    CoordinatorReason.BOOKING_MOVED: gettext_lazy("The booking was moved meanwhile."),
    CoordinatorReason.INVALID_FLOOR: gettext_lazy("Something is wrong with the restaurant's floor."),
    CoordinatorReason.TIME_BUDGET_EXCEEDED: gettext_lazy("It took too long; it is tried again."),
    CoordinatorReason.UNEXPECTED_ERROR: gettext_lazy("Something unexpected was raised."),
    Noop.PIPELINE_DISABLED: gettext_lazy("No planner, or another one, is on duty for it."),
    Noop.LOCK_CONTENTION: gettext_lazy("Somebody else was at it."),
    Noop.BOOKING_NOT_FOUND: gettext_lazy("The booking project no longer knows it."),
    Noop.TERMINAL_STATE: gettext_lazy("It was decided already."),
    "abandoned": gettext_lazy("A planner had left it unfinished."),
    "assignment_undone": gettext_lazy("Staff took its tables back."),
    "booking_cancelled": gettext_lazy("The booking was cancelled."),
    "booking_changed": gettext_lazy("The booking was changed."),
    "by_hand": gettext_lazy("Staff chose its tables."),
    "confirmed_without_tables": gettext_lazy("It was confirmed, but had no tables."),
    "held": gettext_lazy("Somebody holds tables for it."),
    "no_table_wanted": gettext_lazy("It wants no table any more."),
    "pinned": gettext_lazy("It was pinned to tables."),
    "rejected_by_staff": gettext_lazy("Staff rejected it."),
    "rejection_undone": gettext_lazy("Staff took its rejection back."),
    "released": gettext_lazy("Its tables were freed."),
    "retry": gettext_lazy("Staff had it tried again."),
    "table_out_of_service": gettext_lazy("Its table was taken out of service."),
    "unpinned": gettext_lazy("It is pinned to no tables any more."),
}

_SAID_ELSEWHERE = frozenset(
    {CoordinatorReason.INVALID_BOOKING, CoordinatorReason.INVALID_FLOOR, CoordinatorReason.UNEXPECTED_ERROR}
)
"""Reasons whose detail is not ours to word: the booking project's own sentence, or the type of an error."""

_OUTCOMES: Mapping[str, Any] = {
    Kind.CONFIRMED: gettext_lazy("confirmed"),
    Kind.RETRY: gettext_lazy("tried again later"),
    Kind.MANUAL_REVIEW: gettext_lazy("to manual review"),
    Kind.NOOP: gettext_lazy("nothing to do"),
    Kind.FAILED: gettext_lazy("failed"),
}

_PLANNERS: Mapping[str, Any] = {V3: "V3", "manual": gettext_lazy("by hand")}


def reason(code: str, detail: str = "") -> str:
    """A sentence for a reason code, and what its detail adds; "" for no reason.

    Raises nothing, whatever is stored: reasons that staff typed, and codes of other planners, are shown as they are.
    """
    known = _REASONS.get(code)
    if known is None:
        return " ".join(part for part in (code.replace("_", " "), detail) if part)
    if not detail or code not in _SAID_ELSEWHERE:
        return str(known)
    return _("%(sentence)s It says: %(detail)s") % {"sentence": known, "detail": detail}


def state(value: str) -> str:
    """The label of a state."""
    return str(State(value).label) if value in State.values else value


def outcome(kind: str) -> str:
    """What became of the booking in one attempt."""
    return str(_OUTCOMES.get(kind, kind))


def planner(key: str) -> str:
    """Who planned."""
    return str(_PLANNERS.get(key, key))
