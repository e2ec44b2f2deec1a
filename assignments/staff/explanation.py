"""Explanation of a booking: a short text for staff, and its full records for developers."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

from assignments.exceptions import AssignmentNotFoundError
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.project_host import configured
from assignments.lifecycle import ledger, settlement
from assignments.models import Assignment, Attempt, StateTransition
from assignments.planning.floor import Floor
from assignments.staff import labels, moments


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """The explanation of a booking.

    ``text``: a few sentences in the active language. ``attempts`` and ``transitions``: oldest first.
    """

    booking_ref: str
    state: str
    reason: str
    table_refs: tuple[str, ...]
    text: str
    attempts: tuple[Attempt, ...]
    transitions: tuple[StateTransition, ...]


def explain(booking_ref: str) -> Explanation:
    """Explain a booking's state. Raises AssignmentNotFoundError."""
    assignment = Assignment.objects.of(booking_ref).first()
    if assignment is None:
        raise AssignmentNotFoundError(f"No assignment has been requested for booking {booking_ref!r}.")
    attempts = tuple(assignment.tries.order_by("id"))
    floor = floor_or_none(assignment.restaurant_ref)
    table_refs = ledger.tables_of([booking_ref]).get(booking_ref, ())
    if floor is not None:
        table_refs = floor.in_order(table_refs)
    return Explanation(
        booking_ref=booking_ref,
        state=assignment.state,
        reason=assignment.reason,
        table_refs=table_refs,
        text=" ".join(_in_words(assignment, floor, table_refs, attempts[-1] if attempts else None)),
        attempts=attempts,
        transitions=tuple(assignment.transitions.order_by("version")),
    )


def _in_words(
    assignment: Assignment, floor: Floor | None, table_refs: tuple[str, ...], last: Attempt | None
) -> Iterator[str]:
    words = labels.Words(floor)
    yield _("%(booking)s, %(party)s covers: %(state)s.") % {
        "booking": configured().label(assignment.booking_ref),
        "party": assignment.party,
        "state": labels.state(assignment.state),
    }
    if table_refs:
        yield _("Assigned to %(tables)s.") % {"tables": words.tables(table_refs)}
    yield from sentences(assignment, words, last)


def sentences(assignment: Assignment, words: labels.Words, last: Attempt | None) -> list[str]:
    """Return sentences: the last attempt's decision, why other tables were ruled out, and when the next attempt is."""
    if last is None:
        said = [_("No attempts yet.")]
    else:
        why = {"number": last.number, "planner": labels.planner(last.planner), "why": words.attempt(last)}
        said = [_("Attempt %(number)s by %(planner)s: %(why)s") % why, *_why_not_the_others(last)]
    if last is not None and assignment.reason == settlement.REARRANGED:
        said += _moved_since(assignment, words, last)
    if assignment.due_at:
        at = moments.moment(assignment.due_at, words.zone, "seconds")
        text = _("First attempt at %(time)s.") if last is None else _("Next attempt at %(time)s.")
        said.append(text % {"time": f"{at} {assignment.due_at.astimezone(words.zone):%Z}"})
    return said


def _moved_since(assignment: Assignment, words: labels.Words, last: Attempt) -> Iterator[str]:
    """Say from where it was moved after its last attempt, and what of its wishes its tables do not meet now."""
    here = assignment.told_table_refs or []
    if set(last.table_refs) != set(here):
        values = {"tables": words.tables(last.table_refs)}
        yield _("It was moved from %(tables)s so that another party can sit too.") % values
    if unmet := words.unmet_wishes(assignment.wishes, here):
        yield _("Wishes that it does not meet: %(wishes)s.") % {"wishes": unmet}


def _why_not_the_others(last: Attempt) -> Iterator[str]:
    rejected = last.decision.get("rejected", {})
    if rejected:
        yield _("Ruled out of %(count)s table combinations: %(why)s.") % {
            "count": last.decision["considered"],
            "why": "; ".join(f"{why.removesuffix('.')} ({count})" for why, count in labels.lost(rejected)),
        }
