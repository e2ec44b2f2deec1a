"""The judge of played evenings sees who is passed over, who sits at a table that is not theirs, and what nobody has said.

It does not take tables that are kept for others for free.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assignments.integration.host import HostBooking
from assignments.testing import a_floor, a_service, a_table
from tests.assignments.evening_judge import Action, Evening, Moving, misfits, passed_over, unblocked

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


EDIT = Action("edit party", "guest", ("B1",))


def decided(**given: Any) -> Mapping[str, Any]:
    row = {"state": "confirmed", "stage": "expected", "party": 2, "zone_ref": "", "pinned_table_refs": []}
    return {**row, "starts_at": TONIGHT, **given}


@pytest.mark.parametrize(
    ("others", "state", "is_seen"),
    [([], "confirmed", True), (["B0"], "confirmed", True), (["B0"], "manual_review", False)],
    ids=["nobody is there", "others are there, and nobody says so", "staff know"],
)
def test_guests_who_sit_have_their_table_now(others: list[str], state: str, is_seen: bool) -> None:
    """B1 comes at 18:00 and sits already. The table is blocked from 18:00."""
    there = [seated(ref, NOW - timedelta(hours=1)) for ref in others]
    rows = {ref: decided(state=state) for ref in ("B1", *others)}
    before = Evening([seated("B1", TONIGHT), *there], rows)
    after = Evening(before.allocations, {**rows, "B1": decided(state=state, stage="seated")})
    found = list(unblocked(before, after, Action("seated", "staff", ("B1",)), now=NOW))
    assert found == (["B1 sits at ['A'], which is not blocked now"] if is_seen else [])


@pytest.mark.parametrize(
    ("despite", "party", "later", "problems"),
    [
        (["too_few_seats"], 3, timedelta(0), []),
        (["too_few_seats"], 4, timedelta(0), ["B1, a party of 4, keeps ['A'], which have fewer seats"]),
        (["wrong_zone"], 3, timedelta(minutes=15), ["B1, a party of 3, keeps ['A'], which have fewer seats"]),
        (["too_few_seats", "closed"], 3, timedelta(minutes=15), ["B1 keeps ['A'] at another time, though closed then"]),
        (
            ["too_few_seats", "closed"],
            3,
            timedelta(minutes=-15),
            ["B1 keeps ['A'] at another time, though closed then"],
        ),
    ],
)
def test_what_staff_said_is_said_of_that_alone(
    despite: list[str], party: int, later: timedelta, problems: list[str]
) -> None:
    """Three have the table for two at 18:00, despite something."""
    closure: Mapping[str, Any] = {"table_refs": ["A"], "starts_at": NOW, "ends_at": None, "lifted_at": None}
    row = {**seated("B1", TONIGHT), "party": 3, "despite": despite, "planner": "manual"}
    start, end = TONIGHT + later, TONIGHT + later + timedelta(hours=2)
    edited = {**row, "party": party, "start": start, "starts_at": start, "until": end, "ends_at": end}
    before = Evening([row], {"B1": decided(party=3)})
    closures = [closure] if "closed" in despite else []
    after = Evening([{**edited, "despite": despite}], {"B1": decided(party=party)}, closures)
    assert list(misfits(before, after, EDIT, FLOOR, NOW)) == problems


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
