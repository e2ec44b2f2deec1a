"""A decision in plain words, for staff."""

from assignments.planning.decision import Decision, Plan
from assignments.planning.floor import Floor

_BECAUSE = {
    "optimal_fit": "it wastes fewer seats and less time",
    "adjacency": "it takes fewer tables, or tables that stand closer together",
    "zone_preference": "its zone has more tables free",
    "load_balancing": "it leaves the scarcer tables free",
    "historical_success": "bookings there have gone better",
}


def describe(decision: Decision, floor: Floor) -> str:
    """What was decided and why, in local time; for a refusal, its detail."""
    best, window = decision.best, decision.window
    if best is None or window is None:
        return decision.refusal.detail if decision.refusal else "Nothing was decided."
    start, end = (moment.astimezone(floor.zone) for moment in (window.starts_at, window.ends_at))
    covers = best.seats - best.spare_seats
    party = f"{_count(covers, 'cover')}, {start:%H:%M}-{end:%H:%M}"
    parts = [f"{_tables(best, floor)} ({_count(best.seats, 'seat')}) for {party}: fits {_spare(best)}"]
    if decision.moved_from:
        parts.append(f"moved from {_names(decision.moved_from, floor)} so that another party can sit too")
    if len(decision.plans) > 1:
        parts.append(_comparison(best, decision.plans[1], floor))
    return "; ".join(parts) + "."


def _comparison(best: Plan, second: Plan, floor: Floor) -> str:
    leads = {name: share - second.breakdown.get(name, 0.0) for name, share in best.breakdown.items()}
    name = max(leads, key=lambda name: leads[name], default="")
    if not name or leads[name] <= 0:
        return f"as good as {_names(second.table_refs, floor)}, which comes later by name"
    because = _BECAUSE.get(name) or "of its " + name.replace("_", " ")
    return f"preferred over {_names(second.table_refs, floor)} because {because}"


def _tables(plan: Plan, floor: Floor) -> str:
    return f"{'Table' if len(plan.table_refs) == 1 else 'Tables'} {_names(plan.table_refs, floor)}"


def _names(table_refs: tuple[str, ...], floor: Floor) -> str:
    known = floor.table_by_ref
    return " + ".join(known[ref].name if ref in known else ref for ref in floor.in_order(table_refs))


def _spare(plan: Plan) -> str:
    return f"with {_count(plan.spare_seats, 'spare seat')}" if plan.spare_seats else "exactly"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
