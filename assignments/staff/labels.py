"""Turn stored codes into words in the reader's language: states, reasons, outcomes, decisions.

Codes, and the English sentences that planners leave in ``detail``, never change; they are translated here when staff
read them. Only ``render`` translates a ``Text``. Texts of the booking project (why a request is malformed, what is
wrong with a floor) and unknown codes are shown unchanged.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from assignments.coordination import edits, host_changes, stays
from assignments.integration.planners import MANUAL, V3
from assignments.lifecycle import sentences, settlement, staff_decisions, waiting
from assignments.models import Attempt, Stage, State
from assignments.outcome import CoordinatorReason, Kind, Noop
from assignments.planning import describe
from assignments.planning.decision import TablePlan
from assignments.planning.features import listed
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason
from assignments.planning.text import Text, day_or_moment
from assignments.planning.units import unit_of
from assignments.staff import moments

_REASONS: Mapping[str, Any] = {
    Reason.INVALID_PARTY: gettext_lazy("The party has no number of covers that can be seated."),
    Reason.INVALID_START: gettext_lazy("The time is missing or cannot be planned."),
    Reason.STARTS_IN_PAST: gettext_lazy("It should have started already."),
    Reason.START_TOO_NEAR: gettext_lazy("It starts too soon to be planned."),
    Reason.OUTSIDE_SERVICE: gettext_lazy("Nothing is served at that time."),
    Reason.SERVICE_OVERRUN: gettext_lazy("The party would sit past the end of the service."),
    Reason.NO_TABLES: gettext_lazy("The restaurant has no table in service."),
    Reason.PARTY_TOO_LARGE: gettext_lazy("The party is larger than any table or join."),
    Reason.NO_FIT: gettext_lazy("No table or join takes a party of this size there."),
    Reason.NEEDS: gettext_lazy("No table has what the guests need."),
    Reason.CLOSED: gettext_lazy("The restaurant, or every table that fits, is closed then."),
    Reason.PINNED_TABLES_UNFIT: gettext_lazy("The pinned tables will not do."),
    Reason.NO_CAPACITY: gettext_lazy("Everything that fits the party is taken."),
    Reason.PINNED_TABLES_TAKEN: gettext_lazy("The pinned tables are taken."),
    Reason.PACING: gettext_lazy("The restaurant allows no more guests at that time."),
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
    Reason.TABLE_TAKEN: gettext_lazy("Somebody else has a table at that time."),
    Reason.MORE_TABLES_THAN_NEEDED: gettext_lazy("Fewer tables are enough."),
    Reason.BUFFER: gettext_lazy("There is no time to clear and set a table between two bookings."),
    CoordinatorReason.INVALID_BOOKING: gettext_lazy("The booking cannot be planned as it is."),
    CoordinatorReason.CONFIRMED_BY_HOST: gettext_lazy(
        "It was confirmed without this app, so it has no tables here: staff have to choose them."
    ),
    CoordinatorReason.STARTED_UNDECIDED: gettext_lazy("It started before any planner had decided it."),
    CoordinatorReason.CIRCUIT_OPEN: gettext_lazy("The restaurant is skipped for a while after repeated errors."),
    CoordinatorReason.BOOKING_BUSY: gettext_lazy("Somebody is editing the booking."),
    CoordinatorReason.BOOKING_MOVED: gettext_lazy("The booking was moved meanwhile."),
    CoordinatorReason.INVALID_FLOOR: gettext_lazy("Something is wrong with the restaurant's floor."),
    CoordinatorReason.TIME_BUDGET_EXCEEDED: gettext_lazy("It took too long; it is tried again."),
    CoordinatorReason.UNEXPECTED_ERROR: gettext_lazy("An unexpected error occurred."),
    CoordinatorReason.REFUSED_BY_HOST: gettext_lazy("The booking project's database refuses these tables."),
    CoordinatorReason.POISONOUS: gettext_lazy("Deciding it ended the process several times, so nobody tries it again."),
    Noop.PIPELINE_DISABLED: gettext_lazy("No planner is responsible for it, or another one is."),
    Noop.LOCK_CONTENTION: gettext_lazy("Another worker or user was processing it."),
    Noop.BOOKING_NOT_FOUND: gettext_lazy("The booking project no longer knows it."),
    Noop.TERMINAL_STATE: gettext_lazy("It was decided already."),
    waiting.EDIT_UNMET: gettext_lazy(
        "What the guests ask for now is not possible. They keep their tables until staff decide."
    ),
    waiting.OVERLAPPING: gettext_lazy("Guests stay longer, and the next booking expects the same table."),
    waiting.TABLE_OUT_OF_SERVICE: gettext_lazy("Its table was taken out of service."),
    waiting.CAME_AFTER_ALL: gettext_lazy("Its guests are there, and have no table here."),
    host_changes.CANCELLED_BY_CALL: gettext_lazy("The booking project cancelled it."),
    host_changes.EDIT_WITHDRAWN: gettext_lazy("The guests have withdrawn their change and keep what was confirmed."),
    host_changes.TABLES_CHANGED_BY_HOST: gettext_lazy("The booking project gave it other tables."),
    staff_decisions.EDIT_REJECTED: gettext_lazy("Staff rejected the change. It keeps what it was promised."),
    staff_decisions.REJECTED: gettext_lazy("Staff rejected it."),
    staff_decisions.Undo.MOVE: gettext_lazy("Staff took its move back."),
    staff_decisions.Undo.SWAP: gettext_lazy("Staff took its swap of tables back."),
    staff_decisions.Undo.STAY: gettext_lazy("Staff took its longer or shorter stay back."),
    staff_decisions.Undo.WALK_IN: gettext_lazy("Staff took it back: its guests did not sit down."),
    staff_decisions.Undo.RELEASE: gettext_lazy("Staff gave it the tables again that they had freed."),
    "abandoned": gettext_lazy("A planner had left it unfinished."),
    "assignment_undone": gettext_lazy("Staff took its tables back."),
    "booking_cancelled": gettext_lazy("The booking was cancelled."),
    "booking_changed": gettext_lazy("The booking was changed."),
    "by_hand": gettext_lazy("Staff chose its tables."),
    "confirmed_without_tables": gettext_lazy("It was confirmed, but had no tables."),
    "held": gettext_lazy("Somebody holds tables for it."),
    "left": gettext_lazy("Its guests have left."),
    "moved_by_staff": gettext_lazy("Staff moved it to other tables."),
    "no_show": gettext_lazy("Its guests did not come."),
    "no_table_wanted": gettext_lazy("The booking no longer needs a table."),
    "overlap_over": gettext_lazy("Nobody else expects its table any more."),
    "pinned": gettext_lazy("It was pinned to tables."),
    "rejection_undone": gettext_lazy("Staff took its rejection back."),
    "replanned": gettext_lazy("It was planned again under today's rules."),
    "released": gettext_lazy("Its tables were freed."),
    "requested_again": gettext_lazy("The booking project asked for a table again."),
    "retry": gettext_lazy("Staff had it tried again."),
    "stays_longer": gettext_lazy("Its guests stay longer or shorter."),
    settlement.REARRANGED: gettext_lazy("It has another table, so that somebody else could be seated."),
    "swapped_by_staff": gettext_lazy("Staff swapped its tables with those of another booking."),
    "table_needed_longer": gettext_lazy("Other guests need its table for longer."),
    stays.TABLE_STAYS_OPEN: gettext_lazy("Its table does not close before its guests leave."),
    "unpinned": gettext_lazy("It is no longer pinned to tables."),
    "walk_in": gettext_lazy("Its guests came without a booking, and staff seated them."),
    "woken": gettext_lazy("A table may have become free for it."),
}

_SAID_ELSEWHERE = frozenset(
    {
        CoordinatorReason.INVALID_BOOKING,
        CoordinatorReason.INVALID_FLOOR,
        CoordinatorReason.UNEXPECTED_ERROR,
        CoordinatorReason.REFUSED_BY_HOST,
    }
)
"""Reasons whose detail is not ours to word: the booking project's own sentence, the type of an error, or a constraint."""

