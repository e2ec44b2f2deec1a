"""Handing bookings from V3 to the planner that the router names."""

import uuid
from collections.abc import Mapping, Sequence

from assignments import signals
from assignments.concurrency import transactions
from assignments.integration.planners import NOBODY, V3, Route, routes_of
from assignments.lifecycle import transitions
from assignments.models import Assignment
from assignments.telemetry import correlation


def hand_over(
    assignments: Sequence[Assignment], routes: Mapping[str, Route], *, correlation_id: uuid.UUID
) -> Mapping[str, Sequence[str]]:
    """Return which of these locked bookings go to which planner other than V3: refs by planner key, without NOBODY.

    V3 gives up its claims on them: the other planner asks the router again when it begins a booking, and claims it
    then.
    """
    by_planner: dict[str, list[str]] = {}
    handed_back: dict[str, list[str]] = {}
    for assignment in assignments:
        key = routes[assignment.booking_ref].planner
        if key in {V3, NOBODY}:
            continue
        by_planner.setdefault(key, []).append(assignment.booking_ref)
        if assignment.planner == V3:
            assignment.planner = ""
            assignment.touch()
            handed_back.setdefault(key, []).append(assignment.booking_ref)
    if handed_back:
        transitions.store(assignments, correlation_id=correlation_id)
        told = [{"sender": Assignment, "planner": key, "booking_refs": refs} for key, refs in handed_back.items()]
        transitions.send_on_commit(signals.handed_back, told, correlation_id=correlation_id)
    return by_planner


def hand_back(booking_refs: Sequence[str]) -> None:
    """Give those of one restaurant's bookings that V3 has claimed to the planner that the router names now.

    The transaction locks only the rows, and skips rows that another worker has. It runs none of V3's code, so it works
    while V3 is off.
    """

    def work() -> None:
        claimed = list(
            Assignment.objects.open().filter(booking_ref__in=booking_refs, planner=V3).order_by("id").claim()
        )
        if claimed:
            hand_over(claimed, routes_of(claimed), correlation_id=correlation.id_or_new())

    transactions.run(work)
