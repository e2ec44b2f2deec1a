"""Planning a day's requests together: whose time it takes, and what is left out when it runs out."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from assignments.coordination import planned_day
from assignments.coordination.planned_day import PlannedDay, plan_requests
from assignments.planning.floor import Floor, Pacing
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import PlanningRules
from tests.assignments.planning.restaurant import MORNING, ask, at, floor, table

BAR_AND_HALL = floor(table("B2", 2, "Bar"), table("H2", 2, "Hall"))


def planned(*requests: SeatingRequest, on: Floor = BAR_AND_HALL, seconds: float | None = None) -> PlannedDay:
    return plan_requests(
        requests, floor=on, occupied=(), now=MORNING, success={}, rules=PlanningRules(), seconds=seconds
    )


def seated(day: PlannedDay) -> Mapping[str, tuple[str, ...]]:
    return {ref: each.best.table_refs for ref, each in day.decisions.items() if each.best}


def anywhere_and_then_at_the_bar() -> list[SeatingRequest]:
    return [
        replace(ask("anywhere"), requested_at=at("09:00")),
        replace(ask("bar", zone="Bar"), requested_at=at("09:01")),
    ]


def test_somebody_moves_for_who_asked_later_until_the_time_is_up() -> None:
    requests = anywhere_and_then_at_the_bar()
    assert seated(planned(*requests)) == {"anywhere": ("H2",), "bar": ("B2",)}
    late = planned(*requests, seconds=0.0)
    assert seated(late) == {"anywhere": ("B2",)}
    assert late.decisions["bar"].refusal is not None


def test_who_asked_at_the_same_time_is_decided_alike_where_pacing_counts_them() -> None:
    requests = [replace(each, requested_at=None) for each in anywhere_and_then_at_the_bar()]
    expected = {"anywhere": ("H2",), "bar": ("B2",)}
    assert seated(planned(*requests)) == expected
    assert seated(planned(*requests, on=replace(BAR_AND_HALL, pacing=(Pacing(most_parties=2),)))) == expected


def test_each_booking_takes_its_own_time_and_a_share_of_what_is_done_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    class SixEachLap:
        def lap(self) -> float:
            return 6.0

    monkeypatch.setattr(planned_day, "Stopwatch", SixEachLap)
    alone = [replace(ask("alone"), requested_at=at("09:00"))]
    together = [ask(ref, start="20:30", zone="Bar") for ref in ("one", "other", "third")]
    assert planned(*alone, *together).milliseconds == {
        "alone": 6.0,
        "one": 6.0 + 2.0 + 2.0,
        "other": 6.0 + 2.0 + 6.0 + 2.0,  # In a third step it was found that nobody at the bar can move.
        "third": 6.0 + 2.0 + 6.0 + 2.0,
    }
