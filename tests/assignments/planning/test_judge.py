"""Tables picked by hand: every reason against them, or none."""

from dataclasses import replace

import pytest

from assignments.planning.engine import judge
from assignments.planning.floor import Join
from assignments.planning.reasons import Reason
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import PlanningRules
from tests.assignments.planning.restaurant import ask, at, floor, snapshot, table, taken

FLOOR = floor(
    table("A4", 4),
    table("B4", 4),
    table("C4", 4),
    table("D4", 4),
    table("E2", 2, min_party=2),
    table("F4", 4, active=False),
    table("T8", 8, "Terrace"),
    table("T4", 4, "Terrace", max_party=3),
    adjacent=[("A4", "B4"), ("B4", "C4"), ("C4", "D4"), ("D4", "F4"), ("C4", "T4")],
    joins=[Join(table_refs=frozenset({"A4", "D4"}), seats=6)],
)


@pytest.mark.parametrize(
    ("request_", "tables", "reasons"),
    [
        (ask(party=4), ["A4"], []),
        (ask(party=8), ["B4", "A4"], []),
        (ask(party=4), ["A4", "B4"], []),  # more than needed, but somebody picked them
        (ask(party=6), ["A4", "D4"], []),  # listed, though not adjacent
        (ask(party=7), ["A4", "D4"], [Reason.TOO_FEW_SEATS]),  # and it seats six
        (ask(party=4), [], [Reason.UNKNOWN_TABLE]),
        (ask(party=4), ["X9"], [Reason.UNKNOWN_TABLE]),
        (ask(party=8), ["A4", "X9"], [Reason.UNKNOWN_TABLE, Reason.TOO_FEW_SEATS]),
        (ask(party=4), ["A4", "A4"], [Reason.TABLE_REPEATED]),
        (ask(party=8), ["A4", "A4"], [Reason.TABLE_REPEATED, Reason.TOO_FEW_SEATS]),
        (ask(party=4), ["F4"], [Reason.TABLE_INACTIVE]),
        (ask(party=5), ["A4"], [Reason.TOO_FEW_SEATS]),
        (ask(party=3), ["T8"], [Reason.TOO_MANY_SPARE_SEATS]),
        (ask(party=1), ["E2"], [Reason.PARTY_OUTSIDE_TABLE_LIMITS]),
        (ask(party=4), ["T4"], [Reason.PARTY_OUTSIDE_TABLE_LIMITS]),
        (ask(party=14), ["A4", "B4", "C4", "D4"], [Reason.TOO_MANY_TABLES]),
        (ask(party=8), ["C4", "T4"], [Reason.ZONES_DIFFER]),
        (ask(party=8), ["A4", "C4"], [Reason.NOT_ADJACENT]),
        (ask(party=4, zone="Terrace"), ["A4"], [Reason.WRONG_ZONE]),
        (ask(party=9, zone="Terrace"), ["A4", "C4"], [Reason.TOO_FEW_SEATS, Reason.NOT_ADJACENT, Reason.WRONG_ZONE]),
        (ask(party=0), ["A4"], [Reason.INVALID_PARTY]),
        (ask(party=4, start="21:30"), ["A4"], [Reason.SERVICE_OVERRUN]),
    ],
)
def test_every_reason_against_the_tables_is_named(
    request_: SeatingRequest, tables: list[str], reasons: list[Reason]
) -> None:
    refusals = judge(snapshot(FLOOR, request_), tables)
    assert [refusal.reason for refusal in refusals] == reasons, [refusal.detail for refusal in refusals]


def test_tables_that_somebody_has_are_named_with_the_booking() -> None:
    refusals = judge(
        snapshot(FLOOR, ask(party=8), taken("B4", "17:00", "18:30", "b7"), taken("C4", "17:00", "20:00")), ["A4", "B4"]
    )
    assert [refusal.reason for refusal in refusals] == [Reason.TABLE_TAKEN]
    assert refusals[0].detail == "Table B4 is taken from 17:00 to 18:30 by booking b7."


def test_a_table_that_is_closed_is_named_without_a_booking() -> None:
    closed = replace(taken("A4", "17:00", "19:00", None), closed=True)
    refusals = judge(snapshot(FLOOR, ask(party=4), taken("A4", "19:00", "19:30", None), closed), ["A4"])
    assert [(each.reason, str(each.detail)) for each in refusals] == [
        (Reason.CLOSED, "Table A4 is closed at that time."),
        (Reason.TABLE_TAKEN, "Table A4 is taken from 19:00 to 19:30."),
    ]
    assert snapshot(FLOOR, ask(), taken("A4", "17:00", "18:00"), closed).closures == (closed,)


def test_a_table_that_is_free_again_in_time_is_fine() -> None:
    around = [taken("A4", "17:00", "18:00"), taken("A4", "19:20", "20:00")]
    assert judge(snapshot(FLOOR, ask(party=4), *around), ["A4"]) == ()


def test_staff_may_seat_late_comers() -> None:
    late = snapshot(FLOOR, ask(party=4), now=at("18:10"), rules=PlanningRules(min_lead_minutes=60))
    assert judge(late, ["A4"]) == ()


def test_details_name_tables_as_staff_know_them_and_in_their_order() -> None:
    two, ten = replace(table("100", 4), name="T2"), replace(table("97", 4), name="T10")
    on = floor(two, ten, adjacent=[("100", "97")])
    refusals = judge(snapshot(on, ask(party=8, zone="Terrace")), ["97", "100"])
    assert [each.detail for each in refusals] == ["The party is to sit in zone Terrace; T2 + T10 is not."]


def test_details_name_the_values() -> None:
    (refusal,) = judge(snapshot(FLOOR, ask(party=3)), ["T8"])
    assert refusal.detail == "T8 seats 8: 5 more than the party of 3 needs, and 4 are allowed."
