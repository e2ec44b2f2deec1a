"""Who closes what by name: an unknown restaurant is refused, and a closed table is named by whoever is refused it."""

from datetime import datetime, timedelta

import pytest

from assignments import api
from assignments.concurrency.clock import at
from assignments.coordination import undoing
from assignments.exceptions import TablesRefusedError
from assignments.models import Allocation, Assignment, Closure
from assignments.planning.reasons import Reason
from tests.assignments.conftest import TheHost, run_all, tables_of

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
STAFF = "staff:7"


def test_a_restaurant_that_the_host_does_not_have_cannot_be_closed(host: TheHost, tonight: datetime) -> None:
    with pytest.raises(ValueError, match=r"There is no restaurant 'R9'\."):
        api.close(restaurant_ref="R9", starts_at=tonight, actor=STAFF)
    assert not Closure.objects.exists()


def test_no_reason_is_an_empty_one(host: TheHost, tonight: datetime) -> None:
    closure_id = api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=tonight, reason=None, actor=STAFF)
    assert Closure.objects.get().reason == ""
    api.edit_closure(closure_id=closure_id, reason=" a leg is loose ", actor=STAFF)
    assert Closure.objects.get().reason == "a leg is loose"
    api.edit_closure(closure_id=closure_id, reason=None, actor=STAFF)
    assert Closure.objects.get().reason == ""


def test_a_move_that_cannot_be_undone_names_the_table_that_is_closed(host: TheHost, tonight: datetime) -> None:
    host.book("B0", starts_at=tonight, party=4)
    run_all()
    (table,) = tables_of("B0")
    other = next(ref for ref in ("T3", "T4") if ref != table)
    api.move(booking_ref="B0", table_refs=[other], actor=STAFF)
    api.close(restaurant_ref="R1", table_refs=[table], starts_at=tonight - HOUR, ends_at=tonight + HOUR, actor=STAFF)
    with pytest.raises(
        TablesRefusedError, match=rf"cannot have {table}: Table {table} is closed at that time\."
    ) as refused:
        api.undo(booking_ref="B0", actor=STAFF)
    assert [refusal.reason for refusal in refused.value.refusals] == [Reason.CLOSED]
    assert tables_of("B0") == [other]


def test_a_shorter_stay_that_cannot_be_undone_names_the_table_that_is_closed(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight, ends_at=tonight + 2 * HOUR, party=4)
    api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
    with at(tonight + timedelta(minutes=10)):
        api.seated(booking_ref="B1", actor=STAFF)
        api.extend(booking_ref="B1", until=tonight + HOUR, actor=STAFF)
        api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=tonight + HOUR, actor=STAFF)
        assignment = Assignment.objects.get(booking_ref="B1")
        offer = undoing.offered(assignment, now=tonight + timedelta(minutes=10), host=host)
        assert offer is not None
        assert [each.reason for each in offer.against] == [Reason.CLOSED]
        with pytest.raises(TablesRefusedError, match=r"cannot have T1: Table T1 is closed at that time\."):
            api.undo(booking_ref="B1", actor=STAFF)
        row = Allocation.objects.get()
        assert (row.ends_at, row.overridden_by) == (tonight + HOUR, "")
