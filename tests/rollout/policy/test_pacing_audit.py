"""How many guests come within an interval, or sit at once, as the audit counts them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assignments.planning.floor import Pacing
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied, PlanningRules, Snapshot
from assignments.testing import a_floor, a_table
from rollout.policy.seating_audit import exceeds_pacing

START = datetime(2031, 1, 14, 19, tzinfo=UTC)


def exceeds(others: tuple[int, int], **limits: Any) -> bool:
    """Four ask for 19:00, where four others sit; ``others``: when these come and go, in minutes from then."""
    comes, goes = (START + timedelta(minutes=minutes) for minutes in others)
    sitting = Occupied(
        table_ref="T1",
        blocked_from=comes,
        blocked_until=goes,
        booking_ref="A",
        starts_at=comes,
        ends_at=goes,
        party=4,
    )
    floor = replace(a_floor(tables=[a_table("T1"), a_table("T2")]), pacing=(Pacing(**limits),))
    asks = SeatingRequest(booking_ref="B", starts_at=START, party=4, requested_at=START - timedelta(days=2))
    now = START - timedelta(days=1)
    return exceeds_pacing(
        Snapshot(floor=floor, occupied=(sitting,), request=asks, now=now, rules=PlanningRules(), success={})
    )


@pytest.mark.parametrize(
    ("others", "expected"),
    [((-90, 0), False), ((-90, 1), True), ((0, 90), True), ((30, 120), True), ((300, 390), False)],
)
def test_guests_who_leave_as_others_come_do_not_sit_at_once(others: tuple[int, int], expected: bool) -> None:
    assert exceeds(others, most_present=7) is expected
    assert not exceeds(others, most_present=8)


@pytest.mark.parametrize(
    ("others", "expected"), [((-1, 90), False), ((0, 90), True), ((14, 90), True), ((15, 90), False)]
)
def test_guests_come_together_within_one_interval(others: tuple[int, int], expected: bool) -> None:
    assert exceeds(others, most_covers=7) is expected
    assert exceeds(others, most_parties=1) is expected
    assert not exceeds(others, most_covers=8, most_parties=2)
