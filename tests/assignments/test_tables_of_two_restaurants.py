"""Hosts may have a T1 in every restaurant: what happens at one is nothing to the other."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from assignments import api
from assignments.models import Allocation, Assignment, State, TableDetails
from assignments.outcome import Kind
from assignments.telemetry.invariants import OVERLAPS
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import TheHost, run_all

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def two(host: TheHost) -> TheHost:
    for ref in ("R1", "R2"):
        host.floors[ref] = a_floor(ref, tables=[a_table("T1")])
    return host


def states() -> dict[str, str]:
    return dict(Assignment.objects.values_list("booking_ref", "state"))


def test_two_restaurants_that_both_have_a_t1_both_seat_a_party_at_the_same_time(
    two: TheHost, tonight: datetime
) -> None:
    two.book("A", starts_at=tonight, party=4, restaurant_ref="R1")
    two.book("B", starts_at=tonight, party=4, restaurant_ref="R2")
    assert {ref: (outcome.kind, outcome.table_refs) for ref, outcome in run_all().items()} == {
        "A": (Kind.CONFIRMED, ("T1",)),
        "B": (Kind.CONFIRMED, ("T1",)),
    }
    with connection.cursor() as cursor:
        cursor.execute(OVERLAPS)
        assert cursor.fetchone() == (0,)


def test_closing_the_t1_of_one_restaurant_leaves_the_others_alone(two: TheHost, tonight: datetime) -> None:
    two.book("A", starts_at=tonight, party=4, restaurant_ref="R1")
    two.book("B", starts_at=tonight, party=4, restaurant_ref="R2")
    run_all()
    evening: Any = {"starts_at": tonight - timedelta(hours=1), "ends_at": tonight + timedelta(hours=4)}
    api.close(restaurant_ref="R1", table_refs=["T1"], **evening)
    assert states() == {"A": State.MANUAL_REVIEW, "B": State.CONFIRMED}
    assert Allocation.objects.get().booking_ref == "B"


@pytest.mark.usefixtures("two")
def test_table_details_are_kept_once_for_each_restaurants_table() -> None:
    for ref in ("R1", "R2"):
        TableDetails.objects.create(restaurant_ref=ref, table_ref="T1", zone=f"zone {ref}")
    again: Any = TableDetails(restaurant_ref="R2", table_ref="T1")
    with pytest.raises(ValidationError, match="already exists"):
        again.full_clean()
