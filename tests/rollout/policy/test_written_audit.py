"""Whether what the ledger got is what was decided."""

from dataclasses import replace
from datetime import timedelta

import pytest

from assignments.planning.engine import plan
from rollout.policy.written_audit import Written, is_otherwise, moved_otherwise
from tests.assignments.planning.restaurant import ask, floor, snapshot, table

DECIDED = plan(snapshot(floor(table("T4", 4)), ask(party=4)))
REFUSED = plan(snapshot(floor(table("T2", 2)), ask(party=4)))
assert DECIDED.window is not None
WINDOW = DECIDED.window
ROW = Written(
    table_ref="T4",
    starts_at=WINDOW.starts_at,
    ends_at=WINDOW.ends_at,
    blocked_from=WINDOW.blocked_from,
    blocked_until=WINDOW.blocked_until,
)
LATER = timedelta(minutes=5)


@pytest.mark.parametrize(
    ("rows", "otherwise"),
    [
        ([ROW], False),
        ([], True),
        ([replace(ROW, table_ref="T5")], True),
        ([ROW, replace(ROW, table_ref="T5")], True),
        ([replace(ROW, starts_at=ROW.starts_at + LATER)], True),
        ([replace(ROW, ends_at=ROW.ends_at + LATER)], True),
        ([replace(ROW, blocked_from=ROW.blocked_from - LATER)], True),
        ([replace(ROW, blocked_until=ROW.blocked_until + LATER)], True),
    ],
)
def test_other_tables_or_times_than_decided_are_found(rows: list[Written], otherwise: bool) -> None:
    assert is_otherwise(DECIDED, rows) is otherwise
    assert moved_otherwise({"b1": ["T4"]}, {"b1": WINDOW}, {"b1": rows}) == ({"b1"} if otherwise else set())


def test_a_refusal_that_got_a_table_is_found() -> None:
    assert is_otherwise(REFUSED, [ROW]) is True
    assert is_otherwise(REFUSED, []) is False


def test_a_move_without_a_window_is_known_by_its_tables_alone() -> None:
    later = replace(ROW, starts_at=ROW.starts_at + LATER)
    assert moved_otherwise({"b1": ["T4"], "b2": ["T4"]}, {}, {"b1": [later]}) == {"b2"}