_OUTCOMES: Mapping[str, Any] = {
    Kind.CONFIRMED: gettext_lazy("confirmed"),
    Kind.RETRY: gettext_lazy("tried again later"),
    Kind.MANUAL_REVIEW: gettext_lazy("to manual review"),
    Kind.NOOP: gettext_lazy("nothing to do"),
    Kind.FAILED: gettext_lazy("failed"),
}

_PLANNERS: dict[str, Any] = {V3: "V3", MANUAL: gettext_lazy("by hand")}

_STRATEGIES: dict[str, Any] = {
    "optimal_fit": gettext_lazy("optimal fit"),
    "adjacency": gettext_lazy("adjacency"),
    "zone_preference": gettext_lazy("zone preference"),
    "load_balancing": gettext_lazy("load balancing"),
    "historical_success": gettext_lazy("historical success"),
    "wishes": gettext_lazy("wishes"),
    "keep_free": gettext_lazy("needed least by others"),
    "priority": gettext_lazy("priority"),
    edits.SAME_TABLES: gettext_lazy("as before"),
    MANUAL: gettext_lazy("by hand"),
}

_TRIGGERS: Mapping[str, Any] = {
    "cron": gettext_lazy("from cron"),
    "inline": gettext_lazy("when it was booked"),
    "staff": gettext_lazy("by staff"),
    "adopt": gettext_lazy("taken over from the booking project"),
    "edit": gettext_lazy("after a change in the booking project"),
    "woken": gettext_lazy("because a table became free"),
}

