"""An independent check of what a planner seated. It shares no code with the planner on purpose."""

from collections.abc import Iterable, Mapping
from itertools import combinations

from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied, PlanningRules


def violations(
    floor: Floor,
    requests: Iterable[SeatingRequest],
    decisions: Mapping[str, Decision],
    *,
    occupied: Iterable[Occupied] = (),
    rules: PlanningRules | None = None,
) -> list[str]:
    """What is wrong with the seated decisions, in words; empty when a restaurant could really do it."""
    limits = rules or PlanningRules()
    found = []
    stays = [(taken.table_ref, taken.blocked_from, taken.blocked_until, "before") for taken in occupied]
    for request in requests:
        decision = decisions[request.booking_ref]
        if decision.best is None:
            if decision.refusal is None:
                found.append(f"{request.booking_ref}: neither plan nor refusal")
            continue
        refs = decision.best.table_refs
        found += [f"{request.booking_ref}: {problem}" for problem in _table_problems(floor, request, refs, limits)]
        found += [f"{request.booking_ref}: {problem}" for problem in _window_problems(floor, request, decision)]
        window = decision.window
        assert window is not None
        stays += [(ref, window.blocked_from, window.blocked_until, request.booking_ref) for ref in refs]
    for one, other in combinations(stays, 2):
        if one[0] == other[0] and one[1] < other[2] and other[1] < one[2]:
            found.append(f"{one[3]} and {other[3]} both have {one[0]}")
    return found


def _table_problems(
    floor: Floor, request: SeatingRequest, refs: tuple[str, ...], limits: PlanningRules
) -> Iterable[str]:
    tables = {table.ref: table for table in floor.tables}
    chosen = [tables[ref] for ref in refs]
    listed = [join for join in floor.joins if join.table_refs == frozenset(refs)]
    seats = listed[0].seats if listed else sum(table.seats for table in chosen)
    if len(set(refs)) != len(refs) or not (listed or 1 <= len(refs) <= limits.max_tables):
        yield f"tables {refs}"
    if not all(table.active for table in chosen):
        yield f"out of service {refs}"
    limited = listed[0] if listed else chosen[0] if len(chosen) == 1 else None
    largest = (limited and limited.max_party) or seats
    is_set = limited is not None and not limited.min_party is limited.max_party is None
    least = (limited and limited.min_party) or (1 if is_set else max(1, largest - limits.max_spare_seats))
    if not least <= request.party <= largest:
        yield f"{seats} seats for {request.party}"
    if not listed and len({table.zone_ref for table in chosen}) != 1:
        yield f"zones of {refs}"
    if request.zone_ref is not None and chosen[0].zone_ref != request.zone_ref:
        yield f"not in {request.zone_ref}"
    if request.pinned_table_refs and set(refs) != set(request.pinned_table_refs):
        yield f"not at {request.pinned_table_refs}"
    group, rest = {refs[0]}, set(refs[1:])
    while reached := {ref for ref in rest if any(frozenset((ref, other)) in floor.adjacent for other in group)}:
        group |= reached
        rest -= reached
    if rest and not listed:
        yield f"{refs} are not connected"


def _window_problems(floor: Floor, request: SeatingRequest, decision: Decision) -> Iterable[str]:
    window = decision.window
    assert window is not None
    service = next(each for each in floor.services if each.key == window.service_key)
    turn = next((each for each in service.turn_times if request.party <= each.max_party), service.turn_times[-1])
    stay = (window.ends_at - window.starts_at).total_seconds() / 60
    if window.starts_at != request.starts_at or (request.ends_at is None and stay != turn.minutes):
        yield f"sits {window.starts_at} for {stay} minutes"
    before = (window.starts_at - window.blocked_from).total_seconds() / 60
    after = (window.blocked_until - window.ends_at).total_seconds() / 60
    if (before, after) != (service.buffer_before_minutes, service.buffer_after_minutes):
        yield f"buffers {before} and {after}"
