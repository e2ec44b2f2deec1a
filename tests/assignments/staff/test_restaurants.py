"""A restaurant is meant by its key, or by a name that only one has."""

from collections.abc import Collection
from datetime import datetime

import pytest

from assignments.staff.restaurants import AmbiguousRestaurantError, ref_of
from assignments.testing import a_floor
from tests.assignments.conftest import TheHost, run_all

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = {"R1": "Anchor", "R2": "Bistro", "R3": "Bistro"}


@pytest.fixture
def named(host: TheHost, tonight: datetime, monkeypatch: pytest.MonkeyPatch) -> TheHost:
    """Three restaurants with bookings."""
    monkeypatch.setattr(
        type(host), "restaurant_names", lambda self, refs: {ref: NAMES[ref] for ref in refs if ref in NAMES}
    )
    for ref in NAMES:
        host.floors[ref] = a_floor(restaurant_ref=ref)
        host.book(f"B-{ref}", restaurant_ref=ref, starts_at=tonight)
    run_all()
    return host


def test_a_restaurant_is_meant_by_its_key_or_by_a_name_that_only_one_has(named: TheHost) -> None:
    assert [ref_of(text) for text in ("R2", "Anchor", "anchor")] == ["R2", "R1", "R1"]
    with pytest.raises(
        AmbiguousRestaurantError, match=r"called 'Bistro': R2 \(Bistro\), R3 \(Bistro\). Write the key of one"
    ):
        ref_of("Bistro")


def test_what_nobody_knows_stays_as_it_is_written(named: TheHost) -> None:
    assert [ref_of(text) for text in ("R9", "Anker", "a\0b")] == ["R9", "Anker", "a\0b"]


def test_a_host_finds_restaurants_by_references_of_its_own(named: TheHost, monkeypatch: pytest.MonkeyPatch) -> None:
    called: dict[str, Collection[str]] = {"17": ["R2"], "Anchor": ["R4"], "R1": ["R3"]}
    monkeypatch.setattr(type(named), "restaurants_called", lambda self, text: called.get(text, ()), raising=False)
    assert [ref_of(text) for text in ("17", "R1")] == ["R2", "R1"]
    with pytest.raises(AmbiguousRestaurantError, match=r"R1 \(Anchor\), R4"):
        ref_of("Anchor")