_TRANSITIONS: Mapping[str, Any] = {
    "verify_capacity": gettext_lazy("verify capacity"),
    "queue": gettext_lazy("queue"),
    "begin": gettext_lazy("begin"),
    "assign": gettext_lazy("assign"),
    "confirm": gettext_lazy("confirm"),
    "put_back": gettext_lazy("put back"),
    "send_to_review": gettext_lazy("send to review"),
    "reseat": gettext_lazy("reseat"),
    "restore": gettext_lazy("restore"),
    "fail": pgettext_lazy("a transition", "fail"),
    "reopen": gettext_lazy("reopen"),
    "cancel": gettext_lazy("cancel"),
}


_ACTORS: Mapping[str, Any] = {
    "host": gettext_lazy("the booking project"),
    "waitlist": gettext_lazy("the waiting list"),
    "no_show_minutes": gettext_lazy("the clock (NO_SHOW_MINUTES)"),
    "reconcile": gettext_lazy("the nightly comparison"),
}

USERS = frozenset({"staff", "user"})
"""What an actor begins with who is a user: in the history of bookings, and in the records of other apps."""


def register(*, planners: Mapping[str, Any], strategies: Mapping[str, Any], because: Mapping[str, str]) -> None:
    """Register the words of another planner, lazily translated.

    ``planners``: its name by key. ``strategies``: the names of its strategies and parts of a score. ``because``: by
    strategy, why it preferred its choice; ``%(tables)s`` are the tables of the second choice. These templates are
    translated later.
    """
    _PLANNERS.update(planners)
    _STRATEGIES.update(strategies)
    describe.BECAUSE.update(because)


def reason(code: str, detail: str = "") -> str:
    """Return a sentence for a reason code, with what its detail adds; "" for no reason.

    Never raises: reasons that staff typed, and codes of other planners, are shown unchanged.
    """
    known = _REASONS.get(code)
    ours = _read(detail)
    if known is None:
        return " ".join(part for part in (code.replace("_", " "), render(ours or detail)) if part)
    if ours is not None:
        return f"{known} {render(ours)}"
    if not detail or code not in _SAID_ELSEWHERE:
        return str(known)
    return _("%(sentence)s It says: %(detail)s") % {"sentence": known, "detail": render(detail)}


def _read(detail: str) -> Text | None:
    """Return the translatable text of our own English sentence from the history, or None."""
    found = sentences.read(detail) if detail else None
    if found is None or found.template != sentences.DESPITE:
        return found
    passed_over = (reason(code).removesuffix(".") for code in found.values["reasons"].split(", "))
    return sentences.passed_over("; ".join(passed_over))


def state(value: str) -> str:
    """Return the label of a state."""
    return str(State(value).label) if value in State.values else value


def outcome(kind: str) -> str:
    """Return the label of a booking's result in one attempt."""
    return str(_OUTCOMES.get(kind, kind))


def stage(value: str) -> str:
    """Return the label of the guests' stage."""
    return str(Stage(value).label) if value in Stage.values else value


def planner(key: str) -> str:
    """Return the planner's name."""
    return str(_PLANNERS.get(key, key))


def strategy(name: str) -> str:
    """Return the label of a strategy, or of a part of a score."""
    return str(_STRATEGIES.get(name) or name.replace("_", " "))


def trigger(name: str) -> str:
    """Return the label of the cause of an attempt."""
    return str(_TRIGGERS.get(name, name))


def transition(name: str) -> str:
    """Return the label of a transition, in the imperative."""
    return str(_TRANSITIONS.get(name) or name.replace("_", " "))


def actor(who: str) -> str:
    """Return the label of an actor: a planner, the booking project, or a user by number, never by name."""
    kind, _colon, number = who.partition(":")
    if kind in USERS and number:
        return _("user %(number)s") % {"number": number}
    return str(_ACTORS[who]) if who in _ACTORS else planner(who)


