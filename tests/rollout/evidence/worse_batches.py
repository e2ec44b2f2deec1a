"""V3 made worse on purpose where several bookings are planned together. Alone, each booking is decided as V3 does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from assignments.planning.batch_planner import in_order
from assignments.planning.decision import Decision
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Snapshot, occupied_by
from assignments.planning.text import Text
from rollout.shadow.candidate import V3Candidate
from tests.rollout.evidence.worse import prefers_joins

Decisions = Mapping[str, Decision]


class Worse(V3Candidate):
    """V3, but for a fault in batches of two or more bookings."""

    def __init__(self, fault: Callable[..., Decisions]) -> None:
        self._fault = fault

    def together(self, requests: Sequence[SeatingRequest], **day: Any) -> Decisions:
        if len(requests) == 1:
            return super().together(requests, **day)
        return self._fault(super().together, requests, **day)


def _swaps_two(v3: Callable[..., Decisions], requests: Sequence[SeatingRequest], **day: Any) -> Decisions:
    """The two largest parties of different sizes that are seated get each other's tables."""
    decided = dict(v3(requests, **day))
    seated = sorted((request for request in requests if decided[request.booking_ref].best), key=lambda each: each.party)
    if not seated or seated[0].party == seated[-1].party:
        return decided
    one, other = seated[0].booking_ref, seated[-1].booking_ref
    plans = decided[one].plans, decided[other].plans
    return {**decided, one: replace(decided[one], plans=plans[1]), other: replace(decided[other], plans=plans[0])}


def _ignores_the_order(v3: Callable[..., Decisions], requests: Sequence[SeatingRequest], **day: Any) -> Decisions:
    """Whoever asked last comes first."""
    times = sorted(request.requested_at for request in requests if request.requested_at)
    turned = dict(zip(times, reversed(times), strict=True))
    others = [replace(each, requested_at=turned[each.requested_at] if each.requested_at else None) for each in requests]
    return v3(others, **day)


def _refuses_from_the_fourth_on(
    v3: Callable[..., Decisions], requests: Sequence[SeatingRequest], **day: Any
) -> Decisions:
    decided = {}
    for number, (ref, decision) in enumerate(v3(requests, **day).items()):
        refusal = Refusal(Reason.NO_CAPACITY, Text("Everything that fits is taken."))
        decided[ref] = replace(decision, plans=(), moved_from=(), refusal=refusal) if number >= 3 else decision
    return decided


def _gives_a_table_twice(v3: Callable[..., Decisions], requests: Sequence[SeatingRequest], **day: Any) -> Decisions:
    """The second guests who are seated sit down with the first."""
    decided = dict(v3(requests, **day))
    by_ref = {request.booking_ref: request for request in requests}
    seated = sorted((by_ref[ref].party, by_ref[ref].starts_at, ref) for ref in decided if decided[ref].best)
    pairs = pairwise(seated)
    for one, other in ((one[2], other[2]) for one, other in pairs if one[:2] == other[:2]):
        return {**decided, other: replace(decided[other], plans=decided[one].plans, window=decided[one].window)}
    return decided


def _wastes_tables(v3: Callable[..., Decisions], requests: Sequence[SeatingRequest], **day: Any) -> Decisions:
    """Each party gets as many tables as will do for it, so that there are none left for others."""
    occupied, decided = day.pop("occupied"), {}
    for request in in_order(requests, floor=day["floor"], rules=day["rules"]):
        decision = prefers_joins(Snapshot(request=request, occupied=occupied, **day))
        decided[request.booking_ref] = decision
        if decision.best is not None and decision.window is not None:
            occupied += tuple(occupied_by(request.booking_ref, decision.best.table_refs, decision.window))
    return decided


def _forgets_one(v3: Callable[..., Decisions], requests: Sequence[SeatingRequest], **day: Any) -> Decisions:
    return v3(requests[1:], **day)


def _raises(v3: Callable[..., Decisions], requests: Sequence[SeatingRequest], **day: Any) -> Decisions:
    raise ZeroDivisionError


swaps_two = Worse(_swaps_two)
ignores_the_order = Worse(_ignores_the_order)
refuses_from_the_fourth_on = Worse(_refuses_from_the_fourth_on)
gives_a_table_twice = Worse(_gives_a_table_twice)
wastes_tables = Worse(_wastes_tables)
forgets_one = Worse(_forgets_one)
raises = Worse(_raises)
