"""What the page offers when somebody else has the table: only what can be done."""

from datetime import UTC, datetime

import pytest

from assignments import api
from assignments.lifecycle import ledger
from assignments.models import Assignment
from assignments.staff import moves
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import TheHost, tables_of

pytestmark = pytest.mark.django_db(transaction=True)


def in_the_way(host: TheHost, ref: str, table_ref: str) -> moves.InTheWay:
    now = datetime.now(UTC)
    assignment, booking = Assignment.objects.get(booking_ref=ref), host.bookings([ref])[ref]
    found = moves.moves_of(booking, assignment, ledger.seatings_of([ref])[ref], host=host, now=now)
    (way,) = moves.preview(booking, assignment, found, [table_ref], host=host, now=now).in_the_way
    return way


@pytest.mark.parametrize("tables", [2, 3])
def test_who_is_moved_first_is_not_offered_the_table_that_the_other_one_still_has(
    host: TheHost, tonight: datetime, tables: int
) -> None:
    """T3, the only other place for B, is larger than T1, so that T1 would be the better one."""
    rows = [a_table("T1"), a_table("T2"), a_table("T3", seats=6)][:tables]
    host.floors["R1"] = a_floor(tables=rows)
    for ref, table in (("A", "T1"), ("B", "T2")):
        host.book(ref, starts_at=tonight, party=4)
        api.assign(booking_ref=ref, table_refs=[table], actor="staff:1")
    way = in_the_way(host, "A", "T2")
    assert way.elsewhere == (("T3",) if tables == 3 else ())
    assert way.swap == ()
    if way.elsewhere:
        api.move(booking_ref="B", table_refs=way.elsewhere, actor="staff:1")
        api.move(booking_ref="A", table_refs=["T2"], actor="staff:1")
        assert (tables_of("A"), tables_of("B")) == (["T2"], ["T3"])