def outcomes() -> list[tuple[str, str]]:
    """Return the results of attempts and their labels, without those for which nothing had to be decided."""
    return [(kind, str(name)) for kind, name in _OUTCOMES.items() if kind != Kind.NOOP]


def triggers() -> list[tuple[str, str]]:
    """Return the causes of attempts and their labels."""
    return [(name, str(words)) for name, words in _TRIGGERS.items()]


def transitions() -> list[tuple[str, str]]:
    """Return the names of transitions and their labels."""
    return [(name, str(words)) for name, words in _TRANSITIONS.items()]


def planners() -> list[tuple[str, str]]:
    """Return the keys of the installed planners and their names."""
    return [(key, str(name)) for key, name in _PLANNERS.items()]


class Words:
    """Words for decisions made on one floor: tables by their names there, moments by the clock there.

    ``floor`` is None if the booking project no longer has it; then tables are shown by their refs, and times in UTC.
    """

    def __init__(self, floor: Floor | None) -> None:
        self._floor = floor
        self.zone: tzinfo = floor.zone if floor else UTC

    def tables(self, table_refs: Sequence[str]) -> str:
        """Return the names of tables as staff know them, in the floor's order."""
        return describe.names(table_refs, self._floor)

    def unmet_wishes(self, wishes: Collection[str], table_refs: Collection[str]) -> str:
        """Return those wishes that these tables do not meet, as a list; "" if the floor no longer has the tables."""
        if self._floor is None or not table_refs or not self._floor.table_by_ref.keys() >= set(table_refs):
            return ""
        return listed(set(wishes) - unit_of(self._floor, table_refs).features)

    def attempt(self, attempt: Attempt) -> str:
        """Describe the decision of one attempt, with its reason."""
        stored = attempt.decision or {}
        if stored.get("refusal"):
            return refusal(stored["refusal"])
        if stored.get("plans") and stored.get("window"):
            return render(describe.describe(stored, self._floor))
        if attempt.table_refs:
            return _("%(tables)s, chosen %(strategy)s.") % {
                "tables": self.tables(attempt.table_refs),
                "strategy": strategy(attempt.strategy),
            }
        detail = Text.from_json(stored["detail"]) if "detail" in stored else attempt.detail
        return reason(attempt.reason, detail)

    def preferred(self, best: TablePlan, second: TablePlan) -> str:
        """Say why one plan ranks before another."""
        return render(describe.preferred(best.to_json(), second.to_json(), self._floor))


def refusal(stored: Mapping[str, Any]) -> str:
    """Describe a stored refusal. Older ones have only the English sentence (``detail``), or only the code."""
    return render(Text.from_json(stored)) or reason(stored.get("reason", ""))


_SERVICES: Mapping[str, Any] = {
    "breakfast": gettext_lazy("breakfast"),
    "brunch": gettext_lazy("brunch"),
    "lunch": gettext_lazy("lunch"),
    "dinner": gettext_lazy("dinner"),
}


def service(key: str) -> str:
    """Return the name of a service period: its key, unless that is one of the usual ones."""
    return str(_SERVICES.get(key.casefold()) or key.replace("_", " "))


def render(said: object) -> str:
    """Translate a text, or an exception's text, into the reader's language, with the texts inside it.

    Return anything else as a string. Days and moments among a text's values are written as the language writes them.
    """
    if isinstance(said, Exception):
        return render(said.args[0]) if len(said.args) == 1 else str(said)
    if isinstance(said, StrEnum):
        return _(said.value)
    if not isinstance(said, Text):
        return str(said)
    values = {name: service(str(value)) if name == "service" else _value(value) for name, value in said.values.items()}
    template = ngettext(said.template, said.plural, said.values["count"]) if said.plural else _(said.template)
    try:
        return template % values if values else template
    except (KeyError, TypeError, ValueError):  # A translation with wrong placeholders must not break the page.
        return str(said)


def _value(value: object) -> str:
    found = day_or_moment(value) if isinstance(value, str) and not isinstance(value, Text) else None
    if found is None:
        return render(value)
    if not isinstance(found, datetime):
        return moments.short_day(found)
    return moments.local_moment(found) if found.tzinfo is None else f"{moments.moment(found, UTC)} UTC"


def lost(rejected: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the reasons why sets of tables were ruled out, with how many, the most frequent first."""
    most_first = sorted(rejected.items(), key=lambda each: (-each[1], each[0]))
    return [(reason(code), count) for code, count in most_first]
