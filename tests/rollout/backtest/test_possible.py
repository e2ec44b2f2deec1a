"""What an evening could have seated at best: in any order, and in the order of requests where those differ."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import PlanningRules
from assignments.testing import a_floor, a_table
from rollout.backtest.possible import Possible, possible

pytest.importorskip("ortools")

SEVEN = datetime(2025, 11, 7, 19, tzinfo=UTC)
FLOOR = a_floor(tables=[a_table("1", seats=4), a_table("2", seats=4)], adjacent=[("1", "2")])


def asking(ref: str, party: int, *, minute: int) -> SeatingRequest:
    requested_at = SEVEN - timedelta(days=2) + timedelta(minutes=minute)
    return SeatingRequest(booking_ref=ref, starts_at=SEVEN, party=party, requested_at=requested_at)


REQUESTS = [asking("eight", 8, minute=0), asking("A", 4, minute=1), asking("B", 4, minute=2)]


def test_who_asked_first_may_take_the_place_of_two() -> None:
    found = possible(FLOOR, REQUESTS, rules=PlanningRules())
    assert found == Possible(in_order=1, in_any_order=2, is_proven=True)
    assert str(found) == "2 (1 in the order of requests)"


def test_who_asked_at_the_same_time_has_no_claim_before_others() -> None:
    together = [replace(request, requested_at=None) for request in REQUESTS]
    assert possible(FLOOR, together, rules=PlanningRules()) == Possible(in_order=2, in_any_order=2, is_proven=True)


def test_evenings_are_added_up_and_one_without_a_proof_leaves_all_without() -> None:
    assert possible(FLOOR, [], rules=PlanningRules()) == Possible()
    total = Possible(in_order=1, in_any_order=2) + Possible(in_order=3, in_any_order=3, is_proven=False)
    assert str(total) == "at most 5 (4 in the order of requests), not proven"
