"""Whom no planner may move, as the audit of moves says it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assignments.testing import a_floor, a_table
from rollout.policy.fixed_parties import Confirmed, is_fixed

START = datetime(2031, 1, 14, 19, tzinfo=UTC)
FLOOR = a_floor(tables=[a_table("T1")])
LIMITS = {"fixed_minutes": 120, "freeze_minutes": 0, "max_moves": 3}


@pytest.mark.parametrize(
    ("changed", "hours", "limits", "expected"),
    [
        ({}, 3, {}, False),
        ({}, 2, {}, True),
        ({"stage": "arrived"}, 3, {}, True),
        ({"is_pinned": True}, 3, {}, True),
        ({"is_told": True}, 3, {}, True),
        ({"planner": "manual"}, 3, {}, True),
        ({"moves": 3}, 3, {}, False),
        ({"moves": 4}, 3, {}, True),
        ({}, 3, {"freeze_minutes": 60 * 12}, True),
        # The service begins two hours before they come.
        ({}, 3, {"freeze_minutes": 59}, False),
        ({}, 3, {"freeze_minutes": 60}, True),
    ],
)
def test_whom_a_planner_may_move(changed: dict[str, Any], hours: int, limits: dict[str, int], expected: bool) -> None:
    as_usual: dict[str, Any] = {"is_pinned": False, "is_told": False, "moves": 1, "planner": "v3", "stage": "expected"}
    party = Confirmed(**{**as_usual, "starts_at": START, **changed})
    assert is_fixed(party, FLOOR, START - timedelta(hours=hours), **{**LIMITS, **limits}) is expected
