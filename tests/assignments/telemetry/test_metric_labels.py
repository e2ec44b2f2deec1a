"""The labels of metrics know every reason that V3 can give for an outcome."""

import ast
import inspect
from collections.abc import Iterator

import pytest

from assignments.coordination import coordinator, day_planner, quarantine
from assignments.outcome import CoordinatorReason, Kind
from assignments.planning.reasons import HARD_REASONS, INVALID_REASONS, SOFT_REASONS, Reason
from assignments.telemetry.metrics.labels import V3_REASONS

ENDS_AS = {
    "try_again": (Kind.RETRY, Kind.MANUAL_REVIEW),  # the last time it goes to review
    "send_to_review": (Kind.MANUAL_REVIEW,),
    "fail": (Kind.FAILED,),
}
"""What comes of a booking with which one of the settlement's methods is called."""
BESIDE = {
    Reason.UNKNOWN_TABLE,
    Reason.TABLE_REPEATED,
    Reason.TABLE_INACTIVE,
    Reason.TOO_FEW_SEATS,
    Reason.TOO_MANY_SPARE_SEATS,
    Reason.PARTY_OUTSIDE_TABLE_LIMITS,
    Reason.TOO_MANY_TABLES,
    Reason.ZONES_DIFFER,
    Reason.NOT_ADJACENT,
    Reason.WRONG_ZONE,
    Reason.BUFFER,
    Reason.TABLE_TAKEN,
    Reason.MORE_TABLES_THAN_NEEDED,
}
"""Given with a refusal, never an outcome by itself."""
NO_ATTEMPT = {
    CoordinatorReason.CIRCUIT_OPEN,
    CoordinatorReason.BOOKING_BUSY,
    CoordinatorReason.BOOKING_MOVED,
    CoordinatorReason.TIME_BUDGET_EXCEEDED,
}
"""The booking was left as it was: nothing is on record that could be counted."""


def settled() -> Iterator[tuple[str, CoordinatorReason]]:
    """Each method of the settlement that V3 calls with a reason of its own."""
    for module in (day_planner, coordinator, quarantine):
        for call in ast.walk(ast.parse(inspect.getsource(module))):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            for reason in (each.value for each in call.keywords if each.arg == "reason"):
                for name in (each.attr for each in ast.walk(reason) if isinstance(each, ast.Attribute)):
                    if call.func.attr in ENDS_AS and name in CoordinatorReason.__members__:
                        yield call.func.attr, CoordinatorReason[name]


@pytest.mark.parametrize(("method", "reason"), sorted(set(settled())))
def test_what_v3_says_by_itself_is_counted_by_its_name(method: str, reason: CoordinatorReason) -> None:
    for kind in ENDS_AS[method]:
        assert reason in V3_REASONS[kind]


def test_every_reason_of_v3s_own_leaves_an_attempt_or_is_known_not_to() -> None:
    assert {reason for _method, reason in settled()} == set(CoordinatorReason) - NO_ATTEMPT


def test_every_reason_of_the_planning_is_counted_by_its_name_where_it_ends() -> None:
    assert V3_REASONS[Kind.FAILED] >= INVALID_REASONS
    assert V3_REASONS[Kind.MANUAL_REVIEW] >= HARD_REASONS | SOFT_REASONS
    assert V3_REASONS[Kind.RETRY] >= SOFT_REASONS
    parts = [INVALID_REASONS, HARD_REASONS, SOFT_REASONS, BESIDE]
    assert sorted(each for part in parts for each in part) == sorted(Reason)
