"""Needs on a living evening: from the host, or noted by a call."""

from datetime import datetime

import pytest

from assignments import api
from assignments.models import Assignment, State
from assignments.outcome import Change, Kind
from assignments.planning.reasons import Reason
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import TheHost, run_all, tables_of

pytestmark = pytest.mark.django_db(transaction=True)
STEP_FREE = frozenset({"step-free"})


@pytest.fixture
def stairs(host: TheHost) -> TheHost:
    host.floors["R1"] = a_floor(tables=[a_table("T1", seats=2), a_table("T2", seats=2, features=STEP_FREE)])
    return host


def test_needs_come_from_the_host_and_are_kept(stairs: TheHost, tonight: datetime) -> None:
    stairs.book("B1", starts_at=tonight, party=2, needs=("Step-Free",), wishes=("window",))
    assert run_all()["B1"].table_refs == ("T2",)
    row = Assignment.objects.get(booking_ref="B1")
    assert (row.needs, row.wishes) == (["step-free"], ["window"])
    assert "Wishes that it does not meet: window." in str(api.explain(booking_ref="B1").text)


def test_a_new_need_moves_the_booking_or_goes_to_staff(stairs: TheHost, tonight: datetime) -> None:
    stairs.book("B1", starts_at=tonight, party=2)
    run_all()
    assert tables_of("B1") == ["T1"]
    assert api.note_features(booking_ref="B1", wishes=["Window"]) is Change.NOTHING
    assert Assignment.objects.get(booking_ref="B1").wishes == ["window"]
    assert api.note_features(booking_ref="B1", needs=["step-free"]) is Change.MOVED
    assert tables_of("B1") == ["T2"]
    assert api.note_features(booking_ref="B1", needs=["step-free"]) is Change.NOTHING
    assert api.note_features(booking_ref="B1", needs=["lift"]) is Change.TO_STAFF
    assert tables_of("B1") == ["T2"]
    row = Assignment.objects.get(booking_ref="B1")
    assert (row.state, row.needs, row.asked_needs) == (State.MANUAL_REVIEW, ["step-free"], ["lift"])


def test_a_need_that_no_table_meets_waits_for_staff_and_for_the_floor(stairs: TheHost, tonight: datetime) -> None:
    stairs.book("B1", starts_at=tonight, party=2, needs=("lift",))
    outcome = run_all()["B1"]
    assert (outcome.kind, outcome.reason) == (Kind.MANUAL_REVIEW, Reason.NEEDS)
    given = api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:7", overriding=[Reason.NEEDS])
    assert given.kind is Kind.CONFIRMED
