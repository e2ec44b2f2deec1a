"""Explaining a booking: where it stands and why, in words that staff understand and in full for developers."""

from dataclasses import dataclass

from assignments import ledger
from assignments.exceptions import AssignmentNotFoundError
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
    assignment = Assignment.objects.filter(booking_ref=booking_ref).first()
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
    sentences = [f"{configured().label(assignment.booking_ref)} ({assignment.party} covers) is {state.label}."]
    if table_refs:
        sentences.append(f"It has {' + '.join(table_refs)}.")
    if last is None:
        sentences.append("No planner has tried it yet.")
        return sentences
    plans = last.decision.get("plans", [])
    if last.outcome == "confirmed" and plans:
        sentences += _why_these_tables(last, plans)
    elif last.outcome == "confirmed":
        sentences.append(f"It was assigned by {last.planner} ({last.reason or last.strategy}).")
    else:
        sentences.append(f"Attempt {last.number} by {last.planner}: {last.detail or last.reason}")
        rejected = last.decision.get("rejected", {})
        if rejected:
            counts = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(rejected.items()))
            sentences.append(f"Of {last.decision['considered']} sets of tables: {counts}.")
    if assignment.due_at:
        sentences.append(f"It is tried again at {assignment.due_at:%Y-%m-%d %H:%M:%S %Z}.")
    return sentences


def _why_these_tables(last: Attempt, plans: list[dict[str, object]]) -> list[str]:
    best = plans[0]
    sentences = [
        f"{last.planner} chose them on attempt {last.number} for {last.strategy.replace('_', ' ')}: "
        f"{best['seats']} seats, {best['spare_seats']} spare, score {best['score']}."
    ]
    if len(plans) > 1:
        others = ", ".join(f"{' + '.join(plan['table_refs'])} ({plan['score']})" for plan in plans[1:])  # type: ignore[arg-type]
        sentences.append(f"The next best were {others}.")
    return sentences
