"""Explaining a booking: where it stands and why, in words that staff understand and in full for developers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from assignments import ledger
from assignments.exceptions import AssignmentNotFoundError
from assignments.floors import floor_or_none
from assignments.host import configured
from assignments.models import Assignment, Attempt, State, StateTransition


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """``text``: a few sentences. ``attempts`` and ``transitions``: oldest first."""

    booking_ref: str
    state: str
    reason: str
    table_refs: tuple[str, ...]
    text: str
    attempts: tuple[Attempt, ...]
    transitions: tuple[StateTransition, ...]


def explain(booking_ref: str) -> Explanation:
    """Raises AssignmentNotFoundError."""
    assignment = Assignment.objects.of(booking_ref).first()
    if assignment is None:
        raise AssignmentNotFoundError(f"No assignment was ever requested for booking {booking_ref!r}.")
    attempts = tuple(assignment.tries.order_by("id"))
    table_refs = ledger.tables_of([booking_ref]).get(booking_ref, ())
    return Explanation(
        booking_ref=booking_ref,
        state=assignment.state,
        reason=assignment.reason,
        table_refs=table_refs,
        text=" ".join(_sentences(assignment, table_refs, attempts[-1] if attempts else None)),
        attempts=attempts,
        transitions=tuple(assignment.transitions.order_by("version")),
    )


def _sentences(assignment: Assignment, table_refs: tuple[str, ...], last: Attempt | None) -> list[str]:
    state = State(assignment.state)
    named = _namer(assignment.restaurant_ref)
    sentences = [f"{configured().label(assignment.booking_ref)} ({assignment.party} covers) is {state.label}."]
    if table_refs:
        sentences.append(f"It has {named(table_refs)}.")
    if last is None:
        sentences.append("No planner has tried it yet.")
        return sentences
    why = last.decision.get("why") or last.detail or last.reason or last.strategy
    sentences.append(f"Attempt {last.number} by {last.planner}: {why}")
    sentences += _why_not_the_others(last)
    if assignment.due_at:
        sentences.append(f"It is tried again at {assignment.due_at:%Y-%m-%d %H:%M:%S %Z}.")
    return sentences


def _namer(restaurant_ref: str) -> Callable[[Sequence[str]], str]:
    """Table refs as staff know them: by the names on the floor, where the host still has them."""
    floor = floor_or_none(restaurant_ref)
    names = {table.ref: table.name for table in floor.tables} if floor else {}
    return lambda table_refs: " + ".join(names.get(ref, ref) for ref in table_refs)


def _why_not_the_others(last: Attempt) -> Iterator[str]:
    rejected = last.decision.get("rejected", {})
    if rejected:
        counts = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(rejected.items()))
        yield f"Of {last.decision['considered']} sets of tables these lost: {counts}."
