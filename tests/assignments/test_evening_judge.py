"""The judge of played evenings sees who is passed over, and does not take tables that are kept for others for free."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assignments.integration.host import HostBooking
from assignments.testing import a_floor, a_service, a_table
from tests.assignments.evening_judge import Action, Evening, passed_over

FLOOR = a_floor(tables=[a_table("A", seats=2)], services=[a_service()], timezone="UTC")
NOW = datetime(2031, 1, 14, 16, tzinfo=UTC)
TONIGHT = NOW.replace(hour=18)


def waiting(number: int, start: datetime, **given: Any) -> Mapping[str, Any]:
    row: dict[str, Any] = {"state": "assignment_pending", "reason": "", "wake_at": None, "pinned_table_refs": []}
    asked = NOW - timedelta(hours=1) + timedelta(minutes=number)
    return {**row, "requested_at": asked, "service_date": NOW.date(), "starts_at": start, **given}


def seated(ref: str, start: datetime, table: str = "A", hours: float = 2) -> Mapping[str, Any]:
    end = start + timedelta(hours=hours)
    times = {"start": start, "until": end, "starts_at": start, "ends_at": end, "ended_at": None}
    row = {"id": f"{ref} at {table}", "booking_ref": ref, "table_ref": table, "kind": "seating", "party": 2}
    return {**row, "overstays_until": None, **times}


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


@pytest.mark.parametrize("is_needed_longer", [True, False])
def test_a_promised_seat_goes_before_who_waits_only_where_others_stay_at_its_table(is_needed_longer: bool) -> None:
    """B3 is moved to the other table, which B2 asked for earlier. B1 stays at its own, or not."""
    floor = a_floor(tables=[a_table("A", seats=2), a_table("B", seats=2)], services=[a_service()], timezone="UTC")
    first = TONIGHT - timedelta(hours=2)
    rows = {"B1": waiting(1, first), "B2": waiting(2, TONIGHT), "B3": waiting(3, TONIGHT)}
    rows |= {ref: {**rows[ref], "state": "confirmed"} for ref in ("B1", "B3")}
    before = Evening([seated("B1", first), seated("B3", TONIGHT)], rows)
    others = [] if is_needed_longer else [{**seated("B4", TONIGHT), "kind": "hold"}]
    stays = seated("B1", first, hours=2.5 if is_needed_longer else 2)
    after = Evening([stays, seated("B3", TONIGHT, "B"), *others], rows)
    host = {
        ref: HostBooking(ref=ref, restaurant_ref="R1", starts_at=TONIGHT, party=2, wants_table=True, is_confirmed=False)
        for ref in rows
    }
    action = Action("edit end", "guest", ("B1",))
    found = list(passed_over(before, after, action, floor=floor, now=NOW, host=host, locked=()))
    assert [each for each in found if "B3" in each] == (
        [] if is_needed_longer else ["B3 has ['B'], for which B2 asked earlier (assignment_pending)"]
    )
