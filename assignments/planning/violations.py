"""Checks the tables of a whole evening by the rules, without the solver that found them."""

from collections.abc import Collection, Mapping

from assignments.planning.admission import admit
from assignments.planning.feasibility import objections
from assignments.planning.occupancy import Occupancy
from assignments.planning.optimum import Problem
from assignments.planning.reasons import Refusal
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.units import unit_of


def violations(problem: Problem, tables: Mapping[str, Collection[str]]) -> list[str]:
    """Return what is wrong with these tables for the problem, by its rules and without the solver. For replays.

    Everybody who is confirmed has tables; whoever has some fits them; nobody sits where somebody else is at the time.
    """
    found = []
    stays = {each.booking_ref: each for each in problem.movable}
    requests = {request.booking_ref: request for request in problem.requests}
    found += [f"{ref} has lost its seat" for ref in sorted(stays.keys() - tables.keys())]
    found += [f"{ref} is not part of the problem" for ref in sorted(tables.keys() - stays.keys() - requests.keys())]
    taken = Occupancy(problem.floor, (each for each in problem.occupied if each.booking_ref not in stays))
    for ref, refs in sorted(tables.items()):
        mover, request = stays.get(ref), requests.get(ref)
        window: SeatingWindow | Refusal
        if mover is not None:
            window, request = mover.window, mover.request()
        elif request is not None:
            window = admit(problem.floor, request, rules=problem.rules, now=problem.now)
        else:
            continue
        if isinstance(window, Refusal):
            found.append(f"{ref} cannot be seated: {window.reason}")
            continue
        if mover is None or set(refs) != set(mover.table_refs):
            unfit = next(objections(problem.floor, request, problem.rules, tuple(refs)), None)
            if unfit is not None:
                found.append(f"{ref} does not fit: {unfit.reason}")
                continue
        mask = unit_of(problem.floor, refs).mask
        if mask & taken.taken(window.blocked_from, window.blocked_until):
            found.append(f"{ref} has a table that is taken")
        taken.add(mask, window.blocked_from, window.blocked_until, ref)
    return found
