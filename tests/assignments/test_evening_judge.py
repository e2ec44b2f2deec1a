"""The judge of played evenings sees who is passed over, and does not take tables that are kept for others for free."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assignments.integration.host import HostBooking
from assignments.testing import a_floor, a_service, a_table
from tests.assignments.evening_judge import Action, Evening, Moving, passed_over

FLOOR = a_floor(tables=[a_table("A", seats=2)], services=[a_service()], timezone="UTC")
NOW = datetime(2031, 1, 14, 16, tzinfo=UTC)
TONIGHT = NOW.replace(hour=18)


def waiting(number: int, start: datetime, **given: Any) -> Mapping[str, Any]:
    row: dict[str, Any] = {"state": "assignment_pending", "reason": "", "wake_at": None, "pinned_table_refs": []}
    asked = NOW - timedelta(hours=1) + timedelta(minutes=number)
    return {**row, "requested_at": asked, "service_date": NOW.date(), "starts_at": start, **given}


def seated(ref: str, start: datetime) -> Mapping[str, Any]:
    end = start + timedelta(hours=2)
    times = {"start": start, "until": end, "starts_at": start, "ends_at": end, "ended_at": None}
    return {"booking_ref": ref, "table_ref": "A", "kind": "seating", "party": 2, "overstays_until": None, **times}


@pytest.mark.parametrize(
    ("first", "is_passed_over"),
    [
        (None, True),
        (timedelta(hours=1, minutes=30), False),
        (timedelta(hours=2, minutes=30), True),
    ],
    ids=["nobody before it", "the table is kept for one before it", "one before it comes later"],
)
def test_who_asked_earlier_is_passed_over_unless_the_table_is_kept(
    first: timedelta | None, is_passed_over: bool
) -> None:
    """B3 gets the table at 18:00. B2 wants it at 18:30, and B1, who asked before both, some time after that."""
    later = TONIGHT + timedelta(minutes=30)
    starts = {"B2": later, "B3": TONIGHT} | ({} if first is None else {"B1": TONIGHT + first})
    rows = {ref: waiting(int(ref[1:]), start) for ref, start in starts.items()}
    rows["B3"] = {**rows["B3"], "state": "confirmed"}
    after = Evening([seated("B3", TONIGHT)], rows)
    host = {
        ref: HostBooking(ref=ref, restaurant_ref="R1", starts_at=start, party=2, wants_table=True, is_confirmed=False)
        for ref, start in starts.items()
    }
    before = Evening([], {**rows, "B3": waiting(3, TONIGHT)})
    found = passed_over(before, after, Action("pass", "planner"), floor=FLOOR, now=NOW, host=host, locked=())
    assert [each for each in found if "B2" in each] == (
        ["B3 has ['A'], for which B2 asked earlier (assignment_pending)"] if is_passed_over else []
    )


@pytest.mark.parametrize("is_told", [False, True])
def test_who_asked_earlier_is_passed_over_where_a_move_would_have_seated_them(is_told: bool) -> None:
    """A pair has the large table. B2 gets the small one, to which the pair could have gone for the four of B1."""
    floor = a_floor(tables=[a_table("A", seats=2), a_table("L", seats=4)], services=[a_service()], timezone="UTC")
    named = {"stage": "expected", "table_told": False, "moves": 0, "planner": "v3", "party": 2}
    rows: dict[str, Mapping[str, Any]] = {
        ref: {**waiting(number, TONIGHT), **named} for number, ref in enumerate(["M", "B1", "B2"])
    }
    rows["M"] = {**rows["M"], "state": "confirmed"}
    parties = {"M": 2, "B1": 4, "B2": 2}
    host = {
        ref: HostBooking(
            ref=ref, restaurant_ref="R1", starts_at=TONIGHT, party=party, wants_table=True, is_confirmed=False
        )
        for ref, party in parties.items()
    }
    pair = {**seated("M", TONIGHT), "table_ref": "L", "planner": "v3", "despite": []}
    new = {**seated("B2", TONIGHT), "planner": "v3", "despite": []}
    moving = Moving(fixed=timedelta(minutes=45), most=2, told={"M"} if is_told else set(), frozen=False)
    found = passed_over(
        Evening([pair], rows),
        Evening([pair, new], {**rows, "B2": {**rows["B2"], "state": "confirmed"}}),
        Action("pass", "planner"),
        floor=floor,
        now=NOW,
        host=host,
        locked=(),
        moving=moving,
    )
    told = "B2 has ['A']: B1 asked earlier, and could have been seated by a move"
    assert list(found) == ([] if is_told else [told])
